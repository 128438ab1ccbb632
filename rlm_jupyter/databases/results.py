"""Results of queries as Arrow tables, bounded: what passes a limit is an error that names it, and nothing is cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from rlm_jupyter.databases.query_errors import QueryError, ResultTooLargeError

MOST_ROWS = 1_000_000
MOST_BYTES = 256_000_000
MOST_COLUMNS = 2000
BATCH = 20_000
"""Rows that are fetched at once."""
_INSTEAD = (
    "Aggregate in SQL (GROUP BY), select fewer columns or rows (WHERE, LIMIT), or take a sample: .sample(n)."
)


def collect(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    check: Callable[[], None],
    bounds: tuple[int, int] | None = None,
) -> pa.Table:
    """Gather the batches of a result.

    Args:
        batches: as they come.
        schema: of them.
        check: is called after each, and raises if nobody waits for the result any more.
        bounds: the most rows and bytes; None for the usual ones.

    Raises:
        QueryError: there are too many rows or bytes.
    """
    rows = size = 0
    found = []
    for batch in batches:
        rows, size = rows + batch.num_rows, size + batch.nbytes
        check_size(rows, size, bounds)
        found.append(batch)
        check()
    return pa.Table.from_batches(found, schema)


def collect_rows(
    fetch: Callable[[], Sequence[Sequence[Any]]],
    names: Callable[[], Sequence[str]],
    check: Callable[[], None],
    bounds: tuple[int, int] | None = None,
) -> pa.Table:
    """Gather the rows of a cursor of Python's DB-API.

    Args:
        fetch: returns the next rows, at most `BATCH`; none at the end.
        names: returns the names of the columns, once rows were fetched.
        check: as of `collect`.
        bounds: as of `collect`.

    Raises:
        QueryError: there are too many rows or bytes.
    """
    parts: list[list[pa.Array]] = []

    def batches() -> Iterator[pa.RecordBatch]:
        while rows := fetch():
            columns = [_column(column) for column in zip(*rows, strict=True)]
            parts.append(columns)
            yield pa.record_batch(columns, names=[str(place) for place in range(len(columns))])

    rows = size = 0
    for batch in batches():
        rows, size = rows + batch.num_rows, size + batch.nbytes
        check_size(rows, size, bounds)
        check()
    titles = unique_names(names())
    whole = [_joined(chunks) for chunks in zip(*parts, strict=True)] if parts else [pa.nulls(0)] * len(titles)
    return pa.Table.from_arrays(whole, names=titles)


def check_size(rows: int, size: int, bounds: tuple[int, int] | None = None) -> None:
    """Refuse a result of so many rows or bytes, if that is too much.

    Args:
        rows: of the result so far.
        size: of it, in bytes.
        bounds: the most of both; None for the usual ones.

    Raises:
        ResultTooLargeError: it is, and what to do.
    """
    most_rows, most_bytes = bounds or (MOST_ROWS, MOST_BYTES)
    if rows > most_rows:
        raise ResultTooLargeError(
            f"The result has more than {most_rows:,} rows, the limit of one result. {_INSTEAD}"
        )
    if size > most_bytes:
        raise ResultTooLargeError(
            f"The result has more than {most_bytes / 1e6:,.0f} MB, the limit of one result. {_INSTEAD}"
        )


def unique_names(names: Sequence[str]) -> list[str]:
    """Returns names of columns, of which each is there once: `id`, `id_1`.

    Raises:
        QueryError: there are too many.
    """
    if len(names) > MOST_COLUMNS:
        raise QueryError(
            f"The result has {len(names):,} columns; the most is {MOST_COLUMNS:,}: select fewer."
        )
    found: list[str] = []
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for name in names:
        free = name
        while free in taken:
            numbers[name] = numbers.get(name, 0) + 1
            free = f"{name}_{numbers[name]}"
        taken.add(free)
        found.append(free)
    return found


def _column(values: Sequence[Any]) -> pa.Array:
    """Make a column of what a driver gave; what Arrow has no type for becomes text."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds & {dict, list, tuple}:
        return pa.array([None if value is None else _json(value) for value in values], pa.string())
    if kinds == {memoryview}:
        values = [None if value is None else bytes(value) for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        if kinds <= {int, float}:
            return pa.array([None if value is None else float(value) for value in values])
        return pa.array([None if value is None else _as_text(value) for value in values], pa.string())


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _joined(chunks: Sequence[pa.Array]) -> pa.ChunkedArray:
    """Join the parts of a column, whose types may differ where a database does not fix them."""
    kinds = {chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)}
    if not kinds:
        return pa.chunked_array(chunks)
    kind = next(iter(kinds))
    if len(kinds) > 1:
        numbers = all(pa.types.is_integer(one) or pa.types.is_floating(one) for one in kinds)
        decimals = [one for one in kinds if pa.types.is_decimal(one)]
        if len(decimals) == len(kinds):
            scale = max(one.scale for one in decimals)
            kind = pa.decimal256(max(one.precision - one.scale for one in decimals) + scale, scale)
        else:
            kind = pa.float64() if numbers else pa.string()
    return pa.chunked_array([_cast(chunk, kind) for chunk in chunks], kind)


def _cast(chunk: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return chunk.cast(kind)
    except (pa.ArrowException, ValueError):
        return pa.array([None if value is None else str(value) for value in chunk.to_pylist()], pa.string())
