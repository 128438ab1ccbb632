"""What functions of a first look found out about data: enough to do the same for it in a few lines of pandas.

Runs where the code behind an answer is run again. It travels there as source: the standard library only.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import clean_tables, text_lines

CONVERSIONS = {
    "date": "pd.to_datetime({column}, errors='coerce', format='ISO8601')",
    "month first": "pd.to_datetime({column}, errors='coerce', format='%m/%d/%Y')",
    "day first": "pd.to_datetime({column}, errors='coerce', format='%d/%m/%Y')",
    "dates": "pd.to_datetime({column}, errors='coerce', format='mixed')",
    "dates, day first": "pd.to_datetime({column}, errors='coerce', format='mixed', dayfirst=True)",
    "number": "pd.to_numeric({column})",
    "grouped": "pd.to_numeric({column}.str.replace(',', ''))",
    "amount": r"pd.to_numeric({column}.str.replace(r'[^\d.+-]', '', regex=True), errors='coerce').astype(float)",
}
"""How a column of texts is converted: by name, an expression."""
NOTES: dict[str, list[Any]] = {}
"""Name of a function → what it found out, for each call; None where that is too much for a few lines."""
_MOST_CALLS = 20

Fact = dict[str, Any]


def noted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that does the same, and takes note of what it finds out."""

    def call(*given: Any) -> Any:
        notes = NOTES.setdefault(name, [])
        if len(notes) < _MOST_CALLS:
            try:
                notes.append(_FACTS[name](*given))
            except Exception:  # data of any kind: then there is no short form
                notes.append(None)
        return function(*given)

    return call


def facts_of_lines(text: str | Sequence[str]) -> Fact | None:
    """Returns how `parse_lines` reads a text."""
    import pandas as pd

    listed = not isinstance(text, str)
    if listed and any(len(line.splitlines()) > 1 for line in text):
        return None
    whole = "\n".join(text) if listed else str(text)
    kind = text_lines.kind_of_lines(whole)
    rows = text_lines.parse_lines(whole)
    lines = [line for line in whole.splitlines() if line.strip()]
    fact: Fact = {"kind": kind, "listed": listed}
    if kind == "json":
        return fact if len(rows) == len(lines) else None
    if kind == "csv":
        fact["delimiter"] = text_lines._delimiter(text_lines._sample(lines)) or ","  # noqa: SLF001 - the same rule
        raw = pd.read_csv(
            io.StringIO("\n".join(lines)),
            sep=fact["delimiter"],
            on_bad_lines="skip",
            skipinitialspace=True,
        )
    else:
        pattern = text_lines.pattern_of(lines)
        if pattern is None or max(map(len, lines)) > text_lines.LONGEST:
            return None
        found = [match.groups() for match in map(pattern.fullmatch, lines) if match is not None]
        fact |= {"pattern": pattern.pattern, "columns": list(rows.columns)}
        raw = pd.DataFrame(found, columns=fact["columns"])
    return _with_conversions(fact, raw, rows)


def facts_of_table(table: Any) -> Fact | None:
    """Returns how `clean_table` converts a table."""
    return _with_conversions({}, table, clean_tables.clean_table(table))


def facts_of_tables(*tables: Any) -> Fact | None:
    """Returns how `join_tables` joins tables."""
    named = len(tables) == 1 and isinstance(tables[0], Mapping)
    given: list[Any] = list(tables[0].values()) if named else list(tables)
    keys: list[Any] = list(tables[0]) if named else list(range(len(given)))
    plan = clean_tables.find_keys(given)
    base = plan[0][0]
    joins = [[right, column, key] for left, column, right, key in plan if left == base]
    used = [base, *(right for left, _, right, _ in plan if left == base)]
    cleaned = {place: facts_of_table(given[place]) for place in used}
    if any(fact is None for fact in cleaned.values()):
        return None
    conversions = {str(place): fact["convert"] for place, fact in cleaned.items() if fact is not None}
    return {"named": named, "keys": keys, "base": base, "joins": joins, "convert": conversions}


def _with_conversions(fact: Fact, raw: Any, made: Any) -> Fact | None:
    """Returns a fact with the conversions that make one table of another; None if there is none for a column."""
    fact["convert"] = []
    for name in raw.columns:
        if not isinstance(name, str) or not raw.columns.is_unique:
            return None
        if raw[name].dtype == made[name].dtype and raw[name].equals(made[name]):
            continue
        found = next((one for one in CONVERSIONS if _gives(one, raw[name], made[name])), None)
        if found is None:
            return None
        fact["convert"].append([name, found])
    return fact


def _gives(conversion: str, column: Any, wanted: Any) -> bool:
    import pandas as pd

    try:
        found = eval(CONVERSIONS[conversion].format(column="column"), {"pd": pd, "column": column})  # noqa: S307 - ours
    except (ValueError, TypeError, AttributeError, OverflowError):
        return False
    return bool(found.equals(wanted))


_FACTS: dict[str, Callable[..., Fact | None]] = {
    "parse_lines": facts_of_lines,
    "clean_table": facts_of_table,
    "join_tables": facts_of_tables,
}
NOTED = tuple(_FACTS)
"""Names of the functions of which notes are taken."""
