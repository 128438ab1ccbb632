"""Where two tables differ: rows by their key columns, in any order; cells by the tolerance of numbers."""

from __future__ import annotations

import sys
from itertools import combinations
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.samples.compared_parts import MISSING, Difference, Tolerance, is_missing, joined, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

_LEAST_RECORDS = 1
_MOST_KEYS = 8
"""Columns of which pairs are tried as keys."""
_VALUE = "value"
_QUOTES = "'\""


def as_tables(one: object, other: object) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Returns two values as tables: frames, series, lists of records; None unless both are one."""
    tables = _as_table(one), _as_table(other)
    if tables[0] is None or tables[1] is None:
        return None
    left, right = tables
    if len(left.columns) == len(right.columns) and _VALUE in {*left.columns} ^ {*right.columns}:
        # A series without a name beside one with a name: its values have to be called something.
        columns = [b if a == _VALUE else a for a, b in zip(left.columns, right.columns, strict=True)]
        left = left.set_axis(columns, axis=1)
        right = right.set_axis(
            [a if b == _VALUE else b for a, b in zip(columns, right.columns, strict=True)], axis=1
        )
    return left, right


def table_differences(
    left: pd.DataFrame,
    right: pd.DataFrame,
    tolerance: Tolerance,
    place: str,
    same: Callable[[Any, Any], bool],
) -> Iterator[Difference]:
    """Yields where two tables differ.

    Args:
        left: one table.
        right: the other one.
        tolerance: of numbers, and the key columns if they are named.
        place: of the tables in the answer; empty if they are the answer.
        same: whether two cells that are no numbers are the same.
    """
    columns = list(left.columns)
    if set(columns) != set(right.columns) or left.columns.has_duplicates or right.columns.has_duplicates:
        yield Difference(joined(place, "columns"), _listed(left), _listed(right))
        return
    keys = find_keys(left, right, tolerance.keys)
    if not keys:
        if len(left) != len(right):
            yield Difference(joined(place, "rows"), f"{len(left):,}", f"{len(right):,}")
        left, right = _sorted(left, columns), _sorted(right, columns)
        rest, least = columns, min(len(left), len(right))
        left, right = left.iloc[:least], right.iloc[:least]
        rows: list[tuple[Any, ...]] = []
    else:
        rest = [name for name in columns if name not in keys]
        places, only = _paired(left, right, keys)
        for key, in_left in only:
            said = ("in it", MISSING) if in_left else (MISSING, "in it")
            yield Difference(joined(place, _row(keys, key)), *said)
        left, right = left.iloc[[a for a, _ in places]], right.iloc[[b for _, b in places]]
        rows = _keys_of(left, keys)
    for column in rest:
        for at in _differing(left[column], right[column], tolerance, same):
            one, other = left[column].iloc[at], right[column].iloc[at]
            texts = (one, other) if isinstance(one, str) and isinstance(other, str) else None
            row = _row(keys, rows[at]) if keys else f"row {at + 1}"
            yield Difference(joined(place, f"{row} · {column}"), told(one), told(other), texts)


def find_keys(left: pd.DataFrame, right: pd.DataFrame, named: tuple[str, ...]) -> list[str]:
    """Returns the columns by which rows of two tables belong together; none if no columns tell them apart.

    Args:
        left: one table.
        right: the other one, with the same columns.
        named: by the user; they count if both tables have them and they tell all rows apart.
    """
    if (
        named
        and set(named) <= set(left.columns)
        and _unique(left, list(named))
        and _unique(right, list(named))
    ):
        return list(named)
    import pandas as pd

    def rank(name: str) -> int:
        kinds = [pd.api.types.is_numeric_dtype(frame[name].dtype) for frame in (left, right)]
        return 1 if all(kinds) else 0

    usable = [
        name
        for name in left.columns
        if not any(pd.api.types.is_float_dtype(frame[name].dtype) for frame in (left, right))
    ]
    usable.sort(key=rank)  # names before numbers, which are more often what was measured
    tried = [[name] for name in usable] + [list(pair) for pair in combinations(usable[:_MOST_KEYS], 2)]
    if len(usable) > 2:  # noqa: PLR2004 - a pair
        tried.append(usable)
    found = [keys for keys in tried if _unique(left, keys) and _unique(right, keys)]
    return next((keys for keys in found if _overlap(left, right, keys)), found[0] if found else [])


def _unique(frame: pd.DataFrame, keys: list[str]) -> bool:
    try:
        return not bool(frame.duplicated(keys).any()) and len(set(_keys_of(frame, keys))) == len(frame)
    except TypeError:  # of lists in cells
        return False


def _overlap(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> bool:
    known = set(_keys_of(left, keys))
    return any(key in known for key in _keys_of(right, keys))


def _keys_of(frame: pd.DataFrame, keys: list[str]) -> list[tuple[Any, ...]]:
    columns = [[None if is_missing(item) else item for item in frame[name].tolist()] for name in keys]
    return list(zip(*columns, strict=True))


def _paired(
    left: pd.DataFrame, right: pd.DataFrame, keys: list[str]
) -> tuple[list[tuple[int, int]], list[tuple[tuple[Any, ...], bool]]]:
    """Returns the places of rows that belong together, and the keys that only one table has."""
    there = {key: at for at, key in enumerate(_keys_of(right, keys))}
    places, only = [], []
    for at, key in enumerate(_keys_of(left, keys)):
        found = there.pop(key, None)
        if found is None:
            only.append((key, True))
        else:
            places.append((at, found))
    return places, [*only, *((key, False) for key in there)]


def _differing(
    one: pd.Series, other: pd.Series, tolerance: Tolerance, same: Callable[[Any, Any], bool]
) -> Iterator[int]:
    """Yields the positions at which two columns of the same length differ."""
    import numpy as np
    import pandas as pd

    kinds = pd.api.types
    plain = [
        kinds.is_numeric_dtype(column.dtype)
        and not kinds.is_bool_dtype(column.dtype)
        and not kinds.is_complex_dtype(column.dtype)
        for column in (one, other)
    ]
    whole = all(kinds.is_integer_dtype(column.dtype) for column in (one, other))
    if all(plain) and not (whole and not tolerance.of_whole_numbers):
        relative, absolute = tolerance.amounts
        a, b = (column.to_numpy(dtype=float, na_value=np.nan) for column in (one, other))
        with np.errstate(invalid="ignore"):
            most = np.maximum(absolute, relative * np.maximum(np.abs(a), np.abs(b)))
            close = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.isfinite(most) & (np.abs(a - b) <= most))
        yield from (int(at) for at in np.flatnonzero(~close))
        return
    for at, (a, b) in enumerate(zip(one.tolist(), other.tolist(), strict=True)):
        if a is b or (type(a) is type(b) is str and a == b):
            continue
        if not same(a, b):
            yield at


def _sorted(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Returns a table with its rows in an order that does not depend on the one that they came in."""
    keys = list(zip(*([_order(item) for item in frame[name].tolist()] for name in columns), strict=True))
    return frame.iloc[sorted(range(len(keys)), key=keys.__getitem__)]


def _order(value: object) -> tuple[int, float, str]:
    if isinstance(value, (int, float)) and value == value:  # noqa: PLR0124 - NaN
        return 0, float(f"{value:.6g}"), ""
    return 1, 0.0, str(value)


def _as_table(value: Any) -> Any:
    module, name = type(value).__module__.partition(".")[0], type(value).__name__
    if module == "pandas" and name in ("DataFrame", "Series"):
        return _of_pandas(value)
    if module in ("polars", "pyarrow") and name in ("DataFrame", "Table") and hasattr(value, "to_pandas"):
        try:
            return _of_pandas(value.to_pandas())
        except ImportError:  # of what makes one of the other
            return None
    if isinstance(value, (list, tuple)) and _are_records(value):
        pandas = sys.modules.get("pandas")
        if pandas is None:
            return None
        return _of_pandas(pandas.DataFrame(list(value)))
    return None


def _are_records(value: list[Any] | tuple[Any, ...]) -> bool:
    if len(value) < _LEAST_RECORDS or not isinstance(value[0], dict) or not value[0]:
        return False
    names = value[0].keys()
    return all(isinstance(item, dict) and item.keys() == names for item in value) and all(
        isinstance(name, str) for name in names
    )


def _of_pandas(value: Any) -> Any:
    """Returns a frame without an index: one that says something becomes a column, one that counts rows is dropped."""
    import pandas as pd

    if isinstance(value, pd.Series):
        value = value.to_frame(_VALUE if value.name is None else str(value.name))
    index = value.index
    named = any(name is not None for name in index.names)
    counts = not named and index.nlevels == 1 and pd.api.types.is_integer_dtype(index.dtype)
    taken = bool({*map(str, index.names)} & {*map(str, value.columns)})
    frame = value.reset_index(drop=counts or taken)
    names = [" ".join(map(str, one)).strip() if isinstance(one, tuple) else str(one) for one in frame.columns]
    return frame.set_axis(names, axis=1)


def _row(keys: list[str], key: tuple[Any, ...]) -> str:
    return ", ".join(f"{name} {told(item).strip(_QUOTES)}" for name, item in zip(keys, key, strict=True))


def _listed(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns))[:200]
