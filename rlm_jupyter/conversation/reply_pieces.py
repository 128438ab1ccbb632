"""Divides a reply into prose and code while it streams, for those who show it; the engine reads it whole."""

from __future__ import annotations

import re

_OPENS = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})")
_MAY_OPEN = re.compile(r" {0,3}(`{0,2}|`{3,}[^\n`]*|~{0,2}|~{3,}[^\n]*)")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_LONGEST = 200
"""Characters of a line that is held back because it may begin or end a block; a longer one is text."""


class ReplyPieces:
    """One reply as it streams. A piece that may be the line of a fence waits until its line is whole."""

    def __init__(self) -> None:
        self._line = ""  # the beginning of the newest line, as far as it is held back
        self._at_start = True
        self._fence = ""  # that opened the block; empty in prose

    def feed(self, text: str) -> list[tuple[str, bool]]:
        """Returns what is certain by now: pieces of text, each with whether it is code."""
        pieces: list[tuple[str, bool]] = []
        for part in _LINES.findall(text):
            self._take(part, pieces)
        return _joined(pieces)

    def end(self) -> list[tuple[str, bool]]:
        """Returns what was held back, at the end of the reply."""
        left, self._line = self._line, ""
        return [(left, bool(self._fence))] if left and not self._is_fence(left) else []

    def _take(self, part: str, pieces: list[tuple[str, bool]]) -> None:
        whole = part.endswith("\n")
        if not self._at_start:
            pieces.append((part, bool(self._fence)))
            self._at_start = whole
            return
        line = self._line + part
        self._line = ""
        if whole and self._is_fence(line):
            self._turn(line)
        elif not whole and len(line) <= _LONGEST and _MAY_OPEN.fullmatch(line):
            self._line = line
        else:
            pieces.append((line, bool(self._fence)))
            self._at_start = whole

    def _is_fence(self, line: str) -> bool:
        found = _OPENS.match(line)
        if found is None:
            return False
        rest = line[found.end() :].strip()
        if not self._fence:
            return "`" not in rest
        return found["fence"].startswith(self._fence) and not rest

    def _turn(self, line: str) -> None:
        found = _OPENS.match(line)
        assert found is not None
        self._fence = "" if self._fence else found["fence"]


def _joined(pieces: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    joined: list[tuple[str, bool]] = []
    for text, code in pieces:
        if joined and joined[-1][1] is code:
            joined[-1] = (joined[-1][0] + text, code)
        else:
            joined.append((text, code))
    return joined
