"""The questions of agents' code that wait for the user's answer, of all runs of this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlm_jupyter.errors import ConfigError

MAX_ANSWER = 2000
"""Characters of an answer."""

_pending: list[UserQuestion] = []
_changed = threading.Condition()


@dataclass(frozen=True)
class Chosen:
    """What was answered: the number of an option, or a text; neither: the default is to be taken, for `reason`."""

    option: int | None = None
    text: str | None = None
    reason: str = ""


class UserQuestion:
    """A question to which nobody has answered yet. Made on the loop on which the run works.

    Attributes:
        run: the id of the run that asks.
        agent: the id of the agent whose code asks.
        number: counts the questions of the run from 1.
        question: the text; data of a model.
        options: the texts to choose from; empty if the answer is a text of one's own.
        default: the text of what is taken if nobody answers.
        seconds: how long an answer is waited for.
    """

    def __init__(
        self,
        run: str,
        agent: str,
        number: int,
        question: str,
        options: Sequence[str],
        default: str,
        seconds: float,
    ) -> None:
        self.run, self.agent, self.number = run, agent, number
        self.question, self.options, self.default = question, tuple(options), default
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Chosen] = self._loop.create_future()

    def __repr__(self) -> str:
        return f"UserQuestion({self.question!r:.100}, options={list(self.options)!r})"

    @property
    def waits(self) -> bool:
        """Whether an answer is still wanted."""
        with _changed:
            return self in _pending

    def answer(self, text: str) -> None:
        """Answer it; may be called on any thread.

        Args:
            text: one of the options as it is shown; if there are none, any text.

        Raises:
            ConfigError: it is neither, too long, or no answer is wanted any more.
        """
        if not isinstance(text, str) or not text.strip():
            raise ConfigError("The answer is empty: write one, or let the default be taken.")
        if len(text) > MAX_ANSWER:
            raise ConfigError(f"The answer has {len(text):,} characters: `{MAX_ANSWER:,}` are the most.")
        if not self.options:
            self._settle(Chosen(text=text))
            return
        if text not in self.options:
            known = ", ".join(f"`{option}`" for option in self.options)
            raise ConfigError(f"`{text[:60]}` is not one of the options: {known}.")
        self._settle(Chosen(option=self.options.index(text)))

    def choose(self, option: int) -> None:
        """Choose an option by its number, from 0; may be called on any thread.

        Raises:
            ConfigError: there is no such option, or no answer is wanted any more.
        """
        if type(option) is not int or not 0 <= option < len(self.options):
            raise ConfigError(f"There is no option {option!r:.40}: the question has {len(self.options)}.")
        self._settle(Chosen(option=option))

    def take_default(self, reason: str) -> None:
        """Let the default be taken at once; may be called on any thread.

        Args:
            reason: why, as it is told with the assumption.

        Raises:
            ConfigError: no answer is wanted any more.
        """
        self._settle(Chosen(reason=reason))

    def _settle(self, chosen: Chosen) -> None:
        with _changed:
            if self not in _pending:
                raise ConfigError("This question waits for no answer: it has one, or its time is up.")
            _pending.remove(self)
        self._loop.call_soon_threadsafe(self._resolve, chosen)

    def _resolve(self, chosen: Chosen) -> None:
        if not self._answer.done():
            self._answer.set_result(chosen)

    async def wait(self, ask: Callable[[UserQuestion], None] | None = None) -> Chosen | None:
        """Wait for the answer; None if none came in time.

        Args:
            ask: shows it to somebody; called on a thread of its own, as soon as an answer is wanted.
        """
        with _changed:
            _pending.append(self)
            _changed.notify_all()
        try:
            if ask is not None:
                threading.Thread(target=ask, args=(self,), name="rlm-ask-user", daemon=True).start()
            async with asyncio.timeout(self.seconds):
                return await self._answer
        except TimeoutError:
            return None
        finally:
            with _changed:
                if self in _pending:
                    _pending.remove(self)


def pending_questions(run: str | None = None) -> list[UserQuestion]:
    """Returns the questions that wait for an answer, the longest first.

    Args:
        run: the id of the only run whose questions are wanted.
    """
    with _changed:
        return [one for one in _pending if run in (None, one.run)]


def wait_for_question(timeout: float | None = None, *, run: str | None = None) -> UserQuestion:
    """Wait until a question waits for an answer, and return it.

    Args:
        timeout: seconds; None waits without an end.
        run: the id of the only run whose questions are wanted.

    Raises:
        TimeoutError: none came in time.
    """
    end = None if timeout is None else time.monotonic() + timeout
    with _changed:
        while True:
            found = next((one for one in _pending if run in (None, one.run)), None)
            if found is not None:
                return found
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(f"No question came within {timeout:g} s.")
            _changed.wait(left)


def answer_question(run: str, number: int, *, option: int | None = None, text: str | None = None) -> None:
    """Answer a question of a run, as the tree does.

    Args:
        run: the run's id.
        number: of the question.
        option: the number of the option that was chosen, from 0.
        text: what was typed, if it has no options.

    Raises:
        ConfigError: it waits for no answer, or this cannot be one.
    """
    waiting = next((one for one in pending_questions(run) if one.number == number), None)
    if waiting is None:
        raise ConfigError("This question waits for no answer: it has one, or its time is up.")
    if option is not None:
        waiting.choose(option)
    else:
        waiting.answer(text if text is not None else "")
