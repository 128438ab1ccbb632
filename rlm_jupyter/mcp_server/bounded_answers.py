"""Answers of runs as JSON of bounded size, and parts of them by a path, so that a large one is read piece by piece."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.values.describe.short_text import short

MOST_CHARS = 8192
"""Of the JSON of one answer."""
_MOST_PARTS = 400
_DEEPEST = 8
_LONGEST_PATH = 1000
_ARRAY = (list, tuple, set, frozenset)


class _Room:
    """What an answer still has room for."""

    def __init__(self, chars: int = MOST_CHARS) -> None:
        self.chars = chars
        self.parts = _MOST_PARTS
        self.whole = True

    def take(self, text: str) -> str:
        kept = text[: max(0, self.chars)]
        while kept and len(json.dumps(kept)) > self.chars + 2:
            kept = kept[: len(kept) * 3 // 4]
        self.chars -= len(json.dumps(kept))
        self.whole = self.whole and len(kept) == len(text)
        return kept


def bounded(value: Any, *, start: int = 0) -> dict[str, Any]:
    """Returns a value as JSON of bounded size.

    Args:
        value: any object of this process.
        start: of a text, a list or a table: the first character, item or row.

    Returns:
        `value`, `type`, `whole` (whether nothing is missing), `length` of what has one, and `next_start`.
    """
    room = _Room()
    about: dict[str, Any] = {"type": type(value).__name__}
    length = _length(value)
    if length is None:
        made = _plain(value, room, 0)
    else:
        about["length"] = length
        if start and start >= length:
            raise RequestRefusedError(f"`start` is {start:,}, and the length is {length:,}.")
        made, end = _from(value, start, room)
        if end < length:
            room.whole = False
            about["next_start"] = end
    return {**about, "value": made, "whole": room.whole and not start}


def part_of(value: Any, path: str) -> Any:
    """Returns a part of a value.

    Args:
        value: any object.
        path: as a JSON Pointer (RFC 6901): ``/rows/0/city``; of a table ``/3`` is a row, ``/city`` a column; empty for
            the whole.

    Raises:
        RequestRefusedError: there is no such part.
    """
    if not path:
        return value
    if not path.startswith("/") or len(path) > _LONGEST_PATH:
        raise RequestRefusedError(
            "`path` is a JSON Pointer such as `/rows/0/city`: each part behind a slash; empty for the whole answer."
        )
    for step in path[1:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        try:
            value = _step(value, key)
        except (KeyError, IndexError, ValueError, TypeError):
            known = ", ".join(f"`{short(name, 40)}`" for name in _names(value)) or "none"
            raise RequestRefusedError(f"There is no part `{key:.60}` here. Parts: {known}.") from None
    return value


def _step(value: Any, key: str) -> Any:  # noqa: PLR0911 - one for each kind
    if isinstance(value, Mapping):
        if key in value:
            return value[key]
        return (
            next(item for name, item in value.items() if str(name) == key) if _has(value, key) else value[key]
        )
    if isinstance(value, (list, tuple)):
        return value[_index(key)]
    pd = sys.modules.get("pandas")
    if pd is not None and isinstance(value, pd.DataFrame):
        if key in value.columns:
            return value[key]
        return value.iloc[_index(key)]
    if pd is not None and isinstance(value, pd.Series):
        return value[key] if key in value.index else value.iloc[_index(key)]
    np = sys.modules.get("numpy")
    if np is not None and isinstance(value, np.ndarray) and value.ndim:
        return value[_index(key)]
    raise TypeError(key)


def _has(value: Mapping[Any, Any], key: str) -> bool:
    return any(str(name) == key for name in value if not isinstance(name, str))


def _index(key: str) -> int:
    if not key.isascii() or not key.isdigit() or len(key) > 18:  # noqa: PLR2004 - of a number that a machine has
        raise ValueError(key)
    return int(key)


def _names(value: Any) -> Iterator[Any]:
    names = value if isinstance(value, Mapping) else getattr(value, "columns", ())
    for count, name in enumerate(names):
        if count >= 20:  # noqa: PLR2004 - of a message
            return
        yield name


def _length(value: Any) -> int | None:
    if isinstance(value, (str, *_ARRAY)) or hasattr(value, "iloc"):
        return len(value)
    shape = getattr(value, "shape", None)
    return shape[0] if isinstance(shape, tuple) and shape and type(shape[0]) is int else None


def _from(value: Any, start: int, room: _Room, depth: int = 0) -> tuple[Any, int]:
    """Returns what there is room for from a place on, and where that ends."""
    if isinstance(value, str):
        kept = room.take(str.__str__(value)[start : start + MOST_CHARS])
        room.whole = True
        return kept, start + len(kept)
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=repr)
    made: list[Any] = []
    end = start
    for item in _items(value, start):
        if room.chars <= 0 or room.parts <= 0:
            break
        made.append(_plain(item, room, depth + 1))
        end += 1
    return made, end


def _items(value: Any, start: int) -> Iterator[Any]:
    """Yields the items of a list or an array, the rows of a table as dicts, the values of a series."""
    if isinstance(value, (list, tuple)):
        yield from value[start:]
        return
    if hasattr(value, "iloc"):
        names = getattr(value, "columns", None)
        for at in range(start, len(value)):
            row = value.iloc[at]
            yield row if names is None else {str(name): item for name, item in zip(names, row, strict=True)}
        return
    if hasattr(value, "to_pylist"):  # of Arrow
        yield from value.slice(start, _MOST_PARTS).to_pylist()
        return
    head = value[start : start + _MOST_PARTS]
    yield from head.tolist() if hasattr(head, "tolist") else head.to_dicts()


def _plain(value: Any, room: _Room, depth: int) -> Any:  # noqa: PLR0911 - one for each kind
    """Returns a value, or as much of it as there is room for, as JSON has it."""
    room.parts -= 1
    if value is None or isinstance(value, bool):
        room.chars -= 5
        return value
    if isinstance(value, (int, float)) and type(value) in (int, float):
        return _number(value, room)
    if isinstance(value, str):
        return room.take(str.__str__(value))
    if depth >= _DEEPEST or room.parts <= 0 or room.chars <= 0:
        room.whole = False
        return room.take(short(value, 80))
    if isinstance(value, Mapping):
        made: dict[str, Any] = {}
        for key, item in value.items():
            if room.parts <= 0 or room.chars <= 0:
                room.whole = False
                break
            made[room.take(str(key) if isinstance(key, (str, int, float)) else short(key, 80))] = _plain(
                item, room, depth + 1
            )
        return made
    if _length(value) is not None:
        items, end = _from(value, 0, room, depth)
        room.whole = room.whole and end >= (_length(value) or 0)
        return items
    item = getattr(value, "item", None)
    if type(value).__module__ == "numpy" and callable(item):
        plain = item()
        return _plain(plain, room, depth) if type(plain) is not type(value) else room.take(short(value, 200))
    return room.take(short(value, 200))


def _number(value: float, room: _Room) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return room.take(str(value))  # JSON has none
    if isinstance(value, int) and value.bit_length() > 200:  # noqa: PLR2004
        return room.take(short(value, 200))
    room.chars -= len(repr(value))
    return value
