"""Whether two values are the same: tables by content, numbers within a tolerance, charts by what they show."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from numbers import Number
from typing import Any

from rlm_jupyter.values.codec.spans import Span, plain_text

_RELATIVE, _ABSOLUTE = 1e-12, 1e-12
"""Sums in another order differ by less; times of two runs by more."""
_DEEPEST = 100
_LONGEST = 200


class IncomparableError(Exception):
    """Nobody knows whether two objects are the same; the message names their type."""


def difference(found: object, wanted: object) -> str | None:
    """Returns in one line where two values differ; None if they are the same.

    Args:
        found: what the code gave.
        wanted: what the run gave.

    Raises:
        IncomparableError: they hold objects that cannot be compared.
    """
    try:
        return _difference(found, wanted, "the value", 0)
    except RecursionError:
        raise IncomparableError("the values are nested too deeply to be compared") from None


def _difference(found: Any, wanted: Any, place: str, depth: int) -> str | None:  # noqa: PLR0911 - one case each
    if depth > _DEEPEST:
        raise IncomparableError("the values are nested too deeply to be compared")
    if isinstance(found, Number) and isinstance(wanted, Number):
        return _of_numbers(found, wanted, place)
    found, wanted = _unquoted(found), _unquoted(wanted)
    kinds = type(found), type(wanted)
    if kinds[0] is not kinds[1]:
        return f"{place} is a `{kinds[0].__name__}`, and was a `{kinds[1].__name__}`"
    if isinstance(found, (str, bytes, bytearray)) or found is None:
        return None if found == wanted else f"{place} is {_short(found)}, and was {_short(wanted)}"
    if isinstance(found, Mapping):
        return _of_mappings(found, wanted, place, depth)
    if isinstance(found, (list, tuple)):
        if len(found) != len(wanted):
            return f"{place} has {len(found):,} items, and had {len(wanted):,}"
        pairs = enumerate(zip(found, wanted, strict=True))
        return _first(_difference(a, b, f"{place}[{i}]", depth + 1) for i, (a, b) in pairs)
    if isinstance(found, AbstractSet):
        return None if found == wanted else f"{place} is {_short(found)}, and was {_short(wanted)}"
    return _of_objects(found, wanted, place, depth)


def _unquoted(value: Any) -> Any:
    """Returns a passage of the data as the text that plain code makes of it."""
    return plain_text(value) if isinstance(value, Span) else value


def _of_numbers(found: Any, wanted: Any, place: str) -> str | None:
    said = f"{place} is {_short(found)}, and was {_short(wanted)}"
    if isinstance(found, bool) is not isinstance(wanted, bool):
        return said
    try:
        if found == wanted or (found != found and wanted != wanted):  # noqa: PLR0124 - NaN
            return None
        whole = isinstance(found, int) and isinstance(wanted, int)
        close = not whole and abs(found - wanted) <= max(_ABSOLUTE, _RELATIVE * max(abs(found), abs(wanted)))
        return None if close and math.isfinite(abs(found)) and math.isfinite(abs(wanted)) else said
    except (TypeError, OverflowError, ArithmeticError):
        return said


def _of_mappings(found: Any, wanted: Any, place: str, depth: int) -> str | None:
    for key in wanted:
        if key not in found:
            return f"{place} has no {_short(key)}"
    for key in found:
        if key not in wanted:
            return f"{place} has {_short(key)} besides"
    return _first(
        _difference(found[key], wanted[key], f"{place}[{_short(key)}]", depth + 1) for key in wanted
    )


def _of_objects(found: Any, wanted: Any, place: str, depth: int) -> str | None:
    module = type(found).__module__.partition(".")[0]
    if module in ("pandas", "geopandas"):
        return _of_pandas(found, wanted, place)
    if module == "numpy":
        return _of_arrays(found, wanted, place, depth)
    if module in ("polars", "pyarrow") and hasattr(found, "equals"):
        return _of_other_tables(found, wanted, place)
    if module in ("scipy", "xarray") and (hasattr(found, "tocsr") or hasattr(found, "coords")):
        parts = _stored if module == "scipy" else _labelled
        return _difference(parts(found), parts(wanted), place, depth + 1)
    picture = _picture(found), _picture(wanted)
    if picture[0] is not None:
        return _of_pictures(picture, place, depth)
    if vars(object)["__eq__"] is getattr(type(found), "__eq__", None):
        raise IncomparableError(f"{place} is a `{type(found).__name__}`, and two of these cannot be compared")
    try:
        same = bool(found == wanted)
    except Exception as error:
        raise IncomparableError(
            f"{place} is a `{type(found).__name__}`, and two of these cannot be compared ({type(error).__name__})"
        ) from None
    return None if same else f"{place} is {_short(found)}, and was {_short(wanted)}"


def _of_pandas(found: Any, wanted: Any, place: str) -> str | None:
    import pandas as pd

    compare: Any
    if isinstance(found, pd.DataFrame):
        compare = pd.testing.assert_frame_equal
    elif isinstance(found, pd.Series):
        compare = pd.testing.assert_series_equal
    elif isinstance(found, pd.Index):
        compare = pd.testing.assert_index_equal
    else:
        same = bool(found == wanted) or (found is wanted)
        return None if same else f"{place} is {_short(found)}, and was {_short(wanted)}"
    try:
        compare(found, wanted, check_exact=False, rtol=_RELATIVE, atol=_ABSOLUTE)
    except AssertionError as error:
        return f"{place} differs: {' '.join(str(error).split())[:_LONGEST]}"
    except Exception as error:
        raise IncomparableError(
            f"{place} holds objects that cannot be compared ({type(error).__name__})"
        ) from None
    return None


def _of_arrays(found: Any, wanted: Any, place: str, depth: int) -> str | None:
    import numpy as np

    if not isinstance(found, np.ndarray):
        same = bool(found == wanted) or bool(found != found and wanted != wanted)  # noqa: PLR0124 - NaT
        return None if same else f"{place} is {_short(found)}, and was {_short(wanted)}"
    if found.shape != wanted.shape:
        return f"{place} has the shape {found.shape}, and had {wanted.shape}"
    if found.dtype != wanted.dtype:
        return f"{place} has the type {found.dtype}, and had {wanted.dtype}"
    if found.dtype.kind == "O":
        return _difference(found.tolist(), wanted.tolist(), place, depth + 1)
    if found.dtype.kind in "fc":
        same = bool(np.allclose(found, wanted, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True))
    else:
        same = bool(np.array_equal(found, wanted)) or (
            found.dtype.kind in "mM" and bool(np.array_equal(found, wanted, equal_nan=True))
        )
    return None if same else f"{place} is an array with other numbers"


def _of_other_tables(found: Any, wanted: Any, place: str) -> str | None:
    if type(found).__module__.partition(".")[0] == "polars" and hasattr(found, "columns"):
        from polars.testing import assert_frame_equal

        names = ("rel_tol", "abs_tol"), ("rtol", "atol")  # of newer and of older versions of polars
        known = inspect.signature(assert_frame_equal).parameters
        named = next(pair for pair in names if pair[0] in known)
        tolerances: dict[str, Any] = dict(zip(named, (_RELATIVE, _ABSOLUTE), strict=True))
        try:
            assert_frame_equal(found, wanted, check_exact=False, **tolerances)
        except AssertionError as error:
            return f"{place} differs: {' '.join(str(error).split())[:_LONGEST]}"
        return None
    return None if found.equals(wanted) else f"{place} has other rows"


def _stored(value: Any) -> dict[str, Any]:
    """Returns a sparse array or matrix of scipy as its shape and what it stores, in order."""
    rows = value.tocsr(copy=True)
    rows.sum_duplicates()
    return {"shape": rows.shape, "rows": rows.indptr, "columns": rows.indices, "values": rows.data}


def _labelled(value: Any) -> dict[str, Any]:
    """Returns an array or a dataset of xarray as its arrays, each with the names of its dimensions."""
    arrays = {**value.coords, **(value.data_vars if hasattr(value, "data_vars") else {None: value})}
    return {
        "name": getattr(value, "name", None),
        "arrays": {str(name): (list(one.dims), one.to_numpy()) for name, one in arrays.items()},
    }


def _picture(value: Any) -> dict[str, Any] | None:
    """Returns what a chart or an image shows, as plain data; None if it is none."""
    name, module = type(value).__name__, type(value).__module__.partition(".")[0]
    if module == "rlm_jupyter" and name == "Chart":
        if value.spec is not None:
            return {"spec": value.spec}
        return {"data": value.data, "picture": value.png}
    if module in ("altair", "plotly") and hasattr(value, "to_dict"):
        return {"spec": value.to_dict()}
    if module == "PIL":
        return {"size": value.size, "mode": value.mode, "picture": value.tobytes()}
    return None


def _of_pictures(pictures: tuple[Any, Any], place: str, depth: int) -> str | None:
    found, wanted = pictures
    if all(part is None for one in pictures for part in one.values()):
        raise IncomparableError(f"{place} is a chart without picture, specification and data")
    if found.get("picture") != wanted.get("picture"):
        data = found.get("data"), wanted.get("data")
        why = _difference(*data, "its data", depth + 1) if data[0] is not None else None
        return f"{place} shows another picture" + (f": {why}" if why else "")
    rest = [{name: part for name, part in one.items() if name != "picture"} for one in pictures]
    return _difference(rest[0], rest[1], place, depth + 1)


def _first(found: Any) -> str | None:
    return next((one for one in found if one is not None), None)


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # of an object with a `__repr__` of its own
        return f"a `{type(value).__name__}`"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"
