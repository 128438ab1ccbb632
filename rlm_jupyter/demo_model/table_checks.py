"""The cells in which the demo checks what it computed from a table, before it answers.

Do the groups add up to the whole, and does the figure of the answer come out again without the table of groups?
"""

from __future__ import annotations

from rlm_jupyter.demo_model import table_answers as answers
from rlm_jupyter.demo_model.check_results import SECOND, WHOLE, agree, close
from rlm_jupyter.demo_model.literals import listed, literal
from rlm_jupyter.demo_model.plan import Part, Plan
from rlm_jupyter.demo_model.table_cells import cell
from rlm_jupyter.demo_model.table_rows import Rows

# ---- groups, and one figure of all rows


def groups(plan: Plan, rows: Rows) -> str:
    """Returns the cell that checks `total`, or `amount`."""
    if plan.group is None:
        return _amount(plan, rows)
    part, group = rows.part, literal(rows.part.group or "")
    lines = [answers.top_group(plan), *_known(rows)]
    if part.measure is None:
        return cell(
            *lines,
            f"again = (known[{group}] == top).sum()",
            f'print("{WHOLE}:", total.sum() == len(known))',
            f'print("{SECOND}:", amount == again)',
        )
    mean = plan.how == "mean"
    together = "(total * sizes).sum() / sizes.sum()" if mean else f"total.{plan.how}()"
    return cell(
        *lines,
        f"values = known[{literal(part.measure)}].astype(float)",
        f"sizes = values.groupby(known[{group}]{rows.observed}).count()" if mean else "",
        f"whole, again = values.{plan.how}(), values[known[{group}] == top].{plan.how}()",
        agree(WHOLE, together, "whole"),
        agree(SECOND, "amount", "again"),
    )


def _known(rows: Rows) -> tuple[str, ...]:
    """Returns the lines for the rows that have a group: others are in none."""
    part = rows.part
    used = listed([*part.keys, *([part.measure] if part.measure is not None else [])])
    return (
        f"known = {rows.code}[{used}].dropna(subset={listed(part.keys)})",
        f'print(len({rows.code}) - len(known), "rows have no group")',
    )


def _amount(plan: Plan, rows: Rows) -> str:
    """Returns the cell that checks one figure of all rows, by that of two halves of them."""
    code, measure = rows.code, rows.part.measure
    halves = (f"half = len({code}) // 2", f"parts = [{code}.iloc[:half], {code}.iloc[half:]]")
    if measure is None:
        return cell(*halves, "again = sum(map(len, parts))", agree(WHOLE, "amount", "again"))
    again = {
        "sum": "sum(part.sum() for part in parts)",
        "mean": "sum(part.sum() for part in parts) / sum(part.count() for part in parts)",
        "max": "pd.Series([part.max() for part in parts]).max()",
        "min": "pd.Series([part.min() for part in parts]).min()",
    }[plan.how]
    return cell(
        *halves,
        f"parts = [part[{literal(measure)}].astype(float) for part in parts]",
        f"again = {again}",
        agree(WHOLE, "amount", "again"),
    )


# ---- a change over time


def breakout(plan: Plan, rows: Rows) -> str:
    """Returns the cell that chooses the largest of the clear changes, and checks it on the rows themselves."""
    part = rows.part
    early = "early.sum()"
    if part.measure is not None:
        early = f"own.loc[early, {literal(part.measure)}].astype(float).sum()"
    if plan.how == "mean":
        again = _days_again(rows, "top")
    else:
        again = (
            f"again = {early} / days",
            agree(SECOND, "before", "again"),
            *_whole(rows, "daily.sum().sum()"),
        )
    return cell(
        answers.top_split(),
        f"own = {_own(rows, 'top')}",
        f"early, days = own[{literal(part.date or '')}] < since, (daily.index < since).sum()",
        *again,
        'print("rows a day:", early.sum() / days, "before,", (~early).sum() / (len(daily) - days), "since")',
        "clear.head(5)",
    )


def nothing_clear(plan: Plan, rows: Rows) -> str:
    """Returns the cell that checks the figures in which nothing breaks out."""
    if plan.how == "mean":
        own = ("nearest = splits.index[0]", f"own = {_own(rows, 'nearest')}")
        return cell(*own, *_days_again(rows, "nearest"), "splits.head(5)")
    return cell("again = daily.sum().sum()", *_whole(rows, "again"), "splits.head(5)")


def _own(rows: Rows, name: str) -> str:
    """Returns the code for the rows of one group; of all, where there are no groups."""
    group = rows.part.group
    return f"{rows.code}[{rows.code}[{literal(group)}] == {name}]" if group is not None else rows.code


def _days_again(rows: Rows, name: str) -> tuple[str, ...]:
    """Returns the lines that compute the means of one group's days again, from its own rows."""
    date, measure = literal(rows.part.date or ""), literal(rows.part.measure or "")
    return (
        f"again = own.groupby(own[{date}].dt.normalize())[{measure}].mean().dropna().astype(float)",
        f"differs = (daily.loc[again.index, {name}].astype(float) - again).abs().max()",
        f'print("{SECOND}:", differs <= 1e-6 * (1 + again.abs().max()))',
    )


def _whole(rows: Rows, together: str) -> tuple[str, ...]:
    """Returns the lines that compare the sum of all groups and days with that of the rows that have both."""
    return f"whole = {_value(rows.part, rows.code)}", agree(WHOLE, together, "whole")


def _value(part: Part, code: str) -> str:
    """Returns the code for the figure of all rows that have a group and a day: others are in no group."""
    known = f"{code}.dropna(subset={listed(part.keys)})"
    return (
        f"len({known})" if part.measure is None else f"{known}[{literal(part.measure)}].astype(float).sum()"
    )


# ---- profiles


def profile(plan: Plan) -> str:
    """Returns the cell that counts the missing values of a table again, in all columns at once."""
    again = f"{plan.table}.size - {plan.table}.count().sum()"
    if plan.others:
        tables = ", ".join((plan.table, *plan.others))
        again = f"sum(table.size - table.count().sum() for table in ({tables}))"
    return cell(
        f"again = {again}",
        agree(SECOND, 'profile["missing"].sum()', "again"),
        'print("columns of each type:", profile["dtype"].value_counts().to_dict())',
        'print("without a value:", profile.loc[profile["different"] == 0, "column"].tolist())',
        'print("with one value only:", profile.loc[profile["different"] == 1, "column"].tolist())',
    )


# ---- a part, in a sub-agent


def part_cell(part: Part, table: str) -> str:
    """Returns the cell in which a sub-agent looks at its rows, computes its table, checks it and answers."""
    figure = "size" if part.measure is None else "sum" if part.mean else part.measure
    return cell(
        'print(len(context), "rows; missing:", context.isna().sum().to_dict())',
        f"total = {table}",
        f"whole = {_value(part, 'context')}",
        f'assert {close(f"total[{literal(figure)}].sum()", "whole")}, "the groups do not add up to the rows"',
        "FINAL(total)",
    )
