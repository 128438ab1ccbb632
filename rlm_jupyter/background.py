"""Work that may block (a slow disk, a locked file), done in its order on a thread that nobody waits for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")

_IDLE_SECONDS: Final = 2.0
"""How long the thread waits for more before it ends; it is started anew when there is more."""


class QueueFullError(RuntimeError):
    """As many jobs wait as may wait: those before it take too long."""


class BackgroundThread:
    """Runs jobs one after the other on a daemon thread, which the end of the interpreter does not wait for.

    Safe from several threads. In a forked child the thread does not exist: make another object there.

    Args:
        name: of the thread.
        most: how many jobs may wait.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._runs = False

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Run a job when those before it have ended; one that is cancelled before it begins does not run.

        Raises:
            QueueFullError: too many jobs wait.
        """
        return self._put(job, self._most)

    def drained(self) -> Future[None]:
        """Return a future that is done when all jobs that were submitted before have ended."""
        return self._put(_nothing, None)

    def _put(self, job: Callable[[], T], most: int | None) -> Future[T]:
        future: Future[T] = Future()
        with self._changed:
            if most is not None and len(self._jobs) >= most:
                raise QueueFullError(f"{most:,} jobs wait for the thread `{self._name}`.")
            self._jobs.append((job, future))
            if self._runs:
                self._changed.notify()
                return future
            self._runs = True
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:  # the interpreter is ending and starts no thread any more
            self._work(idle_seconds=0)
        return future

    def _work(self, idle_seconds: float = _IDLE_SECONDS) -> None:
        while True:
            with self._changed:
                if not self._jobs and idle_seconds:
                    self._changed.wait(idle_seconds)
                if not self._jobs:
                    self._runs = False
                    return
                job, future = self._jobs.popleft()
            _run(job, future)
            del job, future  # while it waits, it holds nothing


def _run(job: Callable[[], Any], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = job()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


def _nothing() -> None:
    """Do nothing: that it was reached is what counts."""
