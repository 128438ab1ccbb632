"""Parts of texts with exact offsets: lines in which a pattern is found, and chunks that end where lines end.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

_LONGEST = 2000
"""Characters of a line that are returned; of a longer one, what stands around the match."""
_BOUNDARIES = {
    "lines": re.compile(r"\n"),
    "paragraphs": re.compile(r"\n[ \t]*\n\s*"),
    "headings": re.compile(r"^(?=#{1,6}[ \t])", re.MULTILINE),
}
_WAYS = ("lines", "paragraphs", "headings", "characters")


def grep(data: Any, pattern: Any, most: int = 50, ignore_case: bool = False) -> list[Any]:
    """Returns the lines in which a regular expression is found, in order.

    Args:
        data: a text, or a list or dict of texts.
        pattern: a regular expression, as a text or compiled.
        most: lines.
        ignore_case: whether case does not count.

    Returns:
        Tuples `(start, end, line)` with ``text[start:end] == line``, so that `cite(text, start, end)` cites it; of a
        list or dict `(key, start, end, line)`.
    """
    flags = re.IGNORECASE if ignore_case else 0
    if isinstance(pattern, re.Pattern):
        expression = re.compile(pattern.pattern, pattern.flags | flags)
    else:
        expression = re.compile(pattern, flags)
    found: list[Any] = []
    for key, text in _texts_of(data):
        behind, cut = 0, False
        for match in expression.finditer(text):
            at = match.start()
            # The end of a line belongs to it: what is found there is in the line that was returned.
            if at < behind or (at == behind and at and not cut):
                continue
            if len(found) >= most:
                return found
            start = text.rfind("\n", max(0, at - _LONGEST), at) + 1
            end = text.find("\n", at, at + _LONGEST)
            known = start > 0 or at <= _LONGEST
            if known and (end if end >= 0 else len(text)) - start <= _LONGEST:
                end, cut = (end if end >= 0 else len(text)), False
            else:
                start = max(start, at - _LONGEST // 2)
                end = start + _LONGEST if end < 0 else min(end, start + _LONGEST)
                end, cut = min(end, len(text)), True
            behind = end
            found.append((*key, start, end, text[start:end]))
    return found


def chunks(data: Any, size: int = 50_000, overlap: int = 0, by: str = "lines") -> list[Any]:
    """Returns a text in parts that cover it.

    Args:
        data: a text, or a list or dict of texts.
        size: characters of a part at most.
        overlap: characters at most that a part repeats of the one before it, in whole lines or paragraphs.
        by: where parts end: `lines`, `paragraphs`, `characters`; or `headings`: a part for each section under a
            heading of Markdown. What is longer than `size` is cut at lines, and else at characters.

    Returns:
        Tuples `(start, end, part)` with ``text[start:end] == part``; of a list or dict `(key, start, end, part)`.

    Raises:
        ValueError: the size is below 1, the overlap is not below it, or there is no such way to cut.
    """
    if by not in _WAYS:
        raise ValueError(f"`by` is one of {', '.join(map(repr, _WAYS))}, not {by!r:.40}.")
    if size < 1 or not 0 <= overlap < size:
        raise ValueError("`size` must be at least 1, and `overlap` at least 0 and below `size`.")
    found: list[Any] = []
    for key, text in _texts_of(data):
        for first, last in _sections(text) if by == "headings" else [(0, len(text))]:
            way = "lines" if by == "headings" else by
            found += [
                (*key, start, end, text[start:end])
                for start, end in _cut(text, first, last, size, overlap, way)
            ]
    return found


def _texts_of(data: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yields texts, each with the key under which it stands; a single text has none."""
    if isinstance(data, str):
        yield (), data
        return
    if not isinstance(data, (list, tuple, dict)):
        raise TypeError(f"This takes a text, or a list or dict of texts, not `{type(data).__name__}`.")
    for key, text in data.items() if isinstance(data, dict) else enumerate(data):
        if isinstance(text, str):
            yield (key,), text


def _sections(text: str) -> list[tuple[int, int]]:
    starts = [match.start() for match in _BOUNDARIES["headings"].finditer(text)]
    places = sorted({0, *starts, len(text)})
    return list(itertools.pairwise(places))


def _cut(text: str, first: int, last: int, size: int, overlap: int, way: str) -> Iterator[tuple[int, int]]:
    pattern = _BOUNDARIES.get(way)
    places = [match.end() for match in pattern.finditer(text, first, last)] if pattern is not None else []
    start = first
    while start < last:
        end = _end(places, start, last, size)
        if end == start + size < last and way == "paragraphs":
            # A paragraph longer than the size: it is cut at a line if there is one.
            line = text.rfind("\n", start + 1, end) + 1
            end = line if line > start else end
        yield start, end
        if end >= last:
            return
        again = _start(places, start, end, overlap, way)
        start = again if again > start and _end(places, again, last, size) > end else end


def _end(places: Sequence[int], start: int, last: int, size: int) -> int:
    """Returns where the part ends that begins at a place: at the last boundary within its size."""
    if start + size >= last:
        return last
    number = bisect.bisect_right(places, start + size) - 1
    return places[number] if number >= 0 and places[number] > start else start + size


def _start(places: Sequence[int], start: int, end: int, overlap: int, way: str) -> int:
    """Returns where the next part begins: at the first boundary from which no more than the overlap is repeated."""
    if not overlap or way == "characters":
        return end - overlap
    number = bisect.bisect_left(places, end - overlap)
    return places[number] if number < len(places) and start < places[number] <= end else end
