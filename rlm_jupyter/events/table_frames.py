"""The tables of runs as DataFrames of pandas, which is imported when the first one is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.events.run_tables import DTYPES, Kind, table_of
from rlm_jupyter.events.tree_state import TreeState

if TYPE_CHECKING:
    import pandas as pd

_INTEGERS = range(-(2**63), 2**63)
_TIMES = (0.0, 253402300800.0)
"""Seconds since the epoch: the years 1970 to 9999. A log that somebody made may have any number."""
_NO_TIME = -(2**63)


def frame_of(trees: Iterable[TreeState], table: str) -> pd.DataFrame:
    """Returns one table of some runs as a DataFrame; `docs/frames.md` has its columns.

    Args:
        trees: the states of the runs; hold the lock of one that still goes on.
        table: `runs`, `agents`, `turns`, `calls` or `variables`.

    Raises:
        ConfigError: there is no such table, or pandas is not installed.
    """
    columns = table_of(table).columns
    library = _pandas()
    found: dict[str, list[object]] = {column.name: [] for column in columns}
    for tree in trees:
        for name, values in table_of(table).values(tree).items():
            found[name] += values
    frame: pd.DataFrame = library.DataFrame({c.name: _array(library, c.kind, found[c.name]) for c in columns})
    return frame


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise ConfigError(
            f"Tables of runs need `pandas`, which cannot be imported ({error}): `pip install pandas`."
        ) from None
    return pd


def _array(pd: Any, kind: Kind, values: list[object]) -> Any:
    """Make a column of its kind's dtype; what is not of that kind is missing."""
    if kind == "time":
        import numpy as np

        ticks = np.array([_microseconds(value) for value in values], dtype="int64")
        return pd.DatetimeIndex(ticks.view("datetime64[us]")).tz_localize("UTC")
    clean = {"text": _text, "integer": _integer, "number": _number, "flag": _flag}[kind]
    return pd.array([clean(value) for value in values], dtype=DTYPES[kind])


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, which Arrow's columns cannot hold
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value not in _INTEGERS:
        return None
    return value


def _number(value: object) -> float:
    known = value if isinstance(value, float) else _integer(value)
    return math.nan if known is None else float(known)


def _flag(value: object) -> bool:
    return value is True


def _microseconds(value: object) -> int:
    number = _number(value)
    return round(number * 1e6) if _TIMES[0] <= number < _TIMES[1] else _NO_TIME
