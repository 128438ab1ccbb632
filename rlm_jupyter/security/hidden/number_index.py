"""The index of a hidden column's numbers: says which numbers of a text are among them, also rounded."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DIGITS: Final = 4
"""Significant digits of a number that is looked for."""
_MOST_DIGITS: Final = 40
_LARGEST: Final = 300
"""Power of ten above which no float is."""
_FEW: Final = 100_000
"""Numbers up to which those that stand on two lines are looked for: of more, any two numbers may be one."""
_TWO_LINES = re.compile(r"^(?=(\d{1,9})\n(\d{1,9})$)", re.MULTILINE)
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_])"
    r"(?:\d{1,3}(?:\.\d{3})++(?=,\d)|\d{1,3}(?:[,_'\u00a0\u202f\u2009 ]\d{3})++(?!\d)"
    r"|\d{1,3}(?:\.\d{3}){2,}+(?!\d)|\d+)"
    r"(?:[.,]\d+)?(?:[eE][+-]?\d{1,3})?(?![A-Za-z0-9_])"
)
_PLAIN = re.compile(r"(?<![A-Za-z0-9_])\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?(?![A-Za-z0-9_])")
_GROUPS = re.compile(r"[,_'\u00a0\u202f\u2009 ](?=\d{3}(?!\d))")


class NumberMatch(NamedTuple):
    """A hidden number in a text: from which character to which, and the number of the value."""

    start: int
    stop: int
    number: int


class NumberIndex:
    """Finds the numbers of one column.

    Args:
        values: the numbers; what is none, or not finite, is passed over.
    """

    def __init__(self, values: Sequence[object]) -> None:
        self.values = values
        as_floats = np.abs(_floats(values))
        found, self._firsts = np.unique(as_floats, return_index=True)
        finite = np.isfinite(found)
        self._sorted, self._firsts = found[finite], self._firsts[finite]

    def find(self, text: str) -> list[NumberMatch]:
        """Returns where hidden numbers stand in a text, as whole tokens of four significant digits or more."""
        found = []
        for match in _NUMBER.finditer(text):
            number = self._number(match.group())
            if number is not None:
                found.append(NumberMatch(self._start(text, match.start(), number), match.end(), number))
            elif " " in match.group() or "," in match.group():  # two numbers side by side, and not one
                found += self._parts(text, match.start(), match.end())
        return found + (list(self._over_two_lines(text)) if len(self._sorted) <= _FEW else [])

    def _over_two_lines(self, text: str) -> Iterator[NumberMatch]:
        """Yields numbers whose digits were printed in two parts, each a line of its own."""
        for match in _TWO_LINES.finditer(text):
            number = self._number(match[1] + match[2])
            if number is not None:
                yield NumberMatch(match.start(1), match.end(2), number)

    def _parts(self, text: str, start: int, end: int) -> Iterator[NumberMatch]:
        for match in _PLAIN.finditer(text, start, end):
            number = self._number(match.group())
            if number is not None:
                yield NumberMatch(self._start(text, match.start(), number), match.end(), number)

    def _start(self, text: str, start: int, number: int) -> int:
        """Take the sign of a negative number with it."""
        value = self.values[number]
        return start - 1 if value < 0 and text[start - 1 : start] in "-\u2212" and start else start  # type: ignore[operator]

    def _number(self, written: str) -> int | None:
        for plain in _readings(written):
            try:
                read = Decimal(plain)
            except InvalidOperation:
                continue
            if (number := self._nearest(read)) is not None:
                return number
        return None

    def _nearest(self, read: Decimal) -> int | None:
        """Returns the first value that a number is, or that it is rounded to the digits that are written."""
        exponent = read.as_tuple().exponent
        if not isinstance(exponent, int) or abs(read.adjusted()) > _LARGEST or abs(exponent) > _LARGEST:
            return None
        if _significant(read) < _DIGITS or not len(self._sorted):
            return None
        target, half = float(read), 0.5 * 10.0**exponent
        least = np.searchsorted(self._sorted, target - half * (1 + 1e-9), side="left")
        last = np.searchsorted(self._sorted, target + half * (1 + 1e-9), side="right")
        if least >= last:
            return None
        exact = np.searchsorted(self._sorted, target)
        if exact < len(self._sorted) and self._sorted[exact] == target:
            return int(self._firsts[exact])
        return int(self._firsts[least])


def _floats(values: Sequence[object]) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    return np.array([_float(value) for value in values], np.float64)


def _float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _readings(written: str) -> Iterator[str]:
    """Yields what a number may mean: `1.234,5` has a comma for decimals, `1,234.5` one for thousands."""
    if len(written) > _MOST_DIGITS:
        return
    yield _GROUPS.sub("", written)
    if "," in written:
        yield _GROUPS.sub("", written.replace(".", "")).replace(",", ".")
    elif written.count(".") > 1:
        yield written.replace(".", "")


def _significant(read: Decimal) -> int:
    """Returns how many digits of a number tell something: zeros before it, and those that end its decimals, do not."""
    _, digits, exponent = read.as_tuple()
    text = "".join(map(str, digits))
    decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    while decimals and text.endswith("0"):
        text, decimals = text[:-1], decimals - 1
    return len(text.lstrip("0"))
