"""Rows as a model reads them: one line of JSON each, which no value can leave."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_MOST_DEPTH = 8
_LONGEST = 400
"""Characters of the text of an object that is neither text nor number."""
_LINE_ENDS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"}


def row_texts(frame: pd.DataFrame) -> list[str]:
    """Returns each row as a JSON object from column to value; what is missing is null."""
    names = [str(name) for name in frame.columns]
    columns = [[plain(value) for value in frame.iloc[:, place].tolist()] for place in range(frame.shape[1])]
    if not columns:
        return ["{}"] * len(frame)
    return [item_text(dict(zip(names, values, strict=True))) for values in zip(*columns, strict=True)]


def item_text(item: object) -> str:
    """Returns an item of plain data as one line of JSON."""
    text = json.dumps(item, ensure_ascii=False)
    for end, escaped in _LINE_ENDS.items():
        text = text.replace(end, escaped)
    return text


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
    import numpy as np
    import pandas as pd

    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.generic):
        inner = value.item()
        return str(inner)[:_LONGEST] if isinstance(inner, np.generic) else plain(inner, depth + 1)
    if isinstance(value, np.ndarray) and depth < _MOST_DEPTH:
        return plain(value.tolist(), depth + 1)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    return str(value)[:_LONGEST]
