"""Hidden keys of JSON, at any depth.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...values.files.encodings import encoding_of
from ...values.files.kinds import Form, head_of, open_plain
from .found_values import FoundValues, RefusedError
from .wanted_columns import Wanted

_DEPTH = 200
_OPENING = ("{", "[")


def read_json(path: Path, form: Form, wanted: Wanted, found: FoundValues, *, strict: bool = True) -> bool:
    """Read the wanted keys of a file that is JSON, or whose lines are.

    Args:
        path: of the file.
        form: of it.
        wanted: says which.
        found: takes their values.
        strict: whether all lines must be; else those that are not are passed over.

    Returns:
        Whether there is JSON in it.

    Raises:
        RefusedError: it is neither.
    """
    with open_plain(path, form) as file:
        data = file.read()
    text = data.decode(encoding_of(data, cut=False))
    try:
        value = json.loads(text)
    except ValueError:
        return _read_lines(io.StringIO(text, newline="\n"), wanted, found, strict=strict)
    search_json(value, wanted, found)
    return True


def read_json_lines(path: Path, form: Form, wanted: Wanted, found: FoundValues) -> bool:
    """Read the wanted keys of a file each of whose lines is JSON.

    Raises:
        RefusedError: one is not.
    """
    encoding = encoding_of(head_of(path, form))
    # Ends at line feeds alone: a text in JSON may hold other characters that are taken for line ends.
    with open_plain(path, form) as file, io.TextIOWrapper(file, encoding, newline="\n") as lines:
        return _read_lines(lines, wanted, found, strict=True)


def _read_lines(lines: Iterator[str], wanted: Wanted, found: FoundValues, *, strict: bool) -> bool:
    is_json = strict
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            if not strict:
                continue
            raise RefusedError(f"its line {number:,} is no JSON") from None
        is_json = is_json or isinstance(value, (dict, list))
        search_json(value, wanted, found)
    return is_json


def search_json(value: Any, wanted: Wanted, found: FoundValues) -> None:
    """Take the values of wanted keys, at any depth.

    Raises:
        RefusedError: it is nested too deeply.
    """
    if wanted.whole and not isinstance(value, dict):
        wanted("values")  # which takes note of it
        found.column("values").add(value)
    todo: list[tuple[Any, str, int]] = [(value, "", 0)]
    while todo:
        part, path, depth = todo.pop()
        if depth > _DEPTH:
            raise RefusedError(f"it is nested more than {_DEPTH} levels deep")
        if isinstance(part, dict):
            inside = []
            for key, one in part.items():
                if wanted(key, path):
                    found.column(key).add(one)
                else:
                    inside.append((one, f"{path}{key}.", depth + 1))
            todo += reversed(inside)
        elif isinstance(part, list):
            todo += [(one, path, depth + 1) for one in reversed(part) if isinstance(one, (dict, list, str))]
        elif isinstance(part, str) and (inner := _json_in(part)) is not None:
            todo.append((inner, path, depth + 1))


def _json_in(text: str) -> Any:
    """Returns the object or list that a text is in JSON; None if it is none."""
    if text.lstrip()[:1] not in _OPENING:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None
