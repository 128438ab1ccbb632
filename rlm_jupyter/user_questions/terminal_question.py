"""A question to the user that is shown and answered in a terminal."""

from __future__ import annotations

import sys
import threading

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.models.terminal_reply import read_line
from rlm_jupyter.text.sanitize import clean, one_line
from rlm_jupyter.user_questions.pending import UserQuestion

_terminal = threading.Lock()
"""One question at a time, of all runs of this process."""
_TICK = 0.1
_QUESTION = 1200
_OPTION = 140


def ask_in_terminal(asked: UserQuestion) -> None:
    """Show a question and read its answer, on a thread of its own; ends when no answer is wanted any more."""
    while not _terminal.acquire(timeout=_TICK):
        if not asked.waits:
            return
    try:
        if asked.waits:
            _ask(asked)
    finally:
        _terminal.release()


def _ask(asked: UserQuestion) -> None:
    _print(_text(asked))
    while True:
        try:
            line = read_line(lambda: asked.waits)
        except InterruptedError:
            _print(f"--- No answer is wanted any more: {one_line(asked.default, _OPTION)}")
            return
        try:
            _answer(asked, line)
        except ConfigError as error:
            if not asked.waits:
                return
            _print(clean(error.message, _QUESTION))
        else:
            return


def _answer(asked: UserQuestion, line: str | None) -> None:
    """Take a line for an answer; the end of the input and an empty line are the default.

    Raises:
        ConfigError: it is none.
    """
    text = (line or "").strip()
    if not text:
        asked.take_default("the terminal was closed" if line is None else "an empty line was typed")
    elif asked.options and text not in asked.options and text.isdecimal() and len(text) < 4:  # noqa: PLR2004 - digits
        asked.choose(int(text) - 1)
    else:
        asked.answer(text)


def _text(asked: UserQuestion) -> str:
    options = [f"    {number}. {one_line(option, _OPTION)}" for number, option in enumerate(asked.options, 1)]
    how = "The number of your answer" if asked.options else "Your answer"
    return "\n".join(
        [
            f"\n--- Agent {one_line(asked.agent, 60)} asks you:",
            clean(asked.question, _QUESTION),
            *options,
            f"--- {how}; an empty line, or nothing within {asked.seconds:g} s, is: {one_line(asked.default, _OPTION)}",
        ]
    )


def _print(text: str) -> None:
    # Standard output may be a pipe that takes the answer of the run.
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - it is asked in the terminal
