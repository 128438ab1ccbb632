"""The pieces of a reply as they come, told in the tree."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from rlm_jupyter.events.journal import Journal

_DELTA_SECONDS: Final = 0.1


class ReplyDeltas:
    """Collects the pieces of a reply and tells them at most ten times a second: a `CompletionRequest.on_delta`.

    Args:
        journal: where they are told.
        agent: on whose account.
        call: the completion's number.

    Attributes:
        length: characters of the newest attempt's reply so far.
    """

    def __init__(self, journal: Journal, agent: str, call: int) -> None:
        self._journal, self._agent, self._call = journal, agent, call
        self._text: list[str] = []
        self._next = 0.0
        self.length = 0
        self._shown = self._restart = False

    def __call__(self, text: str) -> None:
        """One more piece has come."""
        self._text.append(text)
        self.length += len(text)
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _DELTA_SECONDS
            self._tell()

    def restart(self) -> None:
        """Begin anew: the attempt that gave the pieces so far has failed."""
        self._text.clear()
        self.length = 0
        if self._shown:
            self._restart = True
            self._tell()
            self._shown, self._next = False, 0.0

    def _tell(self) -> None:
        self._journal.emit(
            ev.ReplyDelta, self._agent, call=self._call, text="".join(self._text), restart=self._restart
        )
        self._text.clear()
        self._shown, self._restart = True, False
