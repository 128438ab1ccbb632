"""Tasks of an analyst: tables to aggregate, to join, to clean, and to find what is odd in."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.quality.graders import Day, Number, tokens, words
from benchmarks.quality.messy_tables import recipes as messy
from benchmarks.quality.task import Content, Recipe

if TYPE_CHECKING:
    import pandas as pd

_REGIONS = ["North", "South", "East", "West", "Centre"]
_SUPPLIERS = ["Aldana", "Brightwell", "Corvex", "Dunmore", "Eastgate", "Fallow", "Greyson", "Hollis"]
_PRODUCTS = ["lamp", "kettle", "backpack", "chair", "blender", "tent"]
_SEGMENTS = ["private", "small business", "enterprise", "public"]
_REFUNDED, _OFTEN_REFUNDED = 0.05, 0.75
_LOW, _HIGH = 0.35, 0.45
_SMALL_TABLE = 1500
_FIRST = dt.date(2025, 1, 1)


def recipes() -> list[Recipe]:
    """Returns the recipes of these tasks."""
    return [
        Recipe("table_largest", "table", 2**16, _largest),
        Recipe("table_mean", "table", 2**18, _mean),
        Recipe("table_join_total", "table", 2**17, _join_total),
        Recipe("table_join_segment", "table", 2**19, _join_segment),
        Recipe("table_outlier_row", "table", 2**16, _outlier_row),
        Recipe("table_outlier_sensor", "table", 2**18, _outlier_sensor),
        Recipe("table_since_when", "table", 2**18, _since_when),
        Recipe("table_which_supplier", "table", 2**20, _which_supplier),
        Recipe("table_peak_month", "table", 2**17, _peak_month),
        Recipe("table_longest_rise", "table", 2**14, _longest_rise),
        *messy(),
    ]


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows)


def _orders(
    random: Random, count: int, *, days: int = 540, suppliers: int = len(_SUPPLIERS)
) -> list[dict[str, Any]]:
    customers = range(500, 500 + max(20, count // 10))
    return [
        {
            "order_id": 10_000 + number,
            "date": (_FIRST + dt.timedelta(days=random.randrange(days))).isoformat(),
            "customer_id": random.choice(customers),
            "region": random.choice(_REGIONS),
            "supplier": random.choice(_SUPPLIERS[:suppliers]),
            "product": random.choice(_PRODUCTS),
            "units": random.randint(1, 9),
            "price": round(random.uniform(5, 200), 2),
            "refunded": random.random() < _REFUNDED,
        }
        for number in range(count)
    ]


_PER_ORDER = 56
"""Characters of a row of orders, about, as CSV."""


def _best(totals: dict[str, float], *, lead: float = 0.01) -> str | None:
    """Returns the key with the largest value; None if its lead is smaller than `lead`, and could be one of rounding."""
    first, second = sorted(totals, key=lambda key: -totals[key])[:2]
    return first if totals[first] - totals[second] > lead else None


def _largest(random: Random, size: int) -> Content | None:
    orders = _orders(random, size // _PER_ORDER)
    totals: dict[str, float] = defaultdict(float)
    for order in orders:
        if order["date"] < "2026":
            totals[order["region"]] += order["units"] * order["price"]
    question = "Which region has the largest revenue (`units` times `price`) from orders dated in 2025?"
    best = _best(totals)
    return None if best is None else (question, _frame(orders), words(best, _REGIONS))


def _mean(random: Random, size: int) -> Content | None:
    orders = _orders(random, size // _PER_ORDER)
    product, region = random.choice(_PRODUCTS), random.choice(_REGIONS)
    prices = [
        o["price"] for o in orders if o["product"] == product and o["region"] == region and not o["refunded"]
    ]
    if not prices:
        return None
    question = (
        f"What is the average `price` of the orders of product '{product}' in region '{region}' that were not "
        "refunded? Round to two decimals."
    )
    return question, _frame(orders), Number(sum(prices) / len(prices), 0.0051)


def _with_customers(random: Random, size: int) -> tuple[list[dict[str, Any]], dict[int, str], dict[str, Any]]:
    """Returns orders, the segment of each customer, and both as two tables."""
    orders = _orders(random, size // (_PER_ORDER + 2))
    ids = range(500, 500 + max(20, len(orders) // 10))
    segments = {id_: random.choices(_SEGMENTS, [4, 3, 2, 1])[0] for id_ in ids}
    customers = [
        {"id": id_, "segment": segment, "since": random.randint(2012, 2024)}
        for id_, segment in segments.items()
    ]
    random.shuffle(customers)
    return orders, segments, {"orders": _frame(orders), "customers": _frame(customers)}


def _join_total(random: Random, size: int) -> Content:
    orders, segments, tables = _with_customers(random, size)
    segment = random.choice(_SEGMENTS)
    total = sum(o["units"] * o["price"] for o in orders if segments[o["customer_id"]] == segment)
    question = (
        f"What is the total revenue (`units` times `price`) of all orders by customers of the segment '{segment}'? "
        "`customer_id` in the table `orders` is `id` in the table `customers`. Round to two decimals."
    )
    return question, tables, Number(total, 0.011)


def _join_segment(random: Random, size: int) -> Content | None:
    orders, segments, tables = _with_customers(random, size)
    counts: dict[str, list[bool]] = defaultdict(list)
    for order in orders:
        counts[segments[order["customer_id"]]].append(order["refunded"])
    shares = {segment: sum(flags) / len(flags) for segment, flags in counts.items()}
    question = (
        "Which segment of customers has the highest share of refunded orders? `customer_id` in the table `orders` is "
        "`id` in the table `customers`."
    )
    best = _best(shares, lead=0.001)
    return None if best is None else (question, tables, words(best, _SEGMENTS))


def _outlier_row(random: Random, size: int) -> Content:
    orders = _orders(random, size // _PER_ORDER)
    odd = random.choice(orders)
    odd["price"] = round(odd["price"] * 100 + 2000, 2)
    question = "One order has a `price` that is far outside the range of all others. What is its `order_id`?"
    return question, _frame(orders), words(str(odd["order_id"]), (str(order["order_id"]) for order in orders))


def _outlier_sensor(random: Random, size: int) -> Content | None:
    sensors = [f"T{number}" for number in range(11, 31)]
    odd = random.choice(sensors)
    rows = []
    sums: dict[str, float] = defaultdict(float)
    for number in range(size // 29):
        sensor = sensors[number % len(sensors)]
        value = random.gauss(20, 3) + (2.5 if sensor == odd else 0)
        time = dt.datetime(2025, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=number)
        rows.append({"time": f"{time:%Y-%m-%d %H:%M}", "sensor": sensor, "celsius": round(value, 3)})
        sums[sensor] += value
    question = (
        "All sensors should measure about the same on average. One of them reads systematically higher than the "
        "others. Which one?"
    )
    clear = _best(sums, lead=len(rows) / len(sensors)) == odd  # a degree on average
    return (question, _frame(rows), tokens(odd, r"\bT\d+\b")) if clear else None


def _broken_out(random: Random, size: int) -> tuple[list[dict[str, Any]], str, str] | None:
    """Returns orders in which one supplier's refunds rise from a month on, the supplier, and the month."""
    count = size // _PER_ORDER
    # A small table has fewer months and suppliers: each must have enough orders for its share to tell something.
    months = max(4, min(18, count // 90))
    suppliers = 3 if count < _SMALL_TABLE else len(_SUPPLIERS)
    orders = _orders(random, count, days=months * 30, suppliers=suppliers)
    supplier = random.choice(_SUPPLIERS[:suppliers])
    month = random.choice(sorted({order["date"][:7] for order in orders})[2:-1])
    for order in orders:
        if order["supplier"] == supplier and order["date"][:7] >= month:
            order["refunded"] = random.random() < _OFTEN_REFUNDED
    return (orders, supplier, month) if _is_clear(orders, supplier, month) else None


def _is_clear(orders: list[dict[str, Any]], supplier: str, month: str) -> bool:
    """Returns whether the share of refunds is high in each of one supplier's months from one on, and nowhere else."""
    flags: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for order in orders:
        flags[order["supplier"], order["date"][:7]].append(order["refunded"])
    return all(
        (sum(found) / len(found) > _HIGH)
        if (who == supplier and when >= month)
        else (sum(found) / len(found) < _LOW)
        for (who, when), found in flags.items()
    )


def _since_when(random: Random, size: int) -> Content | None:
    broken = _broken_out(random, size)
    if broken is None:
        return None
    orders, supplier, month = broken
    question = (
        f"The share of refunded orders of supplier '{supplier}' suddenly rose and stayed high. In which month "
        "(YYYY-MM) was it high for the first time?"
    )
    return question, _frame(orders), Day(*map(int, month.split("-")))


def _which_supplier(random: Random, size: int) -> Content | None:
    broken = _broken_out(random, size)
    if broken is None:
        return None
    orders, supplier, _ = broken
    question = (
        "The share of refunded orders rose in the course of the time. Which supplier explains the rise?"
    )
    return question, _frame(orders), words(supplier, _SUPPLIERS)


def _daily(random: Random, size: int) -> list[dict[str, Any]]:
    value, rows = 1000.0, []
    for number in range(size // 18):
        value = max(100.0, value + random.gauss(0, 40))
        rows.append(
            {"day": (dt.date(1990, 1, 1) + dt.timedelta(days=number)).isoformat(), "value": round(value, 2)}
        )
    return rows


def _peak_month(random: Random, size: int) -> Content | None:
    rows = _daily(random, size)
    totals: dict[str, float] = defaultdict(float)
    for row in rows:
        totals[row["day"][:7]] += row["value"]
    question = "In which month (YYYY-MM) is the sum of `value` largest?"
    best = _best(totals)
    frame = _frame(random.sample(rows, len(rows)))
    return None if best is None else (question, frame, Day(*map(int, best.split("-"))))


def _longest_rise(random: Random, size: int) -> Content:
    rows = _daily(random, size)
    longest = run = 0
    for row, later in pairwise(rows):
        run = run + 1 if later["value"] > row["value"] else 0
        longest = max(longest, run)
    question = (
        "Sort the rows by `day`. How many days in a row did `value` rise, at most? (Count the days on which it was "
        "higher than on the day before.)"
    )
    return question, _frame(random.sample(rows, len(rows))), Number(longest)
