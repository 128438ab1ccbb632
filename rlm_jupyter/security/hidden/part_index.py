"""The index of parts of hidden values: what a cut, or code, leaves of one still tells whose it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from rlm_jupyter.security.hidden.hashed_bytes import WORD, HashTable, hash_pieces, words_of
from rlm_jupyter.security.hidden.normal_form import joined_normal_forms
from rlm_jupyter.security.hidden.text_index import Match
from rlm_jupyter.text.shorten import CUT_NOTICE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from rlm_jupyter.security.hidden.hashed_bytes import Integers, Words
    from rlm_jupyter.security.hidden.scanned_text import ScannedText
    from rlm_jupyter.security.hidden.text_index import TextIndex

_SENTENCE: Final = 64
"""Letters and digits from which on a value counts as a text, of which single words are no part that tells."""
_SIZES: Final = {False: WORD, True: 2 * WORD}
"""Letters and digits of a part that is looked for, of short values and of texts."""
_MOST_BYTES: Final = 32 << 20
_DENSE: Final = 1 << 20
_STEP: Final = 4
"""Letters and digits from one part that is known to the next, of more than `_DENSE` bytes of values."""
_MOST_PIECES: Final = 8_000_000
_COMMON: Final = 3
"""Values up to which a part that they share tells something."""
_CUT = re.compile(rf"…|\.\.\.|{CUT_NOTICE}")
_LEAST_AT_CUT: Final = 6
_LONGEST_AT_CUT: Final = 200


class PartIndex:
    """Finds parts of a column's texts.

    Args:
        values: the texts, each once.
        ordinary: a text in its normal form, of which no part is looked for: what every prompt says.
    """

    def __init__(self, values: Sequence[str], ordinary: bytes) -> None:
        self._values = values
        self._folded: dict[int, str] = {}
        joined = np.frombuffer(joined_normal_forms(values), np.uint8)
        self._tables: list[tuple[int, HashTable]] = []
        self._step = 1
        if len(joined) > _DENSE:
            self._step = max(_STEP, len(joined) // _MOST_PIECES)
        ends = np.flatnonzero(joined == 0)
        starts = np.concatenate([np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1])
        words, fixed = words_of(joined), words_of(np.frombuffer(ordinary, np.uint8))
        for is_text, size in _SIZES.items():
            chosen = np.flatnonzero(((ends - starts) >= _SENTENCE) == is_text)
            places, owners = self._pieces(starts[chosen], ends[chosen], chosen, size)
            hashes = hash_pieces(words, places, np.full(len(places), size))
            known = np.arange(max(0, len(ordinary) - size + 1))
            keep = ~np.isin(hashes, hash_pieces(fixed, known, np.full(len(known), size)))
            hashes, owners = hashes[keep], owners[keep]
            _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
            rare = counts[inverse] <= _COMMON
            if rare.any():
                self._tables.append((size, HashTable(hashes[rare], owners[rare])))

    def _pieces(
        self, starts: Integers, ends: Integers, owners: Integers, size: int
    ) -> tuple[Integers, Integers]:
        """Returns where the pieces of values begin, and whose they are."""
        counts = np.maximum((ends - starts - size) // self._step + 1, 0)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        offsets = (np.arange(int(counts.sum())) - first) * self._step
        return np.repeat(starts, counts) + offsets, np.repeat(owners, counts)

    def find(self, text: ScannedText, whole: Sequence[Match]) -> Iterator[Match]:
        """Yields where parts of values stand.

        Args:
            text: that is searched.
            whole: where values stand as a whole.
        """
        covered = np.zeros(len(text.data) + 1, np.int64)
        for match in whole:
            covered[match.start + 1 : match.stop + 1] = 1
        covered = np.cumsum(covered)
        for size, table in self._tables:
            hashes = text.hashes(size)
            if not len(hashes):
                continue
            free = covered[size:] == covered[:-size]
            hits = np.flatnonzero(table.known(hashes) & free[: len(hashes)])
            for first, last in _runs(hits, self._step):
                if self._is_part(text, first, last + size, self._owners(table, hashes, first, last)):
                    yield self._widened(text, first, last + size)

    def _owners(self, table: HashTable, hashes: Words, *places: int) -> Collection[int]:
        return {number for place in places for number in table.numbers(int(hashes[place]))}

    def _is_part(self, text: ScannedText, start: int, stop: int, owners: Collection[int]) -> bool:
        """Whether what stands there is a piece of one of the values, and not only has the same letters.

        `John Smith` is no part of `john.smith@example.com`: a column that is not hidden may have it.
        """
        written = _folded(text.original(start, stop))
        return any(written in self._fold(number) for number in owners)

    def _fold(self, number: int) -> str:
        if number not in self._folded:
            self._folded[number] = _folded(self._values[number])
        return self._folded[number]

    def _widened(self, text: ScannedText, start: int, stop: int) -> Match:
        """Take the rest of the words at both ends with it, where not all pieces are known."""
        if self._step > 1:
            start -= next((back for back in range(start) if text.opens[start - back]), 0)
            rest = text.closes[stop - 1 :]
            stop += int(np.argmax(rest)) if len(rest) else 0
        return Match(start, stop, None)


def _folded(text: str) -> str:
    return "".join(text.split()).casefold()


def _runs(places: Integers, most: int) -> Iterator[tuple[int, int]]:
    """Yields the first and the last of places that follow each other closely."""
    if not len(places):
        return
    breaks = np.flatnonzero(np.diff(places) > most)
    firsts = np.concatenate([places[:1], places[breaks + 1]])
    lasts = np.concatenate([places[breaks], places[-1:]])
    yield from zip(firsts.tolist(), lasts.tolist(), strict=True)


def cut_beginnings(text: ScannedText, index: TextIndex, *, at_end: bool) -> Iterator[tuple[int, int]]:
    """Yields which characters are what a cut has left of a value that began before it.

    Args:
        text: that is searched.
        index: of the values.
        at_end: whether the text itself was cut at its end.
    """
    cuts = [match.start() for match in _CUT.finditer(text.text)]
    cuts += [len(text.text)] if at_end else []
    if not cuts:
        return
    begins = text.places[index.begins(text)] if len(text.places) else text.places
    for cut in cuts:
        first = max((text.text.rfind(space, 0, cut) for space in " \t\n'\"|"), default=-1) + 1
        inside = begins[(begins >= max(first, cut - _LONGEST_AT_CUT)) & (begins < cut)]
        if len(inside) and cut - int(inside[0]) >= _LEAST_AT_CUT:
            yield int(inside[0]), cut
