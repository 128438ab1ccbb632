"""One completion on its way: what is told of it from its sending to its end, over all of its attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.engine.completions.reading_wait import ReadingNotifier
from rlm_jupyter.engine.completions.reply_deltas import ReplyDeltas
from rlm_jupyter.engine.completions.retry_waits import RetryNotifier
from rlm_jupyter.models.model_statistics import statistics_of

if TYPE_CHECKING:
    from rlm_jupyter.engine.budget.ledger import Ledger, Reservation
    from rlm_jupyter.engine.completions.asked_completion import AskedCompletion
    from rlm_jupyter.events.journal import Journal


class CompletionProgress:
    """Tells of the pieces of a completion's reply, of its waits, and of the reading of its prompt.

    Args:
        journal: where they are told.
        ledger: where each further attempt is reserved.
        asked: the completion.
        call: its number.
        reservation: of its first attempt.

    Attributes:
        deltas: a `CompletionRequest.on_delta`.
        reading: a `CompletionRequest.on_begin`.
    """

    def __init__(
        self, journal: Journal, ledger: Ledger, asked: AskedCompletion, call: int, reservation: Reservation
    ) -> None:
        agent, model = asked.agent, asked.model
        self.deltas = ReplyDeltas(journal, agent, call)
        self.reading = ReadingNotifier(journal, statistics_of(model), agent, call, model, asked.messages)
        self._waits = RetryNotifier(journal, ledger, agent, call, reservation)
        self._sent = asked.sent

    @property
    def begun(self) -> bool:
        """Whether anything of the newest attempt's reply has come."""
        return bool(self.deltas.length) or self.reading.begun

    def sent(self, seconds: float = 0.0) -> None:
        """The prompt is sent, or will be in so many seconds."""
        self.reading.sent(seconds)
        self._sent.sent(seconds)

    async def wait(self, reason: str, seconds: float) -> None:
        """Before a further attempt: a `CompletionRequest.on_wait`.

        Raises:
            LimitReachedError: there is no room for it.
        """
        self.deltas.restart()
        self.reading.end()
        self._sent.held_back()
        await self._waits(reason, seconds)
        self.sent(seconds)

    def end(self) -> None:
        """The completion has ended: tell nothing later."""
        self._waits.end()
        self.reading.end()
