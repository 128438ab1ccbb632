"""Lines of Python for what a question about a table asks for, where small models most often know none that is right.

They are written with the table's own columns where it is clear which are meant: examples are copied as they stand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rlm_jupyter.engine.agent.question_columns import asked_flags, chosen_columns
from rlm_jupyter.engine.agent.question_labels import labels
from rlm_jupyter.guest.quoted_terms import quoted_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.engine.agent.question_columns import Column, Named

_MOST: Final = 2
_MOST_CONDITIONS: Final = 4
_READ: Final = 2000
_NUMBERS: Final = {"two": 2, "three": 3, "four": 4, "five": 5}
_AT_LEAST: Final = r"\bat least (\d{1,6}|one|two|three|four|five)\b.{0,80}\band\b.{0,20}\bat least\b"
_BOTH: Final = """\
first = set(rows[{of_a}][{group}])  # with {a}
second = set(rows[{of_b}][{group}])  # with {b}
users = first & second  # with both"""
_COUNTED: Final = """\
counts = rows[{of_a}][{group}].value_counts()
first = set(counts[counts >= {n}].index)  # with at least {n} of {a}
second = set(rows[{of_b}][{group}])  # with at least one of {b}
users = first & second  # with both"""
_OVER_TIME: Final = (
    r"\b(?:share|rate|percentage|proportion)\b.*\b(?:rose|rises?|fell|falls?|grew|changed|suddenly|since)\b"
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
        _OVER_TIME,
        (
            "month = rows[{date}].dt.strftime('%Y-%m'); "
            "shares = rows.pivot_table(index=month, columns={group}, values={flag}, aggfunc='mean')  # by month, group"
        ),
    ),
    (
        r"^(?!.*\b(?:rose|rises?|fell|falls?|grew|changed|suddenly|since)\b).*\b(?:share|rate|percentage|proportion)\b",
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
    (r"\bduplicates?\b|\btwice\b|\bcount it once\b", "rows = rows.drop_duplicates({key})  # each once"),
    (r"\bmonth", "month = rows[{date}].dt.strftime('%Y-%m')  # such as '2025-03'"),
)
_WHOSE: Final = (
    r"\bwhich [a-z]+ (?:explains|causes|caused|drives|drove|is behind|is responsible|accounts|leads|stands out|rose"
    r"|fell)\b"
)
_OF_SECTIONS: Final = (
    (r"\bnot\b|\bmissing\b|\bnever\b|\bbut no\b|\bwithout\b", "-", "in the first, not in the second"),
    (r"\bboth\b|\balso in\b|\bin common\b|\band in\b", "&", "in both"),
    (r"\beither\b|\bor in\b", "|", "in one or both"),
)
_SECTIONS: Final = (
    "result = sorted(set(rows[rows['section'] == {a!r}]['line']) {sign} set(rows[rows['section'] == {b!r}]['line']))"
    "  # {what}"
)
_CHANGE: Final = (
    "change = shares.tail(3).mean() - shares.head(3).mean()  # of each group; {which}: change.{method}()"
)
_FELL: Final = re.compile(
    r"\b(?:fell|falls?|fall|drop|dropped|decline|declined|decrease|decreased)\b", re.IGNORECASE
)
_SELECTED_OVER_TIME: Final = (
    "shares = selected.groupby(selected[{date}].dt.strftime('%Y-%m'))[{flag}].mean()  # the share of True by month",
    "high = shares[shares > (shares.min() + shares.max()) / 2]  # the first month of it: high.index[0]",
)
_DATES: Final = (
    (r"\b(?:in|of|during) (\d{4}-\d\d)(?![\d-])", "rows[{date}].dt.strftime('%Y-%m') == {value}"),
    (r"\b(?:in|of|during) (?:the year )?(\d{4})(?![\d-])", "rows[{date}].dt.strftime('%Y') == {value}"),
    (r"\b(?:on or after|since|from) (\d{4}-\d\d-\d\d)", "rows[{date}] >= {value}"),
    (r"(?<!or )\bafter (\d{4}-\d\d-\d\d)", "rows[{date}] > {value}"),
    (r"\b(?:on or before|until|up to) (\d{4}-\d\d-\d\d)", "rows[{date}] <= {value}"),
    (r"(?<!or )\bbefore (\d{4}-\d\d-\d\d)", "rows[{date}] < {value}"),
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
    question: str,
    columns: Sequence[Column] = (),
    named: Sequence[Named] = (),
    labelled: str = "",
) -> list[str]:
    """Returns the lines that fit a question: one that selects the rows that it names, then the rarest kind first.

    Args:
        question: verbatim.
        columns: of the table `rows`.
        named: terms of the question that are values in it.
        labelled: the column that a model's labels are put into; empty for none.
    """
    asked = question[:_READ]
    chosen = chosen_columns(asked, columns)
    terms = quoted_terms(asked)
    words = _EXAMPLES | chosen
    if labelled or named:
        words["kind"] = labelled or named[0].column
    words |= dict(zip(("a", "b"), terms, strict=False)) if len(terms) > 1 else {}
    at_least = re.search(_AT_LEAST, asked, re.IGNORECASE | re.DOTALL)
    count = at_least[1].lower() if at_least else "3"
    written = {name: repr(word) for name, word in words.items()}
    written |= _of_two(asked, written, terms, chosen.get("date"))
    if labelled:
        offered = set(labels(asked))
        tests = [(labelled, term) for term in terms if term in offered]
    else:
        tests = [(each.column, each.term) for each in named]
    of_code = "level" in {column.name for column in columns}
    if (line := _of_sections(asked, named)) is not None:
        return [line]
    first = selection(asked, tests, chosen.get("date"), flags=asked_flags(asked, columns), code=of_code)
    found = [
        line.format(**written, n=_NUMBERS.get(count, count)) if "{" in line else line
        for pattern, line in _IDIOMS
        if re.search(pattern, asked, re.IGNORECASE | re.DOTALL)
    ]
    if first and re.search(_OVER_TIME, asked, re.IGNORECASE | re.DOTALL):
        found = [line.format(**written) for line in _SELECTED_OVER_TIME]
    elif re.search(_OVER_TIME, asked, re.IGNORECASE | re.DOTALL) and re.search(_WHOSE, asked, re.IGNORECASE):
        which, method = ("fell most", "idxmin") if _FELL.search(asked) else ("rose most", "idxmax")
        at = next(at for at, line in enumerate(found) if line.startswith("month = "))
        found.insert(at + 1, _CHANGE.format(which=which, method=method))
    product = _PRODUCT.search(asked)
    if product is not None:
        found.insert(0, f"rows['total'] = rows['{product[1]}'] * rows['{product[2]}']")
    if "strftime" in first:
        found = [line for line in found if not line.startswith("month = ")]
    before = [line for line in found if "drop_duplicates" in line] if first else []
    return [*before, *([first] if first else []), *[line for line in found if line not in before][:_MOST]]


def _of_two(question: str, written: dict[str, str], terms: Sequence[str], date: str | None) -> dict[str, str]:
    """Returns the tests of the rows of the first and of the second term, each with the dates that stand with it.

    A date before both, or after a comma at the end, is one of both.
    """
    parts = [question, "", ""]
    if len(terms) > 1:
        a, b = map(re.escape, terms[:2])
        found = re.search(rf"['\"]({a}['\"].*?)['\"]({b}['\"].*)", question, re.DOTALL)
        if found is not None:
            own, _, common = found[2].partition(",")
            parts = [f"{question[: found.start()]} {common}", found[1], own]
    both = _dated(parts[0], date) if len(terms) > 1 else []
    tests = {}
    for name, part in (("a", parts[1]), ("b", parts[2])):
        dates = [f"({test})" for test, _ in [*both, *_dated(part, date)]]
        own = f"rows[{written['kind']}] == {written[name]}"
        tests[f"of_{name}"] = " & ".join([f"({own})", *dates]) if dates else own
    return tests


def _dated(text: str, date: str | None) -> list[tuple[str, str]]:
    """Returns the tests by date that a text names, and its words for each; none without a column of dates."""
    if date is None:
        return []
    return [
        (test.format(date=repr(date), value=repr(found[1])), found[0].strip())
        for pattern, test in _DATES
        if (found := re.search(pattern, text, re.IGNORECASE))
    ]


def _of_sections(question: str, named: Sequence[Named]) -> str | None:
    """Returns the line that compares two lists of a text, each below a heading that the question names."""
    names = [each.term for each in named if each.column == "section"]
    if len(names) != 2:  # noqa: PLR2004
        return None
    for pattern, sign, what in _OF_SECTIONS:
        if re.search(pattern, question, re.IGNORECASE):
            a, b = names
            if sign == "-" and re.search(
                rf"\b(?:not|missing|never|without)\b[^,.;]{{0,30}}(?<!\w){re.escape(a)}", question
            ):
                a, b = b, a
            return _SECTIONS.format(a=a, b=b, sign=sign, what=what)
    return None


def selection(
    question: str,
    named: Sequence[tuple[str, str]],
    date: str | None,
    *,
    flags: Sequence[tuple[str, bool]] = (),
    code: bool = False,
) -> str:
    """Returns the line that selects the rows of a table which a question names; empty if it names two of one column.

    Args:
        question: verbatim.
        named: columns, and the terms of the question that are values in them.
        date: the column of dates that the question is about; None for none.
        flags: columns of True and False by which the question selects, and the value that it wants.
        code: whether the table is of source code.
    """
    if len({column for column, _ in named}) < len(named):
        return ""
    tests = [(f"rows[{column!r}] == {term!r}", repr(term)) for column, term in named]
    tests += [
        (f"rows[{column!r}]" if wanted else f"~rows[{column!r}]", column if wanted else f"not {column}")
        for column, wanted in flags
    ]
    tests += _dated(question, date)
    if code and re.search(r"\bfunctions?\b.{0,80}\btop level\b", question, re.IGNORECASE):
        tests += [("rows['kind'] == 'function'", "functions"), ("rows['level'] == 'top'", "at the top level")]
    if not 0 < len(tests) <= _MOST_CONDITIONS:
        return ""
    test = " & ".join(f"({test})" for test, _ in tests) if len(tests) > 1 else tests[0][0]
    return f"selected = rows[{test}]  # {', '.join(words for _, words in tests)}"
