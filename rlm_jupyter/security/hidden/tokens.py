"""Tokens that stand for hidden values, such as `⟨email:17⟩`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OPEN: Final = "⟨"
PART: Final = "part"
_BEGIN, _LABEL, _END = r"(?:⟨|\\u27[eE]8)", r"((?:[^⟨⟩:\s\\]|\\u[0-9a-fA-F]{4}){1,40})", r"(?:⟩|\\u27[eE]9)"
"""A reply that is JSON may have escapes in a token."""
_SHAPE = re.compile(rf"{_BEGIN}{_LABEL}:(\d{{1,10}}){_END}")
_ANY = re.compile(rf"⟨{_LABEL}:(\d{{1,10}}|{PART})(?: in (?:base64|hex|reverse))?⟩")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_FENCE = re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL)


def token(label: str, place: int | None, how: str = "") -> str:
    """Returns the token of a value.

    Args:
        label: of its column.
        place: among the column's values, from 0; None for a part of a value.
        how: the encoding in which it stood; empty for none.
    """
    encoding = f" in {'reverse' if how == 'reversed' else how}" if how else ""
    return f"{OPEN}{label}:{PART if place is None else place + 1}{encoding}⟩"


class Tokens:
    """Recognises the tokens of some columns, and puts values in their place.

    Args:
        labels: of the columns.
        value: returns the value of a label and a place.

    Attributes:
        value: as given.
    """

    def __init__(self, labels: Iterable[str], value: Callable[[str, int], Any]) -> None:
        self._labels = frozenset(labels)
        self.value = value

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Returns where tokens stand in a text, those of parts and encodings too."""
        if OPEN not in text:
            return []
        return [match.span() for match in _ANY.finditer(text) if match[1] in self._labels]

    def counts(self, text: str) -> dict[str, dict[str, int]]:
        """Count the tokens of a text, by label and number."""
        found: dict[str, dict[str, int]] = {}
        for match in _ANY.finditer(text) if OPEN in text else ():
            if match[1] in self._labels:
                of_label = found.setdefault(match[1], {})
                of_label[match[2]] = of_label.get(match[2], 0) + 1
        return found

    def known(self, text: str) -> list[tuple[int, int, Any]]:
        """Returns where tokens of whole values stand, and the values."""
        if OPEN not in text and "\\u27" not in text:
            return []
        found = []
        for match in _SHAPE.finditer(text):
            label = _ESCAPED.sub(lambda escape: chr(int(escape[1], 16)), match[1])
            if label in self._labels:
                try:
                    found.append((*match.span(), self.value(label, int(match[2]) - 1)))
                except IndexError:
                    continue
        return found

    def restored(self, text: str) -> str:
        """Returns a text that is no code, such as a reply to a prompt, with the values in it.

        Where the text is JSON, a value is escaped as JSON wants it.
        """
        tokens = self.known(text)
        if not tokens:
            return text
        areas = _json_areas(text)
        parts, last = [], 0
        for start, end, value in tokens:
            written = value if isinstance(value, str) else repr(value)
            if any(first <= start < stop for first, stop in areas):
                written = json.dumps(written, ensure_ascii=False)[1:-1]
            parts += [text[last:start], written]
            last = end
        return "".join([*parts, text[last:]])


def _json_areas(text: str) -> list[tuple[int, int]]:
    """Returns which parts of a text are JSON: all of it, a block in fences, or what stands between its brackets."""
    candidates = [(0, len(text)), *(match.span(1) for match in _FENCE.finditer(text))]
    for opened, closed in ("{}", "[]"):
        first, last = text.find(opened), text.rfind(closed)
        if 0 <= first < last:
            candidates.append((first, last + 1))
    return [span for span in candidates if _is_json(text[slice(*span)])]


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, list, str))
    except (ValueError, RecursionError):
        return False
