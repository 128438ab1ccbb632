"""How long a request may work: until its seconds are over, or its client has gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class RequestTime:
    """The time of one request, which its work on a thread looks at.

    Args:
        seconds: that it may take.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._cancelled = False

    @property
    def over(self) -> bool:
        """Whether the work is to stop, with what it has."""
        return self._cancelled or time.monotonic() > self._deadline

    def cancel(self) -> None:
        """End the work: nobody waits for it any more."""
        self._cancelled = True


async def work_within(seconds: float, work: Callable[[RequestTime], T]) -> T:
    """Do blocking work on a thread; it is told to stop when its time is over or the request is cancelled."""
    allowed = RequestTime(seconds)
    try:
        return await asyncio.to_thread(work, allowed)
    except asyncio.CancelledError:
        allowed.cancel()
        raise
