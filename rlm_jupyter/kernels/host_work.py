"""Work in the notebook's process that an agent's code causes: on threads of its own, few for all, fewer for each.

Looking up a name may take minutes where the name service does not answer, and no thread can be ended. On asyncio's
shared threads, a few hundred such look-ups kept values from being written and kernels from being ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """A few threads that take work in turn; started when they are first needed, and gone with the process.

    Daemons, unlike those of `concurrent.futures`, for which the interpreter waits when it ends
    (https://github.com/python/cpython/issues/83281).

    Args:
        name: of the threads.
        most: how many there are.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._lock = threading.Lock()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._count = self._idle = 0

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run `work` when a thread is free; cancelling the future takes it back while none is."""
        future: Future[T] = Future()
        with self._lock:
            if self._pid != os.getpid():  # a fork has none of its parent's threads
                self._begin_anew()
            self._jobs.put((future, work))
            if self._idle:
                self._idle -= 1  # here, not when it wakes: until then it would count for the next job as well
            elif self._count < self._most:
                self._count += 1
                thread = threading.Thread(
                    target=self._take_turns, args=(self._jobs,), name=self._name, daemon=True
                )
                thread.start()
        return future

    def _take_turns(self, jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]]) -> None:
        while True:
            with self._lock:  # with which jobs are put: none comes between the look and the count
                job = None if jobs.empty() else jobs.get()
                self._idle += job is None
            future, work = job or jobs.get()
            del job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            del future, work


LOOK_UPS = Threads("rlm-look-up", 8)
"""Resolves names of hosts."""
CHECKS = Threads("rlm-check", 2)
"""Reads schemas, decodes and checks values: pure Python for the most part, of which more at once is no quicker."""


class HostWork:
    """One agent's share of some threads. Belongs to one event loop.

    Args:
        threads: that do the work.
        at_once: how many the agent may keep busy; what it wants more waits, at its own cost alone.
    """

    def __init__(self, threads: Threads, at_once: int) -> None:
        self._threads = threads
        self._turns = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do blocking work on one of the threads.

        Whoever stops waiting, because a time is up, leaves the thread to it: the agent's place is free again only
        when the work has ended indeed.
        """
        await self._turns.acquire()
        loop = asyncio.get_running_loop()
        try:
            # the user's context goes along, as it does with `asyncio.to_thread`
            future = self._threads.submit(partial(contextvars.copy_context().run, work, *arguments))
        except BaseException:
            self._turns.release()
            raise

        def free(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(self._turns.release)

        future.add_done_callback(free)
        return await asyncio.wrap_future(future)
