"""Rows that a query works on, a frame of dask or of pandas, and what is asked of their columns.

Frames of dask and of pandas have the same methods for what is used here, so that one query may begin on the cluster and
go on here with what is left of the rows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import pandas as pd

from rlm_jupyter.databases.query_errors import QueryError

Series = Any
"""Of dask or of pandas."""
Value = Any
"""A Series, or a plain value that is the same in all rows; None is NULL."""

_SQL_NAMES: Final = {
    "number": "DOUBLE",
    "text": "VARCHAR",
    "time": "TIMESTAMP",
    "duration": "INTERVAL",
    "truth": "BOOLEAN",
    "null": "NULL",
    "other": "OBJECT",
}
_WAY = (
    "On a dask cluster, a query has SELECT, DISTINCT, WHERE, GROUP BY, HAVING, ORDER BY, LIMIT, WITH and queries in "
    "parentheses, of one table. Let it leave fewer rows, and do the rest with pandas on the DataFrame that it returns."
)


def not_here(what: str) -> QueryError:
    """Returns the error for what queries to a cluster cannot have."""
    return QueryError(f"{what} is not available for a frame on a dask cluster. {_WAY}")


@dataclass(frozen=True)
class Rows:
    """A frame, and how much longer the texts of its columns can be than those of the user's frame.

    Attributes:
        frame: of dask or of pandas; its columns are texts, each there once.
        growth: by column; 1 where nothing is said. It bounds what concatenation can make of a text.
    """

    frame: Any
    growth: Mapping[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self.frame.columns)

    @property
    def here(self) -> bool:
        """Whether the rows are in this process."""
        return isinstance(self.frame, pd.DataFrame)

    def find(self, name: str, *, quoted: bool = False) -> str | None:
        """Returns a column's name as it is spelled; in a query, case does not matter unless it must."""
        if name in self.frame.columns:
            return name
        same = [known for known in self.names if known.lower() == name.lower()]
        return same[0] if len(same) == 1 and not quoted else None

    def where(self, mask: Any) -> Rows:
        """Returns the rows for which a mask holds."""
        if isinstance(mask, bool):
            if mask:
                return self
            mask = self.constant(mask)
        if self.here:
            return Rows(self.frame[mask], self.growth)
        # Not `frame[mask]`: dask would move the filter below what made the mask, such as a cast to bool, and then looks
        # labels up (https://github.com/dask/dask/issues/12172).
        return Rows(self.frame.map_partitions(operator.getitem, mask), self.growth)

    def only(self, names: Iterable[str]) -> Rows:
        """Returns the rows with these columns, at least one, so that no others are read."""
        wanted = set(names)
        held = [name for name in self.names if name in wanted] or self.names[:1]
        return self if held == self.names else Rows(self.frame[held], self.growth)

    def constant(self, value: Value) -> Series:
        """Returns a column that has the same value in all rows."""
        if self.here:
            return self.frame.assign(rlm_constant=value)["rlm_constant"]
        from dask.utils import M

        # Not `assign` of dask's own: it simplifies the column that is taken from it to the plain value.
        narrow = self.frame[[self.frame.columns[0]]]
        return narrow.map_partitions(M.assign, rlm_constant=value)["rlm_constant"]


@dataclass
class Truth:
    """What a condition is for each row, in SQL's three values.

    Attributes:
        true: where it holds.
        find_known: returns where it is true or false, and not NULL; asked only if needed.
    """

    true: Any
    find_known: Callable[[], Any]

    @cached_property
    def known(self) -> Any:
        """Where it is true or false."""
        return self.find_known()

    @cached_property
    def false(self) -> Any:
        """Where it is false."""
        return both(self.known, opposite(self.true))


def is_series(value: Value) -> bool:
    """Returns whether a value differs by row."""
    return hasattr(value, "dtype") and hasattr(value, "index")


def both(one: Any, other: Any) -> Any:
    """Returns where two masks hold; a mask that is the same in all rows is a bool."""
    if isinstance(one, bool):
        return other if one else False
    if isinstance(other, bool):
        return one if other else False
    return one & other


def either(one: Any, other: Any) -> Any:
    """Returns where one of two masks holds."""
    if isinstance(one, bool):
        return True if one else other
    if isinstance(other, bool):
        return True if other else one
    return one | other


def opposite(mask: Any) -> Any:
    """Returns where a mask does not hold."""
    return not mask if isinstance(mask, bool) else ~mask


def certain(mask: Any) -> Any:
    """Returns a mask of plain bools: what is missing does not hold."""
    if not is_series(mask):
        return bool(mask)
    return mask if mask.dtype == "bool" else mask.fillna(False).astype("bool")


def present(value: Value) -> Any:
    """Returns where a value is not NULL."""
    if is_series(value):
        return value.notnull()  # noqa: PD004 - the name that dask has
    return value is not None and not pd.isna(value)


def kind_of(value: Value) -> str:
    """Returns what a value is: "number", "text", "time", "duration", "truth", "null" or "other"."""
    if is_series(value):
        return kind_of_type(value.dtype)
    if value is None:
        return "null"
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "truth"),
        ((int, float), "number"),
        (str, "text"),
        (pd.Timedelta, "duration"),
        (pd.Timestamp, "time"),
    )
    return next((kind for types, kind in kinds if isinstance(value, types)), "other")


def kind_of_type(dtype: Any) -> str:
    """Returns what a column of a type holds; see `kind_of`."""
    types = pd.api.types
    if isinstance(dtype, pd.CategoricalDtype):  # those of dask that are not known yet are said to be texts
        return kind_of_type(dtype.categories.dtype)
    if types.is_bool_dtype(dtype):
        return "truth"
    if types.is_numeric_dtype(dtype):
        return "number" if getattr(dtype, "kind", "f") != "c" else "other"
    if types.is_datetime64_any_dtype(dtype):
        return "time"
    if types.is_timedelta64_dtype(dtype):
        return "duration"
    return "text" if isinstance(dtype, pd.StringDtype) or str(dtype) in _TEXTS else "other"


_TEXTS: Final = ("object", "large_string[pyarrow]")
"""Besides pandas' own type; "object" may hold anything: what is not a text is NULL to functions of texts."""


def sql_type(dtype: Any) -> str:
    """Returns what a type of a column is called in SQL."""
    kind = kind_of_type(dtype)
    if str(dtype) == "object":
        return "OBJECT"
    if kind == "number" and pd.api.types.is_integer_dtype(dtype):
        return "BIGINT"
    return _SQL_NAMES[kind]


def sql_name(value: Value) -> str:
    """Returns what the kind of a value is called in SQL, for errors."""
    return _SQL_NAMES[kind_of(value)]


def plain_column(column: Series) -> Series:
    """Returns a column as expressions take it: of categories, their values."""
    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column
    kind = kind_of_type(column.dtype)
    held = column.dtype.categories.dtype
    return column.astype({"text": "string", "number": "float64"}.get(kind, held))


def chosen(rows: Rows, mask: Any, value: Value, other: Value) -> Value:
    """Returns one value where a mask holds, and another elsewhere."""
    if isinstance(mask, bool):
        return value if mask else other
    if value is None and other is None:
        return None
    if value is None:
        column = other if is_series(other) else rows.constant(other)
        return column.mask(mask)
    column = value if is_series(value) else rows.constant(value)
    return column.where(mask) if other is None else column.where(mask, other)
