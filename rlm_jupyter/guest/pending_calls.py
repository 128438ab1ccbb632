"""Calls under way in an agent's kernel: waited for by blocking or by `await`, alone or as a batch.

It travels there as source: the standard library only.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .bridge.socket_link import resolve
from .caller_kind import caller_awaits, interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .bridge.socket_link import Line, Reply
    from .caller_kind import Cell


_LINGER = 0.0002  # seconds


@dataclass(init=False, repr=False, eq=False)
class Failed:
    """The place of an answer that did not come, among those of a batch. It is false, and no string.

    As a dataclass it reaches the notebook, too, as a dict of these fields.

    Attributes:
        kind: as of `RLMQueryError`.
        message: what happened.
        value: what there was of an answer, or None.
        error: the exception that a single call would have raised.
    """

    kind: str
    message: str
    value: Any

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.kind = getattr(error, "kind", "internal")
        self.message = str(error)
        self.value = getattr(error, "value", None)

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<Failed ({self.kind}): {self.message[:500]}>"


def _linger(future: concurrent.futures.Future[Any]) -> None:
    """Stay awake for an answer that comes at once: to sleep and be woken takes longer than the engine does."""
    until = time.perf_counter() + _LINGER
    while not future.done() and time.perf_counter() < until:
        time.sleep(0)


class Work:
    """One call under way: waited for once or more, by anyone.

    Args:
        name: the word that was called.
        finish: turns the reply into the value, or raises.
    """

    def __init__(self, name: str, finish: Callable[[Reply], Any]) -> None:
        self.name = name
        self.future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._finish: Callable[[Reply], Any] | None = finish
        self._lock = threading.Lock()
        self._value: Any = None
        self._error: Exception | None = None
        self._withdraw: Callable[[], None] = lambda: None

    def start(self, link: Line, op: str, body: dict[str, Any], fds: Sequence[int] = ()) -> Work:
        """Send it."""
        number, self.future = link.submit(op, body, fds)
        self._withdraw = lambda: link.withdraw(number)
        return self

    def withdraw(self) -> None:
        """Abandon it; the engine cancels its work for it."""
        self._withdraw()

    def wait(self) -> Any:
        """Block until the value is there and return it; an interrupt gives the call up."""
        try:
            with interruptible():
                _linger(self.future)
                self.future.result()
        except BaseException:
            self.withdraw()
            raise
        return self.collect()

    def collect(self) -> Any:
        """Return the value of a call that has been answered, or raise its error."""
        with self._lock:
            if self._finish is not None:
                try:
                    self._value = self._finish(self.future.result())
                except Exception as error:
                    self._error = error
                self._finish = None
        if self._error is not None:
            raise self._error
        return self._value


class Batch(Work):
    """Many calls, `width` of them at a time; the value is a list in order, with `Failed` where one failed."""

    def __init__(self, name: str, starts: Sequence[Callable[[], Work]], width: int) -> None:
        super().__init__(name, lambda reply: reply)
        self._starts, self._slots = starts, threading.Semaphore(width)
        self._works: list[Work | Failed] = []
        self._given_up = False

    def run(self) -> list[Any]:
        """Do it on this thread."""
        try:
            for start in self._starts:
                with interruptible():
                    self._slots.acquire()
                if self._given_up:
                    break
                self._works.append(self._begin(start))
            return [self._outcome(work) for work in self._works]
        except BaseException:
            self.withdraw()
            raise

    def begin(self) -> Batch:
        """Do it on a thread of its own, towards `future`."""

        def run() -> None:
            try:
                outcome = self.run()
            except BaseException as error:
                resolve(self.future, error=error)
            else:
                resolve(self.future, outcome)

        threading.Thread(target=run, name=f"rlm-{self.name}", daemon=True).start()
        return self

    def withdraw(self) -> None:
        """Abandon all that is under way, and begin no more."""
        self._given_up = True
        self.future.cancel()
        for work in list(self._works):
            if isinstance(work, Work):
                work.withdraw()
        self._slots.release()

    def _begin(self, start: Callable[[], Work]) -> Work | Failed:
        try:
            work = start()
        except Exception as error:
            self._slots.release()
            return Failed(error)
        work.future.add_done_callback(lambda _: self._slots.release())
        return work

    def _outcome(self, work: Work | Failed) -> Any:
        if isinstance(work, Failed):
            return work
        try:
            return work.wait()
        except Exception as error:  # CancelledError of concurrent.futures is one too
            return Failed(error)


class Call(asyncio.Future):  # type: ignore[type-arg]
    """The value of a call, to be awaited. It runs already, and is a future as well as a coroutine.

    `create_task` and `iscoroutine` want a coroutine, `gather`, `wait_for` and `shield` take a future: with
    `send`, `throw` and `close` it is both.
    """

    unclaimed: dict[int, Call] = {}  # noqa: RUF012 - one for the process; nobody asked for the value of these yet

    def __init__(self, work: Work) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.work: Work | None = work
        self.name = work.name
        self._steps: Any = None
        task = asyncio.current_task()
        self._creator = None if task is None else weakref.ref(task)
        Call.unclaimed[id(self)] = self
        work.future.add_done_callback(self._arrived)

    def _arrived(self, _: Any) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed: nobody can await it any more
            self.get_loop().call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        work, self.work = (
            self.work,
            None,
        )  # the work holds this future in its callbacks: a cycle with the value
        if self.done() or work is None:
            return
        try:
            value = work.collect()
        except StopIteration as error:  # may not be set on a future
            self.set_exception(RuntimeError(repr(error)))
        except concurrent.futures.CancelledError:
            super().cancel()
        except Exception as error:
            self.set_exception(error)
        else:
            self.set_result(value)

    def wait(self) -> Any:
        """Block until the value is there, for code that cannot await."""
        self.claim()
        work = self.work
        return super().result() if work is None else work.wait()

    def claim(self) -> None:
        """Note that somebody wants the value."""
        Call.unclaimed.pop(id(self), None)

    def forgotten(self) -> bool:
        """Whether nobody can be about to ask for the value: what made the call has ended."""
        task = None if self._creator is None else self._creator()
        return task is None or task.done() or task is asyncio.current_task()

    def drop(self) -> None:
        """Abandon it, from the thread of any loop."""
        self.claim()
        work, self.work = self.work, None
        if work is not None:
            work.withdraw()
        if self.done():
            self.exception()  # asyncio need not tell that nobody looked at it
        else:
            self.get_loop().call_soon_threadsafe(self.cancel)

    def __await__(self) -> Any:
        self.claim()
        return super().__await__()

    __iter__ = __await__

    def send(self, value: Any) -> Any:
        """Go on as a coroutine."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        """Fail as a coroutine; the task that runs it was cancelled."""
        self.cancel()
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.throw(*error)

    def close(self) -> None:
        """End as a coroutine."""
        self.cancel()

    def add_done_callback(self, *args: Any, **options: Any) -> None:
        """As of a future."""
        self.claim()
        super().add_done_callback(*args, **options)

    def result(self) -> Any:
        """As of a future."""
        self.claim()
        return super().result()

    def exception(self) -> BaseException | None:
        """As of a future."""
        self.claim()
        return super().exception()

    def cancel(self, msg: Any = None) -> bool:
        """As of a future; the engine is told."""
        self.claim()
        work, self.work = self.work, None
        cancelled = super().cancel(msg)
        if work is not None:
            work.withdraw()
        return cancelled

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"`{self.name}(...)` must be awaited in this cell: (await {self.name}(...)).{name}"
        )

    def __repr__(self) -> str:
        return f"<{self.name}(...), to be awaited: {'done' if self.done() else 'running'}>"


def settled(value: Any) -> Any:
    """Wait for a value that is a call under way."""
    # `isinstance` would ask the object for its class, which may be code of the agent's that raises
    return value.wait() if issubclass(type(value), Call) else value


def deliver(work: Work, cell: Cell) -> Any:
    """Returns the value of `work`, or something to await, as the caller's kind of code needs it."""
    awaited = caller_awaits(cell)
    if awaited:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            awaited = False
    if isinstance(work, Batch):
        return Call(work.begin()) if awaited else work.run()
    return Call(work) if awaited else work.wait()
