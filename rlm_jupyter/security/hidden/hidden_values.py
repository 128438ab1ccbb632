"""The hidden values of a run: takes them out of what is sent, and puts them back into what comes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rlm_jupyter.security.hidden.code_tokens import code_with_values
from rlm_jupyter.security.hidden.decoded_readings import Reading, readings
from rlm_jupyter.security.hidden.described import described_with_tokens
from rlm_jupyter.security.hidden.normal_form import BARRIER, normal_form
from rlm_jupyter.security.hidden.number_index import NumberIndex
from rlm_jupyter.security.hidden.part_index import PartIndex, cut_beginnings
from rlm_jupyter.security.hidden.scanned_text import ScannedText
from rlm_jupyter.security.hidden.text_index import TextIndex
from rlm_jupyter.security.hidden.tokens import OPEN, Tokens, token
from rlm_jupyter.security.redactor import Redactor

if TYPE_CHECKING:
    from rlm_jupyter.security.hidden.hidden_columns import HiddenColumn

_REVERSED: Final = 8
"""Letters and digits of a value that is looked for reversed."""
_MOST_PARTS: Final = 500_000
"""Values of a column up to which parts of them are looked for."""
_WHOLE: Final = 2
"""Rank from which on something is a whole value, which is replaced as a whole or not at all."""
_WORD = re.compile(r"\w+")


class _Found(NamedTuple):
    """What is replaced: from which character to which, by what; of two that overlap the one of higher rank stays."""

    rank: int
    start: int
    stop: int
    token: str


class _Index:
    """All that is known of one column."""

    def __init__(self, column: HiddenColumn, ordinary: Collection[bytes], fixed: bytes) -> None:
        self.column = column
        self.texts = TextIndex(column.texts, ordinary) if column.texts else None
        self.numbers = NumberIndex(column.numbers) if column.numbers else None
        few = self.texts is not None and len(column.texts) <= _MOST_PARTS
        self.parts = PartIndex(list(dict.fromkeys(column.texts)), fixed) if few else None

    def find(self, reading: Reading, text: ScannedText, *, cut_end: bool) -> Iterator[_Found]:
        """Yields what a reading of a text holds of the column."""
        label, how = self.column.label, reading.how
        whole = self.texts.find(text) if self.texts is not None else []
        if self.texts is not None:
            for match in whole:
                if how == "reversed" and match.stop - match.start < _REVERSED:
                    continue
                place = None if match.number is None else self.column.place_of_text(match.number)
                first, last = reading.span(*self.texts.edges(text, match))
                yield _Found(3 if place is not None and not how else 2, first, last, token(label, place, how))
            if not how:
                for first, last in cut_beginnings(text, self.texts, at_end=cut_end):
                    yield _Found(0, *reading.span(first, last), token(label, None))
        if self.parts is not None and how != "reversed":
            for match in self.parts.find(text, whole):
                first, last = reading.span(*text.span(match.start, match.stop))
                yield _Found(1, first, last, token(label, None, how))
        if self.numbers is not None and how != "reversed":
            for number in self.numbers.find(text.text):
                first, last = reading.span(number.start, number.stop)
                place = self.column.place_of_number(number.number)
                yield _Found(3 if not how else 2, first, last, token(label, place, how))


class HiddenValues:
    """The values of hidden columns.

    Args:
        columns: with their values.
        ordinary: a text of which no word and no part is looked for, since it stands in every prompt.
        names: of columns and variables, which are not looked for either.
        hides: says of the name of a column whether its values are hidden, also in data that agents make.
        notices: what the user is told of it.
        checks: each raises an error if hidden values changed since they were found.

    Attributes:
        columns: by their labels.
        hides: as given.
        notices: as given.
    """

    def __init__(
        self,
        columns: Sequence[HiddenColumn],
        ordinary: str = "",
        names: Iterable[str] = (),
        *,
        hides: Callable[[object], bool] = lambda _name: False,
        notices: Sequence[str] = (),
        checks: Sequence[Callable[[], None]] = (),
    ) -> None:
        self.columns = {column.label: column for column in columns}
        self.hides, self.notices = hides, tuple(notices)
        self._checks = tuple(checks)
        known = f"{ordinary}\n" + "\n".join(names)
        words = {normal_form(word) for word in _WORD.findall(known)} | {normal_form(name) for name in names}
        fixed = normal_form(known)
        self._indexes = [_Index(column, words, fixed) for column in columns if len(column)]
        self._tokens = Tokens(self.columns, self._value)

    def _value(self, label: str, place: int) -> Any:
        if place < 0:
            raise IndexError(place)
        return self.columns[label].value(place)

    def __bool__(self) -> bool:
        return bool(self._indexes)

    def __repr__(self) -> str:
        return f"HiddenValues({', '.join(self.columns)})"  # never what it knows

    @property
    def told(self) -> str:
        """What agents are told of tokens."""
        labels = ", ".join(f"`{label}`" for label in self.columns)
        return (
            f"Values of {labels} are hidden from you: a token such as `{OPEN}name:17⟩` stands for each. Your code "
            f'works on the real values: in it, `"{OPEN}name:17⟩"` is the real text, and the token of a number, without '
            "quotes, the number. Return variables rather than tokens where you can."
        )

    def described(self, description: dict[str, Any]) -> dict[str, Any]:
        """Returns a description of data in which hidden columns show their types and tokens alone."""
        return described_with_tokens(description, self.hides, self.hide)

    # ---- what is sent

    @property
    def can_change(self) -> bool:
        """Whether the values are of data that may change while a run goes on."""
        return bool(self._checks)

    def check(self) -> None:
        """Refuse to go on if the values are no longer those that were found. May take some milliseconds.

        Raises:
            HiddenDataChangedError: a file with hidden columns changed.
        """
        for check in self._checks:
            check()

    def hide(self, text: str, *, cut_end: bool = False) -> str:
        """Returns a text with a token in the place of each hidden value.

        Args:
            text: that is to be sent.
            cut_end: whether something was cut off at its end.
        """
        if not text or not self._indexes:
            return text
        kept = self._tokens.spans(text)
        open_text = _with_barriers(text, kept) if kept else text
        found: list[_Found] = []
        for reading in readings(open_text):
            scanned = ScannedText(reading.text)
            for index in self._indexes:
                found += index.find(reading, scanned, cut_end=cut_end)
        return _replaced(text, found) if found else text

    def counts(self, text: str) -> dict[str, dict[str, int]]:
        """Count the tokens in a text, by column and number."""
        return self._tokens.counts(text)

    # ---- what comes

    def restored(self, text: str) -> str:
        """Returns a reply that is no code with the values in it."""
        return self._tokens.restored(text)

    def code(self, code: str) -> str:
        """Returns code with the values in it, as Python's own literals."""
        return code_with_values(code, self._tokens.known(code))


def _with_barriers(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Put what is part of no value in the place of tokens."""
    parts, last = [], 0
    for start, stop in spans:
        parts += [text[last:start], BARRIER * (stop - start)]
        last = stop
    return "".join([*parts, text[last:]])


def _replaced(text: str, found: list[_Found]) -> str:
    """Replace what was found; of what overlaps, that of the higher rank, and then the longer."""
    chosen: list[_Found] = []
    taken = bytearray(len(text))
    for one in sorted(found, key=lambda each: (-each.rank, each.start - each.stop, each.start)):
        for start, stop in (
            _free(taken, one.start, one.stop) if one.rank < _WHOLE else [(one.start, one.stop)]
        ):
            if taken.find(1, start, stop) < 0:
                taken[start:stop] = b"\1" * (stop - start)
                chosen.append(one._replace(start=start, stop=stop))
    parts, last = [], 0
    for one in sorted(chosen, key=lambda each: each.start):
        parts += [text[last : one.start], one.token]
        last = one.stop
    return "".join([*parts, text[last:]])


def _free(taken: bytearray, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yields what is left of a part of a value beside what is replaced already."""
    while start < stop:
        first = taken.find(0, start, stop)
        if first < 0:
            return
        end = taken.find(1, first, stop)
        end = stop if end < 0 else end
        yield first, end
        start = end


class HidingRedactor(Redactor):
    """Takes secrets out of a text, and hidden values.

    Args:
        secrets: see `Redactor`.
        hidden: values that tokens stand for.
    """

    def __init__(self, secrets: Iterable[str], hidden: HiddenValues) -> None:
        super().__init__(secrets)
        self._hidden = hidden

    def __call__(self, text: str) -> str:
        """Returns the text without secrets and hidden values."""
        return self._hidden.hide(super().__call__(text))

    def ends(self, head: str, tail: str) -> tuple[str, str]:
        """Returns the two ends of a text that was cut between them, without secrets and hidden values."""
        head, tail = super().ends(head, tail)
        return self._hidden.hide(head, cut_end=True), self._hidden.hide(tail)
