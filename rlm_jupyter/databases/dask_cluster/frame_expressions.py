"""Expressions of a checked query as columns of a frame: conditions in three values, arithmetic, texts, times.

Only what stands in the tables here is known, and of each only the parts that are named: nothing is evaluated, no name
is looked up in Python, and no text of a query reaches `eval` or `query` of pandas. What is made are calls of dask's own
methods, so that workers need nothing but dask and pandas.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd
from sqlglot import exp

from rlm_jupyter.databases.dask_cluster.frame_rows import (
    Rows,
    Truth,
    Value,
    both,
    certain,
    chosen,
    either,
    is_series,
    kind_of,
    not_here,
    opposite,
    plain_column,
    present,
    sql_name,
)
from rlm_jupyter.databases.query_errors import QueryError

_MOST_GROWTH = 32
"""Columns and literals that one text may be joined from: a query must not fill the workers' memory."""
_GROWTH_CHARS = 100
"""Characters of a literal, which is there in each row, that count as one."""
_LONGEST_VALUE = 1000
"""Characters of a text that a query in parentheses stands for, in each row too."""
_MOST_LISTED = 10_000
_LONGEST_NUMBER = 40
_LARGEST = 2**63

Subquery = Callable[[exp.Expr], "pd.Series[Any]"]
"""Returns the one column of a query in parentheses."""

_COMPARED: Final[dict[type[exp.Expr], Callable[[Any, Any], Any]]] = {
    exp.EQ: operator.eq,
    exp.LT: operator.lt,
    exp.LTE: operator.le,
    exp.GT: operator.gt,
    exp.GTE: operator.ge,
}
_COMPUTED: Final[dict[type[exp.Expr], Callable[[Any, Any], Any]]] = {
    exp.Add: operator.add,
    exp.Sub: operator.sub,
    exp.Mul: operator.mul,
}
_IN_TIME: Final = {
    (exp.Add, "time", "duration"),
    (exp.Add, "duration", "time"),
    (exp.Sub, "time", "duration"),
}
_IN_TIME_TOO: Final = {(exp.Sub, "time", "time"), (exp.Add, "duration", "duration")}


def parts_of(node: exp.Expr, *known: str) -> list[Any]:
    """Returns parts of a node by their names, and refuses it if it has others.

    Raises:
        QueryError: it has a part that is not known here, which would change what it means.
    """
    held = {name for name, part in node.args.items() if part not in (None, [], False)}
    if more := held - set(known) - _MEANS_NOTHING:
        raise not_here(f"`{node.sql('duckdb')[:80]}` with `{min(more)}`")
    return [node.args.get(name) for name in known]


_MEANS_NOTHING: Final = {"big_int", "safe", "coalesce", "typed", "zone", "is_numeric", "parens"}


class Expressions:
    """What expressions of a query are for some rows.

    Args:
        rows: that they are of.
        subquery: returns the column of a query in parentheses.
        check: raises QueryCancelledError if nobody waits for the query any more.

    Attributes:
        conditions: what finds where a condition holds, by its class; those of texts come with `frame_functions`.
        values: what finds other values, by their class.
    """

    conditions: ClassVar[Mapping[type[exp.Expr], Callable[..., Truth]]]
    values: ClassVar[Mapping[type[exp.Expr], Callable[..., Value]]]

    def __init__(self, rows: Rows, subquery: Subquery, check: Callable[[], None]) -> None:
        self.rows = rows
        self._subquery = subquery
        self._check = check

    def truth(self, node: exp.Expr) -> Truth:
        """Returns where a condition holds.

        Raises:
            QueryError: it is none, or has parts that are not known here.
        """
        if find := self.conditions.get(type(node)):
            return find(self, node)
        if isinstance(node, exp.Paren):
            return self.truth(node.this)
        value = self.value(node)
        if kind_of(value) not in ("truth", "null"):
            raise QueryError(f"`{node.sql('duckdb')[:80]}` is not a condition: it is {sql_name(value)}.")
        return Truth(certain(value) if value is not None else False, lambda: present(value))

    def value(self, node: exp.Expr) -> Value:
        """Returns what an expression is for each row.

        Raises:
            QueryError: it has parts that are not known here.
        """
        self._check()
        if type(node) in self.conditions:
            return self._as_value(self.truth(node))
        if type(node) is exp.Anonymous:
            raise not_here(f"The function `{node.name[:60].lower()}`")
        find = self.values.get(type(node))
        if find is None:
            what = node.sql_name() if isinstance(node, exp.Func) else type(node).__name__
            raise not_here(f"`{what[:60].upper()}`")
        return find(self, node)

    def column(self, node: exp.Expr) -> Value:
        """Returns what an expression is for each row, if its texts are not made too long; see `value`."""
        self.growth(node)
        return self.value(node)

    def growth(self, node: exp.Expr) -> int:
        """Returns how much longer its texts can be than those of the user's frame.

        Raises:
            QueryError: too much.
        """
        parts = [self.rows.growth.get(one.name, 1) for one in node.find_all(exp.Column)]
        parts += [1 + len(one.name) // _GROWTH_CHARS for one in node.find_all(exp.Literal)]
        parts += [1 + _LONGEST_VALUE // _GROWTH_CHARS for _ in node.find_all(exp.Subquery)]
        longest = max(parts, default=1)
        if longest > _MOST_GROWTH:
            raise QueryError(
                f"A text in a query to a cluster has at most {_MOST_GROWTH * _GROWTH_CHARS:,} characters."
            )
        if not any(node.find_all(exp.DPipe, exp.Concat)):
            return longest
        total = sum(parts)
        if total > _MOST_GROWTH:
            raise QueryError(
                f"`{node.sql('duckdb')[:80]}` joins texts of {total} columns and literals; the most is {_MOST_GROWTH}: "
                "join them with pandas, once the rows are here."
            )
        return total

    def number(self, node: exp.Expr) -> Value:
        """Returns an expression that is a number, or fails."""
        value = self.value(node)
        if kind_of(value) not in ("number", "null"):
            raise QueryError(
                f"`{node.sql('duckdb')[:80]}` is {sql_name(value)} and not a number: CAST(... AS DOUBLE) makes one."
            )
        return value

    def text(self, node: exp.Expr) -> Value:
        """Returns an expression that is a text, or fails."""
        value = self.value(node)
        if kind_of(value) not in ("text", "null"):
            raise QueryError(
                f"`{node.sql('duckdb')[:80]}` is {sql_name(value)} and not a text: CAST(... AS VARCHAR) makes one."
            )
        return value

    def time(self, node: exp.Expr) -> Value:
        """Returns an expression that is a time, or fails."""
        while isinstance(node, (exp.TsOrDsToDate, exp.TsOrDsToTimestamp)):
            node = node.this
        value = self.value(node)
        if kind_of(value) == "text" and not is_series(value):
            return moment(value)
        if kind_of(value) not in ("time", "null"):
            raise QueryError(
                f"`{node.sql('duckdb')[:80]}` is {sql_name(value)} and not a time: CAST(... AS TIMESTAMP) makes one."
            )
        return value

    def listed(self, node: exp.Expr) -> list[Any]:
        """Returns the values of a query in parentheses, which is run now."""
        found = self._subquery(node)
        if len(found) > _MOST_LISTED:
            raise QueryError(
                f"The query in parentheses has {len(found):,} rows; the most is {_MOST_LISTED:,}."
            )
        return [None if pd.isna(one) else one for one in found.tolist()]

    def _as_value(self, truth: Truth) -> Value:
        if isinstance(truth.true, bool) and isinstance(truth.known, bool):
            return truth.true if truth.known else None
        true = truth.true if is_series(truth.true) else self.rows.constant(truth.true)
        if isinstance(truth.known, bool):
            return true if truth.known else None
        return true.astype("boolean").where(truth.known)


def _short(text: str) -> str:
    """Returns a number or a time as it is written; refuses a long one, of which a part would be another one."""
    if len(text) > _LONGEST_NUMBER:
        raise QueryError(
            f"`{text[:60]}...` is too long: a number or a time has at most {_LONGEST_NUMBER} characters here."
        )
    return text


def moment(text: str) -> Any:
    """Returns the time that a text names.

    Raises:
        QueryError: it names none.
    """
    try:
        return pd.Timestamp(_short(text))
    except (ValueError, OverflowError):
        raise QueryError(f"`{text[:60]}` is not a date or a time: write it as '2025-01-31'.") from None


# ------------------------------------------------------------------------------------ conditions


def compared(compare: Callable[[Any, Any], Any], left: Value, right: Value) -> Truth:
    """Returns where a comparison of two values holds.

    Raises:
        QueryError: they are of kinds that cannot be compared.
    """
    if left is None or right is None:
        return Truth(False, lambda: False)
    left, right = _alike(left, right), _alike(right, left)
    kinds = {kind_of(left), kind_of(right)}
    if len(kinds) > 1 and kinds != {"number", "truth"}:
        raise QueryError(f"{sql_name(left)} cannot be compared with {sql_name(right)}: CAST one of them.")
    return Truth(certain(compare(left, right)), lambda: both(present(left), present(right)))


def _alike(value: Value, other: Value) -> Value:
    """Returns a literal as what it is compared with: a text as a time or a number."""
    if not (isinstance(value, str) and is_series(other)):
        return value
    if kind_of(other) == "time":
        made = moment(value)
        zone = getattr(other.dtype, "tz", None)
        return made.tz_localize(zone) if zone is not None and made.tzinfo is None else made
    if kind_of(other) == "number":
        try:
            return float(_short(value))
        except ValueError:
            raise QueryError(f"A number cannot be compared with the text '{value[:60]}'.") from None
    return value


def _comparison(made: Expressions, node: exp.Expr) -> Truth:
    left, right = parts_of(node, "this", "expression")
    return compared(_COMPARED[type(node)], made.value(left), made.value(right))


def negated(truth: Truth) -> Truth:
    """Returns where a condition is false."""
    return Truth(truth.false, lambda: truth.known)


def _unequal(made: Expressions, node: exp.Expr) -> Truth:
    left, right = parts_of(node, "this", "expression")
    return negated(compared(operator.eq, made.value(left), made.value(right)))


def _and(made: Expressions, node: exp.Expr) -> Truth:
    left, right = (made.truth(part) for part in parts_of(node, "this", "expression"))
    true = both(left.true, right.true)
    return Truth(true, lambda: either(both(left.known, right.known), either(left.false, right.false)))


def _or(made: Expressions, node: exp.Expr) -> Truth:
    left, right = (made.truth(part) for part in parts_of(node, "this", "expression"))
    true = either(left.true, right.true)
    return Truth(true, lambda: either(both(left.known, right.known), true))


def _not(made: Expressions, node: exp.Expr) -> Truth:
    (inner,) = parts_of(node, "this")
    return negated(made.truth(inner))


def _is(made: Expressions, node: exp.Expr) -> Truth:
    left, right = parts_of(node, "this", "expression")
    if isinstance(right, exp.Null):
        value = made.value(left)
        return Truth(opposite(present(value)), lambda: True)
    if isinstance(right, exp.Boolean):
        truth = made.truth(left)
        return Truth(truth.true if right.this else truth.false, lambda: True)
    raise not_here(f"`{node.sql('duckdb')[:80]}`")


def _between(made: Expressions, node: exp.Expr) -> Truth:
    inner, low, high, negate = parts_of(node, "this", "low", "high", "negate")
    value = made.value(inner)
    above = compared(operator.ge, value, made.value(low))
    below = compared(operator.le, value, made.value(high))
    true = both(above.true, below.true)
    known = lambda: either(both(above.known, below.known), either(above.false, below.false))  # noqa: E731
    found = Truth(true, known)
    return negated(found) if negate else found


def _in(made: Expressions, node: exp.Expr) -> Truth:
    inner, listed, query, negate = parts_of(node, "this", "expressions", "query", "negate")
    value = made.value(inner)
    wanted = made.listed(query) if query is not None else [made.value(one) for one in listed or ()]
    if any(is_series(one) for one in wanted):
        found = Truth(False, lambda: True)
        for one in wanted:
            held, equal = found, compared(operator.eq, value, one)
            true = either(held.true, equal.true)
            found = Truth(true, _known_or(true, held, equal))
    else:
        found = _among(value, wanted)
    return negated(found) if negate else found


def _known_or(true: Any, held: Truth, equal: Truth) -> Callable[[], Any]:
    return lambda: either(true, both(held.known, equal.known))


def _among(value: Value, wanted: list[Any]) -> Truth:
    values = [_alike(one, value) for one in wanted if one is not None]
    if not values and None not in wanted:
        return Truth(False, lambda: True)
    kinds = {kind_of(one) for one in values} | {kind_of(value)}
    if len(kinds - {"null"}) > 1:
        raise QueryError(f"{sql_name(value)} cannot be looked up among values of other types: CAST one.")
    true = certain(value.isin(values)) if is_series(value) else value is not None and value in values
    if None in wanted:  # then it may be, for all that is known
        return Truth(true, lambda: true)
    return Truth(true, lambda: present(value))


CONDITIONS: Final[dict[type[exp.Expr], Callable[[Expressions, exp.Expr], Truth]]] = {
    **dict.fromkeys(_COMPARED, _comparison),
    exp.NEQ: _unequal,
    exp.And: _and,
    exp.Or: _or,
    exp.Not: _not,
    exp.Is: _is,
    exp.Between: _between,
    exp.In: _in,
}


# ---------------------------------------------------------------------------------------- values


def _column(made: Expressions, node: exp.Expr) -> Value:
    return plain_column(made.rows.frame[node.name])  # the query's names were found before


def _literal(_: Expressions, node: exp.Expr) -> Value:
    if node.args.get("is_string"):
        return node.name
    text = _short(node.name)
    try:
        number = int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise QueryError(f"`{text}` is not a number.") from None
    return number if abs(number) < _LARGEST else float(number)


def _arithmetic(made: Expressions, node: exp.Expr) -> Value:
    left_part, right_part = parts_of(node, "this", "expression")
    left, right = made.value(left_part), made.value(right_part)
    kinds = (type(node), kind_of(left), kind_of(right))
    if kinds not in _IN_TIME | _IN_TIME_TOO:
        left, right = made.number(left_part), made.number(right_part)
    return None if left is None or right is None else _COMPUTED[type(node)](left, right)


def _divided(made: Expressions, node: exp.Expr) -> Value:
    """Divide; by zero, it is NULL."""
    left_part, right_part = parts_of(node, "this", "expression")
    left, right = made.number(left_part), made.number(right_part)
    if left is None or right is None or (not is_series(right) and right == 0):
        return None
    if is_series(right):
        right = right.astype("float64").where(right != 0)
    return _DIVIDED[type(node)](left, right)


def _whole(left: Value, right: Value) -> Value:
    return np.trunc(left / right)


_DIVIDED: Final[dict[type[exp.Expr], Callable[[Any, Any], Any]]] = {
    exp.Div: operator.truediv,
    exp.IntDiv: _whole,
    exp.Mod: np.fmod,
}


def _negative(made: Expressions, node: exp.Expr) -> Value:
    (inner,) = parts_of(node, "this")
    value = made.number(inner)
    return None if value is None else -value


def _paren(made: Expressions, node: exp.Expr) -> Value:
    (inner,) = parts_of(node, "this")
    return made.value(inner)


def _case(made: Expressions, node: exp.Expr) -> Value:
    subject, ifs, default = parts_of(node, "this", "ifs", "default")
    result = made.value(default) if default is not None else None
    for branch in reversed(ifs):
        condition, value = parts_of(branch, "this", "true")
        if subject is not None:
            truth = compared(operator.eq, made.value(subject), made.value(condition))
        else:
            truth = made.truth(condition)
        result = chosen(made.rows, truth.true, made.value(value), result)
    return result


def _if(made: Expressions, node: exp.Expr) -> Value:
    condition, value, other = parts_of(node, "this", "true", "false")
    no = made.value(other) if other is not None else None
    return chosen(made.rows, made.truth(condition).true, made.value(value), no)


def _coalesce(made: Expressions, node: exp.Expr) -> Value:
    first, others = parts_of(node, "this", "expressions")
    result = made.value(first)
    for other in others or ():
        value = made.value(other)
        result = value if result is None else chosen(made.rows, present(result), result, value)
    return result


def _nullif(made: Expressions, node: exp.Expr) -> Value:
    left, right = parts_of(node, "this", "expression")
    value = made.value(left)
    equal = compared(operator.eq, value, made.value(right)).true
    return chosen(made.rows, equal, None, value)


def _subquery(made: Expressions, node: exp.Expr) -> Value:
    found = made.listed(node)
    if len(found) > 1:
        raise QueryError("A query in parentheses that stands for one value must have one row.")
    value = found[0] if found else None
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        raise QueryError(
            f"The text of a query in parentheses has {len(value):,} characters; the most is {_LONGEST_VALUE:,}: look "
            "for it with pandas, once the rows are here."
        )
    return value


VALUES: Final[dict[type[exp.Expr], Callable[[Expressions, exp.Expr], Value]]] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Boolean: lambda _, node: bool(node.this),
    exp.Null: lambda *_: None,
    **dict.fromkeys(_COMPUTED, _arithmetic),
    **dict.fromkeys((exp.Div, exp.IntDiv, exp.Mod), _divided),
    exp.Neg: _negative,
    exp.Paren: _paren,
    exp.Case: _case,
    exp.If: _if,
    exp.Coalesce: _coalesce,
    exp.Nullif: _nullif,
    exp.Subquery: _subquery,
}
