"""Queries on threads: a few at once for each database, each ended in the database when nobody waits any more."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from rlm_jupyter.databases.query_errors import QueryCancelledError, QueryTimeoutError

T = TypeVar("T")

AT_ONCE = 5
"""Queries of one database that run side by side."""
_CANCEL_AGAIN = 0.1
_CANCEL_SECONDS = 30.0


class Query:
    """One query under way, which any thread can end.

    Attributes:
        cancelled: whether it was told to end.
        bounds: the most rows and bytes of its result; None for those that hold for agents.
    """

    def __init__(self, bounds: tuple[int, int] | None = None) -> None:
        self.cancelled = False
        self.bounds = bounds
        self._cancel: Callable[[], object] | None = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def running(self, cancel: Callable[[], object]) -> Iterator[None]:
        """While it runs in the database.

        Args:
            cancel: ends it there, from another thread.

        Raises:
            QueryCancelledError: it was told to end.
        """
        with self._lock:
            self._cancel = cancel
        try:
            self.check()
            yield
        except Exception as error:
            if self.cancelled and not isinstance(error, QueryCancelledError):
                raise QueryCancelledError("The query was cancelled.") from None
            raise
        finally:
            with self._lock:
                self._cancel = None
        self.check()

    def check(self) -> None:
        """Raise QueryCancelledError if it was told to end."""
        if self.cancelled:
            raise QueryCancelledError("The query was cancelled.")

    def cancel(self) -> None:
        """End it in the database, as soon as it is there."""
        self.cancelled = True
        with self._lock:  # held meanwhile, so that the connection serves nobody else yet
            if self._cancel is not None:
                with contextlib.suppress(Exception):
                    self._cancel()


class QueryPool:
    """Runs the queries of one database on threads of their own.

    Each has a thread that ends with it: a pool of idle threads would outlive every run.

    Args:
        most: how many run at once.
    """

    def __init__(self, most: int = AT_ONCE) -> None:
        self._turns = asyncio.Semaphore(most)

    async def run(self, job: Callable[[Query], T], seconds: float) -> T:
        """Wait for a turn and run a job.

        Whoever stops waiting has the query cancelled; its turn is free again when the job has ended indeed.

        Args:
            job: runs one query.
            seconds: it may take, from its turn on.

        Raises:
            QueryTimeoutError: it took longer.
            Exception: what the job raised.
        """
        await self._turns.acquire()
        query, future, loop = Query(), Future[T](), asyncio.get_running_loop()

        def free(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._turns.release)

        future.add_done_callback(free)
        threading.Thread(target=_settle, args=(future, job, query), name="rlm-query", daemon=True).start()
        ended = asyncio.wrap_future(future)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(ended)
        except (TimeoutError, asyncio.CancelledError) as error:
            if future.done() and not isinstance(error, asyncio.CancelledError):
                raise
            ended.add_done_callback(lambda one: one.cancelled() or one.exception())  # nobody else looks at it
            threading.Thread(target=_end, args=(future, query), name="rlm-cancel", daemon=True).start()
            if isinstance(error, asyncio.CancelledError):
                raise
            raise QueryTimeoutError(seconds) from None


def _settle(future: Future[T], job: Callable[[Query], T], query: Query) -> None:
    try:
        future.set_result(job(query))
    except BaseException as error:
        future.set_exception(error)


def _end(future: Future[T], query: Query) -> None:
    """Cancel a query until it has ended: what comes before it has begun in the database is lost there."""
    ended = threading.Event()
    future.add_done_callback(lambda _: ended.set())
    for _ in range(int(_CANCEL_SECONDS / _CANCEL_AGAIN)):
        query.cancel()
        if ended.wait(_CANCEL_AGAIN):
            return


def within(seconds: float, job: Callable[[Query], T], bounds: tuple[int, int] | None = None) -> T:
    """Run a job on this thread, and cancel its query after so many seconds.

    Args:
        seconds: it may take.
        job: runs one query.
        bounds: the most rows and bytes of its result, if these are not the usual ones.

    Raises:
        QueryCancelledError: it took longer.
        Exception: what the job raised.
    """
    query, ended = Query(bounds), threading.Event()

    def watch() -> None:
        over = seconds
        while not ended.wait(over):
            query.cancel()
            over = _CANCEL_AGAIN

    threading.Thread(target=watch, name="rlm-cancel", daemon=True).start()
    try:
        return job(query)
    finally:
        ended.set()
