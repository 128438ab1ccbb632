"""Functions that run in the notebook's process when an agent calls them: a database connection, say.

They run one at a time on a thread of their own, never on the engine's loop. What goes in and what comes out is
plain data; a pickle of an agent is never opened here. A function that does not return keeps the thread, since Python
can end none; the next calls get another one.
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
_CANCEL_SECONDS = 2.0


@dataclass(frozen=True)
class HostOptions:
    """What `host_tool` was told of a function.

    Attributes:
        seconds: one call may take; None: as the run's settings say.
    """

    seconds: float | None = None


@overload
def host_tool(function: F, /) -> F: ...
@overload
def host_tool(*, seconds: float | None = ...) -> Callable[[F], F]: ...
def host_tool(function: Any = None, /, *, seconds: float | None = None) -> Any:
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
        seconds: one call may take, then the agent gets an error; None: the setting `tool_seconds`. A function that
            does not return cannot be ended: the user is told, it cannot be called again before it returns, and
            other host tools go on beside it.

    Returns:
        The function itself; a wrapper, where it is a method.

    Raises:
        ConfigError: it cannot be called, or `seconds` is not positive.
    """
    from rlm_jupyter.errors import ConfigError

    if seconds is not None and not seconds > 0:
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

    setattr(function, _MARK, HostOptions(None if seconds is None else float(seconds)))
    return function


def host_options(function: object) -> HostOptions | None:
    """Returns what `host_tool` noted of a function; None if it is not a host tool."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, HostOptions) else None


class ToolBusyError(RuntimeError):
    """An earlier call of the same function runs on after its time was up."""


class ToolTimeoutError(TimeoutError):
    """A call took too long.

    Attributes:
        running: whether the function still runs: it does not await, and so cannot be ended.
    """

    def __init__(self, *, running: bool) -> None:
        super().__init__()
        self.running = running


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    Attributes:
        value: what it gave.
        error: what it raised instead, of any kind: as a value, because some kinds would end an event loop.
    """

    value: Any = None
    error: BaseException | None = None


_Future = concurrent.futures.Future[Outcome]


class _Worker:
    """The thread. It lives as long as the process: what a tool made on it, such as a loop, can be used again."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], _Future] | None] = queue.SimpleQueue()
        self._awaiting: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        threading.Thread(target=self._work, name="rlm-host-tools", daemon=True).start()

    def begin(self, job: Callable[[], Any]) -> _Future:
        """Run `job` on the thread."""
        future: _Future = concurrent.futures.Future()
        self._jobs.put((job, future))
        return future

    def cancel(self) -> bool:
        """End what runs, where it awaits; tell whether it does: a function that does not cannot be ended."""
        if (awaiting := self._awaiting) is None:
            return False
        loop, task = awaiting
        loop.call_soon_threadsafe(task.cancel)
        return True

    def retire(self) -> None:
        """End the thread when what runs on it has ended."""
        self._jobs.put(None)

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
            while (given := self._jobs.get()) is not None:
                job, future = given
                future.set_result(self._outcome(runner, job))
                del given, job, future

    def _outcome(self, runner: asyncio.Runner, job: Callable[[], Any]) -> Outcome:
        try:
            value = job()
            return Outcome(self.run_awaitable(runner, value) if inspect.isawaitable(value) else value)
        except BaseException as error:  # also SystemExit: a tool ends neither the thread nor the notebook
            return Outcome(error=error)


@dataclass(frozen=True)
class _Call:
    """A call whose time is up or whose caller was stopped: of which function, and when it ends at last."""

    function: object
    future: _Future


class HostThread:
    """Calls host tools one at a time. Belongs to one event loop, that of the engine."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._worker: _Worker | None = None
        self._given_up: _Call | None = None
        self._endless: list[_Call] = []

    async def call(self, function: object, job: Callable[[], Any], seconds: float) -> Outcome:
        """Wait for the turn, run a job on the thread, and tell what came of it.

        Args:
            function: which the job calls; while a call of it that was given up runs, no other begins.
            job: what to run; what it gives is awaited there where it can be.
            seconds: it may take, from its turn on.

        Raises:
            ToolTimeoutError: it took longer.
            ToolBusyError: an earlier call of the function, whose time is up, still runs.
        """
        async with self._turn:
            await self._end_given_up()
            self._endless = [call for call in self._endless if not call.future.done()]
            if any(call.function is function for call in self._endless):
                raise ToolBusyError
            if self._worker is None:
                self._worker = _Worker()
            future = self._worker.begin(job)
            try:
                async with asyncio.timeout(seconds):
                    return await asyncio.shield(asyncio.wrap_future(future))
            except BaseException as error:
                self._given_up = _Call(function, future)
                awaits = self._worker.cancel()
                if not isinstance(error, TimeoutError):
                    raise
                ended = await self._end_given_up(_CANCEL_SECONDS if awaits else 0)
                raise ToolTimeoutError(running=not ended) from None

    async def _end_given_up(self, seconds: float = _CANCEL_SECONDS) -> bool:
        """Wait for the end of a call that was given up; where it does not come, leave the thread to it."""
        call, worker = self._given_up, self._worker
        if call is None or worker is None:
            return True
        await asyncio.wait({asyncio.wrap_future(call.future)}, timeout=seconds)
        ended = call.future.done()
        if not ended:
            self._endless.append(call)
            worker.retire()
            self._worker = None
        self._given_up = None
        return ended


_threads: dict[int, HostThread] = {}


def host_thread() -> HostThread:
    """Returns the thread for host tools of the running loop: all runs share it."""
    key = id(asyncio.get_running_loop())
    if key not in _threads:
        _threads.clear()  # of a loop that is gone
        _threads[key] = HostThread()
    return _threads[key]
