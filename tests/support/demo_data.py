"""Data for the demo model in which the answer was planted."""

import numpy as np
import pandas as pd

QUESTION = "Which supplier explains the rise in refunds, and since when?"


SUPPLIERS = ["Aldgate", "Birch & Co", "Calder", "Dunmore", "Eastwell"]


def planted(seed=0, *, n=20_000, days=120, factor=6.0, base=0.03):
    """A table with one supplier whose refunds rise (factor > 1) or fall from one day on: table, supplier, day."""
    rng = np.random.default_rng(seed)
    guilty, start = SUPPLIERS[seed % len(SUPPLIERS)], int(rng.integers(20, days - 20))
    day, supplier = rng.integers(0, days, n), rng.choice(SUPPLIERS, n)
    chance = np.where((supplier == guilty) & (day >= start), base * factor, base)
    orders = pd.DataFrame(
        {
            "order_id": np.arange(n),
            "date": pd.Timestamp("2025-01-01") + pd.to_timedelta(day, unit="D"),
            "country": rng.choice(["DE", "FR", "NL"], n),
            "supplier": supplier,
            "price": rng.gamma(2, 20, n).round(2),
            "refunded": rng.random(n) < chance,
        }
    )
    return orders, guilty, pd.Timestamp("2025-01-01") + pd.Timedelta(days=start)


def near(found, since, days=4):
    return abs((pd.Timestamp(found) - since).days) <= days


TEXTS = {
    "one.py": "import os\n\nclass A:\n    def f(self): pass  # TODO later\n\nclass B(A): ...\n",
    "two.py": "from re import match\nclass C:\n    pass\n# see https://example.org/x on 2025-03-01\n",
    "three.txt": "Nobody defines anything here. Write to a@b.org. Error? ValueError!\n",
}
