"""What a comparison of answers is made of: when two numbers are the same, and a place in which two values differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rlm_jupyter.values.describe.short_text import short

MOST = 50
"""Differences of two values that are told."""
LONGEST = 80
_RELATIVE, _ABSOLUTE = 1e-6, 1e-9
"""Of numbers that are not whole, where nothing is said."""
MISSING = "(missing)"
WHOLE = "the answer"
"""The place of a value that is not a part of another one."""


@dataclass(frozen=True)
class Tolerance:
    """When two values count as the same.

    Attributes:
        keys: columns by which rows belong together; empty: found.
        relative, absolute: of numbers, as `Samples` says.
    """

    keys: tuple[str, ...] = ()
    relative: float | None = None
    absolute: float | None = None

    @property
    def of_whole_numbers(self) -> bool:
        """Whether whole numbers may differ too."""
        return self.relative is not None or self.absolute is not None

    @property
    def amounts(self) -> tuple[float, float]:
        """The relative and the absolute tolerance of numbers."""
        if not self.of_whole_numbers:
            return _RELATIVE, _ABSOLUTE
        return self.relative or 0.0, self.absolute or 0.0


@dataclass(frozen=True)
class Difference:
    """One place in which two values differ.

    Attributes:
        place: where: a key, a position, a row and a column.
        one, other: what stands there, shortened.
        texts: both, in full, if they are texts; else None.
    """

    place: str
    one: str
    other: str
    texts: tuple[str, str] | None = None


@dataclass(frozen=True)
class Opaque:
    """Stands for an answer that this process does not decode; it is the same as no other.

    Attributes:
        summary: what it is.
    """

    summary: str

    def __repr__(self) -> str:
        return f"{self.summary} (cannot be compared)"


def is_missing(value: object) -> bool:
    """Returns whether a value says that there is none: None, NaN, NaT, pandas' NA."""
    if value is None or type(value).__name__ in ("NaTType", "NAType"):
        return True
    return isinstance(value, float) and math.isnan(value)


def told(value: object) -> str:
    """Returns a value in a few characters."""
    return repr(value)[:LONGEST] if isinstance(value, Opaque) else short(value, LONGEST)


def joined(place: str, name: str) -> str:
    """Returns the place of a part; `place` is empty for a part of the answer itself."""
    return f"{place} · {name}" if place else name
