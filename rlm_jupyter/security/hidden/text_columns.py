"""Hidden columns of data that is a text: tables with a line of names, and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

_SEPARATORS: Final = ",;\t|"
_LONGEST_HEAD: Final = 20_000
"""Characters of a line of names."""
_JSON: Final = re.compile(r"\s*[\[{]")
_DEPTH: Final = 40


def columns_of_text(text: str, hides: Callable[[str], bool]) -> Iterator[tuple[str, list[Any]]]:
    """Yields the hidden columns of a text and their values; none if it is neither a table nor JSON.

    Args:
        text: of any kind.
        hides: says whether a column or key of that name is hidden.
    """
    found: dict[str, list[Any]] = {}
    if _JSON.match(text):
        for value in _json_values(text):
            _collect(value, hides, found, 0)
    else:
        _read_table(text, hides, found)
    yield from found.items()


def _json_values(text: str) -> Iterator[Any]:
    """Yields the value of a text, or those of its lines."""
    try:
        yield json.loads(text)
    except (ValueError, RecursionError):
        for line in io.StringIO(text):
            if _JSON.match(line):
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    continue


def _collect(value: Any, hides: Callable[[str], bool], found: dict[str, list[Any]], depth: int) -> None:
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        for key, part in value.items():
            if hides(key):
                found.setdefault(key, []).append(part)
            else:
                _collect(part, hides, found, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _collect(part, hides, found, depth + 1)


def _read_table(text: str, hides: Callable[[str], bool], found: dict[str, list[Any]]) -> None:
    end = text.find("\n", 0, _LONGEST_HEAD)
    if end < 0:
        return
    head = text[:end].lstrip("\ufeff").rstrip("\r")
    separator = max(_SEPARATORS, key=head.count)
    if separator not in head:
        return
    names = next(csv.reader([head], delimiter=separator), [])
    hidden = {place: name for place, name in enumerate(one.strip() for one in names) if hides(name)}
    if not hidden:
        return
    try:
        for row in csv.reader(io.StringIO(text[end + 1 :]), delimiter=separator):
            for place, name in hidden.items():
                if place < len(row):
                    found.setdefault(name, []).append(_number(row[place].strip()))
    except csv.Error:  # what was read so far is hidden
        return


def _number(text: str) -> Any:
    """Returns a number that is written in digits as one, so that it is found in all of its forms."""
    try:
        return float(text) if "." in text or "e" in text.lower() else int(text)
    except ValueError:
        return text
