"""What a variable is, in a few words, and the code that takes it apart: from its description alone.

Descriptions come from agents' kernels and quote data: every part is taken for what it may be, cut, and put on one line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Literal

from rlm_jupyter.text.sanitize import one_line

Kind = Literal["text", "table", "column", "list", "dict", "array", "none", "other"]

_SHOWN = 60  # characters of a line of data
_NAME = 40
_MOST_NAMES = 8
_MOST_PREVIEW = 4_000
_TYPES: dict[str, Kind] = {
    **dict.fromkeys(("str", "text"), "text"),
    **dict.fromkeys(("Series", "Index"), "column"),
    **dict.fromkeys(("list", "tuple", "set", "frozenset", "deque"), "list"),
    **dict.fromkeys(("dict", "defaultdict", "Counter", "OrderedDict"), "dict"),
    "DataFrame": "table",
    "ndarray": "array",
    "NoneType": "none",
}
_LINES = re.compile(r"([\d,]+) lines?\b")
_CUT_MARK = re.compile(r"… \[[\d,]+ characters\] …")
_SEPARATORS = (" || ", "||", " | ", "|", "\t", " ; ", ";", " - ", " — ")
_KEY = re.compile(r"[{ ]'([^'\n]{1,40})': ")
_WORD = re.compile(r"[^\W_]+")


def quoted(text: object, limit: int = _SHOWN) -> str:
    """Returns a piece of data on one line, cut, in backticks."""
    return f"`{one_line(text, limit).replace('`', chr(39))}`"


def listed(names: Iterable[object], most: int = _MOST_NAMES) -> str:
    """Returns names in backticks; of many, the first ones."""
    found = list(islice(names, most + 1))
    return ", ".join(quoted(name, _NAME) for name in found[:most]) + (", …" if len(found) > most else "")


def kind_of(description: Mapping[str, Any]) -> Kind:
    """Returns of what kind a value is."""
    if _items(description, "columns"):
        return "table"
    return _TYPES.get(type_of(description), "other")


def type_of(description: Mapping[str, Any]) -> str:
    """Returns the name of a value's type."""
    found = description.get("type")
    return found if isinstance(found, str) else ""


def columns_of(description: Mapping[str, Any]) -> list[str]:
    """Returns the names of a table's columns, of a dict's keys, or of the fields of a list of dicts."""
    columns = [part.get("name") for part in _items(description, "columns") if isinstance(part, dict)]
    fields = [part.get("name") for part in _items(description, "fields") if isinstance(part, dict)]
    found = columns or fields or _items(description, "keys") or _keys_of_items(description)
    return [name for name in found if isinstance(name, str)]


def _keys_of_items(description: Mapping[str, Any]) -> list[Any]:
    """Returns the keys of the first dict in a list, as far as they are quoted."""
    first = next(iter(_items(description, "items")), None)
    if not isinstance(first, dict) or type_of(first) != "dict" or "key" in first:
        return []
    summary = first.get("summary")
    return _KEY.findall(summary[:400]) if isinstance(summary, str) else []


def number_of_lines(description: Mapping[str, Any]) -> int:
    """Returns how many lines a text has; 1 if that is unknown."""
    lines = description.get("lines")
    if isinstance(lines, int):
        return lines
    summary = description.get("summary")
    found = _LINES.search(summary) if isinstance(summary, str) else None
    return int(found[1].replace(",", "") or 1) if found else 1


def typical_line(description: Mapping[str, Any]) -> str:
    """Returns a line of a text that has the form of most lines in its preview; empty if there is none."""
    lines = _lines_of(description)
    forms = Counter(map(_form, lines))
    return max(lines, key=lambda line: (forms[_form(line)], len(line) > 1), default="")


def separator_of(line: str) -> str:
    """Returns what stands between the parts of a line; empty if there is no such thing."""
    return next((mark for mark in _SEPARATORS if mark in line), "")


def in_words(name: str, description: Mapping[str, Any], sample: int = _SHOWN) -> str:
    """Returns a clause: what a variable is.

    Args:
        name: of the variable.
        description: of its value.
        sample: characters of data that are quoted; 0 for none.
    """
    kind = kind_of(description)
    if kind == "text":
        lines = number_of_lines(description)
        line = typical_line(description) if sample else ""
        such = (
            f" such as {quoted(line, sample)}"
            if line and lines > 1
            else f" {quoted(line, sample)}"
            if line
            else ""
        )
        return f"`{name}` is a text of {lines:,} lines{such}" if lines > 1 else f"`{name}` is a text{such}"
    names = columns_of(description)
    what = type_of(description) or "value"
    if names and sample:
        if kind == "list":
            return (
                f"`{name}` is a {what}{_items_in_words(description)}, each with the keys {listed(names, 5)}"
            )
        return f"`{name}` is a {what} with the {'columns' if kind == 'table' else 'keys'} {listed(names, 5)}"
    return f"`{name}` is a {what}{_items_in_words(description)}"


def way_into_text(name: str, description: Mapping[str, Any]) -> str:
    """Returns the code that takes a text apart."""
    lines = _lines_of(description)
    line, many = typical_line(description), number_of_lines(description) > 1
    first = lines[0] if lines else ""
    if many and line.startswith("{") and line.endswith("}"):
        return f"rows = [json.loads(line) for line in {name}.splitlines() if line.strip()]"
    if first.startswith(("{", "[{")):
        return f"data = json.loads({name})"
    for mark, option in ((",", ""), ("\t", ', sep="\\t"')):
        if many and _is_header(first, mark, lines):
            return f"table = pd.read_csv(io.StringIO({name}){option})"
    if mark := separator_of(line):
        part = f"line.split({mark!r})" if many else f"{name}.split({mark!r})"
        return f"rows = [{part} for line in {name}.splitlines()]" if many else f"parts = {part}"
    return f"lines = {name}.splitlines()" if many else f"words = {name}.split()"


def _items_in_words(description: Mapping[str, Any]) -> str:
    length, kinds = description.get("length"), description.get("item_types")
    if not isinstance(length, int):
        return ""
    of = (
        f" ({', '.join(one_line(kind, _NAME) for kind in list(kinds)[:2])})"
        if isinstance(kinds, dict) and kinds
        else ""
    )
    return f" of {length:,} item{'s' * (length != 1)}{of}"


def _is_header(first: str, mark: str, lines: list[str]) -> bool:
    count = first.count(mark)
    return (
        count > 0
        and len(lines) > 1
        and not any(char.isdigit() for char in first)
        and ": " not in first
        and all(line.count(mark) == count for line in lines[1:4])
    )


def _lines_of(description: Mapping[str, Any]) -> list[str]:
    preview = description.get("preview")
    if not isinstance(preview, str):
        return []
    lines = preview[:_MOST_PREVIEW].split("\n")
    if (mark := next((n for n, line in enumerate(lines) if _CUT_MARK.fullmatch(line)), None)) is not None:
        # The lines beside the mark are cut.
        lines = lines[: max(1, mark - 1)] + lines[mark + 2 :]
    return [line.strip() for line in lines if line.strip()]


def _form(line: str) -> str:
    return _WORD.sub("w", line[:200])


def _items(description: Mapping[str, Any], key: str) -> list[Any]:
    found = description.get(key)
    return list(found[:200]) if isinstance(found, (list, tuple)) else []
