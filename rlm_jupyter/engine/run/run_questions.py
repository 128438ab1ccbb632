"""The questions of a run to its user: one at a time, a few in a run; else the default, told as an assumption."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rlm_jupyter.errors import RLMError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.security.redactor import MARK
from rlm_jupyter.text.units import amount
from rlm_jupyter.user_questions.audience import can_be_asked
from rlm_jupyter.user_questions.pending import Chosen, UserQuestion

if TYPE_CHECKING:
    from rlm_jupyter.events.agent_state import UserAnswerState
    from rlm_jupyter.events.journal import Journal
    from rlm_jupyter.user_questions.audience import Audience

By = Literal["user", "default", "withdrawn"]

MOST_TOLD = 20
"""Questions of one run that are answered at all, by their default too."""


@dataclass(frozen=True)
class AskedQuestion:
    """What an agent's code asks: text, options as they are shown, the default, and which option that is."""

    text: str
    options: tuple[str, ...]
    default: str
    default_option: int | None


class UserQuestions:
    """The questions of one run to its user. Lives on the engine's loop.

    Args:
        journal: of the run.
        audience: who answers; None: nobody.
        most: questions that are put to somebody.
        seconds: how long an answer is waited for.
        recorded: answers in a record that the run goes through: they count again.
    """

    def __init__(
        self,
        journal: Journal,
        audience: Audience,
        *,
        most: int,
        seconds: float,
        recorded: Sequence[UserAnswerState] = (),
    ) -> None:
        self._journal, self._audience = journal, audience
        self._most, self._seconds = most, seconds
        self._one = asyncio.Lock()
        self._known: dict[tuple[str, tuple[str, ...]], Chosen] = {}
        self._number = self._put = 0
        for one in recorded:
            text = one.answer if one.by == "user" and one.option is None else None
            if one.by != "withdrawn" and MARK not in one.answer:  # the log does not have what held a secret
                self._known[one.question, one.options] = Chosen(one.option, text)

    @property
    def open(self) -> bool:
        """Whether somebody can be asked."""
        return can_be_asked(self._audience, self._most)

    async def ask(self, agent: str, asked: AskedQuestion) -> Chosen:
        """Return the answer, or that the default is to be taken; one question after the other.

        Raises:
            BridgeError: the run has asked too much.
        """
        async with self._one:
            known = self._known.get((asked.text, asked.options))
            if known is not None:  # asked by a second agent, or in a loop
                return known
            if self._number >= MOST_TOLD:
                raise BridgeError(
                    "limit", f"{MOST_TOLD} questions were asked in this run: decide yourself from here on."
                )
            self._number += 1
            chosen: Chosen = Chosen()
            by: By = "withdrawn"
            try:
                chosen, by = await self._answered(agent, asked)
            except asyncio.CancelledError:
                chosen = Chosen(reason="the agent was stopped")
                raise
            finally:
                self._tell(agent, asked, chosen, by)
            self._known[asked.text, asked.options] = chosen
            return chosen

    async def _answered(self, agent: str, asked: AskedQuestion) -> tuple[Chosen, By]:
        """Put a question to somebody; returns what was answered and by whom."""
        if not self.open:
            why = "questions are switched off" if self._most == 0 else "nobody could be asked"
            return Chosen(reason=why), "default"
        if self._put >= self._most:
            return Chosen(reason=f"{amount(self._most, 'question')} had been asked"), "default"
        self._put += 1
        redact = self._journal.redact
        question = UserQuestion(
            self._journal.run,
            agent,
            self._number,
            redact(asked.text),
            [redact(option) for option in asked.options],
            redact(asked.default),
            self._seconds,
        )
        self._journal.emit(
            ev.QuestionAsked,
            agent,
            number=self._number,
            question=asked.text,
            options=asked.options,
            default=asked.default,
            seconds=self._seconds,
        )
        chosen = await question.wait(_asker(self._audience))
        if chosen is None:
            return Chosen(reason=f"no answer within {self._seconds:g} s"), "default"
        return chosen, "default" if chosen.option is None and chosen.text is None else "user"

    def _tell(self, agent: str, asked: AskedQuestion, chosen: Chosen, by: By) -> None:
        option = asked.default_option if chosen.option is None and chosen.text is None else chosen.option
        shown = asked.default if option is None else asked.options[option]
        self._journal.emit(
            ev.QuestionAnswered,
            agent,
            number=self._number,
            question=asked.text,
            options=asked.options,
            answer=shown if chosen.text is None else chosen.text,
            option=option,
            by=by,
            reason=chosen.reason,
        )


def _asker(audience: Audience) -> Callable[[UserQuestion], None] | None:
    """Returns what shows a question to somebody; None where the tree does."""
    if audience == "terminal":
        from rlm_jupyter.user_questions.terminal_question import ask_in_terminal

        return ask_in_terminal
    return _by_function(audience) if callable(audience) else None


def _by_function(function: Callable[[UserQuestion], object]) -> Callable[[UserQuestion], None]:
    """Returns what has a function of the user's answer a question."""

    def ask(question: UserQuestion) -> None:
        reason = "the function took the default"
        try:
            answer = function(question)
            if answer is not None:
                question.answer(str(answer))
                return
        except Exception as error:
            reason = f"the function that answers failed: {type(error).__name__}: {error}"
        with contextlib.suppress(RLMError):  # its time is up
            question.take_default(reason[:300])

    return ask
