"""Where the lines of a large text begin: every few of them, as far as the text was read, so that any is found soon."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rlm_jupyter.mcp_server.request_time import RequestTime

_STEP = 512
"""Lines from one mark to the next."""
_CHUNK = 1 << 20


class LineIndex:
    """The lines of one text: from 1 on, each ending with a line feed.

    Args:
        read: of the text: (bytes, start) -> bytes.
        size: bytes of the text.
        encoding: in which the byte 10 is a line feed and nothing else.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int, encoding: str) -> None:
        self._read = read
        self.size = size
        self.encoding = encoding
        self._marks = array("Q", [0])  # where line `_STEP * n + 1` begins
        self._feeds = 0
        self._scanned = 0
        self._ends_with_feed = True
        self._lock = threading.Lock()

    @property
    def count(self) -> int | None:
        """How many lines there are; None as long as not all of the text was read."""
        return self.known if self._scanned >= self.size else None

    @property
    def known(self) -> int:
        """How many lines are known to be there."""
        return self._feeds + (0 if self._ends_with_feed else 1)

    def scan(self, time: RequestTime, line: int | None = None) -> None:
        """Read on, until a line is found; to the end for None. Stops where the request's time ends.

        Args:
            time: of the request.
            line: its number.
        """
        with self._lock:
            while self._scanned < self.size and (line is None or self._feeds < line) and not time.over:
                data = self._read(_CHUNK, self._scanned)
                if not data:  # it was cut meanwhile
                    self._scanned = self.size
                    return
                self._note(data)

    def _note(self, data: bytes) -> None:
        feeds = data.count(b"\n")
        if self._feeds // _STEP == (self._feeds + feeds) // _STEP:  # no mark in this piece
            self._feeds += feeds
        else:
            at = 0
            while found := data.find(b"\n", at) + 1:
                self._feeds += 1
                at = found
                if self._feeds % _STEP == 0:
                    self._marks.append(self._scanned + at)
        self._scanned += len(data)
        self._ends_with_feed = data.endswith(b"\n")

    def start_of(self, line: int, time: RequestTime) -> int | None:
        """Returns where a line begins, in bytes; None if it is not reached.

        Args:
            line: its number.
            time: of the request.
        """
        if line == 1 and self.size:
            return 0
        self.scan(time, line)
        if line > self.known:
            return None
        at = self._marks[(line - 1) // _STEP]
        left = (line - 1) % _STEP
        while left:
            data = self._read(_CHUNK, at)
            if not data or time.over:
                return None
            feeds = data.count(b"\n")
            if feeds < left:
                left, at = left - feeds, at + len(data)
                continue
            found = 0
            for _ in range(left):
                found = data.find(b"\n", found) + 1
            at, left = at + found, 0
        return at

    def read(self, length: int, start: int) -> bytes:
        """Read bytes of the text."""
        return self._read(length, start)

    def pieces(
        self, line: int, start: int, window: int, overlap: int, skips: Callable[[bytes], bool]
    ) -> Iterator[Piece]:
        """Yields the lines from one on; long ones in pieces that overlap, so that no memory holds them whole.

        Args:
            line: the number of the first.
            start: where it begins.
            window: bytes of a piece at most.
            overlap: bytes that a piece has in common with the one before.
            skips: whether no line of a block is wanted; in their place there is an empty piece.
        """
        rest, at, column = b"", start, 0
        while data := self._read(_CHUNK, at):
            at += len(data)
            block = rest + data
            if (feeds := block.count(b"\n")) and skips(block):
                line, column, rest = line + feeds, 0, block[block.rfind(b"\n") + 1 :]
                yield Piece(line, 0, b"")
                continue
            *whole, rest = block.split(b"\n")
            for text in whole:
                yield from _cut(text, line, column, window, overlap, last=True)
                line, column = line + 1, 0
            if len(rest) > window:
                kept = 0
                for piece in _cut(rest, line, column, window, overlap, last=False):
                    yield piece
                    kept = piece.column - column + len(piece.text) - overlap
                rest, column = rest[kept:], column + kept
        if rest:
            yield from _cut(rest, line, column, window, overlap, last=True)


@dataclass(frozen=True)
class Piece:
    """A line, or a part of a long one.

    Attributes:
        line: its number.
        column: byte of the line at which it begins.
        text: its bytes, without the line feed.
    """

    line: int
    column: int
    text: bytes


def _cut(text: bytes, line: int, column: int, window: int, overlap: int, *, last: bool) -> Iterator[Piece]:
    """Yields a line in pieces; unless it is the `last` of the line, what does not fill a piece is left."""
    if len(text) <= window and last:
        yield Piece(line, column, text)
        return
    at = 0
    while len(text) - at > window:
        yield Piece(line, column + at, text[at : at + window])
        at += window - overlap
    if last:
        yield Piece(line, column + at, text[at:])
