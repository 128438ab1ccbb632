"""The cells that the demo writes for tables: what an analyst writes on these columns, at most a dozen lines each."""

from __future__ import annotations

from rlm_jupyter.demo_model.literals import listed, literal, title
from rlm_jupyter.demo_model.plan import Part, Plan
from rlm_jupyter.demo_model.row_look import first_look
from rlm_jupyter.demo_model.table_rows import Rows, rows_of

PARTS = 4
"""Sub-agents for one table."""


def cell(*lines: str) -> str:
    """Returns lines of code as a cell."""
    return "\n".join(line for line in lines if line)


# ---- figures by group and day


def figures(plan: Plan) -> str:
    """Returns the cell that computes the figures of a plan in one go."""
    rows = rows_of(plan)
    if plan.kind == "breakout":
        return cell(
            *rows.lines,
            *first_look(plan, rows),
            _daily(plan, rows, _grouped(rows.part, rows.code, rows.observed)),
            *_SHOW_DAYS,
        )
    if plan.group is None:
        value = (
            f"len({rows.code})"
            if rows.part.measure is None
            else f"{rows.code}[{literal(rows.part.measure)}].{plan.how}()"
        )
        return cell(
            *rows.lines,
            *first_look(plan, rows),
            f"amount = {value}",
            f'print("amount", amount, "over", len({rows.code}), "rows")',
        )
    if rows.part.measure is None and not rows.observed:
        order = "ascending=True" if plan.least else ""
        counted = f"total = {rows.code}[{literal(rows.part.group or '')}].value_counts({order})"
        return cell(*rows.lines, *first_look(plan, rows), counted, *_SHOW_GROUPS)
    value = _figure(_grouped(rows.part, rows.code, rows.observed), rows.part, plan.how)
    return cell(*rows.lines, *first_look(plan, rows), f"total = {value}{_sorted(plan)}", *_SHOW_GROUPS)


_SHOW_GROUPS = ('print(len(total), "groups")', "total.head(12)")
_SHOW_DAYS = ('print(len(daily), "dates from", daily.index.min(), "to", daily.index.max())', "daily.tail(3)")


def _keys(part: Part, code: str) -> str:
    keys = [f"{code}[{literal(part.date)}].dt.normalize()"] if part.date is not None else []
    keys += [literal(part.group)] if part.group is not None else []
    return keys[0] if len(keys) == 1 else f"[{', '.join(keys)}]"


def _grouped(part: Part, code: str, observed: str) -> str:
    return f"{code}.groupby({_keys(part, code)}{observed})"


def _figure(grouped: str, part: Part, how: str) -> str:
    return f"{grouped}.size()" if part.measure is None else f"{grouped}[{literal(part.measure)}].{how}()"


def _sorted(plan: Plan) -> str:
    missing = ".dropna()" if plan.how != "sum" else ""
    return f"{missing}.sort_values(ascending={plan.least})"


def _daily(plan: Plan, rows: Rows, grouped: str) -> str:
    value = _figure(grouped, rows.part, plan.how)
    floats = ".astype(float)" if rows.extended else ""
    return f"daily = {value}{_by_day(plan)}{floats}"


def _by_day(plan: Plan) -> str:
    if plan.group is None:
        return '.to_frame("all rows")'
    return ".unstack()" if plan.how == "mean" else ".unstack(fill_value=0)"


# ---- the same by sub-agents


def spread(plan: Plan) -> str:
    """Returns the cell that hands the parts of the data to sub-agents."""
    rows = rows_of(plan, apart=True)
    several = bool(plan.others) and len(rows.lines) == 2 and not plan.where  # noqa: PLR2004 - put together, columns chosen
    if several:  # the tables are the parts
        columns = rows.lines[-1].removeprefix("rows = rows")
        split = f"parts = [table{columns} for table in ({', '.join((plan.table, *plan.others))})]"
        look = 'print([len(part) for part in parts], "rows; missing:", sum(part.isna().sum().sum() for part in parts))'
        lines: tuple[str, ...] = (split, look)
    else:
        cut = f"rows.iloc[i * len(rows) // {PARTS}:(i + 1) * len(rows) // {PARTS}]"
        lines = (*rows.lines, *first_look(plan, rows), f"parts = [{cut} for i in range({PARTS})]")
    return cell(*lines, *handed_on(rows.part))


def handed_on(part: Part, kind: str = "pd.DataFrame") -> tuple[str, ...]:
    """Returns the lines that ask a sub-agent for each of `parts`."""
    return (
        f"found = rlm_query_batched([{part.question!r}] * len(parts), contexts=parts)",
        f"print([isinstance(part, {kind}) for part in found])",
    )


def joined(plan: Plan, failed: list[int]) -> str:
    """Returns the cell that makes one table of the sub-agents' tables, and of parts that none has answered."""
    rows = rows_of(plan, apart=True)
    part = rows.part
    mended = [f"found[{i}] = {part_table(part, f'parts[{i}]', rows.observed)}" for i in failed]
    keys = [literal(name) for name in part.keys]
    by = keys[0] if len(keys) == 1 else f"[{', '.join(keys)}]"
    whole = f"pd.concat(found).groupby({by}{rows.observed})"
    if part.measure is None:
        value = f'{whole}["size"].sum()'
    elif part.mean:
        mended.append(f'sums = {whole}[["sum", "count"]].sum()')
        value = '(sums["sum"] / sums["count"])'
    else:
        value = f"{whole}[{literal(part.measure)}].sum()"
    if plan.kind == "breakout":
        return cell(*mended, f"daily = {value}{_by_day(plan)}{'.astype(float)' * rows.extended}", *_SHOW_DAYS)
    return cell(*mended, f"total = {value}{_sorted(plan)}", *_SHOW_GROUPS)


def part_table(part: Part, code: str = "context", observed: str = "") -> str:
    """Returns the code of a part's table: its keys and its figures."""
    grouped = _grouped(part, code, observed)
    if part.measure is None:
        return f'{grouped}.size().reset_index(name="size")'
    if part.mean:
        return f'{grouped}[{literal(part.measure)}].agg(["sum", "count"]).reset_index()'
    return f"{grouped}[{literal(part.measure)}].sum().reset_index()"


def halves(part: Part) -> str:
    """Returns the cell in which a sub-agent hands both halves of its rows on."""
    return cell(
        "import pandas as pd",
        "half = len(context) // 2",
        "parts = [context.iloc[:half], context.iloc[half:]]",
        *handed_on(part),
    )


def part_of_halves(part: Part, observed: str = "") -> str:
    """Returns the cell that makes a sub-agent's table of those of its halves."""
    return cell(
        f"total = pd.concat(found).groupby({listed(part.keys)}, as_index=False{observed}).sum()",
        "FINAL(total)",
    )


# ---- a change over time


def splits(plan: Plan, dates: int, step: str) -> str:
    """Returns the cell that finds where each column of `daily` is best split into a before and an after.

    Args:
        plan: what is computed.
        dates: how many dates there will be.
        step: code behind `daily` that fills in days that are missing; or nothing.
    """
    least = 7 if dates >= 60 else 4  # noqa: PLR2004 - so many dates on both sides
    change = {"rise": "gap / noise", "fall": "-gap / noise", "change": "(gap / noise).abs()"}[plan.direction]
    return cell(
        "import numpy as np",
        f"daily = daily{step}" if step else "",
        "n, day = len(daily), np.arange(len(daily))[:, None]",
        "before = daily.expanding().mean().shift()      # the mean of all days before a day",
        "after = daily[::-1].expanding().mean()[::-1]   # and from that day on",
        "gap = (after - before) * np.sqrt(day * (n - day) / n)",
        "variance = daily.var(ddof=0) + 1e-12 * (daily**2).mean()",
        "noise = np.sqrt((n * variance - gap**2).clip(lower=0) / (n - 2) + 1e-4 * variance)",
        f"t = ({change}).iloc[{least}:{1 - least}].fillna(0)",
        "best = [(on, *(table.at[on, name] for table in (before, after, t))) for name, on in t.idxmax().items()]",
        'splits = pd.DataFrame(best, t.columns, ["since", "before", "after", "t"]).sort_values("t", ascending=False)',
        'print((splits["t"] >= 5).sum(), "of", len(splits), "change clearly")',
    )


# ---- profiles


def profile(table: str, *, ordered: bool, name: str = "profile") -> str:
    """Returns the code that says of each column what is in it."""
    ends = ", str(values.min())[:40], str(values.max())[:40]" if ordered else ""
    columns = ["column", "dtype", "missing", "different", *(["smallest", "largest"] if ordered else [])]
    return cell(
        "lines = []",
        f"for name, column in {table}.items():",
        "    values = column.dropna()",
        "    counted = [column.isna().sum(), values.astype(str).nunique()]",
        f"    lines.append([str(name), str(column.dtype), *counted{ends}])",
        f"{name} = pd.DataFrame(lines, columns={columns})",
    )


SHOW_PROFILE = 'print(len(profile), "columns")\nprofile.head(20)'


def spread_profile(plan: Plan) -> str:
    """Returns the cell in which each sub-agent profiles some columns, or one of several tables."""
    part = Part("profile", ordered=plan.ordered)
    if plan.others:
        split = f"parts = [{', '.join((plan.table, *plan.others))}]"
        return cell(split, *handed_on(part))
    table = plan.table
    width = f"{table}.shape[1]"
    cut = f"{table}.iloc[:, i * {width} // {PARTS}:(i + 1) * {width} // {PARTS}]"
    return cell(
        f"parts = [{cut} for i in range({PARTS})]",
        "parts = [part for part in parts if part.shape[1]]",
        *handed_on(part),
    )


def joined_profile(plan: Plan, failed: list[int]) -> str:
    """Returns the cell that puts the sub-agents' profiles together, with those of parts that none has answered."""
    mended = [profile(f"parts[{i}]", ordered=plan.ordered, name=f"found[{i}]") for i in failed]
    return cell(*mended, "profile = pd.concat(found, ignore_index=True)", SHOW_PROFILE)


# ---- charts


def chart(plan: Plan) -> str:
    """Returns the cell that draws what was computed."""
    said = title(plan.measure_title)
    shape = f"figsize=(7, 3.5), title={said}"
    lines: tuple[str, ...]
    if plan.kind == "breakout":
        lines = (f"lines = daily.iloc[:, :8].rename(columns={_PLAIN})", f"axes = lines.plot({shape})")
    elif plan.group is None:
        rows = rows_of(plan)
        lines = (
            *rows.lines,
            f"axes = {rows.code}[{literal(rows.part.measure or '')}].plot.hist(bins=30, {shape})",
        )
    else:
        lines = (f"bars = total.head(12).rename(index={_PLAIN})", f"axes = bars.plot.bar({shape})")
    return cell(*lines, "axes.figure.tight_layout()", 'print("drawn")')


_PLAIN = 'lambda name: str(name)[:30].replace("$", r"\\$")'
"""Names of data in a chart: in these, matplotlib sees no formula."""
