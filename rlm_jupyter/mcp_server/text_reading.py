"""Spans of lines, and lines in which a pattern is found: within bounds, whatever the text and the pattern are."""

from __future__ import annotations

from typing import Any

from rlm_jupyter.engine.typed_answers.bounded_patterns import (
    MOST_WORK,
    Pattern,
    PatternError,
    TooLongError,
)
from rlm_jupyter.mcp_server.line_index import LineIndex, Piece
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.mcp_server.request_time import RequestTime

MOST_LINES = 200
MOST_BYTES = 8192
"""Of the text of one answer."""
MOST_FOUND = 50
SEARCH_SECONDS = 20.0
READ_SECONDS = 60.0
_LONGEST_PATTERN = 1000
_WINDOW = 8192
"""Bytes of a line that are matched at once; longer lines are matched in pieces."""
_OVERLAP = 512
_EXCERPT = 240
_CHECKED = 256
_FURTHEST = 1 << 50


def span_name(handle: str, first: int, last: int) -> str:
    """Returns how answers name a span: ``src_...:lines 120-164``."""
    return f"{handle}:lines {first}-{last}"


def read_span(
    handle: str, index: LineIndex, start: int, lines: int, offset: int, time: RequestTime
) -> dict[str, Any]:
    """Read lines of a text.

    Args:
        handle: what the source is called in the answer.
        index: of its lines.
        start: number of the first line.
        lines: how many; the answer has at most `MOST_LINES`.
        offset: bytes of the first line that are left out, because an earlier answer had them.
        time: of the request.

    Returns:
        `span`, `text`, `first_line`, `last_line`, and `next`: where to read on; None at the end.

    Raises:
        RequestRefusedError: there is no such line, or it was not reached in time.
    """
    if start < 1 or lines < 1 or offset < 0 or max(start, offset) > _FURTHEST:
        raise RequestRefusedError("`start` and `lines` are 1 or more, and `offset` is 0 or more.")
    at = index.start_of(start, time)
    if at is None:
        raise RequestRefusedError(_no_line(index, start))
    if offset:
        following_line = index.start_of(start + 1, time)
        if at + offset >= (index.size if following_line is None else following_line):
            raise RequestRefusedError(
                f"Line {start:,} has no {offset:,} bytes: `offset` is the one of `next`."
            )
        at += offset
    data = _whole_characters(index.read(MOST_BYTES + 4, at), index.encoding)
    wanted = min(lines, MOST_LINES)
    end, found = 0, 0
    while found < wanted and (feed := data.find(b"\n", end)) >= 0:
        end, found = feed + 1, found + 1
    at_end = at + len(data) >= index.size
    if found < wanted and (
        found == 0 or at_end
    ):  # a piece of a long line, or the last line, which has no line feed
        end = len(data)
    text = data[:end]
    cut = bool(text) and not text.endswith(b"\n") and at + end < index.size
    last = start + found - (1 if text.endswith(b"\n") and found else 0)
    following = None
    if at + end < index.size:
        following = {"start": last, "offset": offset + end} if cut else {"start": last + 1, "offset": 0}
    return {
        "span": span_name(handle, start, last),
        "text": text.decode(index.encoding, "replace").removesuffix("\n"),
        "first_line": start,
        "last_line": last,
        "next": following,
    }


def _no_line(index: LineIndex, start: int) -> str:
    if index.count is not None:
        return f"There is no line {start:,}: the text has {index.count:,} lines."
    return (
        f"Line {start:,} was not reached in the time of one request; lines up to {index.known:,} are known by now. "
        "Ask again: the search for it goes on from there."
    )


def _whole_characters(data: bytes, encoding: str) -> bytes:
    """Returns as much as an answer holds, and no half of a character."""
    kept = data[:MOST_BYTES]
    if (
        len(kept.decode(encoding, "replace").encode()) > MOST_BYTES + 16
    ):  # what is not of the encoding takes more
        return data[: MOST_BYTES // 3]
    if len(kept) == len(data) or encoding != "utf-8":
        return kept
    for cut in range(4):
        following = data[MOST_BYTES - cut]
        if following & 0xC0 != 0x80:  # noqa: PLR2004 - not the continuation of a character
            return data[: MOST_BYTES - cut]
    return kept


def search(
    handle: str, index: LineIndex, pattern: str, *, literal: bool, start: int, time: RequestTime
) -> dict[str, Any]:
    """Find the lines in which a pattern matches, from one on.

    Args:
        handle: what the source is called in the answer.
        index: of its lines.
        pattern: a regular expression without look-around and back-references, which is matched in linear time.
        literal: whether it is a plain text instead.
        start: number of the first line.
        time: of the request.

    Returns:
        `matches` (each with `span`, `line` and `text`, an excerpt), `searched` (the lines), `complete` (whether the
        end was reached), and `next_start`.

    Raises:
        RequestRefusedError: it is not a pattern that can be matched within bounds, or there is no such line.
    """
    finder = _Finder(pattern, index.encoding, literal=literal)
    if not 1 <= start <= _FURTHEST:
        raise RequestRefusedError("`start` is 1 or more.")
    at = index.start_of(start, time) if index.size else 0
    if at is None:
        raise RequestRefusedError(_no_line(index, start))
    matches: list[dict[str, Any]] = []
    room, line, done = MOST_BYTES, start, 0
    complete = True
    overlap = min(_OVERLAP, finder.window // 2)
    for number, piece in enumerate(index.pieces(start, at, finder.window, overlap, finder.skips)):
        line = piece.line
        if (number % _CHECKED == 0 or finder.slow or not piece.text) and time.over:
            complete = False
            break
        if line == done:  # one match of a line is told
            continue
        excerpt = finder.find(piece)
        if excerpt is None:
            continue
        if len(matches) >= MOST_FOUND or room < len(excerpt.encode()):
            complete = False
            break
        room -= len(excerpt.encode())
        done = line
        matches.append({"span": span_name(handle, line, line), "line": line, "text": excerpt})
    return {
        "matches": matches,
        "searched": f"lines {start}-{line}" if complete else f"lines {start}-{max(start, line - 1)}",
        "complete": complete,
        "next_start": None if complete else max(line, start + 1),
    }


class _Finder:
    """A pattern, and how much text is matched against it at once."""

    def __init__(self, pattern: str, encoding: str, *, literal: bool) -> None:
        if not pattern or len(pattern) > _LONGEST_PATTERN or "\n" in pattern:
            raise RequestRefusedError(
                f"A pattern has 1 to {_LONGEST_PATTERN:,} characters and no line feed: it is searched for in each line."
            )
        self._encoding = encoding
        self._literal = pattern if literal else None
        self._anywhere: Pattern | None = None  # the same pattern, for many lines at once
        self._pattern: Pattern | None = None
        self.window, self.slow = _WINDOW, False
        if literal:
            return
        try:
            self._pattern = Pattern(pattern, trusted=False)
        except PatternError as error:
            raise RequestRefusedError(
                f"The pattern cannot be used: {error}. Plain text is searched for with `literal: true`."
            ) from None
        self.window = max(64, min(_WINDOW, MOST_WORK // self._pattern.weight - 64))
        self.slow = self._pattern.weight > 20  # noqa: PLR2004 - then a piece takes more than a moment
        if not any(anchor in pattern for anchor in ("\\A", "\\z", "\\Z")):
            self._anywhere = Pattern(f"(?m:{pattern})", trusted=True)

    def skips(self, block: bytes) -> bool:
        """Returns whether the pattern is surely in no line of a block of lines."""
        if self._literal is not None:
            return self._literal.encode(self._encoding, "replace") not in block
        if (
            self._pattern is None or self._anywhere is None or b"\r" in block
        ):  # of a line, the end is before that
            return False
        text = block.decode(self._encoding, "replace")
        size, at = MOST_WORK // self._pattern.weight, 0
        while at < len(text):
            end = len(text) if len(text) - at <= size else text.rfind("\n", at, at + size) + 1
            if end <= at or self._anywhere.found_in(text[at:end]):
                return False
            at = end
        return True

    def find(self, piece: Piece) -> str | None:
        """Returns an excerpt of a line around the first place where the pattern is found; None if it is nowhere."""
        text = piece.text.decode(self._encoding, "replace").removesuffix("\r")
        if self._literal is not None:
            at = text.find(self._literal)
            return None if at < 0 else _excerpt(text, at, at + len(self._literal))
        if not self._found(text):
            return None
        if len(text) <= _EXCERPT:
            return text
        low, high = 0, len(text)  # the shortest beginning in which it is found
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._found(text[:middle]) else (middle + 1, high)
        return _excerpt(text, max(0, low - 1), low)

    def _found(self, text: str) -> bool:
        assert self._pattern is not None
        try:
            return self._pattern.found_in(text)
        except TooLongError:  # cannot be: pieces are cut to size
            return False


def _excerpt(text: str, start: int, end: int) -> str:
    if len(text) <= _EXCERPT:
        return text
    room = max(0, _EXCERPT - (end - start)) // 2
    first = max(0, min(start - room, len(text) - _EXCERPT))
    last = min(len(text), first + _EXCERPT)
    return f"{'…' if first else ''}{text[first:last]}{'…' if last < len(text) else ''}"
