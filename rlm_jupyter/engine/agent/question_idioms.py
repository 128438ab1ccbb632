"""Lines of Python for what a question about a table asks for, where small models most often know none that is right.

They are written with the table's own columns where it is clear which are meant: examples are copied as they stand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rlm_jupyter.engine.agent.question_columns import chosen_columns
from rlm_jupyter.engine.agent.question_terms import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.engine.agent.question_columns import Column, Named

_MOST: Final = 2
_MOST_CONDITIONS: Final = 3
_READ: Final = 2000
_NUMBERS: Final = {"two": 2, "three": 3, "four": 4, "five": 5}
_AT_LEAST: Final = r"\bat least (\d{1,6}|one|two|three|four|five)\b.{0,80}\band\b.{0,20}\bat least\b"
_BOTH: Final = (
    "users = set(rows[rows[{kind}] == {a}][{group}]) "
    "& set(rows[rows[{kind}] == {b}][{group}])  # with {a} and {b}"
)
_COUNTED: Final = (
    "counts = rows[rows[{kind}] == {a}][{group}].value_counts(); "
    "users = set(counts[counts >= {n}].index) & set(rows[rows[{kind}] == {b}][{group}])  # {n} times {a}, and {b}"
)
_IDIOMS: Final = (
    (
        r"\bgaps? in days\b|\bgaps? (?:in time )?between\b|\bdays between\b|\bgap\b.{0,80}\bconsecutive\b",
        "gaps = rows[{date}].sort_values().diff().dt.days  # days from each to the next one",
    ),
    (r"\bat least (?:one|1)\b.{0,80}\band at least (?:one|1)\b|\bboth '[^'\n]{1,40}' and '", _BOTH),
    (_AT_LEAST, _COUNTED),
    (
        r"\bpairs? of\b|\bpairs\b",
        "pairs = list(itertools.combinations(sorted(set(users)), 2))  # each pair of different users once",
    ),
    (
        r"\bin a row\b|\bstreak|\b(?:consecutive|successive)\b.{0,80}\b(?:ris|rose|grow|grew|increas|higher|up\b)",
        (
            "up = rows.sort_values({date})[{number}].diff() > 0; "
            "longest = up.groupby((~up).cumsum()).sum().max()  # longest run of rises"
        ),
    ),
    (
        r"\b(?:share|rate|percentage|proportion)\b.*\b(?:rose|rise|rises|fell|fall|grew|changed|suddenly|since)\b",
        (
            "month = rows[{date}].dt.strftime('%Y-%m'); "
            "shares = rows.pivot_table(index=month, columns={group}, values={flag}, aggfunc='mean')  # by month, group"
        ),
    ),
    (
        r"\b(?:share|rate|percentage|proportion)\b",
        "shares = rows.groupby({group})[{flag}].mean()  # the share of True in each group",
    ),
    (
        r"\b(?:average|mean)\b.*\b(?:which|highest|lowest|higher|lower)\b|\b(?:which|highest|lowest)\b.*\b(?:average|mean)\b",
        "means = rows.groupby({group})[{number}].mean()  # the mean of each group",
    ),
    (
        r"\bmethods?\b.{0,80}\bclass|\bclass\b.{0,80}\bmethods?\b",
        "methods = rows[(rows['kind'] == 'function') & (rows['level'] == 'class')]  # their class is in 'inside'",
    ),
    (
        r"\bfunctions?\b.{0,80}\btop level\b",
        "top = rows[(rows['kind'] == 'function') & (rows['level'] == 'top')]  # functions at the top level",
    ),
    (r"\bduplicates?\b|\btwice\b|\bcount it once\b", "rows = rows.drop_duplicates({key})  # each once"),
    (r"\bmonth", "month = rows[{date}].dt.strftime('%Y-%m')  # such as '2025-03'"),
)
_EXAMPLES: Final = {
    "date": "date",
    "flag": "flag",
    "number": "x",
    "group": "group",
    "key": "id",
    "kind": "kind",
    "a": "a",
    "b": "b",
}
"""What stands in a line in place of what is not known."""
_PRODUCT: Final = re.compile(r"`(\w{1,40})` (?:times|multiplied by|\*|x) `(\w{1,40})`")


def idioms(
    question: str, columns: Sequence[Column] = (), named: Sequence[Named] = (), labelled: str = ""
) -> list[str]:
    """Returns the lines that fit a question, the rarest kind first.

    Args:
        question: verbatim.
        columns: of the table.
        named: terms of the question that are values in it.
        labelled: the column that a model's labels are put into; empty for none.
    """
    asked = question[:_READ]
    words = _EXAMPLES | chosen_columns(asked, columns)
    if labelled or named:
        words["kind"] = labelled or named[0].column
    terms = quoted(asked)
    words |= dict(zip(("a", "b"), terms, strict=False)) if len(terms) > 1 else {}
    at_least = re.search(_AT_LEAST, asked, re.IGNORECASE | re.DOTALL)
    count = at_least[1].lower() if at_least else "3"
    quoted_words = {name: repr(word) for name, word in words.items()}
    found = [
        line.format(**quoted_words, n=_NUMBERS.get(count, count)) if "{" in line else line
        for pattern, line in _IDIOMS
        if re.search(pattern, asked, re.IGNORECASE | re.DOTALL)
    ]
    product = _PRODUCT.search(asked)
    if product is not None:
        found.insert(0, f"rows['total'] = rows['{product[1]}'] * rows['{product[2]}']")
    return found[:_MOST]


def selection(table: str, named: Sequence[tuple[str, str]]) -> str:
    """Returns the line that selects the rows of a table which a question names; empty if it names two of one column.

    Args:
        table: the variable.
        named: columns, and the terms of the question that are values in them.
    """
    columns = {column for column, _ in named}
    if not named or len(columns) < len(named) or len(named) > _MOST_CONDITIONS:
        return ""
    tests = [f"({table}[{column!r}] == {term!r})" for column, term in named]
    terms = " and ".join(repr(term) for _, term in named)
    test = " & ".join(tests) if len(tests) > 1 else tests[0][1:-1]
    return f"selected = {table}[{test}]  # the rows with {terms}"
