"""The index of a hidden column's texts: says in a text where they stand, whole, in any case and punctuation."""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from rlm_jupyter.security.hidden.hashed_bytes import (
    HashFilter,
    HashTable,
    hash_pieces,
    words_of,
)
from rlm_jupyter.security.hidden.normal_form import chunks_of_normal_forms, normal_form

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from rlm_jupyter.security.hidden.hashed_bytes import Integers, Words
    from rlm_jupyter.security.hidden.scanned_text import ScannedText

SHORTEST: Final = 2
"""Letters and digits of a value that is looked for: a single letter identifies nothing."""
_ANYWHERE: Final = 6
"""Letters and digits of a value that is also found where it is glued to others."""
_WORD_ANYWHERE: Final = 8
"""The same of a value that is one word: `marten` is not found in `smarten`."""
_EXACT: Final = 2
"""Letters and digits up to which the case must be the same: `IN` is not `in`."""
_HEAD: Final = 64
"""Letters and digits of a longer value by which its place is found."""
_DIGITS: Final = 4
"""Digits of a value of digits alone that is looked for."""
_PAIRS: Final = 1 << 20
_KNOWN: Final = 10_000

_FIRST: Final = re.compile(r"[^\W_]")
_LAST: Final = re.compile(r"[\W_]{1,20}$")
_PYTHON: Final = frozenset(word.casefold().encode() for word in keyword.kwlist)


class Match(NamedTuple):
    """A hidden value in a text.

    Attributes:
        start: place in the text's normal form.
        stop: after its end.
        number: of the value; None for a part of one.
    """

    start: int
    stop: int
    number: int | None


class TextIndex:
    """Finds the texts of one column.

    Args:
        values: the texts, in their order: the number of a value is that of the first place at which it stands.
        ordinary: normal forms of words that are in every prompt, such as names of columns; they are not looked for.
    """

    def __init__(self, values: Sequence[str], ordinary: Collection[bytes] = ()) -> None:
        self.values = values
        self._ordinary = frozenset(ordinary) | _PYTHON
        self._beginnings = HashFilter(len(values))
        self._numbers: dict[bytes, int | None] = {}
        hashes, numbers, sizes = self._hashed()
        self._table = HashTable(hashes, numbers)
        found = np.flatnonzero(sizes)
        self._short, self._long = found[found < _ANYWHERE], found[found >= _ANYWHERE]

    def _hashed(self) -> tuple[Words, Integers, Integers]:
        """Returns the hashes of the values that are looked for, their numbers, and how many have each length."""
        hashes = np.zeros(len(self.values), np.uint64)
        enough = np.zeros(len(self.values), np.bool_)
        sizes = np.zeros(_HEAD + 1, np.int64)
        first = 0
        for chunk in chunks_of_normal_forms(self.values):
            ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == 0)
            starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1])
            lengths = np.minimum(ends - starts, _HEAD)
            sizes += np.bincount(lengths, minlength=_HEAD + 1)
            words = words_of(chunk)
            hashes[first : first + len(ends)] = hash_pieces(words, starts, np.maximum(lengths, 1))
            enough[first : first + len(ends)] = lengths >= SHORTEST
            long = starts[lengths >= _ANYWHERE]
            self._beginnings.add(hash_pieces(words, long, np.full(len(long), _ANYWHERE)))
            first += len(ends)
        sizes[:SHORTEST] = 0
        numbers = np.flatnonzero(enough)
        return (hashes if len(numbers) == len(hashes) else hashes[numbers]), numbers, sizes

    def find(self, text: ScannedText) -> list[Match]:
        """Returns where values stand in a text; the longest of those that begin at a place, and none that overlap."""
        found: list[Match] = []
        end = 0
        for start, length, hashed in self._candidates(text):
            if start < end:
                continue
            match = self._match(text, start, length, hashed)
            if match is not None:
                found.append(match)
                end = match.stop
        return found

    def edges(self, text: ScannedText, match: Match) -> tuple[int, int]:
        """Returns which characters a match is, with the punctuation that the value itself begins and ends with."""
        first, last = text.span(match.start, match.stop)
        if match.number is not None:
            value = self.values[match.number]
            if not value[:1].isalnum() and (found := _FIRST.search(value)) is not None:
                before = value[: found.start()]
                first -= len(before) if before and text.text.endswith(before, 0, first) else 0
            if not value[-1:].isalnum() and (found := _LAST.search(value)) is not None:
                after = value[found.start() :]
                last += len(after) if text.text.startswith(after, last) else 0
        return first, last

    def begins(self, text: ScannedText) -> Integers:
        """Returns the places at which the beginning of a value may stand."""
        if not len(self._long) or len(text.data) < _ANYWHERE:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self._beginnings(text.hashes(_ANYWHERE)))

    def _candidates(self, text: ScannedText) -> Iterator[tuple[int, int, int]]:
        """Yields start, length and hash of what may be a value, by start and with the longest first."""
        pairs = [*self._long_pairs(text), *self._short_pairs(text)]
        if not pairs:
            return
        starts = np.concatenate([pair[0] for pair in pairs])
        lengths = np.concatenate([pair[1] for pair in pairs])
        hashes = np.concatenate([pair[2] for pair in pairs])
        order = np.lexsort((-lengths, starts))
        yield from zip(starts[order].tolist(), lengths[order].tolist(), hashes[order].tolist(), strict=True)

    def _long_pairs(self, text: ScannedText) -> Iterator[tuple[Integers, Integers, Words]]:
        places = self.begins(text)
        step = max(1, _PAIRS // max(1, len(self._long)))
        for first in range(0, len(places), step):
            part = places[first : first + step]
            starts = np.repeat(part, len(self._long))
            yield self._known(text, starts, np.tile(self._long, len(part)))

    def _short_pairs(self, text: ScannedText) -> Iterator[tuple[Integers, Integers, Words]]:
        for length in self._short.tolist():
            if length <= len(text.data):
                starts = np.flatnonzero(text.opens[: len(text.data) - length + 1] & text.closes[length - 1 :])
                yield self._known(text, starts, np.full(len(starts), length))

    def _known(
        self, text: ScannedText, starts: Integers, lengths: Integers
    ) -> tuple[Integers, Integers, Words]:
        inside = starts + lengths <= len(text.data)
        starts, lengths = starts[inside], lengths[inside]
        hashes = hash_pieces(text.words, starts, lengths)
        known = self._table.known(hashes)
        return starts[known], lengths[known], hashes[known]

    def _match(self, text: ScannedText, start: int, length: int, hashed: int) -> Match | None:
        piece = text.data[start : start + length].tobytes()
        if length < _HEAD:
            number = self._number(piece, hashed)
            fits = number is not None and self._fits(text, start, length, piece, number)
            return Match(start, start + length, number) if fits else None
        best: Match | None = None
        for number in self._table.numbers(hashed):
            form = normal_form(self.values[number])
            same = _same(form, text.data[start : start + len(form)].tobytes())
            if same >= _HEAD and (best is None or start + same > best.stop):
                best = Match(start, start + same, number if same == len(form) else None)
        return best

    def _number(self, piece: bytes, hashed: int) -> int | None:
        """Returns the number of the value that has a normal form; None if it only has the hash of one."""
        if piece not in self._numbers:
            if len(self._numbers) >= _KNOWN:
                self._numbers.clear()
            numbers = self._table.numbers(hashed)
            self._numbers[piece] = next(
                (number for number in numbers if normal_form(self.values[number]) == piece), None
            )
        return self._numbers[piece]

    def _fits(self, text: ScannedText, start: int, length: int, piece: bytes, number: int) -> bool:
        """Whether what stands around a value lets it be one, and not a part of a word or of a number."""
        whole = bool(text.opens[start]) and bool(text.closes[start + length - 1])
        if piece.isdigit():
            if length < _DIGITS:
                return False
            if length < _ANYWHERE:
                return whole and not text.are_decimals(start, start + length)
            return text.apart_from_digits(start, start + length)
        value = self.values[number]
        if length <= _EXACT and text.original(start, start + length) != value.strip():
            return False
        one_word = len(value.strip()) == length
        if one_word and piece in self._ordinary:
            return False
        return whole or length >= (_WORD_ANYWHERE if one_word and piece.isalpha() else _ANYWHERE)


def _same(one: bytes, other: bytes) -> int:
    """Returns how many bytes two have in common at their beginning."""
    if one == other:
        return len(one)
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
