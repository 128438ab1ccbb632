"""Why a completion waits before it is sent again: told in the tree, and accounted for in the ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from rlm_jupyter.engine.budget.ledger import Ledger, Reservation
    from rlm_jupyter.events.journal import Journal

_REASONS: tuple[tuple[str, ev.WaitReason], ...] = (
    ("rate limit", "rate_limit"),
    ("server error", "server_error"),
    ("time-out", "connection"),
    ("connection lost", "connection"),
    ("no connection", "connection"),
    ("unusable reply", "bad_reply"),
)
"""How models begin to say why they wait (`rlm_jupyter.models.openai.failures.Kind`), and its name in events."""

_CROWDED = ("rate limit", "server error (503)", "server error (529)")
"""How reasons of a wait begin that say that the provider has too many requests, ours among them."""
_UNBILLED = ("rate limit", "request refused", "context too long", "no connection")
"""How reasons of a wait begin that say that the request was not served, and so not billed."""


def reason_of(said: str) -> ev.WaitReason:
    """Name what a model says of why it waits; `provider` for what a model of the user's own may say."""
    return next((reason for begin, reason in _REASONS if said.startswith(begin)), "provider")


class RetryNotifier:
    """The waits of one completion between its attempts: a `CompletionRequest.on_wait`.

    Args:
        journal: where they are told.
        ledger: where each further attempt is reserved.
        agent: on whose account.
        call: the completion's number.
        reservation: of its first attempt.
    """

    def __init__(
        self, journal: Journal, ledger: Ledger, agent: str, call: int, reservation: Reservation
    ) -> None:
        self._journal, self._ledger = journal, ledger
        self._agent, self._call, self._reservation = agent, call, reservation
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, said: str, seconds: float) -> None:
        """Before a further attempt: ask less at once after a refusal, show the wait, reserve the attempt.

        Raises:
            LimitReachedError: there is no room for it.
        """
        self.end()
        if said.startswith(_CROWDED):
            self._ledger.rate_limited(self._reservation)
        if seconds:
            self._tell(reason_of(said), seconds, said)
        await self._ledger.wait_to_retry(self._reservation, billed=not said.startswith(_UNBILLED))
        if seconds:
            # The model sleeps that long and then sends, of which nobody tells.
            self._timer = asyncio.get_running_loop().call_later(seconds, self._over, reason_of(said))

    def end(self) -> None:
        """The completion has ended, or has more to wait for: tell nothing later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self, reason: ev.WaitReason) -> None:
        self._timer = None
        self._tell(reason, 0.0)

    def _tell(self, reason: ev.WaitReason, seconds: float, text: str = "") -> None:
        self._journal.emit(
            ev.Waiting, self._agent, reason=reason, seconds=seconds, text=text, call=self._call
        )
