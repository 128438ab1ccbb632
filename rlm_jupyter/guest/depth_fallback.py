"""What `rlm_query` asks at the depth limit: one plain completion, with as much of the data as fits.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

import itertools
import reprlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict, _short.maxtuple, _short.maxset = 4, 50, 50, 50, 50
_short.maxstring = _short.maxlong = _short.maxother = 2000


def fallback_prompt(question: str, data: Any, description: str, room: int) -> str:
    """Write the prompt: the question, what the data is, and the data between marks that do not occur in it.

    Args:
        question: what the sub-agent would have been asked.
        data: any object.
        description: of the data, as text.
        room: characters of data that fit.
    """
    text, whole = as_text(data, room)
    mark = "=====DATA====="
    while mark in text:
        mark = f"={mark}="
    extent = (
        "The data, whole"
        if whole
        else "The beginning of the data; the rest does not fit, so say what you lack"
    )
    return f"{question}\n\nWhat the data is:\n{description}\n\n{extent}:\n{mark}\n{text}\n{mark}\n"


def as_text(data: Any, room: int) -> tuple[str, bool]:
    """Write data as text of at most `room` characters; return it, and whether it is all of the data."""
    if isinstance(data, str):
        return data[:room], len(data) <= room
    if isinstance(data, (bytes, bytearray)):
        text = repr(bytes(data[:room]))
        return text[:room], len(text) <= room and len(data) <= room
    if hasattr(data, "to_csv") and hasattr(data, "head"):
        return _table_text(data, room)
    if isinstance(data, Mapping):
        return _lines((f"{_short.repr(key)}: {_item(item, room)}" for key, item in data.items()), room)
    if isinstance(data, (Sequence, AbstractSet)):
        return _lines((_item(item, room) for item in data), room)
    text = repr(data)
    return text[:room], len(text) <= room


def _item(item: Any, room: int) -> str:
    return repr(item[:room]) if isinstance(item, str) else _short.repr(item)


def _lines(lines: Any, room: int) -> tuple[str, bool]:
    """Join lines until no more fits."""
    taken: list[str] = []
    for line in lines:
        if len(line) + 1 > room:
            return "\n".join([*taken, line[: max(room, 0)]]), False
        taken.append(line)
        room -= len(line) + 1
    return "\n".join(taken), True


def _table_text(table: Any, room: int) -> tuple[str, bool]:
    """Write the first rows of a DataFrame or Series as CSV, as many as fit, never all of millions."""
    rows = len(table)
    for count in itertools.accumulate(itertools.repeat(4), lambda a, b: a * b, initial=25):
        text = str(table.head(count).to_csv())
        if count >= rows and len(text) <= room:
            return text, True
        if len(text) > room:
            return text[:room].rpartition("\n")[0] or text[:room], False
    raise AssertionError("unreachable: the rows end, or the room does")
