"""The cells in which the demo checks what it computed from a table, before it answers.

Do the groups add up to the whole, and does the figure of the answer come out again without the table of groups?
"""

from __future__ import annotations

from rlm_jupyter.demo_model import table_answers as answers
from rlm_jupyter.demo_model.checks import SECOND, WHOLE, agree, close
from rlm_jupyter.demo_model.literals import listed, literal
from rlm_jupyter.demo_model.plan import Part, Plan
from rlm_jupyter.demo_model.table_rows import Rows


# ---- groups, and one figure of all rows


def groups(plan: Plan, rows: Rows) -> str:
    """Returns the cell that checks `total`, or `amount`."""
    if plan.group is None:
        return _amount(plan, rows)
    part, group = rows.part, literal(rows.part.group or "")
    lines = [answers.top_group(plan), *_known(rows)]
    if part.measure is None:
        lines += [
            f'again = (known[{group}] == top).sum()',
            f'print("{WHOLE}:", total.sum() == len(known))',
            f'print("{SECOND}:", amount == again)',
        ]
        return "\n".join(lines)
    lines.append(f"values = known[{literal(part.measure)}].astype(float)")
    lines.append(f"again = values[known[{group}] == top].{plan.how}()")
    if plan.how == "mean":
        lines.append(f"sizes = values.groupby(known[{group}]{rows.observed}).count()")
    whole = {
        "sum": ("total.sum()", "values.sum()"),
        "mean": ("(total * sizes).sum() / sizes.sum()", "values.mean()"),
        "max": ("total.max()", "values.max()"),
        "min": ("total.min()", "values.min()"),
    }[plan.how]
    return "\n".join([*lines, agree(WHOLE, *whole), agree(SECOND, "amount", "again")])


def _known(rows: Rows) -> tuple[str, ...]:
    """Returns the lines for the rows that have a group: others are in none."""
    part = rows.part
    used = listed([*part.keys, *([part.measure] if part.measure is not None else [])])
    return (
        f"known = {rows.code}[{used}].dropna(subset={listed(part.keys)})",
        f'print(len({rows.code}) - len(known), "rows have no group")',
    )


def _amount(plan: Plan, rows: Rows) -> str:
    """Returns the cell that checks one figure of all rows, by adding it up from two halves of them."""
    code, measure = rows.code, rows.part.measure
    halves = (f"half = len({code}) // 2", f"parts = [{code}.iloc[:half], {code}.iloc[half:]]")
    if measure is None:
        again = ("again = sum(map(len, parts))", f'print("{WHOLE}:", amount == again)')
        return "\n".join((*halves, *again))
    columns = f"[part[{literal(measure)}].astype(float) for part in parts]"
    again = {
        "sum": "sum(part.sum() for part in parts)",
        "mean": "sum(part.sum() for part in parts) / sum(part.count() for part in parts)",
        "max": "np.nanmax([part.max() for part in parts])",
        "min": "np.nanmin([part.min() for part in parts])",
    }[plan.how]
    return "\n".join((*halves, f"parts = {columns}", f"again = {again}", agree(WHOLE, "amount", "again")))


# ---- a change over time


def breakout(plan: Plan, rows: Rows) -> str:
    """Returns the cell that chooses the largest of the clear changes, and checks it on the rows themselves."""
    part = rows.part
    date = literal(part.date or "")
    lines = [answers.top_split(), f"own = {_own(rows, 'top')}", f"early = own[{date}] < since", "days = (daily.index < since).sum()"]
    if plan.how == "mean":
        lines += _days_again(rows, "top")
    else:
        many = "early.sum()" if part.measure is None else f"own.loc[early, {literal(part.measure)}].astype(float).sum()"
        lines += [f"again = {many} / days", agree(SECOND, "before", "again"), *_whole_of_days(rows)]
    lines.append('print("rows a day:", early.sum() / days, "before,", (~early).sum() / (len(daily) - days), "since")')
    return "\n".join(lines)


def nothing_clear(plan: Plan, rows: Rows) -> str:
    """Returns the cell that checks the figures in which nothing breaks out."""
    if plan.how == "mean":
        own = ("nearest = splits.index[0]", f"own = {_own(rows, 'nearest')}")
        return "\n".join((*own, *_days_again(rows, "nearest"), "splits.head(5)"))
    return "\n".join(("again = daily.sum().sum()", *_whole_of_days(rows), "splits.head(5)"))


def _own(rows: Rows, name: str) -> str:
    """Returns the code for the rows of one group; of all, where there are no groups."""
    group = rows.part.group
    return f"{rows.code}[{rows.code}[{literal(group)}] == {name}]" if group is not None else rows.code


def _days_again(rows: Rows, name: str) -> tuple[str, ...]:
    """Returns the lines that compute the means of one group's days again, from its own rows."""
    date, measure = literal(rows.part.date or ""), literal(rows.part.measure or "")
    days = f"daily.loc[again.index, {name}].astype(float)"
    return (
        f"again = own.groupby(own[{date}].dt.normalize())[{measure}].mean().dropna().astype(float)",
        f'print("{SECOND}:", np.allclose({days}, again, rtol=1e-6))',
    )


def _whole_of_days(rows: Rows) -> tuple[str, ...]:
    part = rows.part
    known = f"known = {rows.code}.dropna(subset={listed(part.keys)})"
    whole = "len(known)" if part.measure is None else f"known[{literal(part.measure)}].astype(float).sum()"
    return known, agree(WHOLE, "daily.sum().sum()", whole)


# ---- profiles


def profile(plan: Plan) -> str:
    """Returns the cell that counts the values of a table again, in all columns at once."""
    tables = [plan.table, *plan.others]
    if len(tables) == 1:
        filled, size = f"{plan.table}.count().sum()", f"{plan.table}.size"
    else:
        filled = f"sum(table.count().sum() for table in ({', '.join(tables)}))"
        size = f"sum(table.size for table in ({', '.join(tables)}))"
    return "\n".join((
        f"again = {size} - {filled}",
        f'print("{SECOND}:", profile["missing"].sum() == again)',
        'print("of each type:", profile["dtype"].value_counts().to_dict())',
        'print("without any value:", profile.loc[profile["different"] == 0, "column"].tolist())',
        'print("with one value only:", profile.loc[profile["different"] == 1, "column"].tolist())',
    ))


# ---- a part, in a sub-agent


def part_lines(part: Part, table: str) -> tuple[str, ...]:
    """Returns the cell's lines in which a sub-agent looks at its rows, computes its table and checks it."""
    keys = listed(part.keys)
    if part.measure is None:
        agrees = 'total["size"].sum() == len(known)'
    else:
        figure = "sum" if part.mean else part.measure
        agrees = close(f"total[{literal(figure)}].sum()", f"known[{literal(part.measure)}].astype(float).sum()")
    return (
        "import numpy as np" if part.measure is not None else "",
        'print(len(context), "rows; missing:", context.isna().sum().to_dict())',
        f"total = {table}",
        f"known = context.dropna(subset={keys})",
        f'assert {agrees}, "the groups do not add up to the rows"',
        "FINAL(total)",
    )
