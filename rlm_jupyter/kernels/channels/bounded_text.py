"""The output of a cell, collected while it arrives: a head, a tail, and the count of what lay between."""

from __future__ import annotations

import re
from collections import deque

from rlm_jupyter.text.shorten import CutText

HEAD = TAIL = 32_768
"""Characters kept from the beginning and from the end."""

# CSI and OSC sequences and lone escapes, as ECMA-48 defines them.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def strip_ansi(text: str) -> str:
    """Remove terminal colours and other escape sequences."""
    return _ANSI.sub("", text)


class BoundedText:
    """Text of any length in bounded memory: its head and its tail.

    Attributes:
        cut: characters that were dropped between head and tail.
    """

    def __init__(self, head: int = HEAD, tail: int = TAIL) -> None:
        self._head_room, self._tail_limit = head, tail
        self._wiping = False
        self.clear()

    def clear(self, *, wait: bool = False) -> None:
        """Forget what there is, at once or when the next text comes (`clear_output(wait=True)`)."""
        if wait:
            self._wiping = True
            return
        self._wiping = False
        self._room = self._head_room
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self.cut = 0

    def append(self, text: str) -> None:
        """Add text at the end."""
        if self._wiping:
            self.clear()
        if self._room > 0:
            self._head.append(text[: self._room])
            text, self._room = text[self._room :], self._room - len(self._head[-1])
        if text:
            self._tail.append(text[-self._tail_limit :])
            self.cut += len(text) - len(self._tail[-1])
            self._tail_size += len(self._tail[-1])
            self._trim()

    def skip(self, count: int) -> None:
        """Note that `count` characters were dropped at their source, just here; the rest is tail."""
        self.cut += count
        self._room = 0

    def _trim(self) -> None:
        while self._tail_size > self._tail_limit:
            excess = self._tail_size - self._tail_limit
            first = self._tail[0]
            if len(first) <= excess:
                self._tail.popleft()
                excess = len(first)
            else:
                self._tail[0] = first[excess:]
            self._tail_size -= excess
            self.cut += excess

    def text(self) -> CutText:
        """Returns head, count of what was cut, and tail; free of escape sequences."""
        head, tail = "".join(self._head), "".join(self._tail)
        if not self.cut:
            return CutText(_as_read(head + tail))
        return CutText(_as_read(head), self.cut, _as_read(tail))


def _as_read(text: str) -> str:
    return _settle_lines(strip_ansi(text).replace("\r\n", "\n"))


def _settle_lines(text: str) -> str:
    """Let each line show what its last carriage return left: a progress bar's last state."""
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
