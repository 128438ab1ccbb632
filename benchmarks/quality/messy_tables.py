"""Tasks over a table as people export them: currency signs, thousands separators, mixed dates, duplicates, gaps."""

from __future__ import annotations

import datetime as dt
from random import Random
from typing import TYPE_CHECKING

from benchmarks.quality.graders import Number
from benchmarks.quality.task import Content, Recipe

if TYPE_CHECKING:
    import pandas as pd

_PER_ROW = 34
"""Characters of a row, about, as CSV."""
_MISSING = ("", "n/a", "-", "NULL")
_CLEAN = (
    "The table is an export that was not cleaned: an invoice may be in it twice (the same `invoice`: count it once), "
    "amounts are US dollars and written in several ways, and are missing in some rows (leave these out). "
)
_DATES = "Dates are written as 2025-03-09, as 9 Mar 2025, or, with slashes, as month/day/year. "


def recipes() -> list[Recipe]:
    """Returns the recipes of these tasks."""
    return [
        Recipe("messy_total", "messy table", 2**15, _total),
        Recipe("messy_month", "messy table", 2**17, _month),
    ]


def _total(random: Random, size: int) -> Content:
    invoices = _invoices(random, size)
    total = sum(amount for _, amount in invoices if amount is not None)
    question = _CLEAN + "What is the total amount of all invoices, in dollars?"
    return question, _table(random, invoices), Number(total, 0.011)


def _month(random: Random, size: int) -> Content:
    invoices = _invoices(random, size)
    month = random.randint(1, 12)
    total = sum(amount for day, amount in invoices if amount is not None and day.month == month)
    question = f"{_CLEAN}{_DATES}What is the total amount of the invoices of 2025-{month:02d}, in dollars?"
    return question, _table(random, invoices), Number(total, 0.011)


def _invoices(random: Random, size: int) -> list[tuple[dt.date, float | None]]:
    """Returns day and amount of each invoice; the amount is None where it is missing."""
    return [
        (
            dt.date(2025, 1, 1) + dt.timedelta(days=random.randrange(365)),
            None if random.random() < 0.04 else round(random.uniform(20, 4000), 2),
        )
        for _ in range(size // _PER_ROW)
    ]


def _table(random: Random, invoices: list[tuple[dt.date, float | None]]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {"invoice": f"INV-{number:05d}", "date": _day(random, day), "amount": _amount(random, amount)}
        for number, (day, amount) in enumerate(invoices)
        for _ in range(
            2 if random.random() < 0.06 else 1
        )  # the copy of an invoice may be written in another way
    ]
    random.shuffle(rows)
    return pd.DataFrame(rows)


def _day(random: Random, day: dt.date) -> str:
    ways = (day.isoformat(), f"{day.day} {day:%b} {day.year}", f"{day.month}/{day.day}/{day.year}")
    return random.choice(ways)


def _amount(random: Random, amount: float | None) -> str:
    if amount is None:
        return random.choice(_MISSING)
    ways = (f"${amount:,.2f}", f"{amount:.2f}", f"{amount:,.2f} USD", f" USD {amount:.2f} ")
    return random.choice(ways)
