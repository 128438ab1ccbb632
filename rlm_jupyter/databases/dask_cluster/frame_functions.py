"""Functions of texts, numbers and times in a query, as calls of methods of columns.

Left out is what could keep a worker busy for ever or fill its memory, since a task that has begun on a cluster cannot
be ended: regular expressions, REPEAT, padding, replacing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd
from sqlglot import exp

from rlm_jupyter.databases.dask_cluster.frame_expressions import (
    CONDITIONS,
    VALUES,
    Expressions,
    compared,
    moment,
    negated,
    parts_of,
)
from rlm_jupyter.databases.dask_cluster.frame_rows import (
    Truth,
    Value,
    certain,
    chosen,
    is_series,
    kind_of,
    not_here,
    present,
)
from rlm_jupyter.databases.query_errors import QueryError

_MOST_PIECES = 20
_LONGEST_PATTERN = 200
"""Characters of a pattern of LIKE with `_`, all of which may be compared at each place of a text."""
_LONGEST_FORMAT = 60
_FORMAT = re.compile(r"(?:[^%]|%[aAbBdfGHIjmMpSuUVwWyY%])*")
_MOST_DECIMALS = 20


def _literal_text(node: Any, what: str) -> str:
    if not (isinstance(node, exp.Literal) and node.args.get("is_string")):
        raise QueryError(f"{what} must be a text in quotes here, not an expression.")
    return node.name


def _literal_number(made: Expressions, node: Any, what: str) -> int:
    value = made.value(node)
    if type(value) is not int or abs(value) > 10**6:
        raise QueryError(f"{what} must be a whole number here, not an expression.")
    return value


# ---------------------------------------------------------------------------- conditions of texts


def _like(made: Expressions, node: exp.Expr) -> Truth:
    inner, wanted, negate = parts_of(node, "this", "expression", "negate")
    pattern = _literal_text(wanted, "The pattern of LIKE")
    text = _column_of_text(made, inner)
    if text is None:
        return Truth(False, lambda: False)
    if isinstance(node, exp.ILike):
        text, pattern = text.str.lower(), pattern.lower()
    found = Truth(certain(matches(text, pattern)), lambda: present(text))
    return negated(found) if negate else found


def _column_of_text(made: Expressions, node: exp.Expr) -> Value:
    value = made.text(node)
    return made.rows.constant(value) if isinstance(value, str) else value


def matches(text: Any, pattern: str) -> Any:
    """Returns where a text is like a pattern of LIKE, in a time that grows with the text and no faster.

    A regular expression with several `.*` would take a time that grows with a power of the text's length.

    Raises:
        QueryError: the pattern has more pieces, or `_` between two `%`.
    """
    if "_" in pattern:
        return _matches_any(text, pattern)
    first, *others = pattern.split("%")
    if not others:
        return text == first
    *middle, last = others
    found = certain(text.str.startswith(first)) if first else present(text)
    if last:
        found &= certain(text.str.endswith(last))
    found &= certain(text.str.len() >= len(first) + len(last))
    pieces = [piece for piece in middle if piece]
    if len(pieces) > _MOST_PIECES:
        raise QueryError(f"A pattern of LIKE has at most {_MOST_PIECES} pieces here.")
    rest = text.str.slice(len(first), -len(last) if last else None) if pieces else text
    for at, piece in enumerate(pieces):
        found &= certain(rest.str.contains(piece, regex=False))
        if at + 1 < len(pieces):
            rest = rest.str.partition(piece, expand=False).str.get(2).astype("string")
    return found


def _matches_any(text: Any, pattern: str) -> Any:
    """Match a pattern with `_`, whose regular expression has a fixed length."""
    core = pattern.strip("%")
    if len(core) > _LONGEST_PATTERN:
        raise QueryError(f"A pattern of LIKE with `_` has at most {_LONGEST_PATTERN} characters here.")
    if "%" in core:
        raise QueryError("A pattern of LIKE with `_` may have `%` only at its ends here.")
    length = len(core)
    wanted = "(?s)" + "".join("." if char == "_" else re.escape(char) for char in core)
    long_enough = certain(text.str.len() >= length)
    before, after = pattern.startswith("%"), pattern.endswith("%")
    if before and after:
        return certain(text.str.contains(wanted, regex=True))
    if not before and not after:
        long_enough &= certain(text.str.len() == length)
    part = text.str.slice(-length, None) if before else text.str.slice(0, length)
    return long_enough & certain(part.str.fullmatch(wanted))


def _holds(method: str) -> Callable[[Expressions, exp.Expr], Truth]:
    def find(made: Expressions, node: exp.Expr) -> Truth:
        inner, wanted = parts_of(node, "this", "expression")
        text = _column_of_text(made, inner)
        piece = _literal_text(wanted, f"What {node.key.upper()} looks for")
        if text is None:
            return Truth(False, lambda: False)
        more = {"regex": False} if method == "contains" else {}
        return Truth(certain(getattr(text.str, method)(piece, **more)), lambda: present(text))

    return find


# ------------------------------------------------------------------------------------------ texts


def _of_text(method: str) -> Callable[[Expressions, exp.Expr], Value]:
    def find(made: Expressions, node: exp.Expr) -> Value:
        (inner,) = parts_of(node, "this")
        text = _column_of_text(made, inner)
        return None if text is None else getattr(text.str, method)()

    return find


def _trim(made: Expressions, node: exp.Expr) -> Value:
    inner, position = parts_of(node, "this", "position")
    text = _column_of_text(made, inner)
    method = {"LEADING": "lstrip", "TRAILING": "rstrip"}.get(str(position or "").upper(), "strip")
    return None if text is None else getattr(text.str, method)()


def _substring(made: Expressions, node: exp.Expr) -> Value:
    inner, start, length = parts_of(node, "this", "start", "length")
    text = _column_of_text(made, inner)
    begin = _literal_number(made, start, "The start of SUBSTRING")
    if begin < 1:
        raise QueryError("SUBSTRING begins at 1 or later here.")
    end = None if length is None else begin - 1 + _literal_number(made, length, "The length of SUBSTRING")
    return None if text is None else text.str.slice(begin - 1, end)


def _end_of_text(made: Expressions, node: exp.Expr) -> Value:
    inner, length = parts_of(node, "this", "expression")
    text = _column_of_text(made, inner)
    count = _literal_number(made, length, f"The length of {node.key.upper()}")
    if count < 1:
        raise QueryError(f"The length of {node.key.upper()} is 1 or more here.")
    if text is None:
        return None
    return text.str.slice(0, count) if isinstance(node, exp.Left) else text.str.slice(-count, None)


def _joined(made: Expressions, node: exp.Expr) -> Value:
    """Join texts: with `||` what is NULL makes the result NULL, with CONCAT it is left out."""
    if isinstance(node, exp.DPipe):
        parts = parts_of(node, "this", "expression")
    else:
        (parts,) = parts_of(node, "expressions")
    texts = [_as_text(made, made.value(part)) for part in parts]
    if isinstance(node, exp.Concat):
        texts = ["" if one is None else one.fillna("") if is_series(one) else one for one in texts]
    if any(one is None for one in texts):
        return None
    result = texts[0]
    for one in texts[1:]:
        result = result + one
    return result


def _as_text(made: Expressions, value: Value) -> Value:
    if value is None or kind_of(value) == "text":
        return value
    if kind_of(value) == "truth":
        known = present(value)
        return chosen(made.rows, certain(value), "true", chosen(made.rows, known, "false", None))
    if kind_of(value) == "time":
        return value.dt.strftime(_TIME) if is_series(value) else value.strftime(_TIME)
    return value.astype("string") if is_series(value) else str(value)


_TIME: Final = "%Y-%m-%d %H:%M:%S"


# ---------------------------------------------------------------------------------------- numbers


def _of_number(function: Callable[..., Any]) -> Callable[[Expressions, exp.Expr], Value]:
    def find(made: Expressions, node: exp.Expr) -> Value:
        (inner,) = parts_of(node, "this")
        value = made.number(inner)
        return None if value is None else function(value)

    return find


def _where_defined(
    function: Callable[..., Any], least: float, *, strictly: bool = False
) -> Callable[..., Any]:
    """Returns a function whose value is NULL below a number."""

    def compute(value: Value) -> Value:
        if not is_series(value):
            defined = value > least if strictly else value >= least
            return float(function(value)) if defined else None
        value = value.astype("float64")
        return function(value.where(value > least if strictly else value >= least))

    return compute


def _rounded(made: Expressions, node: exp.Expr) -> Value:
    inner, digits = parts_of(node, "this", "decimals")
    value = made.number(inner)
    places = 0 if digits is None else _literal_number(made, digits, "The decimals of ROUND")
    if abs(places) > _MOST_DECIMALS:
        raise QueryError(f"ROUND has at most {_MOST_DECIMALS} decimals here.")
    return None if value is None else value.round(places) if is_series(value) else round(value, places)


def _power(made: Expressions, node: exp.Expr) -> Value:
    left, right = (made.number(part) for part in parts_of(node, "this", "expression"))
    if left is None or right is None:
        return None
    left = left.astype("float64") if is_series(left) else float(left)
    return left ** (right.astype("float64") if is_series(right) else float(right))


def _extreme(made: Expressions, node: exp.Expr) -> Value:
    """Returns the greatest or the least of several values, leaving out what is NULL."""
    import operator

    first, others, _ = parts_of(node, "this", "expressions", "ignore_nulls")
    compare = operator.gt if isinstance(node, exp.Greatest) else operator.lt
    result = made.value(first)
    for other in others or ():
        value = made.value(other)
        better = compared(compare, value, result).true
        result = chosen(made.rows, better, value, result)
        result = chosen(made.rows, present(result), result, value)
    return result


# ------------------------------------------------------------------------------------------ times

_PARTS: Final = {
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "DAY": "day",
    "DAYOFMONTH": "day",
    "HOUR": "hour",
    "MINUTE": "minute",
    "SECOND": "second",
    "DOY": "day_of_year",
    "DAYOFYEAR": "day_of_year",
}
_UNITS: Final = {"DAY": "D", "HOUR": "h", "MINUTE": "min", "SECOND": "s", "MILLISECOND": "ms"}
_PERIODS: Final = {"WEEK": "W", "MONTH": "M", "QUARTER": "Q", "YEAR": "Y"}


def _part(made: Expressions, name: str, inner: Any) -> Value:
    value = made.time(inner)
    if value is None:
        return None
    place = value.dt if is_series(value) else value
    if name in ("DOW", "DAYOFWEEK"):  # Sunday is 0
        return (place.day_of_week + 1) % 7
    if name == "ISODOW":
        return place.day_of_week + 1
    if name in ("WEEK", "WEEKOFYEAR") and is_series(value):
        return value.dt.isocalendar()["week"].astype("Int64")
    if name not in _PARTS:
        raise not_here(f"The part `{name[:40]}` of a time")
    return getattr(place, _PARTS[name])


def _extract(made: Expressions, node: exp.Expr) -> Value:
    name, inner = parts_of(node, "this", "expression")
    return _part(made, str(name.name).upper(), inner)


def _part_named(name: str) -> Callable[[Expressions, exp.Expr], Value]:
    def find(made: Expressions, node: exp.Expr) -> Value:
        (inner,) = parts_of(node, "this")
        return _part(made, name, inner)

    return find


def _truncated(made: Expressions, node: exp.Expr) -> Value:
    inner, unit = parts_of(node, "this", "unit")
    value = made.time(inner)
    name = str(getattr(unit, "name", unit)).upper()
    if name not in _UNITS and name not in _PERIODS:
        raise not_here(f"DATE_TRUNC('{name[:40].lower()}', ...)")
    if value is None:
        return None
    if not is_series(value):
        value = made.rows.constant(value)
    if name in _UNITS:
        return value.dt.floor(_UNITS[name])
    if getattr(value.dtype, "tz", None) is not None:
        value = value.dt.tz_localize(None)
    return value.dt.to_period(_PERIODS[name]).dt.to_timestamp()


def _written(made: Expressions, node: exp.Expr) -> Value:
    inner, wanted = parts_of(node, "this", "format")
    pattern = _literal_text(wanted, "The format of STRFTIME")
    if len(pattern) > _LONGEST_FORMAT or not _FORMAT.fullmatch(
        pattern
    ):  # such as `%99999Y`, as wide as it says
        raise QueryError(
            f"A format of STRFTIME has at most {_LONGEST_FORMAT} characters here, with directives such as %Y-%m-%d."
        )
    value = made.time(inner)
    if value is None:
        return None
    return value.dt.strftime(pattern) if is_series(value) else value.strftime(pattern)


def _interval(_: Expressions, node: exp.Expr) -> Value:
    number, unit = parts_of(node, "this", "unit")
    name = str(getattr(unit, "name", unit)).upper().removesuffix("S")
    days = {"WEEK": 7.0, "DAY": 1.0, "HOUR": 1 / 24, "MINUTE": 1 / 1440, "SECOND": 1 / 86400}.get(name)
    if days is None:
        raise not_here(
            f"INTERVAL in units of `{name[:40].lower()}` (DATE_TRUNC and EXTRACT know months and years)"
        )
    try:
        return pd.Timedelta(days=float(number.name) * days)
    except (ValueError, OverflowError, AttributeError):
        raise QueryError("The number of an INTERVAL is written out, as INTERVAL 7 DAY.") from None


# ------------------------------------------------------------------------------------------ casts


def _cast(made: Expressions, node: exp.Expr) -> Value:
    inner, wanted = parts_of(node, "this", "to")
    target = wanted.this.name if isinstance(wanted.this, exp.DType) else str(wanted.this)
    value = made.value(inner)
    if value is None:
        return None
    lenient = isinstance(node, exp.TryCast)
    if target in ("DATE", "DATETIME", "TIMESTAMP", "TIMESTAMPNTZ", "TIMESTAMPTZ"):
        return _to_time(value, lenient=lenient, day=target == "DATE")
    if target in _TEXTS:
        return _as_text(made, value)
    if target in _WHOLE or target in _FRACTIONS:
        return _to_number(made, value, lenient=lenient, whole=target in _WHOLE)
    if target == "BOOLEAN" and kind_of(value) == "truth":
        return value
    raise not_here(f"CAST(... AS {target[:40]})")


_TEXTS: Final = {"VARCHAR", "TEXT", "CHAR", "NVARCHAR"}
_WHOLE: Final = {"INT", "BIGINT", "SMALLINT", "TINYINT", "UINT", "UBIGINT", "USMALLINT", "UTINYINT"}
_FRACTIONS: Final = {"DOUBLE", "FLOAT", "DECIMAL"}


def _to_number(made: Expressions, value: Value, *, lenient: bool, whole: bool) -> Value:
    kind = kind_of(value)
    if kind not in ("number", "truth", "text"):
        raise not_here("CAST of this type to a number")
    if not is_series(value):
        value = made.rows.constant(value)
    if kind == "text":
        value = _mapped(value, pd.to_numeric, errors="coerce" if lenient else "raise", meta="float64")
    value = value.astype("float64")
    return value.round().astype("Int64") if whole else value


def _to_time(value: Value, *, lenient: bool, day: bool) -> Value:
    kind = kind_of(value)
    if kind not in ("time", "text"):
        raise not_here("CAST of this type to a time")
    if not is_series(value):
        value = moment(value) if kind == "text" else value
        return value.normalize() if day else value
    if kind == "text":
        errors = "coerce" if lenient else "raise"
        value = _mapped(value, pd.to_datetime, errors=errors, meta="datetime64[ns]")
    return value.dt.floor("D") if day else value


def _mapped(column: Any, function: Callable[..., Any], *, errors: str, meta: str) -> Any:
    """Call a function of pandas with a column: with each part of it, on the cluster."""
    if isinstance(column, pd.Series):
        return function(column, errors=errors).astype(meta)
    made = column.map_partitions(function, errors=errors, meta=(column.name, meta))
    return made.astype(meta)


class QueryExpressions(Expressions):
    """All expressions that a query to a cluster may have."""

    conditions: ClassVar[Mapping[type[exp.Expr], Callable[..., Truth]]] = {
        **CONDITIONS,
        exp.Like: _like,
        exp.ILike: _like,
        exp.Contains: _holds("contains"),
        exp.StartsWith: _holds("startswith"),
        exp.EndsWith: _holds("endswith"),
    }
    values: ClassVar[Mapping[type[exp.Expr], Callable[..., Value]]] = {
        **VALUES,
        exp.Lower: _of_text("lower"),
        exp.Upper: _of_text("upper"),
        exp.Length: _of_text("len"),
        exp.Trim: _trim,
        exp.Substring: _substring,
        exp.Left: _end_of_text,
        exp.Right: _end_of_text,
        exp.DPipe: _joined,
        exp.Concat: _joined,
        exp.Abs: _of_number(abs),
        exp.Sign: _of_number(np.sign),
        exp.Floor: _of_number(np.floor),
        exp.Ceil: _of_number(np.ceil),
        exp.Exp: _of_number(np.exp),
        exp.Sqrt: _of_number(_where_defined(np.sqrt, 0)),
        exp.Ln: _of_number(_where_defined(np.log, 0, strictly=True)),
        exp.Round: _rounded,
        exp.Pow: _power,
        exp.Greatest: _extreme,
        exp.Least: _extreme,
        exp.Extract: _extract,
        exp.Year: _part_named("YEAR"),
        exp.Quarter: _part_named("QUARTER"),
        exp.Month: _part_named("MONTH"),
        exp.Week: _part_named("WEEK"),
        exp.WeekOfYear: _part_named("WEEK"),
        exp.Day: _part_named("DAY"),
        exp.DayOfMonth: _part_named("DAY"),
        exp.DayOfWeek: _part_named("DOW"),
        exp.DayOfYear: _part_named("DOY"),
        exp.Hour: _part_named("HOUR"),
        exp.Minute: _part_named("MINUTE"),
        exp.Second: _part_named("SECOND"),
        exp.DateTrunc: _truncated,
        exp.TimestampTrunc: _truncated,
        exp.TimeToStr: _written,
        exp.Interval: _interval,
        exp.CurrentDate: lambda *_: pd.Timestamp.now().normalize(),
        exp.CurrentTimestamp: lambda *_: pd.Timestamp.now(),
        exp.Cast: _cast,
        exp.TryCast: _cast,
    }
