"""How a magic's line becomes words: quotes, comments, a semicolon at its end, and what a web page made of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from IPython.core.error import UsageError

_QUOTES = "\"'"
_SEMICOLONS = re.compile(r"\s*;[\s;]*$")
_INVISIBLE = dict.fromkeys((0x00AD, 0x200B, 0x2060, 0xFEFF))
"""Characters without a width, which copied text has at its seams."""
_OPENING = {"(": ")", "[": "]", "{": "}"}
# Typographic marks that are neither initial nor final quotes for Unicode: low quotes, primes, accents, full width.
_MORE_QUOTES = "\u201a\u201e\u2032\u2033\u00b4\uff02\uff07"
_SINGLE = "\u2018\u2019\u201a\u201b\u2032\u00b4\uff07\u2039\u203a"
_MINUS = "\u2212"
_LONG = "\u2013\u2014\u2015"
"""Dashes that editors write in the place of two hyphens."""


@dataclass(frozen=True)
class Word:
    """One word of a line.

    Attributes:
        text: without its quotes.
        quoted: whether a part of it stood in quotes, so that it is taken as it is.
    """

    text: str
    quoted: bool = False


def lex(line: str) -> list[Word]:
    """Split a magic's line into words.

    Whitespace of any kind separates them, but not in quotes and not in brackets (``dict[str, int]``). `#` at the
    beginning of a word starts a comment; a semicolon at the end of the line belongs to no word. A backslash is a
    plain character.

    Raises:
        UsageError: a quotation is not closed, or the line has quotes or dashes as word processors write them.
    """
    code = _without_comment(line.translate(_INVISIBLE))
    return list(_words(_SEMICOLONS.sub("", code)))


def is_silenced(line: str) -> bool:
    """Returns whether a line ends with a semicolon, which says that its value is not to be shown."""
    try:
        code = _without_comment(line.translate(_INVISIBLE))
    except UsageError:
        return False
    return _SEMICOLONS.search(code) is not None


def join_continued_lines(line: str, body: str) -> tuple[str, str]:
    """Join a cell's line with those of its body that it goes on in: a backslash at the end of a line says so.

    Args:
        line: of the magic.
        body: the rest of the cell.
    """
    while body and (start := _before_backslash(line)) is not None:
        more, _, body = body.partition("\n")
        line = f"{start} {more.strip()}"
    return line, body


def _before_backslash(line: str) -> str | None:
    """Return what stands before a backslash that ends a line; None if it ends a Windows path, or is none."""
    line = line.rstrip()
    start = line.removesuffix("\\")
    last = start.split()[-1:] if not start.endswith((" ", "\t")) else []
    if start == line or any("\\" in word or ":" in word for word in last):
        return None
    return start.rstrip()


def _without_comment(line: str) -> str:
    """Cut a comment off.

    Raises:
        UsageError: a quotation is not closed.
    """
    quote, before = "", " "
    for place, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES:
            quote = char
        elif char == "#" and (before.isspace() or before == ";"):
            return line[:place]
        before = char
    if quote:
        raise UsageError(f"The line cannot be read: a quotation ({quote}) is not closed: {line.strip()}")
    return line


def _words(code: str) -> Iterator[Word]:
    """Split a line without a comment."""
    place, end = 0, len(code)
    while place < end:
        if code[place].isspace():
            place += 1
            continue
        text, quoted, start = "", False, place
        while place < end and not code[place].isspace():
            char = code[place]
            if char in _QUOTES:
                close = code.index(char, place + 1)
                text, quoted, place = text + code[place + 1 : close], True, close + 1
                continue
            stop = _bracket(code, place) if char in _OPENING else place + 1
            text, place = text + code[place:stop], stop
        if not quoted:
            _check_typography(code[start:place])
        yield Word(text, quoted)


def _bracket(code: str, place: int) -> int:
    """Return where the bracket that opens at a place is behind us; the next place, where it is never closed."""
    waiting: list[str] = []
    for at in range(place, len(code)):
        char = code[at]
        if char in _OPENING:
            waiting.append(_OPENING[char])
        elif char == waiting[-1]:
            waiting.pop()
            if not waiting:
                return at + 1
    return place + 1


def _is_quote(char: str) -> bool:
    return unicodedata.category(char) in {"Pi", "Pf"} or char in _MORE_QUOTES


def _is_dash(char: str) -> bool:
    return (unicodedata.category(char) == "Pd" and char != "-") or char == _MINUS


def _check_typography(word: str) -> None:
    """Refuse a word with marks that look like a quote or a hyphen and are none.

    Raises:
        UsageError: which mark it is, and what to type.
    """
    wrong = next((char for char in word if _is_quote(char) or _is_dash(char)), None)
    if wrong is None:
        return
    kind = "typographic quotation mark" if _is_quote(wrong) else "long dash"
    typed = "".join(_plain(char, at_start=not place) for place, char in enumerate(word))
    raise UsageError(
        f"`{word}` has a {kind} in it (U+{ord(wrong):04X}), as web pages and word processors write it: "
        f"type `{typed}`."
    )


def _plain(char: str, *, at_start: bool) -> str:
    if _is_quote(char):
        return "'" if char in _SINGLE else '"'
    if _is_dash(char):
        return "--" if at_start and char in _LONG else "-"
    return char
