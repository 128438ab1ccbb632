"""Where two answers to one question differ, as objects: numbers by tolerance, tables by their keys, sets as sets.

Not the comparison of a proof (`rlm_jupyter.answer_code.comparison`), which is of one code run twice: two agents call a
whole number `3` or `3.0`, hand over a list or a tuple, and have the rows of a table in another order.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from numbers import Number
from typing import Any

from rlm_jupyter.answer_code import comparison
from rlm_jupyter.engine.samples.array_differences import array_differences, as_arrays
from rlm_jupyter.engine.samples.compared_parts import (
    LONGEST,
    MISSING,
    MOST,
    WHOLE,
    Difference,
    Opaque,
    Tolerance,
    is_missing,
    joined,
    told,
)
from rlm_jupyter.engine.samples.table_differences import as_tables, table_differences
from rlm_jupyter.values.describe.short_text import short

_DEEPEST = 50


def differences(one: object, other: object, tolerance: Tolerance) -> list[Difference]:
    """Returns where two values differ, up to `MOST` places; nothing if they are the same.

    Args:
        one: a decoded answer.
        other: another one.
        tolerance: when parts of them count as the same.
    """
    try:
        return list(islice(walk(one, other, tolerance, "", 0), MOST))
    except RecursionError:
        return [Difference(WHOLE, "nested too deeply", "nested too deeply")]


def walk(one: Any, other: Any, tolerance: Tolerance, place: str, depth: int) -> Iterator[Difference]:  # noqa: C901, PLR0912 - one case each
    """Yields where two values differ.

    Args:
        one: a value.
        other: another one.
        tolerance: when parts of them count as the same.
        place: of the values, in the answer; empty for the answer itself.
        depth: how deeply they are nested.
    """
    if depth > _DEEPEST:
        yield Difference(place or WHOLE, "nested too deeply", "nested too deeply")
        return
    if (arrays := as_arrays(one, other)) is not None:
        yield from array_differences(*arrays, tolerance, place)
        return
    one, other = _alike(_plain(one), _plain(other))
    if isinstance(one, Opaque) or isinstance(other, Opaque):
        yield _differ(place, one, other)
    elif (tables := as_tables(one, other)) is not None:

        def cells(a: Any, b: Any) -> bool:
            return next(walk(a, b, tolerance, "", depth + 1), None) is None

        yield from table_differences(*tables, tolerance, place, cells)
    elif is_missing(one) and is_missing(other):
        return
    elif isinstance(one, Number) and isinstance(other, Number):
        if not _close(one, other, tolerance):
            yield _differ(place, one, other)
    elif isinstance(one, str) and isinstance(other, str):
        if one != other:
            yield _differ(place, one, other)
    elif isinstance(one, Mapping) and isinstance(other, Mapping):
        yield from _of_mappings(one, other, tolerance, place, depth)
    elif isinstance(one, AbstractSet) and isinstance(other, AbstractSet):
        yield from _of_sets(one, other, place)
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        yield from _of_lists(one, other, tolerance, place, depth)
    elif not _same_objects(one, other):
        yield _differ(place, one, other)


def _differ(place: str, one: Any, other: Any) -> Difference:
    texts = (one, other) if isinstance(one, str) and isinstance(other, str) else None
    if texts is not None and max(map(len, texts)) > LONGEST:
        start = max(0, _same_beginning(*texts) - LONGEST // 4)
        shown = [("…" if start else "") + short(text[start:], LONGEST) for text in texts]
        return Difference(place or WHOLE, shown[0], shown[1], texts)
    said = told(one), told(other)
    if said[0] == said[1]:  # such as `1` and `True`, or a text and the object that it is the text of
        said = tuple(
            f"{text} ({type(value).__name__})" for text, value in zip(said, (one, other), strict=True)
        )  # type: ignore[assignment]
    return Difference(place or WHOLE, said[0], said[1], texts)


def _same_beginning(one: str, other: str) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _plain(value: Any) -> Any:
    """Returns what a library's own scalars and arrays stand for in Python."""
    module = type(value).__module__.partition(".")[0]
    if module == "numpy":
        if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
            value = value.item()
        elif hasattr(value, "tolist") and getattr(value.dtype, "names", None) is None:
            value = value.tolist()
    if module == "pandas" and type(value).__name__ in ("Timestamp", "Timedelta"):
        made = value.to_pydatetime(warn=False) if hasattr(value, "to_pydatetime") else None
        return value.to_pytimedelta() if made is None else made
    if (
        module == "pandas"
        and type(value).__name__ not in ("DataFrame", "Series")
        and hasattr(value, "tolist")
    ):
        return value.tolist()  # an index, or an array of pandas' own
    if type(value) is dt.date:
        return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - as naive as the date
    return value


def _alike(one: Any, other: Any) -> tuple[Any, Any]:
    """Returns two values in one form, where two agents may choose either: a set and a list, a series and a dict."""
    if isinstance(one, AbstractSet) is not isinstance(other, AbstractSet):
        return _as_set(one), _as_set(other)
    if isinstance(one, Mapping) is not isinstance(other, Mapping):
        return _as_mapping(one), _as_mapping(other)
    return one, other


def _as_set(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    try:
        made = frozenset(value)
    except TypeError:
        return value
    return made if len(made) == len(value) else value


def _as_mapping(value: Any) -> Any:
    if (
        type(value).__name__ == "Series"
        and type(value).__module__.startswith("pandas")
        and value.index.is_unique
    ):
        return value.to_dict()
    return value


def _close(one: Any, other: Any, tolerance: Tolerance) -> bool:
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    try:
        if one == other:
            return True
        if isinstance(one, int) and isinstance(other, int) and not tolerance.of_whole_numbers:
            return False
        relative, absolute = tolerance.amounts
        gap = abs(complex(one) - complex(other))
        most = max(absolute, relative * max(abs(complex(one)), abs(complex(other))))
        return math.isfinite(most) and gap <= most
    except (TypeError, ValueError, OverflowError, ArithmeticError):
        return False


def _of_mappings(
    one: Mapping[Any, Any], other: Mapping[Any, Any], tolerance: Tolerance, place: str, depth: int
) -> Iterator[Difference]:
    for key in [*one, *(key for key in other if key not in one)]:
        where = joined(place, key if isinstance(key, str) else told(key))
        if key not in other:
            yield Difference(where, told(one[key]), MISSING)
        elif key not in one:
            yield Difference(where, MISSING, told(other[key]))
        else:
            yield from walk(one[key], other[key], tolerance, where, depth + 1)


def _of_sets(one: AbstractSet[Any], other: AbstractSet[Any], place: str) -> Iterator[Difference]:
    for item in _in_order(one - other):
        yield Difference(joined(place, told(item)), "in it", MISSING)
    for item in _in_order(other - one):
        yield Difference(joined(place, told(item)), MISSING, "in it")


def _in_order(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=told)


def _of_lists(
    one: list[Any] | tuple[Any, ...],
    other: list[Any] | tuple[Any, ...],
    tolerance: Tolerance,
    place: str,
    depth: int,
) -> Iterator[Difference]:
    if len(one) != len(other):
        yield Difference(joined(place, "length"), f"{len(one):,}", f"{len(other):,}")
    for at, (a, b) in enumerate(zip(one, other, strict=False)):
        yield from walk(a, b, tolerance, joined(place, f"item {at + 1}"), depth + 1)


def _same_objects(one: Any, other: Any) -> bool:
    """Returns whether two objects of a library are the same: charts, images, dates."""
    if type(one) is not type(other):
        return False
    try:
        if type(one).__module__.partition(".")[0] in ("xarray", "pyarrow", "polars"):
            return bool(one.equals(other))
        return comparison.difference(one, other) is None
    except (comparison.IncomparableError, AttributeError, TypeError, ValueError):
        return False
