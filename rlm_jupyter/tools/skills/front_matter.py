"""The front matter of a skill's file: a small part of YAML, read without a YAML library and without objects.

Of the fields at the top level, texts on one line, in quotes, over several lines, and block scalars (`|`, `>`) are read;
nested fields, lists, anchors, tags and the like are skipped. So no file can make an object or grow as it is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_FENCE = "---"
_MOST_LINES = 200
_MOST_CHARS = 20_000
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,63})[ \t]*:(?:[ \t]+(.*))?")
_BLOCK = re.compile(r"([|>])[+-]?[ \t]*(?:#.*)?")
_NO_TEXT = tuple("[{&*!%@`")
"""How values begin that are lists, mappings, anchors, aliases or tags."""


def split_front_matter(text: str) -> tuple[dict[str, str], str]:
    """Returns the fields of a text's front matter that are texts, and the text below it.

    Args:
        text: of a file that begins with a line `---`.

    Raises:
        ValueError: it has no front matter, one that does not end, or one that is too long.
    """
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        raise ValueError("it does not begin with front matter, a line `---`")
    limit = min(len(lines), _MOST_LINES + 2)
    end = next((place for place in range(1, limit) if lines[place].rstrip() == _FENCE), None)
    if end is None:
        raise ValueError(f"its front matter does not end with a line `---` within {_MOST_LINES} lines")
    head = lines[1:end]
    if sum(map(len, head)) > _MOST_CHARS:
        raise ValueError(f"its front matter is longer than {_MOST_CHARS:,} characters")
    return _fields(head), "\n".join(lines[end + 1 :]).strip()


def _fields(lines: Sequence[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    place = 0
    while place < len(lines):
        match = _FIELD.fullmatch(lines[place].rstrip())
        place += 1
        if match is None:
            continue
        more = []
        while place < len(lines) and (not lines[place].strip() or lines[place][0] in " \t"):
            more.append(lines[place])
            place += 1
        value = _text((match[2] or "").strip(), more)
        if value is not None:
            fields[match[1].lower()] = value
    return fields


def _text(first: str, more: Sequence[str]) -> str | None:
    """Returns a field's value; None if it is not a text."""
    if block := _BLOCK.fullmatch(first):
        said = [line.strip() for line in more]
        return ("\n" if block[1] == "|" else " ").join(said).strip()
    if not first or first.startswith(_NO_TEXT):
        return None
    whole = " ".join([first, *(line.strip() for line in more)]).strip()
    if whole[0] == "'":
        end = re.match(r"'((?:[^']|'')*)'", whole)
        return end[1].replace("''", "'") if end else None
    if whole[0] == '"':
        return _quoted(whole)
    return re.split(r"[ \t]#", whole, maxsplit=1)[0].rstrip()


def _quoted(text: str) -> str | None:
    """Returns the text in double quotes, whose usual escapes are those of JSON."""
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(text)
    except ValueError:
        return None
    return value if isinstance(value, str) else None
