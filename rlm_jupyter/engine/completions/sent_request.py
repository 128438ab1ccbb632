"""Whether a request is on its way: sent, and not waiting for its turn or for a further attempt."""

from __future__ import annotations

import time


class SentRequest:
    """The state of one request; whoever sends it says so, and whoever has to decide about it asks."""

    def __init__(self) -> None:
        self._at: float | None = None

    def sent(self, seconds: float = 0.0) -> None:
        """Take note that it is sent in so many seconds."""
        self._at = time.monotonic() + seconds

    def held_back(self) -> None:
        """Take note that it waits, for a time that is not known yet."""
        self._at = None

    @property
    def under_way(self) -> bool:
        """Whether a reply to it may come, and is paid for in any case."""
        return self._at is not None and time.monotonic() >= self._at
