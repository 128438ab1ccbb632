"""The engine's own thread, with its own asyncio loop: one per process.

The notebook's thread may block, run another cell or be interrupted; the agents go on. Everything of the
engine runs on this loop; other threads hand work in by `submit` and `call_soon`.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol, TypeVar

from rlm_jupyter import forks
from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.models.openai.direct_wire import keep_connections

if TYPE_CHECKING:
    from contextvars import Context

T = TypeVar("T")
_CALL_SECONDS = 60.0


class RunLike(Protocol):
    """The run that a call belongs to."""

    id: str


class EngineThread:
    """A daemon thread that runs an asyncio loop for as long as the process lives.

    Attributes:
        loop: of the thread.
        foreign: whether this process is a fork of the one whose thread it is: nothing runs on the loop here.
    """

    def __init__(self) -> None:
        self.foreign = False
        self._selector = selectors.DefaultSelector()
        # zmq needs add_reader, which Windows' default loop lacks (pyzmq documentation, asyncio section).
        self.loop: asyncio.AbstractEventLoop = asyncio.SelectorEventLoop(self._selector)
        forks.register(self)
        self._thread = threading.Thread(target=self._work, name="rlm-engine", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        asyncio.set_event_loop(self.loop)
        keep_connections(self.loop)
        self.loop.run_forever()

    def forked(self) -> None:
        """Let a forked child neither continue nor clean up what runs on the loop: all of that is the parent's."""
        self.foreign = True
        # The child shares the parent's `epoll`: what is unregistered there would be deaf in the parent.
        type(self._selector).__init__(self._selector)
        forks.never_finalize([self.loop, *asyncio.all_tasks(self.loop)])

    def refuse_in_fork(self, what: str) -> None:
        """Raise ConfigError in a fork of this thread's process, where nobody serves the loop.

        Args:
            what: the subject of the sentence, such as "Run `x`".
        """
        if self.foreign:
            raise ConfigError(
                f"{what} belongs to the process that this one was forked from, and goes on there: wait for it, stop "
                "it and ask its agents there. What it has told so far can be read here, and `RLM(...).run(...)` "
                "starts a run of this process."
            )

    @property
    def inside(self) -> bool:
        """Whether the caller is on the engine's thread (where blocking would be a deadlock)."""
        return threading.current_thread() is self._thread

    def submit(self, work: Coroutine[object, object, T]) -> Future[T]:
        """Run a coroutine on the engine's loop; give its future.

        Raises:
            ConfigError: this process is a fork of the one whose loop it is.
        """
        if self.foreign:
            work.close()
        self.refuse_in_fork("The engine")
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def call(
        self, work: Coroutine[object, object, T], run: RunLike, timeout: float | None = _CALL_SECONDS
    ) -> T:
        """Run a coroutine on the engine's loop, and block until it has returned; return what it returns.

        Args:
            work: what is to run; it is cancelled when the wait ends early.
            run: which it belongs to; an error carries it as `.run`.
            timeout: seconds; None for no limit.

        Raises:
            ConfigError: this process is a fork of the one whose loop it is; or the caller is on the engine's thread,
                where it would wait for itself.
            TimeoutError: it has not returned in time.
        """
        if self.foreign or self.inside:
            work.close()
        self.refuse_in_fork(f"Run `{run.id}`")
        if self.inside:
            raise ConfigError(
                f"Run `{run.id}` cannot be asked for this in a callback of it, which runs on the engine's thread and "
                "would wait for itself: do it on another thread, such as by `await asyncio.to_thread(...)`.",
                run=run,
            )
        future = self.submit(work)
        try:
            return future.result(timeout)
        except RLMError as error:
            error.run = run
            raise
        except BaseException:
            future.cancel()
            raise

    def call_soon(self, callback: Callable[[], object], context: Context | None = None) -> None:
        """Call back on the engine's loop, soon.

        Raises:
            ConfigError: this process is a fork of the one whose loop it is.
        """
        self.refuse_in_fork("The engine")
        self.loop.call_soon_threadsafe(callback, context=context)


_lock = threading.Lock()
_engine: EngineThread | None = None
forks.call_in_child(lambda: forks.release(_lock))


def engine() -> EngineThread:
    """Returns this process's engine thread; start it on first use (and again in a forked child)."""
    global _engine  # noqa: PLW0603 - one engine a process is the point
    with _lock:
        if _engine is None or _engine.foreign:
            _engine = EngineThread()
        return _engine
