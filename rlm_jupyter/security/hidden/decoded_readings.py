"""What a text says when it is decoded: a value may stand in it in base64, in escapes, in hexadecimal digits, reversed.

Texts are decoded, rather than each of many values encoded in all ways.
"""

from __future__ import annotations

import html
import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from rlm_jupyter.security.hidden.normal_form import BARRIER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from rlm_jupyter.security.hidden.hashed_bytes import Integers

    Bytes = npt.NDArray[np.uint8]
    Flags = npt.NDArray[np.bool_]


@dataclass
class Reading:
    """A text as it is read in one way.

    Attributes:
        text: what it says.
        starts: of each character, where what it was read from begins in the original.
        stops: of each character, where that ends.
        how: the encoding, as it is named beside a token; empty where a value stands there as text.
    """

    text: str
    starts: Integers
    stops: Integers
    how: str = ""

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Returns which characters of the original a piece was read from."""
        return int(self.starts[start:stop].min()), int(self.stops[start:stop].max())


_BYTE_ESCAPES = r"(?:\\+x[0-9a-fA-F]{2})+"
_ESCAPE = re.compile(rf"{_BYTE_ESCAPES}|\\+(?:u[0-9a-fA-F]{{4}}|U[0-9a-fA-F]{{8}}|[0-7]{{3}}|[nrtbfv])")
_PERCENT = re.compile(r"(?:%(?:25)*[0-9A-Fa-f]{2})+")
_ENTITY = re.compile(r"&(?:amp;)*(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")
_CONTROLS: Final = dict(zip("nrtbfv", "\n\r\t\b\f\v", strict=True))
_FOLDED = re.compile(
    r"(?<=[A-Za-z0-9+/_-]{60})\r?\n(?=[A-Za-z0-9+/_-]{4})"
    r"|(?<=(?<![0-9A-Za-z])[0-9a-fA-F]{2})[ :](?=[0-9a-fA-F]{2}(?![0-9A-Za-z]))"
)
"""What stands between the lines of base64, and between the pairs of digits of bytes."""
_HEX = re.compile(r"[0-9a-fA-F]{8}")
_LEAST_BYTES: Final = 4
_NONE: Final = 255
_MARK: Final = 1
"""A byte of no text, which stands before each run of what is readable."""
_TAIL, _LEAD, _NO_LEAD = 0x80, 0xC2, 0xF5
"""Of UTF-8: from where on bytes go on with a character, and begin one; no byte is as large as the last."""
_MOST_CODE: Final = 0x10FFFF


def _table(digits: str) -> Bytes:
    table = np.full(256, _NONE, np.uint8)
    for value, digit in enumerate(digits):
        table[ord(digit)] = value
    return table


_SIX_BITS: Final = _table(string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/")
_SIX_BITS[[ord("-"), ord("_")]] = 62, 63
_FOUR_BITS: Final = _table(string.digits + "abcdef")
_FOUR_BITS[[ord(digit) for digit in "ABCDEF"]] = range(10, 16)
_READABLE: Final = np.zeros(256, np.bool_)
_READABLE[[0, 9, 10, 13, *range(32, 127)]] = True


def readings(text: str) -> Iterator[Reading]:
    """Yields a text as it is, and as it reads decoded in each way of which it has signs."""
    places = np.arange(len(text) + 1)
    yield Reading(text, places[:-1], places[1:])
    for sign, pattern, decode in _INLINE:
        if sign in text and (found := _replaced(text, pattern, decode)) is not None:
            yield found
    unfolded = _replaced(text, _FOLDED, lambda _: "")
    bare, own = (text, places[:-1]) if unfolded is None else (unfolded.text, unfolded.starts)
    for how, pieces in (("base64", _base64_pieces), ("hex", _hex_pieces)):
        if bare and (found := _joined(pieces(bare, own), how)) is not None:
            yield found
    yield Reading(text[::-1], places[:-1][::-1], places[1:][::-1], "reversed")


def _replaced(text: str, pattern: re.Pattern[str], decode: Callable[[str], str]) -> Reading | None:
    """Decode each match of a pattern, and leave the rest as it is."""
    parts: list[str] = []
    segments: list[tuple[int, int, int]] = []  # where each begins and ends in the original, and its length
    last = 0
    for match in pattern.finditer(text):
        first, end = match.span()
        piece = decode(match.group())
        parts += [text[last:first], piece]
        segments += [(last, last + 1, first - last), (first, end, len(piece))]
        last = end
    if not parts:
        return None
    parts.append(text[last:])
    segments.append((last, last + 1, len(text) - last))
    begins, ends, lengths = np.array(segments, np.int64).T
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    within[np.repeat(np.arange(len(segments)) % 2 == 1, lengths)] = 0
    return Reading("".join(parts), np.repeat(begins, lengths) + within, np.repeat(ends, lengths) + within)


def _escape(written: str) -> str:
    bare = written.lstrip("\\")
    if bare[0] == "x":
        raw = bytes.fromhex("".join(re.findall(r"\\+x([0-9a-fA-F]{2})", written)))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    if bare[0] in "uU":
        return chr(min(int(bare[1:], 16), _MOST_CODE))
    return _CONTROLS.get(bare) or chr(int(bare, 8))


def _percent(written: str) -> str:
    return bytes.fromhex("".join(re.findall(r"%(?:25)*([0-9A-Fa-f]{2})", written))).decode("utf-8", "replace")


def _entity(written: str) -> str:
    return html.unescape(written.replace("amp;", "") if written != "&amp;" else written)


_INLINE: Final = (("\\", _ESCAPE, _escape), ("%", _PERCENT, _percent), ("&", _ENTITY, _entity))

_Piece = tuple[str, "Integers", "Integers"]


def _digits(text: str, table: Bytes, size: int) -> Bytes:
    """Returns the values of the digits of a text, `_NONE` for what is none, and room for groups after its end."""
    raw = np.frombuffer(text.encode("ascii", "replace"), np.uint8)
    return np.concatenate([table[raw], np.full(2 * size, _NONE, np.uint8)])


def _groups(digits: Bytes, size: int, phase: int) -> Bytes:
    """Returns digits in groups from a place on."""
    count = (len(digits) - phase) // size
    return digits[phase : phase + count * size].reshape(-1, size)


def _base64_pieces(text: str, places: Integers) -> Iterator[_Piece]:
    """Yields what is text when it is decoded, in groups of four that begin at each of four places."""
    all_digits = _digits(text, _SIX_BITS, 4)
    for phase in range(4):
        digits = _groups(all_digits, 4, phase)
        known = digits != _NONE
        values = np.where(known, digits, 0)
        raw = np.empty((len(digits), 3), np.uint8)
        raw[:, 0] = values[:, 0] << 2 | values[:, 1] >> 4
        raw[:, 1] = values[:, 1] << 4 | values[:, 2] >> 2
        raw[:, 2] = values[:, 2] << 6 | values[:, 3]
        first = known[:, 0] & known[:, 1]
        second = first & known[:, 2]
        told = np.stack([first, second, second & known[:, 3]], axis=1)
        if (found := _readable(raw, told, places, phase, 4)) is not None:
            yield found


def _hex_pieces(text: str, places: Integers) -> Iterator[_Piece]:
    """Yields what is text when pairs of digits are bytes, from each of two places on."""
    if _HEX.search(text) is None:
        return
    all_digits = _digits(text, _FOUR_BITS, 2)
    for phase in range(2):
        digits = _groups(all_digits, 2, phase)
        told = (digits != _NONE).all(axis=1, keepdims=True)
        raw = (digits[:, :1] << 4 | digits[:, 1:] & 15).astype(np.uint8)
        if (found := _readable(raw, told, places, phase, 2)) is not None:
            yield found


def _readable(raw: Bytes, told: Flags, places: Integers, phase: int, size: int) -> _Piece | None:
    """Returns what groups of digits say where it is readable text, with a barrier before each run of them.

    Args:
        raw: the bytes of each group.
        told: whether the digits tell them.
        places: in the original, of the characters of the text.
        phase: the character at which the first group begins.
        size: characters of a group.
    """
    width = raw.shape[1]
    flat = np.where(told, raw, 0).ravel()
    lead, tail = (flat >= _LEAD) & (flat < _NO_LEAD), (flat >= _TAIL) & (flat < _LEAD - 2)
    near = np.zeros(len(flat), np.bool_)
    near[:-1] |= lead[:-1] & tail[1:]
    near[1:] |= tail[1:] & (lead[:-1] | tail[:-1])
    good = ((_READABLE[flat] | near).reshape(raw.shape) | ~told).all(axis=1) & told[:, 0]
    if not good.any():
        return None
    begins = good.copy()
    begins[1:] &= ~(good[:-1] & told[:-1].all(axis=1))
    run = np.cumsum(begins)
    kept = good & (np.bincount(run[good], minlength=int(run[-1]) + 1)[run] * width >= _LEAST_BYTES)
    if not kept.any():
        return None
    shown = np.concatenate([(begins & kept)[:, None], told & kept[:, None]], axis=1)
    codes = np.concatenate([np.full((len(raw), 1), _MARK, np.uint8), flat.reshape(raw.shape)], axis=1)[shown]
    offsets = np.array([0, *range(width)], np.int64)
    firsts = (phase + np.arange(len(raw))[:, None] * size + offsets)[shown]
    said, of_bytes = _decoded(codes.tobytes())
    firsts = np.minimum(firsts[of_bytes], len(places) - 1)
    lasts = np.minimum(firsts + size // width, len(places) - 1)
    return said.replace(chr(_MARK), BARRIER), places[firsts], places[lasts] + 1


def _decoded(raw: bytes) -> tuple[str, Integers]:
    """Returns what bytes say as text, and from which byte each character comes."""
    text = raw.decode("utf-8", "replace")
    if len(text) == len(raw):
        return text, np.arange(len(raw))
    sizes = [1 if character == "\ufffd" else len(character.encode()) for character in text]
    return text, np.minimum(np.cumsum([0, *sizes[:-1]]), len(raw) - 1)


def _joined(pieces: Iterable[_Piece], how: str) -> Reading | None:
    """Read pieces as one text, between which stands what no value reaches over."""
    found = list(pieces)
    if not found:
        return None
    starts = [part for _, first, _ in found for part in (first, first[-1:])]
    stops = [part for _, _, last in found for part in (last, last[-1:])]
    return Reading(
        "".join(piece + BARRIER for piece, _, _ in found), np.concatenate(starts), np.concatenate(stops), how
    )
