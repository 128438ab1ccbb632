"""A value's description, checked and bounded: what an agent's kernel sent may have any shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlm_jupyter.text.sanitize import head_tail, one_line
from rlm_jupyter.views import protocol
from rlm_jupyter.views.json_numbers import whole

ROWS = 8
"""Of a table, at most, unless a caller wants others."""
_COLUMNS = 40
_ITEMS = 30


def description(
    given: object, *, rows: int = ROWS, preview: int = 2000, columns: int = _COLUMNS, items: int = 0
) -> protocol.Description | None:
    """Check and bound a description; None if there is none.

    Args:
        given: as `rlm_jupyter.values.describe.api` makes it, or anything an agent's kernel sent in its place.
        rows: of a table, at most.
        preview: characters of the preview, at most.
        columns: of a table, at most.
        items: of a container, at most, as a table; with 0 the preview names them, a line each.
    """
    if not isinstance(given, Mapping):
        return None
    shape = given.get("shape")
    contents = [_item(item) for item in _list(given.get("items"), items)]
    beginning = given["preview"] if isinstance(given.get("preview"), str) else ""
    if not beginning and not items:
        beginning = _named(given)
    return {
        "type": one_line(given.get("type") or "object", 80),
        "summary": one_line(given.get("summary") or given.get("type") or "a value"),
        "bytes": whole(given.get("bytes")),
        "shape": [whole(n) for n in shape[:8]] if isinstance(shape, (list, tuple)) else None,
        "length": whole(given.get("length")),
        "columns": [_column(item) for item in _list(given.get("columns"), columns)],
        "rows": [[one_line(x, 80) for x in _list(line, columns)] for line in _list(given.get("rows"), rows)],
        "items": contents,
        "preview": head_tail(beginning, preview) if preview else "",
        "truncated": given.get("truncated") is True,
        "turn": whole(given.get("turn")),
        "place": given.get("place") if given.get("place") in ("memory", "disk", "shared") else None,
    }


def _item(given: object) -> protocol.Item:
    """Check a part of a container: its key (None in a list), type, size and beginning."""
    known = given if isinstance(given, Mapping) else {"summary": given}
    return {
        "key": one_line(known["key"], 60) if "key" in known else None,
        "type": one_line(known.get("type") or "", 40),
        "bytes": whole(known.get("bytes")),
        "summary": one_line(known.get("summary"), 120),
    }


def _named(given: Mapping[str, Any]) -> str:
    """Returns what is in a dict or a list, a line each."""
    parts = map(_item, _list(given.get("items"), _ITEMS))
    return "\n".join(
        f"{'' if part['key'] is None else part['key'] + ': '}{part['summary']}" for part in parts
    )


def _column(item: object) -> protocol.Column:
    known = item if isinstance(item, Mapping) else {"name": item}
    return {
        "name": one_line(known.get("name"), 80),
        "dtype": one_line(known.get("dtype") or "", 40),
        "nulls": whole(known.get("nulls")),
    }


def _list(value: object, limit: int) -> list[Any]:
    return list(value[:limit]) if isinstance(value, (list, tuple)) else []
