"""Values as they are written in delimited text: told apart into numbers, dates and texts, as programs read them.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Any

_FULL = 200_000
_BEGIN_FIGURES = frozenset("0123456789+-.#") | {"\u2212"}
"""What numbers, dates and some marks of missing values begin with."""
_MISSING = frozenset(
    {
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
    }
    | {"NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""What pandas takes for a missing value."""
_FLAGS = frozenset({"true", "false"})
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_COMMA_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?")
_OTHER_DATE = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})")
_LONGEST_NUMBER = 40


class WrittenColumn:
    """The different cells of one column.

    Attributes:
        size: bytes of those that are held, about.
    """

    def __init__(self) -> None:
        self._words: dict[str, None] = {}
        self._figures: dict[str, str] = {}
        self._has_words = False
        self.size = 0

    @property
    def count(self) -> int:
        """How many different cells are held."""
        return len(self._words) + len(self._figures)

    @property
    def is_full(self) -> bool:
        """Whether there are so many that those which are no numbers and dates should be taken."""
        return len(self._words) >= _FULL

    def add(self, texts: Iterable[str], *, decimal: str = ".") -> None:
        """Take cells.

        Args:
            texts: as they are written.
            decimal: what stands before decimals.
        """
        words, figures = self._words, self._figures
        for text in map(str.strip, texts):
            if text in words or text in figures:
                continue
            if text[:1] in _BEGIN_FIGURES:
                figures[text] = decimal
            else:
                words[text] = None
            self.size += len(text) + 1

    def take_words(self) -> list[str]:
        """Returns the cells that are neither numbers nor dates, and holds them no longer."""
        found = [text for text in self._words if text not in _MISSING and text.casefold() not in _FLAGS]
        self._has_words = self._has_words or bool(found)
        self._words.clear()
        self.size = sum(map(len, self._figures))
        return found

    def take_figures(self) -> Iterator[Any]:
        """Yields the numbers of a column of numbers alone; of any other the texts, and what they may become.

        A column that has one text is a column of texts to the programs that read it, digits and all.
        """
        cells = [(text, decimal) for text, decimal in self._figures.items() if text not in _MISSING]
        self._figures = {}
        numbers = [number_of(*cell) for cell in cells]
        if not self._has_words and all(number is not None for number in numbers):
            yield from numbers
            return
        for (text, _), number in zip(cells, numbers, strict=True):
            yield from (text, number) if number is not None else dated(text)


def number_of(text: str, decimal: str = ".") -> int | float | None:
    """Returns the number that a text is; None if it is none."""
    if len(text) > _LONGEST_NUMBER:
        return None
    if decimal == "," and _COMMA_NUMBER.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def dated(text: str) -> Iterator[Any]:
    """Yields a text and the dates that it may be, so that it is found in the other forms in which dates are written."""
    if match := _DATE.fullmatch(text):
        day = _date(*match.groups())
        yield text if day is None else day  # whose first form is the text
        return
    yield text
    if _MOMENT.fullmatch(text):
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            return
        yield moment.replace(tzinfo=None)
    elif match := _OTHER_DATE.fullmatch(text):
        one, _, two, year = match.groups()
        orders = {(year, two, one)} if match[2] == "." else {(year, two, one), (year, one, two)}
        yield from (day for order in sorted(orders) if (day := _date(*order)) is not None)


def _date(year: str, month: str, day: str) -> dt.date | None:
    try:
        return dt.date(int(year), int(month), int(day))
    except ValueError:
        return None
