"""Descriptions of data, in which hidden columns show their names and types, and tokens in the place of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rlm_jupyter.security.hidden.tokens import OPEN

_DEPTH: Final = 6
_OF_VALUES: Final = ("range", "top", "examples", "preview")
"""Parts of what is told of a column that quote its values."""


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
            if "key" in about and hides(about["key"]) and "summary" in about:
                about["summary"] = cell(about["summary"], str(about["key"]))
            return {key: walked(one, depth + 1) for key, one in about.items()}
        if isinstance(part, (list, tuple)):
            return [walked(one, depth + 1) for one in part]
        return hide(part) if isinstance(part, str) else part

    return dict(walked(description, 0))
