"""GROUP BY and aggregates: what the workers add up, and what is made of it here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd
from sqlglot import exp

from rlm_jupyter.databases.dask_cluster.frame_expressions import Expressions, parts_of
from rlm_jupyter.databases.dask_cluster.frame_rows import (
    Rows,
    Value,
    is_series,
    kind_of,
    not_here,
    sql_name,
)
from rlm_jupyter.databases.query_errors import QueryError

_WHOLE: Final = "rlm_all"
"""The one group where there is no GROUP BY."""
_DISTINCT: Final = "distinct"
_LEVELS: Final = ("number", "truth", "time", "duration", "text", "null")

Gather = Callable[[Any], pd.DataFrame]


def is_aggregate(node: exp.Expr) -> bool:
    """Returns whether a node is an aggregate, with its FILTER if it has one."""
    if isinstance(node, (exp.Filter, exp.IgnoreNulls)):
        return is_aggregate(node.this)
    return isinstance(node, (exp.AggFunc, exp.Count, exp.CountIf))


def aggregates_in(nodes: Sequence[exp.Expr]) -> list[exp.Expr]:
    """Returns the aggregates of some expressions, each once, without those of queries in parentheses."""
    found: dict[exp.Expr, None] = {}
    for node in nodes:
        inside: set[int] = set()
        for one in node.walk(prune=lambda one: isinstance(one, exp.Query) or is_aggregate(one)):
            if id(one) not in inside and is_aggregate(one):
                found[one] = None
    return list(found)


def _called(node: exp.Expr) -> str:
    return node.sql_name()[:60] if isinstance(node, exp.Func) else type(node).__name__.upper()


@dataclass
class _Sum:
    """One figure of a group: columns that are added up in a way, and what is made of them."""

    column: str
    ways: tuple[str, ...]
    make: Callable[[dict[str, Any]], Any]


@dataclass
class Grouping:
    """Rows that are grouped.

    Args:
        expressions: of the rows.
        gather: brings a frame of dask here.
        prefix: of columns, which no column of the rows has.
    """

    expressions: Expressions
    gather: Gather
    prefix: str
    _columns: dict[str, Value] = field(default_factory=dict)
    _sums: list[_Sum] = field(default_factory=list)

    def grouped(self, keys: Sequence[exp.Expr], aggregates: Sequence[exp.Expr]) -> Rows:
        """Returns a row for each group, in this process: `<prefix>key0`, ..., `<prefix>sum0`, ...

        Raises:
            QueryError: something is not available, or there are too many groups.
        """
        growth = {}
        names = [f"{self.prefix}key{at}" for at in range(len(keys))]
        for name, key in zip(names, keys, strict=True):
            growth[name] = self.expressions.growth(key)
            self._columns[name] = self._series(self.expressions.value(key))
        for at, aggregate in enumerate(aggregates):
            growth[f"{self.prefix}sum{at}"] = self.expressions.growth(
                aggregate
            )  # such as the MAX of a joined text
            self._add(aggregate)
        by = names or [_WHOLE]
        if not names:
            self._columns[_WHOLE] = 0
        rows = self.expressions.rows
        frame = rows.frame.assign(**self._columns)[list(self._columns)]
        ways: dict[str, list[str]] = {}
        for one in self._sums:
            held = ways.setdefault(one.column, [])
            held += [way for way in one.ways if way not in held]
        found = self._added_up(frame, by, ways)
        if not names and not len(found):
            return Rows(self._of_no_rows())
        made = {name: found[name] for name in names}
        for at, one in enumerate(self._sums):
            made[f"{self.prefix}sum{at}"] = one.make({way: found[f"{one.column}:{way}"] for way in one.ways})
        return Rows(pd.DataFrame(made, index=found.index), growth)

    def _added_up(self, frame: Any, by: list[str], ways: dict[str, list[str]]) -> pd.DataFrame:
        plain = {column: [way for way in held if way != _DISTINCT] for column, held in ways.items()}
        plain = {column: held for column, held in plain.items() if held}
        groups = self._summed(frame, by, plain) if plain else self._brought(frame[by].drop_duplicates())
        for column, held in ways.items():
            if _DISTINCT in held:  # dask's `agg` has no such way
                different = frame[[*by, column]].drop_duplicates()
                counted = self._summed(different, by, {column: ["count"]})
                counted = counted.rename(columns={f"{column}:count": f"{column}:{_DISTINCT}"})
                groups = groups.merge(counted, on=by, how="left")
        return groups

    def _summed(self, frame: Any, by: list[str], ways: dict[str, list[str]]) -> pd.DataFrame:
        groups = frame.groupby(by, dropna=False, sort=False, observed=True)
        found = self._brought(groups.agg(ways).reset_index())
        names = [f"{name}:{way}" if way else name for name, way in map(tuple, found.columns)]
        return found.set_axis(names, axis="columns")

    def _brought(self, frame: Any) -> pd.DataFrame:
        return frame if isinstance(frame, pd.DataFrame) else self.gather(frame)

    def _of_no_rows(self) -> pd.DataFrame:
        made = {}
        for at, one in enumerate(self._sums):
            nothing = pd.Series([0 if way in _COUNTS else None for way in one.ways], one.ways)
            parts = {way: pd.Series([nothing[way]], dtype="float64") for way in one.ways}
            made[f"{self.prefix}sum{at}"] = one.make(parts)
        return pd.DataFrame(made, index=[0])

    def _series(self, value: Value) -> Any:
        return value if is_series(value) else self.expressions.rows.constant(value)

    def _add(self, node: exp.Expr) -> None:
        condition = None
        while isinstance(node, (exp.Filter, exp.IgnoreNulls)):
            if isinstance(node, exp.Filter):
                (condition,) = parts_of(node.expression, "this")
            node = node.this
        add = _AGGREGATES.get(type(node))
        if add is None:
            raise not_here(f"The aggregate `{_called(node)}`")
        column, ways, make = add(self, node)
        if condition is not None:
            mask = self.expressions.truth(condition).true
            column = column.where(mask) if not isinstance(mask, bool) or not mask else column
        name = f"{self.prefix}of{len(self._sums)}"
        self._columns[name] = column
        self._sums.append(_Sum(name, ways, make))

    # ------------------------------------------------------------------------ one aggregate each

    def _argument(self, node: exp.Expr, kinds: Sequence[str]) -> Any:
        (inner,) = parts_of(node, "this")
        value = self.expressions.value(inner)
        if kind_of(value) not in (*kinds, "null"):
            raise QueryError(f"{_called(node)} of {sql_name(value)} is not available: CAST it.")
        column = self._series(value)
        if value is None:
            return column.astype("float64")
        if str(column.dtype) == "object":  # pandas cannot order what may be of several types
            return column.astype("string")
        return column.astype("Int64") if kind_of(value) == "truth" else column

    def count(self, node: exp.Expr) -> tuple[Any, tuple[str, ...], Callable[..., Any]]:
        """Returns COUNT(*), COUNT(x) or COUNT(DISTINCT x)."""
        (inner,) = parts_of(node, "this")
        if isinstance(inner, exp.Star):
            return self.expressions.rows.constant(1), ("count",), lambda of: of["count"].astype("int64")
        if isinstance(inner, exp.Distinct):
            (parts,) = parts_of(inner, "expressions")
            if len(parts) != 1:
                raise not_here("COUNT(DISTINCT ...) of several columns")
            column = self._series(self.expressions.value(parts[0]))
            return column, (_DISTINCT,), lambda of: of[_DISTINCT].astype("int64")
        column = self._series(self.expressions.value(inner))
        return column, ("count",), lambda of: of["count"].astype("int64")

    def count_if(self, node: exp.Expr) -> tuple[Any, tuple[str, ...], Callable[..., Any]]:
        """Returns COUNT_IF(condition)."""
        (inner,) = parts_of(node, "this")
        mask = self.expressions.truth(inner).true
        return (
            self.expressions.rows.constant(1).where(mask),
            ("count",),
            lambda of: of["count"].astype("int64"),
        )

    def total(self, node: exp.Expr) -> tuple[Any, tuple[str, ...], Callable[..., Any]]:
        """Returns SUM(x): NULL where there is no value."""
        column = self._argument(node, ("number", "truth"))
        return column, ("sum", "count"), lambda of: of["sum"].where(of["count"] > 0)

    def mean(self, node: exp.Expr) -> tuple[Any, tuple[str, ...], Callable[..., Any]]:
        """Returns AVG(x)."""
        column = self._argument(node, ("number", "truth")).astype("float64")
        return column, ("sum", "count"), lambda of: (of["sum"] / of["count"]).where(of["count"] > 0)

    def extreme(self, node: exp.Expr) -> tuple[Any, tuple[str, ...], Callable[..., Any]]:
        """Returns MIN(x) or MAX(x)."""
        way = "min" if isinstance(node, exp.Min) else "max"
        return self._argument(node, _LEVELS), (way,), lambda of: of[way]

    def any_value(self, node: exp.Expr) -> tuple[Any, tuple[str, ...], Callable[..., Any]]:
        """Returns ANY_VALUE(x)."""
        return self._argument(node, _LEVELS), ("first",), lambda of: of["first"]

    def spread(self, node: exp.Expr) -> tuple[Any, tuple[str, ...], Callable[..., Any]]:
        """Returns the variance of a sample, or the root of it.

        dask adds up squares, which loses all digits of large numbers that lie close together: it is given the
        distances from the mean of all rows.
        """
        column = self._argument(node, ("number", "truth")).astype("float64")
        known = column.to_frame(name="x")
        found = self._brought(known.assign(**{_WHOLE: 0}).groupby(_WHOLE).agg({"x": ["mean"]}))
        middle = found.to_numpy()[0, 0] if len(found) else 0.0
        shifted = column - (0.0 if pd.isna(middle) else float(middle))
        if isinstance(node, exp.Variance):
            return shifted, ("var",), lambda of: of["var"]
        return shifted, ("var",), lambda of: of["var"] ** 0.5


_COUNTS: Final = ("count", _DISTINCT)
_AGGREGATES: Final[dict[type[exp.Expr], Callable[[Grouping, exp.Expr], Any]]] = {
    exp.Count: Grouping.count,
    exp.CountIf: Grouping.count_if,
    exp.Sum: Grouping.total,
    exp.Avg: Grouping.mean,
    exp.Min: Grouping.extreme,
    exp.Max: Grouping.extreme,
    exp.AnyValue: Grouping.any_value,
    exp.Stddev: Grouping.spread,
    exp.StddevSamp: Grouping.spread,
    exp.Variance: Grouping.spread,
}
