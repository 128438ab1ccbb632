"""The engine's own thread, with its own asyncio loop: one per process.

The notebook's thread may block, run another cell or be interrupted; the agents go on. Everything of the
engine runs on this loop; other threads hand work in by `submit` and `call_soon`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from contextvars import Context

T = TypeVar("T")


class EngineThread:
    """A daemon thread that runs an asyncio loop for as long as the process lives."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        # zmq needs add_reader, which Windows' default loop lacks (pyzmq documentation, asyncio section).
        self.loop: asyncio.AbstractEventLoop = (
            asyncio.SelectorEventLoop() if sys.platform == "win32" else asyncio.new_event_loop()
        )
        self._thread = threading.Thread(target=self._work, name="rlm-engine", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    @property
    def inside(self) -> bool:
        """Whether the caller is on the engine's thread (where blocking would be a deadlock)."""
        return threading.current_thread() is self._thread

    def submit(self, work: Coroutine[object, object, T]) -> Future[T]:
        """Run a coroutine on the engine's loop; give its future."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def call_soon(self, callback: Callable[[], object], context: Context | None = None) -> None:
        """Call back on the engine's loop, soon."""
        self.loop.call_soon_threadsafe(callback, context=context)


_lock = threading.Lock()
_engine: EngineThread | None = None


def engine() -> EngineThread:
    """Give this process's engine thread; start it on first use (and again in a forked child)."""
    global _engine  # noqa: PLW0603 - one engine a process is the point
    with _lock:
        if _engine is None or _engine.pid != os.getpid():
            _engine = EngineThread()
        return _engine
