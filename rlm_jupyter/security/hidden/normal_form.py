"""The normal form in which hidden values are looked for: letters and digits alone, without case and accents.

What stands between them (white space, quotes, punctuation) is left out, so that a value is found however it is
written, wrapped, or divided over lines.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rlm_jupyter.security.hidden.arrow_texts import ArrowTexts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Places = npt.NDArray[np.int64]

SEPARATOR: Final = "\0"
"""Stands between the normal forms of values; it is in none of them."""
BARRIER: Final = "\ue000"
"""Stands in a text for what is no part of it: no value reaches over it."""
_ASCII: Final = 128
_LOWER: Final = bytes(ord(chr(code).lower()) if code < _ASCII else code for code in range(256))
_DROPPED: Final = bytes(code for code in range(1, _ASCII) if not chr(code).isalnum())
CHUNK: Final = 16384
"""Values of which the normal forms are made at once: one that is not ASCII makes its chunk slow, and no other."""

_TABLE: Final = np.zeros(_ASCII, np.uint8)
_TABLE[[code for code in range(1, _ASCII) if chr(code).isalnum()]] = [
    ord(chr(code).lower()) for code in range(1, _ASCII) if chr(code).isalnum()
]


class _Characters(dict[int, str]):
    """The normal form of each character, made when it is first met."""

    def __missing__(self, code: int) -> str:
        parts = unicodedata.normalize("NFKD", chr(code)).casefold()
        kept = "".join(part for part in parts if part.isalnum())
        self[code] = kept
        return kept


_CHARACTERS: Final = _Characters({0: SEPARATOR, ord(BARRIER): "\1"})


class Squashed(NamedTuple):
    """A text in its normal form.

    Attributes:
        data: its bytes, in UTF-8.
        places: of each byte, the number of the character that it comes from.
    """

    data: Bytes
    places: Places


def normal_form(text: str) -> bytes:
    """Returns the normal form of one value."""
    if text.isascii():
        return text.replace(SEPARATOR, "").encode().translate(_LOWER, _DROPPED)
    return text.replace(SEPARATOR, "").translate(_CHARACTERS).encode("utf-8", "surrogatepass")


def joined_normal_forms(values: Sequence[str]) -> bytes:
    """Returns the normal forms of values, with a zero byte after each."""
    return b"".join(chunks_of_normal_forms(values))


def chunks_of_normal_forms(values: Sequence[str]) -> Iterator[bytes]:
    """Yields the normal forms of `CHUNK` values at a time, with a zero byte after each."""
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        text = chunk.joined(SEPARATOR) if isinstance(chunk, ArrowTexts) else SEPARATOR.join(chunk) + SEPARATOR
        if text.count(SEPARATOR) != len(chunk):  # a value has one inside
            text = SEPARATOR.join(value.replace(SEPARATOR, "") for value in chunk) + SEPARATOR
        if text.isascii():
            yield text.encode().translate(_LOWER, _DROPPED)
        else:
            yield text.translate(_CHARACTERS).encode("utf-8", "surrogatepass")


def squash(text: str) -> Squashed:
    """Returns the normal form of a text, with the places of what is left."""
    if text.isascii():
        raw = np.frombuffer(text.encode(), np.uint8)
        found = _TABLE[raw]
        places = np.flatnonzero(found)
        return Squashed(found[places], places)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    other = np.flatnonzero(codes >= _ASCII)
    found = _TABLE[np.where(codes < _ASCII, codes, 0)]
    kinds, which = np.unique(codes[other], return_inverse=True)
    forms = [_CHARACTERS[int(code)].encode("utf-8", "surrogatepass") for code in kinds]
    if not any(forms):
        places = np.flatnonzero(found)
        return Squashed(found[places], places)
    placed = zip(other.tolist(), which.tolist(), strict=True)
    return _with_others(found, {place: forms[kind] for place, kind in placed if forms[kind]})


def _with_others(found: Bytes, forms: dict[int, bytes]) -> Squashed:
    """Put the forms of characters that are not ASCII, of any number of bytes each, between the others."""
    lengths: Any = (found != 0).astype(np.int64)
    for place, form in forms.items():
        lengths[place] = len(form)
    places = np.repeat(np.arange(len(found)), lengths)
    data = found[places]
    ends = np.cumsum(lengths)
    for place, form in forms.items():
        end = int(ends[place])
        data[end - len(form) : end] = np.frombuffer(form, np.uint8)
    return Squashed(data, places)
