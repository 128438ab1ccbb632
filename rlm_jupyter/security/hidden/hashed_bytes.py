"""Hashes of pieces of bytes, of very many at once: what tells in microseconds whether a text may hold a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.uint64]
    Integers = npt.NDArray[np.int64]

WORD: Final = 8
MASKS: Final = np.array([(1 << (8 * count)) - 1 for count in range(WORD + 1)], np.uint64)
"""Of the first bytes of a word, by their number."""
_A, _B, _C, _D = (
    np.uint64(factor)
    for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
)
_HALF: Final = np.uint64(32)
_BITS: Final = 64
_LEAST_SIZE, _MOST_SIZE = 12, 26
"""Powers of two."""
_SLOTS_OF_EACH: Final = 8


def words_of(data: bytes | npt.NDArray[np.uint8]) -> Words:
    """Returns the eight bytes from each place on, as integers; after the end there are zeros."""
    padded = bytes(data) + bytes(WORD)
    # A view of each eight bytes, which overlap: nothing is copied.
    return np.ndarray((len(padded) - WORD + 1,), np.dtype("<u8"), padded, strides=(1,))


def hash_pieces(words: Words, starts: Integers, lengths: Integers) -> Words:
    """Returns hashes of pieces: of their first, middle and last eight bytes, and their lengths.

    Args:
        words: of all bytes (`words_of`).
        starts: of the pieces.
        lengths: of the pieces, each 1 or more.
    """
    mixed = (words[starts] & MASKS[np.minimum(lengths, WORD)]) * _A
    mixed ^= mixed >> _HALF
    if not len(lengths) or int(lengths.max()) <= WORD:
        return _ended(mixed, lengths)
    longer = np.maximum(lengths - WORD, 0)
    more = longer > 0
    mixed += words[starts + (longer >> 1)] * more * _B
    mixed ^= (mixed >> _HALF) * more
    mixed += words[starts + longer] * more * _C
    return _ended(mixed, lengths)


def _ended(mixed: Words, lengths: Integers) -> Words:
    mixed ^= mixed >> _HALF
    mixed += lengths.astype(np.uint64) * _D
    mixed ^= mixed >> _HALF
    return mixed * _A


class HashFilter:
    """Says of a hash whether it may be one of many; what it denies is none of them.

    Args:
        count: of the many, about.
    """

    def __init__(self, count: int) -> None:
        bits = min(max((_SLOTS_OF_EACH * count).bit_length(), _LEAST_SIZE), _MOST_SIZE)
        self._shift = np.uint64(_BITS - bits)
        self._slots = np.zeros(1 << bits, np.bool_)

    def add(self, hashes: Words) -> None:
        """Remember hashes."""
        self._slots[hashes >> self._shift] = True

    def __call__(self, hashes: Words) -> Any:
        """Returns for each hash whether it may be known."""
        return self._slots[hashes >> self._shift]


class HashTable:
    """Finds the numbers of what has a hash; the lowest number first.

    Args:
        hashes: of things, each of which has the number of its place.
        numbers: where not all things have a hash: their numbers.
    """

    def __init__(self, hashes: Words, numbers: Integers | None = None) -> None:
        numbers = np.arange(len(hashes)) if numbers is None else numbers
        most = int(numbers.max()) if len(numbers) else 0
        self._low = np.uint64((1 << max(1, most.bit_length())) - 1)
        self._high = ~self._low
        self._keys = np.sort((hashes & self._high) | numbers.astype(np.uint64))
        self._may_have = HashFilter(len(hashes))
        self._may_have.add(hashes)

    def known(self, hashes: Words) -> npt.NDArray[np.bool_]:
        """Returns for each hash whether anything has it; of a million, one or none is wrong."""
        found = np.zeros(len(hashes), np.bool_)
        maybe = np.flatnonzero(self._may_have(hashes))
        if len(maybe):
            wanted = hashes[maybe] & self._high
            places = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
            found[maybe] = (self._keys[places] & self._high) == wanted
        return found

    def numbers(self, hashed: int, most: int = 8) -> list[int]:
        """Returns the lowest numbers of what has a hash."""
        wanted = np.uint64(hashed) & self._high
        start = int(np.searchsorted(self._keys, wanted))
        keys = self._keys[start : start + most]
        return [int(key & self._low) for key in keys if key & self._high == wanted]
