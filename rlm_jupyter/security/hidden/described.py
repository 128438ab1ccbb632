"""Descriptions of data, in which hidden columns show their names and types, and tokens in the place of values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from rlm_jupyter.security.hidden.tokens import OPEN

_DEPTH: Final = 6
_OF_VALUES: Final = ("range", "top", "examples", "preview")
"""Parts of what is told of a column that quote its values."""
_MEMBER: Final = re.compile(
    r'("((?:[^"\\]|\\.){1,60})"\s*:\s*)(?:"(?:[^"\\]|\\.)*+"?|-?\d[\d.eE+-]*|true|false)', re.DOTALL
)
"""A key of JSON and a value of it that is neither a list nor an object; the text may have been cut."""
_SEPARATORS: Final = re.compile(r"[,;\t|]")


def described_with_tokens(
    description: Mapping[str, Any], hides: Callable[[object], bool], hide: Callable[[str], str]
) -> dict[str, Any]:
    """Returns a description without the values of hidden columns.

    Args:
        description: as `values.describe` makes it, or a kernel sent it.
        hides: says whether a column, key or field of that name is hidden.
        hide: puts tokens in the place of hidden values in a text; what it does not know is left out.
    """

    def cell(text: Any, name: str) -> str:
        found = hide(text) if isinstance(text, str) else ""
        return found if found.startswith(OPEN) and found != text else f"{OPEN}{name}⟩"

    def table(about: dict[str, Any]) -> None:
        columns = about.get("columns")
        names = [one.get("name") if isinstance(one, Mapping) else None for one in columns or ()]
        hidden = {place: str(name) for place, name in enumerate(names) if hides(name)}
        if hidden and isinstance(columns, list):
            about["columns"] = [
                {key: part for key, part in column.items() if key not in _OF_VALUES}
                if place in hidden
                else column
                for place, column in enumerate(columns)
            ]
            rows = about.get("rows")
            about["rows"] = [
                [cell(text, hidden[place]) if place in hidden else text for place, text in enumerate(row)]
                if isinstance(row, (list, tuple))
                else row
                for row in (rows if isinstance(rows, (list, tuple)) else ())
            ]
        index = about.get("index")
        if isinstance(index, Mapping) and any(map(hides, index.get("names") or ())):
            about["index"] = {key: part for key, part in index.items() if key not in ("first", "last")}

    def walked(part: Any, depth: int) -> Any:
        if depth > _DEPTH:
            return part
        if isinstance(part, Mapping):
            about = dict(part)
            table(about)
            about |= _preview(about, hides, cell)
            if "key" in about and hides(about["key"]) and "summary" in about:
                about["summary"] = cell(about["summary"], str(about["key"]))
            return {key: walked(one, depth + 1) for key, one in about.items()}
        if isinstance(part, (list, tuple)):
            return [walked(one, depth + 1) for one in part]
        return hide(part) if isinstance(part, str) else part

    return dict(walked(description, 0))


def _preview(
    about: Mapping[str, Any], hides: Callable[[object], bool], cell: Callable[[Any, str], str]
) -> dict[str, Any]:
    """Returns the beginning of a file, as a part of a description, without values too short to be looked for."""
    text = about.get("preview")
    if not isinstance(text, str):
        return {}
    head = text.partition("\n")[0]
    if about.get("file") == "text" and any(hides(name.strip()) for name in _SEPARATORS.split(head)):
        return {"preview": head}

    def member(match: re.Match[str]) -> str:
        value = match[0][len(match[1]) :]
        return match[0] if not hides(match[2]) else f'{match[1]}"{cell(value, match[2])}"'

    return {"preview": _MEMBER.sub(member, text) if '"' in text else text}
