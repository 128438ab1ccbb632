"""Values as they are written in delimited text: told apart into numbers, dates and texts, as programs read them.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Any

_CHECKED = 200_000
"""New values after which the holder is asked whether there may be more."""
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
        count: how many they are.
        size: their bytes, about.
    """

    def __init__(self) -> None:
        self._cells: dict[str, str] = {}
        self.size = 0
        self._next = _CHECKED

    @property
    def count(self) -> int:
        """How many different cells there are."""
        return len(self._cells)

    def add(self, texts: Iterable[str], *, decimal: str = ".") -> bool:
        """Take cells.

        Args:
            texts: as they are written.
            decimal: what stands before decimals.

        Returns:
            Whether there are so many more that their number should be checked.
        """
        cells = self._cells
        for text in texts:
            if text not in cells:
                cells[text] = decimal
                self.size += len(text) + 1
        if len(cells) < self._next:
            return False
        self._next = len(cells) + _CHECKED
        return True

    def values(self) -> Iterator[Any]:
        """Yields the values: of a column of numbers alone the numbers, of any other its texts and what they may become.

        A column that has one text is a column of texts to the programs that read it, digits and all.
        """
        cells = [(text.strip(), decimal) for text, decimal in self._cells.items()]
        cells = [cell for cell in cells if cell[0] not in _MISSING and cell[0].casefold() not in _FLAGS]
        numbers = [number_of(*cell) for cell in cells]
        if all(number is not None for number in numbers):
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
