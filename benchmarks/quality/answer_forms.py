"""What an answer says, whatever its form: a number, a text, a list, a table of one row."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any

MOST_LEAVES = 20_000
"""More than any right answer has; an answer may be a whole table, or endless."""

_NUMBER = re.compile(r"(?<![\w.])[-−+]?[$€£]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\d)")  # noqa: RUF001 - a minus
_WORDS = dict(
    zip(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ],
        range(13),
        strict=True,
    )
)
_MONTHS = {
    name: number
    for number, names in enumerate(
        [
            "jan january",
            "feb february",
            "mar march",
            "apr april",
            "may",
            "jun june",
            "jul july",
            "aug august",
            "sep september sept",
            "oct october",
            "nov november",
            "dec december",
        ],
        1,
    )
    for name in names.split()
}
_MONTH = r"(?P<name>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\.?"
_ISO = re.compile(r"(?<!\d)(?P<y>\d{4})[-/](?P<m>\d{1,2})(?:[-/](?P<d>\d{1,2}))?(?!\d)")
_DAY_FIRST = re.compile(
    rf"(?<!\d)(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH},? (?P<y>\d{{4}})", re.IGNORECASE
)
_MONTH_FIRST = re.compile(
    rf"\b{_MONTH} (?:(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? )?(?P<y>\d{{4}})(?!\d)", re.IGNORECASE
)


def leaves(value: Any) -> list[Any]:
    """Returns the single things of an answer in their order, at most `MOST_LEAVES`.

    Keys of a dict count; the index of a Series or frame counts if it has a name or holds no numbers.
    """
    found = []
    for leaf in _leaves(value, 0):
        found.append(leaf)
        if len(found) >= MOST_LEAVES:
            break
    return found


def text_of(value: Any) -> str:
    """Returns an answer as text, its single things a line each."""
    return "\n".join(_told(leaf) for leaf in leaves(value))


def numbers_in(text: str) -> list[float]:
    """Returns the numbers of a text; without digits, those up to twelve that are written as words."""
    found = [float(re.sub(r"[,$€£+]", "", match).replace("−", "-")) for match in _NUMBER.findall(text)]  # noqa: RUF001
    if not found and not re.search(r"\d", text):
        found = [float(_WORDS[word]) for word in re.findall(r"[a-z]+", text.lower()) if word in _WORDS]
    return found


def dates_in(text: str) -> set[tuple[int, int, int | None]]:
    """Returns year, month and day (None where only a month is named) of the dates in a text."""
    found = set()
    for pattern in (_ISO, _DAY_FIRST, _MONTH_FIRST):
        for match in pattern.finditer(text):
            parts = match.groupdict()
            month = _MONTHS[parts["name"].lower()] if parts.get("name") else int(parts["m"])
            found.add((int(parts["y"]), month, int(parts["d"]) if parts["d"] else None))
        text = pattern.sub(" ", text)
    return found


def is_single(value: Any) -> bool:
    """Returns whether an answer is one thing and not several: a number, a text, a date."""
    return isinstance(value, (str, int, float, complex, bytes, dt.date)) or hasattr(value, "isoformat")


def _leaves(value: Any, depth: int) -> Iterator[Any]:
    if value is None or depth > 8:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(key, depth + 1)
            yield from _leaves(item, depth + 1)
    elif hasattr(value, "iloc"):
        yield from _of_pandas(value, depth)
    elif isinstance(value, (list, tuple, set, frozenset, range)):
        for item in value:
            yield from _leaves(item, depth + 1)
    elif hasattr(value, "tolist") and hasattr(value, "shape"):  # NumPy's arrays and scalars
        yield from _leaves(value.tolist(), depth + 1)
    elif hasattr(value, "model_dump"):
        yield from _leaves(value.model_dump(), depth + 1)
    else:
        yield value


def _of_pandas(value: Any, depth: int) -> Iterator[Any]:
    told = value.index.name is not None or value.index.dtype.kind not in "iuf"
    two = len(value.shape) > 1
    for number, label in enumerate(value.index[:MOST_LEAVES]):
        if told:
            yield from _leaves(label, depth + 1)
        row = value.iloc[number]
        yield from _leaves(list(row) if two else row, depth + 1)


def _told(leaf: Any) -> str:
    if isinstance(leaf, str):
        return leaf
    if isinstance(leaf, (dt.date, dt.datetime)):
        return leaf.isoformat()
    return str(leaf)
