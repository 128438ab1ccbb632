"""Rows as a model reads them: one line of JSON each, which no value can leave."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rlm_jupyter.guest.plain_items import plain

if TYPE_CHECKING:
    import pandas as pd

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
