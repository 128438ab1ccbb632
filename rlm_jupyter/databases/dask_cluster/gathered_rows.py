"""Rows of a cluster that come here: bounded before they travel, and given up when nobody waits for them.

Futures are released and not cancelled: `Client.cancel` ends what it names for all who wait for it, and equal work has
equal names, so that it would end the same query of another agent, or of the user's own. What is released and wanted by
nobody else is dropped by the scheduler in the same way; a task that a worker has begun runs to its end in either case.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from rlm_jupyter.databases import results
from rlm_jupyter.databases.query_errors import QueryError
from rlm_jupyter.databases.results import check_size

if TYPE_CHECKING:
    from rlm_jupyter.databases.running import Query

_FIRST_PARTS = 2
_GROWTH = 4
_SHORTEST_WAIT = 0.005
_LONGEST_WAIT = 0.1


class Gatherer:
    """Brings rows of frames of dask into this process.

    Args:
        client: of the cluster.
        query: that is under way.
    """

    def __init__(self, client: Any, query: Query) -> None:
        self._client = client
        self._query = query

    def check(self) -> None:
        """Raise QueryCancelledError if nobody waits for the query any more."""
        self._query.check()

    def empty(self, frame: Any) -> pd.DataFrame:
        """Returns the columns without rows; the cluster is not asked."""
        return empty_like(frame)

    def all(self, frame: Any) -> pd.DataFrame:
        """Returns all rows.

        Raises:
            QueryError: they are too many, or take too many bytes; none has travelled then.
        """
        return self._gathered(frame.to_delayed(), empty_like(frame))

    def first(self, frame: Any, wanted: int) -> pd.DataFrame:
        """Returns the first rows, from as few partitions as have them.

        Args:
            frame: of dask.
            wanted: number of rows.
        """
        from dask.utils import M

        empty = empty_like(frame)
        found: list[pd.DataFrame] = []
        rows, done, step = 0, 0, _FIRST_PARTS
        while rows < wanted and done < frame.npartitions:
            heads = frame.partitions[done : done + step].map_partitions(M.head, wanted - rows)
            for batch in self._in_batches(heads.to_delayed()):
                found.append(joined(batch, empty).head(wanted - rows))
                rows += len(found[-1])
                check_size(rows, sum(map(_bytes, found)))
                if rows >= wanted:
                    break
            done, step = done + step, step * _GROWTH
        return joined(found, empty)

    def largest(self, frame: Any, wanted: int, sort: Callable[[Any], Any]) -> pd.DataFrame:
        """Returns the first rows in an order.

        Args:
            frame: of dask.
            wanted: number of rows.
            sort: sorts a frame of pandas or each part of one of dask.
        """
        from dask.utils import M

        parts = sort(frame).map_partitions(M.head, wanted).to_delayed()
        best = empty_like(frame)
        for found in self._in_batches(parts):
            best = sort(joined([best, *found], best)).head(wanted)
            check_size(len(best), _bytes(best))
        return best

    def sample(self, frame: Any, wanted: int) -> pd.DataFrame:
        """Returns rows chosen at random: each has the same chance."""
        import numpy as np
        from dask.delayed import delayed
        from dask.utils import M

        parts = frame.to_delayed()
        lengths = self._values([delayed(len)(part) for part in frame[frame.columns[:1]].to_delayed()])
        wanted = min(wanted, sum(lengths))
        drawn = np.random.default_rng().multivariate_hypergeometric(lengths, wanted, method="marginals")
        chosen = [
            delayed(M.sample, pure=False)(part, n=int(number))
            for part, number in zip(parts, drawn, strict=True)
            if number
        ]
        found = self._gathered(chosen, empty_like(frame))
        return found.sample(frac=1, ignore_index=True)

    def _gathered(self, parts: Sequence[Any], empty: pd.DataFrame) -> pd.DataFrame:
        with _held(self._client, parts, self._query) as held:
            held.wait(check_size)
            return joined(held.take(0, len(parts)), empty)

    def _in_batches(self, parts: Sequence[Any]) -> Iterator[list[pd.DataFrame]]:
        """Bring parts here, no more at once than one result may have."""
        with _held(self._client, parts, self._query) as held:
            held.wait(lambda *_: None)
            begin = rows = size = 0
            for at, (more_rows, more_size) in enumerate(held.sizes):
                check_size(more_rows, more_size)
                rows, size = rows + more_rows, size + more_size
                if at > begin and (rows > results.MOST_ROWS or size > results.MOST_BYTES):
                    yield held.take(begin, at)
                    begin, rows, size = at, more_rows, more_size
            yield held.take(begin, len(parts))

    def _values(self, parts: Sequence[Any]) -> list[Any]:
        """Bring small values here."""
        with _held(self._client, parts, self._query, sized=False) as held:
            held.wait(lambda *_: None)
            return held.take(0, len(parts))


@contextlib.contextmanager
def _held(client: Any, parts: Sequence[Any], query: Query, *, sized: bool = True) -> Iterator[_Held]:
    """Have parts computed, and release their futures when they are not needed any more, whatever happens.

    Args:
        client: of the cluster.
        parts: delayed objects.
        query: that they are for.
        sized: whether rows and bytes are asked for.
    """
    held = _Held(client, query)
    try:
        with query.running(held.release):
            held.begin(parts, sized=sized)
            yield held
    finally:
        held.release()


class _Held:
    """Futures of the parts of a result.

    Args:
        client: of the cluster.
        query: that they are for.

    Attributes:
        sizes: rows and bytes of each, once all are there.
    """

    def __init__(self, client: Any, query: Query) -> None:
        self._client = client
        self._query = query
        self._futures: list[Any] = []
        self._counted: list[Any] = []
        self._travelling = False
        self.sizes: list[tuple[int, int]] = []

    def begin(self, parts: Sequence[Any], *, sized: bool) -> None:
        """Hand the parts to the cluster."""
        from dask.sizeof import sizeof

        self._futures = self._client.compute(list(parts))
        if sized:  # both functions are there on any worker
            for count in (len, sizeof):
                self._counted += self._client.map(count, self._futures, pure=False)
        self._query.check()

    def release(self) -> None:
        """Let the cluster drop what nobody else waits for."""
        if (
            self._travelling
        ):  # whoever gathers would wait for what is gone; it is not much, and is dropped after that
            return
        for future in (*self._counted, *self._futures):
            future.release()

    def wait(self, check: Callable[[int, int], None]) -> None:
        """Wait until all are done.

        Args:
            check: is told the sum of rows and of bytes as they become known, and raises if that is too much.

        Raises:
            QueryError: nobody waits any more, or it is too much.
        """
        waited = self._counted or self._futures
        number = len(self._futures)
        waiting, pause = list(range(len(waited))), _SHORTEST_WAIT
        values = [0] * len(waited)
        while waiting:
            self._query.check()
            done = [at for at in waiting if waited[at].done()]
            if done:
                ended = [waited[at] for at in done]
                self._raise_failed(ended)
                if self._counted:
                    for at, value in zip(done, self._brought(ended), strict=True):
                        values[at] = int(value)
                    check(sum(values[:number]), sum(values[number:]))
                waiting = sorted(set(waiting) - set(done))
                pause = _SHORTEST_WAIT
            if waiting:
                time.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_WAIT)
        self.sizes = list(zip(values[:number], values[number:], strict=False))

    def take(self, begin: int, end: int) -> list[Any]:
        """Bring the values of some of them here."""
        return self._brought(self._futures[begin:end])

    def _brought(self, futures: Sequence[Any]) -> list[Any]:
        self._travelling = True
        try:
            found: list[Any] = self._client.gather(list(futures))
        finally:
            self._travelling = False
        self._query.check()
        return found

    def _raise_failed(self, futures: Sequence[Any]) -> None:
        self._query.check()
        for future in futures:
            if future.status == "error":
                raise future.exception()
            if future.status != "finished":
                raise QueryError("The cluster gave up the query: it was closed, or a worker was lost.")


def empty_like(frame: Any) -> pd.DataFrame:
    """Returns a frame of pandas with the columns of one of dask, and no rows."""
    from dask.dataframe import dispatch

    make_meta: Any = dispatch.make_meta
    found: pd.DataFrame = make_meta(frame).iloc[:0]
    return found


def joined(parts: Sequence[pd.DataFrame], empty: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of several frames of pandas as one."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else empty.reset_index(drop=True)


def _bytes(frame: pd.DataFrame) -> int:
    return int(frame.memory_usage(deep=True).sum())
