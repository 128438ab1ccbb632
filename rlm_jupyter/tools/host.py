"""Functions that run in the notebook's process when an agent calls them: a database connection, say.

They run one at a time on a thread of their own, never on the engine's loop. What goes in and what comes out is
plain data; a pickle of an agent is never opened here.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__rlm_host_tool__"
DEFAULT_SECONDS = 300.0
_CANCEL_SECONDS = 2.0


@dataclass(frozen=True)
class HostOptions:
    """What `host_tool` was told of a function.

    Attributes:
        seconds: one call may take.
    """

    seconds: float = DEFAULT_SECONDS


@overload
def host_tool(function: F, /) -> F: ...
@overload
def host_tool(*, seconds: float = ...) -> Callable[[F], F]: ...
def host_tool(function: Any = None, /, *, seconds: float = DEFAULT_SECONDS) -> Any:
    """Mark a function as a tool that runs in the notebook's process instead of the agent's kernel.

    Use it for what cannot leave the notebook, such as a database connection. The function runs on a thread of
    its own, one call of all runs at a time (for sqlite3: ``connect(..., check_same_thread=False)``); an
    `async def` runs there on an event loop of its own. Arguments and results cross as plain data: numbers, texts,
    containers of them, arrays, tables. What it raises reaches the agent as type and message.

    Usage:
        >>> @rlm_jupyter.host_tool
        ... def stock(article: str) -> int:
        ...     "Give the number of pieces in store."
        ...     return database.execute("select n from stock where article = ?", [article]).fetchone()[0]
        >>> rlm.run("What is sold out?", context=orders, tools=[stock])

    Args:
        function: a function, or a method of an object.
        seconds: one call may take; then the agent gets an error. Code that runs on cannot be ended, and while it
            does, no other host tool runs.

    Returns:
        The function itself; a wrapper, where it is a method.

    Raises:
        ConfigError: it cannot be called, or `seconds` is not positive.
    """
    from rlm_jupyter.errors import ConfigError

    if not seconds > 0:
        raise ConfigError(f"`seconds` of a host tool must be positive, not {seconds!r}.")
    if function is None:
        return functools.partial(host_tool, seconds=seconds)
    if not callable(function):
        raise ConfigError(f"`host_tool` takes a function, not a `{type(function).__name__}`.")
    if not inspect.isfunction(function):  # a method, a built-in: they take no mark
        inner = function

        @functools.wraps(inner)
        def function(*args: Any, **named: Any) -> Any:
            return inner(*args, **named)

    setattr(function, _MARK, HostOptions(seconds=float(seconds)))
    return function


def host_options(function: object) -> HostOptions | None:
    """Give what `host_tool` noted of a function; None where it is no host tool."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, HostOptions) else None


class ToolBusyError(RuntimeError):
    """An earlier call runs on after its time was up, so that no other can begin."""


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    Attributes:
        value: what it gave.
        error: what it raised instead, of any kind: as a value, because some kinds would end an event loop.
    """

    value: Any = None
    error: BaseException | None = None


class _Worker:
    """The thread. It lives as long as the process: what a tool made on it, such as a loop, can be used again."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], concurrent.futures.Future[Outcome]]] = (
            queue.SimpleQueue()
        )
        self._awaiting: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        threading.Thread(target=self._work, name="rlm-host-tools", daemon=True).start()

    def begin(self, job: Callable[[], Any]) -> concurrent.futures.Future[Outcome]:
        """Run `job` on the thread."""
        future: concurrent.futures.Future[Outcome] = concurrent.futures.Future()
        self._jobs.put((job, future))
        return future

    def cancel(self) -> None:
        """End what runs, where it awaits; a function that does not await cannot be ended."""
        if (awaiting := self._awaiting) is not None:
            loop, task = awaiting
            loop.call_soon_threadsafe(task.cancel)

    def run_awaitable(self, runner: asyncio.Runner, awaitable: Any) -> Any:
        """Await on this thread's loop."""

        async def wait() -> Any:
            task = asyncio.current_task()
            assert task is not None
            self._awaiting = (asyncio.get_running_loop(), task)
            return await awaitable

        try:
            return runner.run(wait())
        finally:
            self._awaiting = None

    def _work(self) -> None:
        with asyncio.Runner() as runner:
            while True:
                job, future = self._jobs.get()
                future.set_result(self._outcome(runner, job))
                del job, future

    def _outcome(self, runner: asyncio.Runner, job: Callable[[], Any]) -> Outcome:
        try:
            value = job()
            return Outcome(self.run_awaitable(runner, value) if inspect.isawaitable(value) else value)
        except BaseException as error:  # also SystemExit: a tool ends neither the thread nor the notebook
            return Outcome(error=error)


class HostThread:
    """Calls host tools one at a time. Belongs to one event loop, that of the engine."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._worker: _Worker | None = None
        self._left: concurrent.futures.Future[Outcome] | None = None

    async def call(self, job: Callable[[], Any], seconds: float) -> Outcome:
        """Wait for the turn, run a job on the thread, and tell what came of it.

        Args:
            job: what to run; what it gives is awaited there where it can be.
            seconds: it may take, from its turn on.

        Raises:
            TimeoutError: it took longer.
            ToolBusyError: an earlier one, whose time is up, still runs.
        """
        async with self._turn:
            await self._wait_for_left()
            if self._worker is None:
                self._worker = _Worker()
            future = self._worker.begin(job)
            try:
                async with asyncio.timeout(seconds):
                    return await asyncio.shield(asyncio.wrap_future(future))
            except BaseException:
                self._left = future
                self._worker.cancel()
                raise

    async def _wait_for_left(self) -> None:
        """Let a call that was cancelled end; not for long."""
        if self._left is None:
            return
        if not self._left.done():
            await asyncio.wait({asyncio.wrap_future(self._left)}, timeout=_CANCEL_SECONDS)
        if not self._left.done():
            raise ToolBusyError(
                "An earlier call of a host tool still runs in the notebook although its time was up or it was "
                "stopped, and host tools run one at a time. Try again later, or work without it."
            )
        self._left = None


_threads: dict[int, HostThread] = {}


def host_thread() -> HostThread:
    """Give the thread for host tools of the running loop: all runs share it."""
    key = id(asyncio.get_running_loop())
    if key not in _threads:
        _threads.clear()  # of a loop that is gone
        _threads[key] = HostThread()
    return _threads[key]
