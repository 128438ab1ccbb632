"""Write a description as plain text.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .short_text import cut, head_tail, short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WIDTH = 200


def render(description: Mapping[str, Any], *, name: str | None = None, max_chars: int = 4000) -> str:
    """Write a description as plain text, as a prompt shows it.

    Args:
        description: as `describe` makes it, or anything that an agent's kernel sent in its place.
        name: what the value is called.
        max_chars: of the text.
    """
    about = dict(description)
    lines = [f"{name}: {_line(about, 'summary')}" if name else _line(about, "summary")]
    lines += _render_index(about.get("index"))
    lines += [f"- {_render(column, _render_column)}" for column in _list(about, "columns", 60)]
    lines += [f"- {_render(field, _render_field)}" for field in _list(about, "fields", 60)]
    rows = _list(about, "rows", 100)
    if rows:
        lines.append("first rows:" if len(rows) > 1 else "first row:")
        lines += [
            "  " + " | ".join(_plain(cell) for cell in row) for row in rows if isinstance(row, (list, tuple))
        ]
    for item in _list(about, "items", 60):
        if isinstance(item, dict):
            key = f"{_line(item, 'key')}: " if "key" in item else ""
            lines.append(f"- {key}{_line(item, 'summary')}")
    preview = about.get("preview")
    if isinstance(preview, str) and preview not in lines[0]:
        lines.append(preview)
    notes = [_plain(note) for note in _list(about, "notes", 60)]
    room = max_chars - sum(len(note) + 1 for note in notes)
    return "\n".join([head_tail("\n".join(lines), room), *notes])


def _render(part: Any, render_part: Callable[[Any], str]) -> str:
    try:
        return render_part(part)
    except (TypeError, ValueError, LookupError, AttributeError):  # it came from a kernel, in any shape
        return short(part, _WIDTH)


def _plain(part: Any) -> str:
    text = part if type(part) is str else short(part, _WIDTH)
    return cut(" ".join(text[: 2 * _WIDTH].split()), _WIDTH)


def _line(about: Mapping[str, Any], key: str) -> str:
    return _plain(about.get(key, ""))


def _list(about: Mapping[str, Any], key: str, limit: int) -> list[Any]:
    found = about.get(key)
    return list(found[:limit]) if isinstance(found, (list, tuple)) else []


def _render_index(index: Any) -> list[str]:
    if not isinstance(index, dict) or (index.get("type") == "RangeIndex" and index.get("names") == ["None"]):
        return []
    names = ", ".join(_plain(n) for n in _list(index, "names", 10) if n != "None")
    ends = f", {_line(index, 'first')} … {_line(index, 'last')}" if "first" in index else ""
    return [f"index: {_line(index, 'type')}{f' ({names})' if names else ''}, {_line(index, 'dtype')}{ends}"]


def _render_column(column: Any) -> str:
    parts = [f"{_line(column, 'name')} ({_line(column, 'dtype')})"]
    about = "about " if column.get("estimated") else ""
    if isinstance(nulls := column.get("nulls"), int) and nulls:
        parts.append(f"{about}{nulls:,} missing")
    sampled = " in a sample" if column.get("sampled") else ""
    if ends := _list(column, "range", 2):
        parts.append(f"{' … '.join(map(_plain, ends))}{sampled}")
    if top := _list(column, "top", 10):
        shares = ", ".join(
            f"{_plain(item[0])} {item[1]:.1%}" for item in top if isinstance(item, (list, tuple))
        )
        parts.append(f"{column.get('distinct', '?')} distinct{sampled}, commonest {shares}")
    if examples := _list(column, "examples", 10):
        parts.append(f"such as {', '.join(map(_plain, examples))}")
    return ": ".join([parts[0], "; ".join(parts[1:])]) if parts[1:] else parts[0]


def _render_field(field: Any) -> str:
    return f"{_line(field, 'name')} ({', '.join(map(_plain, field['types']))})"
