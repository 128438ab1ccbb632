"""Lines of Python for what a question about a table asks for, where small models most often know none that is right."""

from __future__ import annotations

import re
from typing import Final

_MOST: Final = 2
_IDIOMS: Final = (
    (
        r"\bpairs? of\b|\bpairs\b",
        "pairs = list(itertools.combinations(sorted(users), 2))  # each pair once, of a list or set of users",
    ),
    (
        r"\bgaps? in days\b|\bgaps? (?:in time )?between\b|\bdays between\b|\bgap\b.{0,80}\bconsecutive\b",
        "gaps = rows['date'].sort_values().diff().dt.days  # days from each to the next one",
    ),
    (
        r"\bat least one\b.{0,80}\band at least one\b|\bboth '[^'\n]{1,40}' and '",
        "both = set(rows[rows['kind'] == 'a']['name']) & set(rows[rows['kind'] == 'b']['name'])  # with a and b",
    ),
    (
        r"\bin a row\b|\bstreak|\b(?:consecutive|successive)\b.{0,80}\b(?:ris|rose|grow|grew|increas|higher|up\b)",
        "up = rows['x'].diff() > 0; longest = up.groupby((~up).cumsum()).sum().max()  # longest run of rises",
    ),
    (
        r"\b(?:share|rate|percentage|proportion)\b.*\b(?:rose|rise|rises|fell|fall|grew|changed|suddenly|since)\b",
        (
            "month = rows['date'].dt.strftime('%Y-%m'); "
            "rows.pivot_table(index=month, columns='group', values='flag', aggfunc='mean')  # shares by month, group"
        ),
    ),
    (
        r"\b(?:share|rate|percentage|proportion)\b",
        "rows.groupby('group')['flag'].mean()  # the share of True in each group",
    ),
    (r"\bmonth", "month = rows['date'].dt.strftime('%Y-%m')  # such as '2025-03'"),
    (r"\bduplicates?\b|\btwice\b|\bcount it once\b", "rows.drop_duplicates('id')  # each id once"),
)


_PRODUCT: Final = re.compile(r"`(\w{1,40})` (?:times|multiplied by|\*|x) `(\w{1,40})`")


def idioms(question: str) -> list[str]:
    """Returns the lines that fit a question, the rarest kind first."""
    found = [
        line for pattern, line in _IDIOMS if re.search(pattern, question[:2000], re.IGNORECASE | re.DOTALL)
    ]
    product = _PRODUCT.search(question[:2000])
    if product is not None:
        found.insert(0, f"rows['total'] = rows['{product[1]}'] * rows['{product[2]}']")
    return found[:_MOST]
