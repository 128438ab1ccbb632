"""The last cell that the demo writes: from the whole table to the answer, checked against what it says."""

from __future__ import annotations

from rlm_jupyter.demo_model.plan import Plan

_TAKEN = frozenset(
    {  # the other names in an answer
        "answer",
        "table",
        "computed",
        "provenance",
        "since",
        "before",
        "after",
        "unit",
        "share",
        "amount",
        "total",
        "rows",
        "columns",
        "missing",
        "found",
        "chart",
    }
)
_BEST = {"rise": "t", "fall": "-t", "change": "abs(t)"}
_CLEAR = {"rise": 'table["t"] >= 5', "fall": 'table["t"] <= -5', "change": 'table["t"].abs() >= 5'}


def answer(plan: Plan, provenance: str) -> str:
    """Returns the cell that makes the answer, and gives it."""
    body = {
        "breakout": _breakout,
        "groups": _groups,
        "matches": _matches,
        "lines": _lines,
        "documents": _documents,
    }.get(plan.kind, _profile)(plan)
    if plan.draw:
        body = f"{body.rstrip()}\n{_DRAWING.format(lines=_DRAWN[plan.kind])}"
    said = f"{plan.remark!r}\n                 + text" if plan.remark else "text"
    return f"""\
{body.rstrip()}
print(text)
FINAL({{"answer": {said},
       **facts,
       "table": table,
       "computed": {plan.computed!r},
       "provenance": {provenance!r}}})"""


def _key(plan: Plan) -> str:
    """Returns the name under which the answer holds the group."""
    group = plan.group
    return group.name if group is not None and group.plain and group.name not in _TAKEN else "group"


def _title(plan: Plan) -> str:
    title = plan.measure.title.replace("`", "")
    return f"the mean of {title}" if plan.mean else title


def _breakout(plan: Plan) -> str:
    amounts = 'table["amount"]'
    if plan.mean:
        amounts = 'table["amount"] / table["rows"].where(table["rows"] > 0)'
    fill = "ffill().bfill()" if plan.mean else "fillna(0)"
    return f'''\
import numpy as np
import pandas as pd

def breakout(series, edge):
    """Find where a series is best split in a before and an after: the split that explains most of its squares."""
    values = series.to_numpy(float)
    y, size = values - values.mean(), len(values)
    n = np.arange(1, size)
    part = np.cumsum(y)[:-1]
    explained = part**2 * size / (n * (size - n))
    noise = np.maximum(y @ y - explained, 0) / (size - 2) + (0.01 * y.std())**2 + (1e-9 * np.abs(values).max())**2
    t = -np.sign(part) * np.sqrt(explained / np.maximum(noise, 1e-300))
    t[(n < edge) | (size - n < edge)] = 0
    at = int(np.argmax({_BEST[plan.direction]})) + 1
    return series.index[at], values[:at].mean(), values[at:].mean(), t[at - 1]

table = total.assign(value={amounts.replace("table", "total")}).set_index(["day", "group"])["value"].unstack()
table = table.sort_index()
unit = "date"
if len(table) > 1 and len(table) > 0.5 * ((table.index[-1] - table.index[0]).days + 1):
    table, unit = table.reindex(pd.date_range(table.index[0], table.index[-1])), "day"
series = table.{fill}.dropna(axis=1, how="any").astype(float)
series = series.loc[:, np.isfinite(series).all()]
edge = 7 if len(series) >= 60 else 4                                 # so many on both sides at least
rows = [(name, *breakout(series[name], edge)) for name in series.columns] if len(series) >= 12 else []
table = pd.DataFrame(rows, columns=["group", "since", "before", "after", "t"])
table["change"] = table["after"] - table["before"]
clear = table[{_CLEAR[plan.direction]}]
table = table.sort_values("t", ascending={plan.direction == "fall"}, ignore_index=True)
measure = {_title(plan)!r}
if len(series) < 12:
    facts, text = {{"found": False}}, f"There are only {{len(series)}} dates: too few to tell when something changed."
elif clear.empty:
    facts, text = {{"found": False}}, f"Nothing breaks out: no clear {plan.direction} of {{measure}}"
    text += f" in {{len(series):,}} {{unit}}s."
else:
    top = clear.loc[clear["change"].abs().idxmax()]
    name, since = top["group"], top["since"]
    facts = {{{_key(plan)!r}: name.item() if hasattr(name, "item") else name, "since": since.date().isoformat(),
             "before": round(float(top["before"]), 2), "after": round(float(top["after"]), 2), "unit": f"per {{unit}}"}}
    way = "rise" if top["change"] > 0 else "fall"
    text = (f"{{name}} has the clearest {{way}} of {{measure}}: {{facts['before']:,}} a {{unit}} before "
            f"{{facts['since']}}, {{facts['after']:,}} since then.")
{"" if plan.mean or plan.group is None else _SHARE}'''


_DRAWING = """\
try:
    import matplotlib.pyplot as plt
except ImportError:
    text += " There is no chart: matplotlib is not installed where agents run."
else:
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
{lines}    facts["chart"] = figure"""
"""The code that draws what was computed, if matplotlib is there."""
_DRAWN = {
    "breakout": """\
    for name in series.columns[:8]:
        axes.plot(series.index, series[name], label=str(name)[:30].replace("$", r"\\$"))
    axes.set(title=measure[:60].replace("$", r"\\$"), xlabel=unit)
    if 0 < len(series.columns) <= 8:
        axes.legend(fontsize="small")
    axes.tick_params("x", rotation=30)
""",
    "groups": """\
    shown = table.head(12)
    axes.bar([str(name)[:20].replace("$", r"\\$") for name in shown["group"]], shown["value"].astype(float))
    axes.set(title=measure[:60].replace("$", r"\\$"))
    axes.tick_params("x", rotation=30)
""",
}
"""Kind to the lines of that code which make the chart."""

_SHARE = """\
if not clear.empty and len(series.columns) > 1:
    whole = series.sum(axis=1)
    whole = whole[since:].mean() - whole[:since].iloc[:-1].mean()    # the change of all groups at that date
    if 0 < top["change"] / whole:
        facts["share"] = round(float(top["change"] / whole), 2)
        text += f" All groups together: {whole:+,.2f} a {unit}; {name} alone: {top['change']:+,.2f}."
"""


def _groups(plan: Plan) -> str:
    figures = ",.6g" if plan.mean else ",.10g"
    value = 'total["amount"] / total["rows"].where(total["rows"] > 0)' if plan.mean else 'total["amount"]'
    if plan.group is None:
        tail = f"""\
    facts = {{"amount": round(float(top["value"]), 4), "rows": int(top["rows"])}}
    text = f"{{top['value']:{figures}}} is {{measure}}, over {{top['rows']:,}} rows."
"""
    else:
        word = "least" if plan.least else "most"
        extreme = ("lowest" if plan.least else "highest") if plan.mean else word
        of = "" if plan.mean else " of {table['value'].sum():,.10g}"
        tail = f"""\
    name = top["group"]
    name = name.item() if hasattr(name, "item") else name
    facts = {{{_key(plan)!r}: name, "amount": round(float(top["value"]), 4)}}
    text = f"{{name}} has the {extreme}: {{top['value']:{figures}}}{of} ({{measure}}; {{len(table):,}} groups)."
"""
    return f"""\
measure = {_title(plan)!r}
table = total.assign(value={value}).dropna(subset="value")
table = table.sort_values("value", ascending={plan.least}, ignore_index=True)
if table.empty:
    facts, text = {{"found": False}}, f"There is nothing to compute {{measure}} from: all values are missing."
else:
    top = table.iloc[0]
{tail}"""


def _matches(plan: Plan) -> str:
    return f"""\
words = {plan.words!r}
table = total.sort_values("matches", ascending=False, ignore_index=True, kind="stable")
top = table.iloc[0]
facts = {{"total": int(table["matches"].sum()), "most": top["document"], "most_matches": int(top["matches"])}}
text = f"{{facts['total']:,}} matches of {{words}}"
text += f" in {{(table['matches'] > 0).sum():,}} of {{len(table):,}} {{unit}}"
text += f"; most in {{top['document']}}: {{top['matches']:,}}." if facts["total"] else "."
"""


def _lines(plan: Plan) -> str:
    return f"""\
words = {plan.words!r}
table = total
facts = {{"total": len(table)}}
text = f"{{len(table):,}} lines with {{words}}, in {{table['document'].nunique():,}} of {{len(data):,}} {{unit}}."
print(table.head())"""


def _documents(plan: Plan) -> str:
    del plan
    return """\
table = total.sort_values("characters", ascending=False, ignore_index=True, kind="stable")
facts = {"documents": len(texts), "lines": int(table["lines"].sum()), "characters": int(table["characters"].sum())}
longest = table.iloc[0]
text = f"{len(texts):,} documents, {facts['lines']:,} lines, {facts['characters']:,} characters"
text += f"; the longest is {longest['document']}: {longest['characters']:,}." if len(texts) > 1 else "."
"""


def _profile(plan: Plan) -> str:
    del plan
    return """\
table = total
facts = {"rows": int(table["rows"].max()), "columns": len(table), "missing": int(table["missing"].sum())}
text = f"{facts['rows']:,} rows, {facts['columns']:,} columns, {facts['missing']:,} missing values."
print(table)"""
