"""A text that is searched for hidden values: its normal form, and where its words begin and end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from rlm_jupyter.security.hidden.hashed_bytes import hash_pieces, words_of
from rlm_jupyter.security.hidden.normal_form import squash

if TYPE_CHECKING:
    import numpy.typing as npt

    from rlm_jupyter.security.hidden.hashed_bytes import Words

    Flags = npt.NDArray[np.bool_]


_BARRIER: Final = 1
"""What stands in a normal form for what is no part of the text."""


@dataclass
class ScannedText:
    """A text and its normal form.

    Attributes:
        text: as it is.
    """

    text: str

    def __post_init__(self) -> None:
        self.data, self.places = squash(self.text)
        self._hashes: dict[int, Words] = {}

    @cached_property
    def words(self) -> Words:
        """The eight bytes from each place of the normal form on."""
        return words_of(self.data)[: len(self.data)]

    def hashes(self, size: int) -> Words:
        """Returns the hashes of all pieces of a size, from each place on at which one fits."""
        if size not in self._hashes:
            places = np.arange(max(0, len(self.data) - size + 1))
            self._hashes[size] = hash_pieces(self.words, places, np.full(len(places), size))
        return self._hashes[size]

    @cached_property
    def _breaks(self) -> Flags:
        """Whether a word ends between a place and the next: something is left out, or small letters become capitals."""
        if not len(self.places):
            return np.zeros(0, np.bool_)
        codes = np.frombuffer(self.text.encode("utf-32-le", "surrogatepass"), np.uint32)[self.places]
        small, capital = (codes >= ord("a")) & (codes <= ord("z")), (codes >= ord("A")) & (codes <= ord("Z"))
        apart = (np.diff(self.places) > 1) | (self.data[:-1] == _BARRIER) | (self.data[1:] == _BARRIER)
        return np.asarray(apart | (small[:-1] & capital[1:]))

    @cached_property
    def opens(self) -> Flags:
        """Whether a word begins at a place."""
        return np.concatenate([np.ones(min(1, len(self.places)), np.bool_), self._breaks])

    @cached_property
    def closes(self) -> Flags:
        """Whether a word ends with a place."""
        return np.concatenate([self._breaks, np.ones(min(1, len(self.places)), np.bool_)])

    def original(self, start: int, stop: int) -> str:
        """Returns what stands in the text from a place of the normal form to another."""
        first, last = self.span(start, stop)
        return self.text[first:last]

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Returns which characters a piece of the normal form comes from."""
        return int(self.places[start]), int(self.places[stop - 1]) + 1

    def apart_from_digits(self, start: int, stop: int) -> bool:
        """Whether no digit stands directly before or after a piece."""
        first, last = self.span(start, stop)
        return not (self.text[first - 1 : first].isdigit() or self.text[last : last + 1].isdigit())

    def are_decimals(self, start: int, stop: int) -> bool:
        """Whether the digits of a piece are those after the point of a number."""
        first, _ = self.span(start, stop)
        return self.text[first - 1 : first] == "." and self.text[first - 2 : first - 1].isdigit()
