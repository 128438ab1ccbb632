"""A server on this machine: how long it may be silent while it reads, and how many requests it serves at once.

A model that runs on a few cores reads 25 tokens a second, so that a first byte takes minutes, and its server may
have one place only (a "slot"): what comes beside it waits there, in silence. That is neither lost nor to be sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakValueDictionary

from rlm_jupyter.models.local.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

_SLOWEST: Final = 5.0
"""Tokens a second that the slowest machine reads or writes which is still of use: a fifth of what two cores read."""
_AT_ONCE: Final = 256
"""Tokens of a prompt that any machine reads within an ordinary time-out."""
KNOWN_SECONDS: Final = 600.0
"""For which an answer holds: the server may be started again with other settings."""


def silent_seconds(prompt_tokens: int, max_tokens: int | None, *, streams: bool) -> float:
    """Returns for how many seconds a slow machine may be silent over a request, besides an ordinary time-out.

    Args:
        prompt_tokens: about how many it has to read.
        max_tokens: the most that it may write.
        streams: whether it sends what it writes as it comes.
    """
    reading = max(0, prompt_tokens - _AT_ONCE) / _SLOWEST
    return reading if streams or not reading else reading + (max_tokens or 0) / _SLOWEST


def work_seconds(prompt_tokens: int, max_tokens: int | None) -> float:
    """Returns for how many seconds a slow machine may be busy with a request."""
    return (prompt_tokens + (max_tokens or 0)) / _SLOWEST


@dataclass(eq=False)
class _Waiting:
    """A request that waits for a slot."""

    loop: asyncio.AbstractEventLoop
    turn: asyncio.Future[None]
    granted: bool = False

    def grant(self) -> bool:
        """Let it go on; False if its loop is closed."""
        try:
            self.loop.call_soon_threadsafe(self._go_on)
        except RuntimeError:
            return False
        self.granted = True
        return True

    def _go_on(self) -> None:
        if not self.turn.done():
            self.turn.set_result(None)


class ServerQueue:
    """What this process does with one server of this machine; shared by all models there, on all loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        self._slots: int | None = None
        self._asked = -KNOWN_SECONDS
        self._busy = 0
        self._queue: deque[_Waiting] = deque()
        self._work: dict[int, float] = {}
        self._seconds = 0.0
        self._numbers = itertools.count()

    # ---- how long it may be silent

    @contextlib.contextmanager
    def work(self, seconds: float) -> Iterator[float]:
        """Count a request as in flight; yields the seconds that a server with a queue may be silent over those before.

        A server that tells its slots is sent no more than it has room for, so that there is no queue.
        """
        number = next(self._numbers)
        with self._lock:
            before = 0.0 if self._slots is not None else self._seconds
            self._work[number] = seconds
            self._seconds += seconds
        try:
            yield before
        finally:
            with self._lock:
                del self._work[number]
                # Not left to add up: what was rounded would stay.
                self._seconds = self._seconds - seconds if self._work else 0.0

    # ---- how many requests at once

    def enter_at_once(self) -> bool:
        """Enter if nobody has to wait and the server need not be asked for its slots; return whether."""
        with self._lock:
            known = time.monotonic() - self._asked < KNOWN_SECONDS
            room = known and not self._queue and (self._slots is None or self._busy < self._slots)
            if self._busy and not room:
                return False
            self._busy += 1
            return True

    async def enter(self, ask: Callable[[], Awaitable[int | None]]) -> None:
        """Wait until the server has room for one more request; first come, first served.

        The server is asked for its slots when a second request comes beside a first one, once in ten minutes.

        Args:
            ask: returns how many requests the server serves at once; None if it does not tell.
        """
        if self.enter_at_once():
            return
        await self._learn(ask)
        waiting = _Waiting(loop := asyncio.get_running_loop(), loop.create_future())
        with self._lock:
            self._queue.append(waiting)
            self._pump()
        try:
            await waiting.turn
        except asyncio.CancelledError:
            with self._lock:
                if waiting.granted:
                    self._busy -= 1
                else:
                    self._queue.remove(waiting)
                self._pump()
            raise

    def leave(self) -> None:
        """Let the next request go on: one that had entered has ended."""
        with self._lock:
            self._busy -= 1
            self._pump()

    async def _learn(self, ask: Callable[[], Awaitable[int | None]]) -> None:
        with self._lock:
            asking = self._asking.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with asking:  # one asks, the others wait for the answer
            if time.monotonic() - self._asked >= KNOWN_SECONDS:
                slots = self._slots
                with contextlib.suppress(
                    Exception
                ):  # one that is too busy to answer has the slots that it had
                    slots = await ask()
                with self._lock:
                    self._slots, self._asked = slots, time.monotonic()

    def _pump(self) -> None:
        """Let those go on, in their order, for whom there is room; with the lock held."""
        while self._queue and (self._slots is None or self._busy < self._slots):
            if self._queue.popleft().grant():
                self._busy += 1


_queues: WeakValueDictionary[int, ServerQueue] = WeakValueDictionary()
"""By port: a loopback address has several names."""
_lock = threading.Lock()


def server_queue(url: str) -> ServerQueue | None:
    """Returns the queue of a server of this machine; None for one that is elsewhere."""
    if not is_loopback(url):
        return None
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with _lock:
        return _queues.setdefault(port, ServerQueue())
