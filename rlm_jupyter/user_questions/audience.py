"""Who answers what agents' code asks by `ask_user`: the tree, the terminal, a function, or nobody."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.models.terminal_reply import is_terminal

if TYPE_CHECKING:
    from rlm_jupyter.user_questions.pending import UserQuestion

Audience = Literal["tree", "terminal"] | Callable[["UserQuestion"], object] | None
"""`tree`: a box in the live tree; `terminal`: standard input; a function that returns the answer; None: nobody, so
that defaults are taken at once."""

_audience: ContextVar[Audience | Literal["unset"]] = ContextVar("rlm_audience", default="unset")


def audience() -> Audience:
    """Returns who answers the questions of a run that is started now."""
    current = _audience.get()
    return None if current == "unset" else current


def can_be_asked(who: Audience, most: int) -> bool:
    """Returns whether agents' code can ask somebody, and so whether an agent is told that it can.

    Args:
        who: answers.
        most: questions that may be asked: the setting `ask_user`.
    """
    return who is not None and most > 0


@contextlib.contextmanager
def answering(who: Audience) -> Iterator[None]:
    """Say who answers the questions that agents' code asks by `ask_user`, in the runs that are started meanwhile.

    Without it, `%%rlm` asks in the tree or in the terminal, `RLM.run` and `rlm-jupyter run` in a terminal if there is
    one, and all others ask nobody.

    Usage:
        >>> with answering(lambda asked: "cents" if "revenue" in asked.question else None):
        ...     run = rlm.run("Which supplier explains the rise in refunds?", context=orders)

    Args:
        who: `"tree"` (a box in the live tree; also code, by `UserQuestion.answer`), `"terminal"`, a function of a
            `UserQuestion` that returns the answer as text, or None to take the default; or None: nobody, and the
            default is taken at once. The function is called on a thread of its own.

    Raises:
        ConfigError: it is none of these.
    """
    if not (who is None or who in ("tree", "terminal") or callable(who)):
        raise ConfigError(
            f"`answering` takes `'tree'`, `'terminal'`, a function or None, not a `{type(who).__name__}`."
        )
    token = _audience.set(who)
    try:
        yield
    finally:
        _audience.reset(token)


@contextlib.contextmanager
def unattended() -> Iterator[None]:
    """Ask nobody meanwhile, unless a function answers: a person is not to be asked by many runs at once."""
    current = audience()
    with answering(current if callable(current) else None):
        yield


@contextlib.contextmanager
def answering_in_terminal() -> Iterator[None]:
    """Ask in the terminal meanwhile, if there is one and nothing else was said.

    For calls that block the main thread of a program: nobody else reads its standard input then.
    """
    free = _audience.get() == "unset" and threading.current_thread() is threading.main_thread()
    with answering("terminal") if free and can_ask_in_terminal() else contextlib.nullcontext():
        yield


def can_ask_in_terminal() -> bool:
    """Returns whether a person can be asked by standard error and answer by standard input."""
    try:
        return is_terminal() and sys.stderr is not None and sys.stderr.isatty()
    except (OSError, ValueError, AttributeError):  # closed, or an object of another kind
        return False
