"""Which rows a question is about: `in March`, `only 2025`, `for DE`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rlm_jupyter.demo_model.plan import MONTHS, Column, Filter, Period
from rlm_jupyter.demo_model.words import tokens

_MONTH = "|".join(f"{name}|{name[:3]}" if name != "may" else name for name in MONTHS) + "|sept"
_BEFORE = (
    r"(?:only|just|in|of|for|from|during|within|at|where|and|what\s+about|how\s+about)"
    r"(?:\s+(?:the|in|of|for|from))?"
)
_DATED: tuple[tuple[Period, str], ...] = (
    ("month", rf"\b{_BEFORE}\s+(?P<value>{_MONTH})\b\.?"),
    ("quarter", rf"\b{_BEFORE}\s+q(?P<value>[1-4])\b"),
    ("quarter", rf"\b{_BEFORE}\s+(?P<value>first|second|third|fourth|last)\s+quarter\b"),
    ("year", rf"\b(?:{_BEFORE}|{_MONTH}|q[1-4]|quarter|quarter\s+of)\s+(?P<value>(?:19|20)\d\d)\b"),
)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": 4}
_NUMBERED = {name[:length]: number for number, name in enumerate(MONTHS, 1) for length in (3, 4, len(name))}


def conditions(question: str, columns: Sequence[Column], date: Column | None) -> tuple[Filter, ...]:
    """Returns which rows a question asks about, as far as its words say so; of each column and period at most one.

    Args:
        question: of the user.
        columns: those that were looked at.
        date: the column of dates that periods are compared with; None if there is none.
    """
    found = []
    if date is not None:
        for period, pattern in _DATED:
            if match := re.search(pattern, question, re.IGNORECASE):
                found.append(Filter(date, period, _number(match["value"].casefold())))
    for column in columns:
        if column.kind == "text":
            value = next(
                (value for value in _longest_first(column.values) if _restricts(question, value)), None
            )
            if value is not None:
                found.append(Filter(column, "value", value))
    return tuple({(one.column.at, one.period): one for one in reversed(found)}.values())[::-1]


def merged(old: Sequence[Filter], new: Sequence[Filter]) -> tuple[Filter, ...]:
    """Returns the conditions of a question and of its follow-up, which replaces those of the same column and period."""
    return tuple({(one.column.at, one.period): one for one in (*old, *new)}.values())


def _number(text: str) -> int:
    return _ORDINALS.get(text) or _NUMBERED.get(text) or int(text)


def _longest_first(values: Sequence[str]) -> list[str]:
    return sorted((value for value in values if tokens(value)), key=len, reverse=True)


def _restricts(question: str, value: str) -> bool:
    """Returns whether a question names a value as the only one: behind `only`, `in`, `for` and the like."""
    quoted = rf"[\"'\u201c\u2018`]?{re.escape(value)}[\"'\u201d\u2019`]?(?!\w)"
    case = 0 if len(value) <= 2 and value.isupper() else re.IGNORECASE  # noqa: PLR2004 - `in IT` is not `in it`
    return re.search(rf"\b(?i:{_BEFORE})\s+{quoted}", question, case) is not None
