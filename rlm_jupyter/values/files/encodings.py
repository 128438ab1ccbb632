"""The encoding of a text, by its first bytes.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

import codecs

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MOST_FOREIGN = 0.3
"""Share of letters beyond ASCII up to which a text can be in a language of Western Europe."""


def marked_encoding(data: bytes) -> str | None:
    """Return the encoding that a byte order mark names; None if there is none."""
    return next((name for bom, name in _BOMS if data.startswith(bom)), None)


def encoding_of(data: bytes, *, cut: bool = True) -> str:
    """Returns the encoding of a text from its beginning.

    Args:
        data: the beginning.
        cut: whether the text goes on behind it.

    Returns:
        That of a byte order mark, UTF-8, UTF-16 without such a mark, or cp1252.

    Raises:
        UnicodeDecodeError: it is none of these.
    """
    if (marked := marked_encoding(data)) is not None:
        return marked
    if (half := _utf_16(data)) is not None:
        return half
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data, final=not cut)
    except UnicodeDecodeError:
        if not _is_western(data):
            raise
        return "cp1252"
    return "utf-8"


def _utf_16(data: bytes) -> str | None:
    """Returns UTF-16 without a mark by the zero bytes of its ASCII characters."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    if max(even, odd) * 4 < len(data) or min(even, odd) * 20 > max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _is_western(data: bytes) -> bool:
    """Return whether bytes read as cp1252 are a text with a few accents, and not one of another script."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    letters = [char for char in text if char.isalpha()]
    return sum(not char.isascii() for char in letters) <= max(1, len(letters) * _MOST_FOREIGN)
