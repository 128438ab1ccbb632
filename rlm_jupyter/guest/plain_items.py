"""Rows and other items as plain data that JSON has, in the notebook's process and in agents' kernels.

It travels there as source: the standard library only; values of numpy and pandas are known if these are imported.
"""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

_MOST_DEPTH = 8
_LONGEST = 400
"""Characters of the text of an object that is neither text nor number."""


def plain(value: Any, depth: int = 0) -> Any:
    """Returns a value of a table as JSON has it; of other objects the beginning of their text."""
    if value is None or isinstance(value, (bool, str)):
        found: Any = value
    elif isinstance(value, int):
        found = int(value)
    elif isinstance(value, float):
        found = None if math.isnan(value) else float(value) if math.isfinite(value) else str(value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        found = f"<{len(value):,} bytes>"
    elif isinstance(value, Mapping) and depth < _MOST_DEPTH:
        found = {str(key): plain(item, depth + 1) for key, item in value.items()}
    elif isinstance(value, (list, tuple, set, frozenset)) and depth < _MOST_DEPTH:
        found = [plain(item, depth + 1) for item in value]
    else:
        found = _other(value, depth)
    return found


def _other(value: Any, depth: int) -> Any:
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if pandas is not None and (value is pandas.NA or value is pandas.NaT):
        return None
    if numpy is not None and isinstance(value, numpy.generic):
        inner = value.item()
        return str(inner)[:_LONGEST] if isinstance(inner, numpy.generic) else plain(inner, depth + 1)
    if numpy is not None and isinstance(value, numpy.ndarray) and depth < _MOST_DEPTH:
        return plain(value.tolist(), depth + 1)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    return str(value)[:_LONGEST]


def plain_items(items: Any) -> list[Any]:
    """Returns items as plain data: the rows of a table as dicts, the values of a column, the items of a list.

    Raises:
        TypeError: it is no collection of items.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(items, pandas.DataFrame):
        items = items.to_dict("records")
    elif hasattr(items, "to_dicts"):  # polars
        items = items.to_dicts()
    if isinstance(items, (str, bytes, Mapping)) or not isinstance(items, Iterable):
        raise TypeError(
            f"The items must be a list of texts or rows, or a table, not `{type(items).__name__}`."
        )
    return [plain(item) for item in items]
