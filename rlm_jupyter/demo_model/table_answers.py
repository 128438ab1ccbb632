"""The last cells for tables: what was computed, as an answer of a few keys."""

from __future__ import annotations

from rlm_jupyter.demo_model.literals import in_text, literal
from rlm_jupyter.demo_model.plan import Plan
from rlm_jupyter.demo_model.table_rows import rows_of

PROVENANCE = "scripted demo model, no language model"
_TAKEN = frozenset(
    {"answer", "table", "provenance", "since", "before", "after", "unit", "amount", "rows", "columns", "missing",
     "found", "chart", "total", "documents", "lines", "characters", "most", "most_matches"}
)  # fmt: skip


def final(
    text: str, *items: str, remark: str = "", provenance: str = PROVENANCE, formatted: bool = True
) -> str:
    """Returns the code that gives an answer.

    Args:
        text: of an f-string, as it stands between its quotes.
        items: more keys and values of the answer, as code.
        remark: what has to be said before it.
        provenance: where the answer comes from.
        formatted: whether the text has values in it.
    """
    before = f"{literal(remark)} " if remark else ""
    said = f'"answer": {before}{"f" if formatted else ""}"{text}",'
    if before and len(said) > 100:  # noqa: PLR2004 - of a line
        said = f'"answer": {before.strip()}\n              {"f" if formatted else ""}"{text}",'
    lines = "".join(f"    {item},\n" for item in items)
    return f'FINAL({{\n    {said}\n{lines}    "provenance": {literal(provenance)},\n}})'


def plain(text: str, *items: str) -> str:
    """Returns the code that gives an answer without values in its text."""
    return final(in_text(text, braces=False), *items, formatted=False)


def top_group(plan: Plan) -> str:
    """Returns the line that takes the first of `total`; nothing if there is only `amount`."""
    return "" if plan.group is None else "top, amount = list(total.items())[0]"


def top_split() -> str:
    """Returns the lines that take the largest of the clear changes in `splits`."""
    return (
        'clear = splits[splits["t"] >= 5]\n'
        'top = (clear["after"] - clear["before"]).abs().astype(float).idxmax()\n'
        'since, before, after = clear.loc[top, ["since", "before", "after"]]'
    )


def groups(plan: Plan, chart: str, remark: str) -> str:
    """Returns the code that answers with `top` and `amount`, or with `amount`."""
    measure = in_text(plan.measure_title)
    figures = ",.10g" if plan.how == "sum" else ",.6g"
    if plan.group is None:
        said = _of_all(plan, f"{{amount:{figures}}}", rows_of(plan).code)
        return final(said, '"amount": float(amount)', *_drawn(chart), remark=remark)
    word = "least" if plan.least else "most"
    if plan.how != "sum":
        word = "lowest" if plan.least else "highest"
    of = " of {total.sum():,.10g}" if plan.how == "sum" else ""
    said = f"{{top}} has the {word}: {{amount:{figures}}}{of} ({measure}; {{len(total):,}} groups)."
    items = (
        f"{literal(_key(plan))}: {_named(plan)}",
        '"amount": float(amount)',
        '"table": total',
        *_drawn(chart),
    )
    return final(said, *items, remark=remark)


def _of_all(plan: Plan, amount: str, rows: str) -> str:
    """Returns the sentence for a figure of all rows."""
    measure = in_text(plan.measure_title)
    if plan.measure.column is None:
        return f"{amount} rows{measure.removeprefix('the number of rows')}."
    over = f"{{len({rows}):,}} rows"
    return (
        f"{amount} {measure}, of {over}."
        if plan.measure.equals is not None
        else f"{amount} is {measure}, over {over}."
    )


def breakout(plan: Plan, unit: str, chart: str, remark: str) -> str:
    """Returns the code that answers with the change of `top`."""
    way = plan.direction
    shown = "{'rise' if after > before else 'fall'}" if way == "change" else way
    said = (
        f"{{top}} has the clearest {shown} of {in_text(plan.measure_title)}: {{before:,.2f}} a {unit} before "
        f"{{since:%Y-%m-%d}}, {{after:,.2f}} since then."
    )
    items = (
        f'{literal(_key(plan))}: {_named(plan)}, "since": f"{{since:%Y-%m-%d}}"',
        f'"before": round(float(before), 2), "after": round(float(after), 2), "unit": "per {unit}"',
        '"table": splits',
        *_drawn(chart),
    )
    return final(said, *items, remark=remark)


def nothing_clear(plan: Plan, dates: int, unit: str, chart: str, remark: str) -> str:
    """Returns the cell that answers that nothing changed."""
    said = f"Nothing breaks out: no clear {plan.direction} of {plan.measure_title} in {dates:,} {unit}s."
    return final(
        in_text(said, braces=False),
        '"found": False',
        '"table": splits',
        *_drawn(chart),
        remark=remark,
        formatted=False,
    )


def halves_compared(plan: Plan, remark: str) -> str:
    """Returns the code that answers with the change from the first half of `daily` to the second."""
    way = {"rise": "change.idxmax()", "fall": "change.idxmin()", "change": "change.abs().idxmax()"}[
        plan.direction
    ]
    said = (
        f"{{top}} has the largest {plan.direction} of {in_text(plan.measure_title)} from the first half of the dates "
        "to the second: {change[top]:+,.2f} a date."
    )
    return (
        "half = len(daily) // 2\n"
        "change = daily.iloc[half:].mean() - daily.iloc[:half].mean()\n"
        f"top = {way}\n"
        f"{final(said, f'{literal(_key(plan))}: {_named(plan)}', _CHANGE, remark=remark)}"
    )


_CHANGE = '"amount": float(change[top]), "table": change'


def profile(plan: Plan, remark: str = "") -> str:
    """Returns the cell that answers with `profile`."""
    tables = (plan.table, *plan.others)
    rows = f"len({plan.table})" if len(tables) == 1 else f"sum(map(len, ({', '.join(tables)})))"
    said = "{rows:,} rows, {len(profile):,} columns, {profile['missing'].sum():,} missing values."
    items = (
        '"rows": rows, "columns": len(profile), "missing": int(profile["missing"].sum())',
        '"table": profile',
    )
    return f"rows = {rows}\n{final(said, *items, remark=remark + plan.remark)}"


def _drawn(chart: str) -> tuple[str, ...]:
    return ('"chart": axes.figure',) if chart else ()


def _key(plan: Plan) -> str:
    """Returns the name under which the answer holds the group."""
    group = plan.group
    return group.name if group is not None and group.plain and group.name not in _TAKEN else "group"


def _named(plan: Plan) -> str:
    """Returns the code of the group as a value of Python: groups of integers stay integers."""
    inferred = plan.group.inferred if plan.group is not None else ""
    made = {"integer": "int(top)", "boolean": "bool(top)", "floating": "float(top)"}
    return made.get(inferred, "top")
