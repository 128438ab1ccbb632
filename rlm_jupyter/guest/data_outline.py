"""What a first look at an agent's data can show: which helpers fit it.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

from typing import Any

from .clean_tables import MOST_ROWS, find_keys, is_unclean
from .code_table import is_code
from .text_labels import column_of_texts
from .text_lines import outline, parse_lines

_MOST_ITEMS = 100_000


def outline_data(data: Any, question: str) -> dict[str, Any]:
    """Returns what helpers can make of an agent's data.

    Args:
        data: of the agent.
        question: verbatim.

    Returns:
        For a text what `text_lines.outline` tells. `code`: whether it is a dict of Python sources; `joined`: whether
        its tables have a common key; `unclean`: whether a table has texts to be converted; `texts`: the column of
        its rows that holds sentences. What does not hold is left out.
    """
    if type(data) is list and all(type(item) is str and "\n" not in item for item in data):
        data = "\n".join(data)
    if type(data) is str:
        about = outline(data, question)
        if len(about["lines"]) == 1:
            about |= _texts(parse_lines(data[:200_000].rpartition("\n")[0] if len(data) > 200_000 else data))  # noqa: PLR2004
        return about
    if type(data) is dict and 0 < len(data) <= _MOST_ITEMS:
        tables = list(data.values())
        small = all(hasattr(table, "shape") for table in tables) and sum(map(len, tables)) <= MOST_ROWS
        if small and find_keys(tables):
            return {"joined": True}
        return {"code": True} if is_code(data) else {}
    if type(data).__name__ == "DataFrame" and type(data).__module__.startswith("pandas"):
        unclean = len(data) <= MOST_ROWS and is_unclean(data)
        return ({"unclean": True} if unclean else {}) | _texts(data)
    return {}


def _texts(table: Any) -> dict[str, Any]:
    column = column_of_texts(table)
    return {} if column is None else {"texts": column}
