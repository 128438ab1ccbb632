"""Tables made ready to compute with: texts that are dates or amounts converted, and tables joined by their common key.

It travels into an agent's kernel as source: the standard library only; pandas is imported when it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

MOST_ROWS = 500_000
"""Of a table that is converted or joined for a first look."""
_SAMPLE = 5000
_SHARE = 0.95
"""Of the values that are not missing, which must have the form."""
_MOST_TABLES = 4
_MISSING = frozenset(("", "-", "--", "?", "n/a", "na", "nan", "null", "none", "missing", "unknown"))
_CODES = "USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|CNY|INR"
_AMOUNT = re.compile(
    rf"(?P<before>[$€£¥]|{_CODES})?\s?(?P<sign>[-+]?)(?P<digits>\d{{1,3}}(?:,\d{{3}})+|\d+)(?P<rest>\.\d+)?"
    rf"\s?(?P<after>[$€£¥]|{_CODES})?"
)
_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_LEADING_ZERO = re.compile(r"0\d")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_DAY_FIRST = re.compile(rf"\d{{1,2}} (?:{_MONTHS})[a-z]* \d{{4}}")
_MONTH_FIRST = re.compile(rf"(?:{_MONTHS})[a-z]* \d{{1,2}},? \d{{4}}")
_LAST_MONTH = 12


def is_unclean(table: Any) -> bool:
    """Returns whether `clean_table` would convert a column of a table of pandas."""
    return any(_converter(table.iloc[:, place]) is not None for place in range(table.shape[1]))


def clean_table(table: Any) -> Any:
    """Returns a copy of a table whose columns of texts are converted where they are dates or amounts.

    Amounts may have a currency and thousands separators, dates the forms `2025-03-09`, `9 Mar 2025`, `Mar 9, 2025`
    and `3/9/2025`; several forms may stand in one column. What says that a value is missing (`n/a`, `-`, `NULL`, an
    empty text) is missing then.

    Args:
        table: a DataFrame.
    """
    table = table.copy()
    for place, name in enumerate(table.columns):
        column = table.iloc[:, place]
        convert = _converter(column)
        if convert is not None:
            table[name] = convert(column)
    return table


def join_tables(*tables: Any) -> Any:
    """Join tables by the column of one whose values name the rows of another.

    Args:
        tables: DataFrames, or one dict of them.

    Returns:
        One DataFrame: the table that refers to others with their columns beside its own, all of its rows kept; texts
        that are dates or amounts are converted.

    Raises:
        ValueError: the tables have no such column.
    """
    given = list(tables[0].values()) if len(tables) == 1 and isinstance(tables[0], Mapping) else list(tables)
    plan = find_keys(given)
    if not plan:
        raise ValueError("No column of one table names the rows of another: use `pandas.merge` with `on=`.")
    base = plan[0][0]
    joined = clean_table(given[base])
    for left, column, right, key in plan:
        if left == base:
            other = clean_table(given[right])
            joined = joined.merge(
                other, how="left", left_on=column, right_on=key, suffixes=("", f"_{right + 1}")
            )
    return joined


def find_keys(tables: list[Any]) -> list[tuple[int, str, int, str]]:
    """Returns which columns refer to which tables.

    Args:
        tables: DataFrames.

    Returns:
        Place of a table, its column, the place of the table that it names rows of, and that one's key. The first
        table that is named is the one with the most rows; each other table is named once.
    """
    if not 1 < len(tables) <= _MOST_TABLES or not all(_is_frame(table) for table in tables):
        return []
    order = sorted(range(len(tables)), key=lambda place: -len(tables[place]))
    for base in order:
        found = []
        for other in range(len(tables)):
            pair = _pair(tables[base], tables[other]) if other != base else None
            if pair is not None:
                found.append((base, pair[0], other, pair[1]))
        if found:
            return found
    return []


def _pair(table: Any, other: Any) -> tuple[str, str] | None:
    """Returns the column of a table whose values are all in a column of another that has each value once."""
    best: tuple[int, str, str] | None = None
    for key in other.columns:
        values = other[key]
        if type(key) is not str or values.dtype.kind == "f" or not _is_key(values):
            continue
        known = set(values.tolist())
        for column in table.columns:
            if type(column) is not str or table[column].dtype.kind != values.dtype.kind:
                continue
            sample = table[column].dropna().iloc[:_SAMPLE].tolist()
            if not sample or sum(value in known for value in sample) < _SHARE * len(sample):
                continue
            rank = 2 * (column == key) + (key in column or column in key or column.endswith(("id", "_no")))
            if best is None or rank > best[0]:
                best = (rank, column, key)
    return (best[1], best[2]) if best is not None and best[0] > 0 else None


def _is_key(values: Any) -> bool:
    try:
        return len(values) > 1 and bool(values.is_unique) and not bool(values.isna().any())
    except TypeError:
        return False  # lists and dicts


def _is_frame(table: Any) -> bool:
    return (
        type(table).__name__ == "DataFrame" and type(table).__module__.startswith("pandas") and len(table) > 1
    )


# -- columns


def _converter(column: Any) -> Callable[[Any], Any] | None:
    """Returns what converts a column; None for one that stays as it is."""
    if column.dtype.kind not in "OTU" and str(column.dtype) not in ("str", "string"):
        return None
    step = max(1, len(column) // _SAMPLE)
    values = [value for value in column.iloc[::step].tolist() if not _is_missing(value)]
    texts = [value.strip() for value in values if type(value) is str]
    if not texts or len(texts) < len(values) or len(texts) < _SHARE * len(values):
        return None
    if sum(_is_date(text) for text in texts) >= _SHARE * len(texts):
        slashed = [found for text in texts if (found := _SLASHED.fullmatch(text))]
        second = any(int(found[2]) > _LAST_MONTH for found in slashed)
        first = any(int(found[1]) > _LAST_MONTH for found in slashed)
        if first and second:
            return None
        return lambda given: _dates(given, day_first=first)
    amounts = [_AMOUNT.fullmatch(text) for text in texts]
    currencies = {
        _CURRENCIES.get(mark, mark)
        for found in amounts
        if found
        for mark in (found["before"], found["after"])
        if mark
    }
    named = any(_LEADING_ZERO.match(found["digits"]) for found in amounts if found)
    if (
        sum(found is not None for found in amounts) >= _SHARE * len(texts)
        and len(currencies) <= 1
        and not named
    ):
        return _numbers
    return None


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or value != value  # noqa: PLR0124 - not a number
        or (type(value) is str and value.strip().lower() in _MISSING)
    )


def _is_date(text: str) -> bool:
    return any(form.fullmatch(text) for form in (_ISO, _SLASHED, _DAY_FIRST, _MONTH_FIRST))


def _dates(column: Any, *, day_first: bool) -> Any:
    import pandas as pd

    def iso(value: Any) -> str | None:
        text = value.strip() if type(value) is str else ""
        found = _SLASHED.fullmatch(text)
        if found:
            day, month = (found[1], found[2]) if day_first else (found[2], found[1])
            return f"{found[3]}-{int(month):02d}-{int(day):02d}"
        if _DAY_FIRST.fullmatch(text):
            day, month, year = text.split()
        elif _MONTH_FIRST.fullmatch(text):
            month, day, year = text.replace(",", " ").split()
        else:
            return text if _ISO.fullmatch(text) else None
        return f"{year}-{_MONTHS.split('|').index(month[:3]) + 1:02d}-{int(day):02d}"

    return pd.to_datetime(column.map(iso), errors="coerce", format="ISO8601")


def _numbers(column: Any) -> Any:
    import pandas as pd

    def plain(value: Any) -> float | None:
        found = _AMOUNT.fullmatch(value.strip()) if type(value) is str else None
        if found is None:
            return None
        return float(found["sign"] + found["digits"].replace(",", "") + (found["rest"] or ""))

    return pd.to_numeric(column.map(plain))
