"""Descriptions of values as an agent's kernel sends them: shown, logged and kept, and so bounded here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

MOST_VARIABLES: Final = 5_000
"""Names of one agent that are kept; its code may make more, and they stay in its kernel untold."""
MOST_CHANGES: Final = 20_000
"""Times that one agent's kernel may tell of its variables; code that sends frames of its own would fill the log."""

MOST_TOLD: Final = 10_000_000
"""Characters of all descriptions of one agent's variables; further ones keep type and summary alone."""

_MOST_CHARS = 200_000
_LONGEST_NAME = 200
_PARTS = frozenset(
    {
        "bytes", "columns", "index", "items", "keys", "length", "place", "preview", "rows", "shape", "truncated",
        "turn",
    }
)  # fmt: skip


def description_of(given: object, most: int = _MOST_CHARS) -> dict[str, Any]:
    """Take a description for what it must be to be shown.

    Args:
        given: what the kernel sent.
        most: characters, about; one that is larger keeps type and summary alone.
    """
    told = given if isinstance(given, dict) else {}
    described = {name: part for name, part in told.items() if name in _PARTS}
    if _size(described, most) > most:
        described = {"truncated": True}
    described["type"] = _text(told.get("type"), "object")[:200]
    described["summary"] = _text(told.get("summary"), described["type"])[:400]
    return described


class Variables:
    """Which variables an agent's kernel has told of, so that neither tree nor log grows without end."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._changes = 0
        self._left = MOST_TOLD

    def changed(
        self, variables: object, removed: object
    ) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
        """Return what is to be told of a change: descriptions, and the names that are gone."""
        self._changes += 1
        if self._changes > MOST_CHANGES:
            return (), ()
        gone = tuple(name for name in map(_name, _items(removed)) if name in self._names)
        self._names.difference_update(gone)
        return tuple(self._described(variables)), gone

    def _described(self, variables: object) -> Iterator[dict[str, Any]]:
        for item in _items(variables):
            if not isinstance(item, dict) or "name" not in item:
                continue
            name = _name(item["name"])
            if name in self._names or len(self._names) < MOST_VARIABLES:
                self._names.add(name)
                described = description_of(item, min(_MOST_CHARS, self._left))
                self._left = max(0, self._left - _size(described, _MOST_CHARS))
                yield {**described, "name": name}


def _items(given: object) -> Iterable[Any]:
    return islice(given, MOST_VARIABLES) if isinstance(given, list) else ()


def _text(given: object, otherwise: str) -> str:
    return given if isinstance(given, str) else otherwise


def _name(given: object) -> str:
    return given[:_LONGEST_NAME] if isinstance(given, str) else type(given).__name__


def _size(value: object, most: int) -> int:
    """Return about how many characters a value of JSON has; a little more than `most` where they are more."""
    todo, size = [value], 0
    while todo and size <= most:
        item = todo.pop()
        if isinstance(item, dict):
            todo += item.values()
            size += sum(map(len, item))
        elif isinstance(item, list):
            todo += item
        size += len(item) if isinstance(item, str) else 8
    return size
