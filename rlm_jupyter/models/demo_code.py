"""The cells that the demo writes. Real Python for a real kernel, short enough to be read in class.

Names of columns and patterns come from the data: they enter the code as literals (`repr`) only.
"""

from __future__ import annotations

from rlm_jupyter.models.demo_plan import Plan


def look() -> str:
    """Print what the data is, as one line of JSON."""
    return """\
import json
import pandas as pd

def columns(table):
    sample = table.sample(min(len(table), 2000), random_state=0)
    return [[str(name), str(sample[name].dtype), int(sample[name].astype(str).nunique()),
             str(sample[name].iloc[0])[:30] if len(sample) else "", len(sample)] for name in table.columns]

named = context if isinstance(context, dict) else {"": context}
tables = {str(k): v for k, v in named.items() if isinstance(v, pd.DataFrame)}
if tables:
    seen = {"tables": {k: {"rows": len(t), "columns": columns(t)} for k, t in tables.items()}}
else:
    texts = context if isinstance(context, (list, tuple)) else list(named.values())
    texts = [t for t in texts if isinstance(t, str)]
    seen = {"documents": len(texts), "characters": sum(map(len, texts))}
print("LOOK", json.dumps(seen))"""


def _data(plan: Plan) -> str:
    """Give the expression for the whole data of a plan, as a table or as a list of (name, text)."""
    if plan.kind in ("matches", "lines"):
        return """\
if isinstance(context, str):        # one long text: pieces that end at line ends
    lines = context.splitlines(keepends=True)
    step = max(1, -(-len(lines) // 8))
    data = [(f"lines {i + 1:,}-{min(i + step, len(lines)):,}", "".join(lines[i:i + step]))
            for i in range(0, len(lines), step)]
else:
    named = context.items() if isinstance(context, dict) else enumerate(context)
    data = [(str(name), text) for name, text in named if isinstance(text, str)]"""
    table = "context" if plan.table is None else f"context[{plan.table!r}]"
    if plan.join is None:
        return f"data = {table}"
    other, key = plan.join
    return f"data = {table}.merge(context[{other!r}][{[key, plan.group]!r}].drop_duplicates({key!r}), on={key!r})"


def _total(plan: Plan, parts: str) -> str:
    """Give the code that makes one table of the parts' tables."""
    joined = f"pd.concat({parts}, ignore_index=True)"
    match plan.kind:
        case "breakout":
            keys = [plan.group, plan.date]
            return f"total = {joined}.groupby({keys!r}, as_index=False, observed=True).sum()"
        case "groups":
            return f"total = {joined}.groupby({plan.group!r}, as_index=False, observed=True).sum()"
        case "profile":
            return (
                f'total = {joined}.groupby("column", sort=False).agg('
                '{"dtype": "first", "rows": "sum", "missing": "sum", "smallest": "min", "largest": "max"}'
                ").reset_index()"
            )
        case _:
            return f"total = {joined}"


def _compute(plan: Plan, data: str) -> str:
    """Give the code that computes one part's table, into `table`."""
    match plan.kind:
        case "breakout" | "groups":
            days = (
                f"pd.to_datetime({data}[{plan.date!r}]).dt.normalize()" if plan.kind == "breakout" else None
            )
            by = (
                f"[{data}[{plan.group!r}].astype(str), {days}]"
                if days
                else f"{data}[{plan.group!r}].astype(str)"
            )
            if plan.measure:
                line = f'{data}[{plan.measure!r}].astype("float64").groupby({by}).agg(["sum", "count"])'
                return f'table = {line}.rename(columns={{"sum": "amount", "count": "rows"}}).reset_index()'
            line = f'table = {data}.groupby({by}).size().rename("amount").reset_index()'
            return f'{line}\ntable["rows"] = table["amount"]'
        case "profile":
            return f"""\
rows = []
for name in {data}.columns:
    column = {data}[name].dropna()
    try:
        smallest, largest = str(column.min())[:40], str(column.max())[:40]
    except TypeError:                # mixed values have no order
        smallest = largest = ""
    rows.append([str(name), str({data}[name].dtype), len({data}), int({data}[name].isna().sum()), smallest, largest])
table = pd.DataFrame(rows, columns=["column", "dtype", "rows", "missing", "smallest", "largest"])"""
        case "matches":
            return f"""\
pattern = re.compile({plan.pattern!r}, re.MULTILINE)
table = pd.DataFrame([(name, len(pattern.findall(text))) for name, text in {data}], columns=["document", "matches"])"""
        case _:
            return f"""\
pattern = re.compile({plan.pattern!r}, re.MULTILINE)
table = pd.DataFrame([(name, number, line.strip()[:200]) for name, text in {data}
                      for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)],
                     columns=["document", "line", "text"])"""


def _slices(plan: Plan, name: str, count: int) -> str:
    cut = f"{name}.iloc[i * n // {count}:(i + 1) * n // {count}]"
    if plan.kind in ("matches", "lines"):
        cut = f"{name}[i * n // {count}:(i + 1) * n // {count}]"
    return f"n = len({name})\nparts = [{cut} for i in range({count})]"


def spread(plan: Plan) -> str:
    """Hand the parts of the data to sub-agents; their tables come back as variables."""
    return f"""\
import pandas as pd

{_data(plan)}
{_slices(plan, "data", plan.parts)}
found = rlm_query_batched([{plan.whole_question!r}] * {plan.parts}, contexts=parts)
{_total(plan, "[f for f in found if isinstance(f, pd.DataFrame)]")}
print(len(found), "tables from sub-agents,", sum(not isinstance(f, pd.DataFrame) for f in found), "missing")
total.head()"""


def alone(plan: Plan) -> str:
    """Do it without sub-agents, where the depth limit allows none."""
    cell = f"{_data(plan)}\n{_compute(plan, 'data')}\n{_total(plan, '[table]')}"
    return f"import re\nimport pandas as pd\n\n{cell}\ntotal.head()"


def halves(plan: Plan) -> str:
    """Hand both halves of a part on."""
    return f"""\
import pandas as pd

{_slices(plan, "context", 2)}
found = rlm_query_batched([{plan.sub_question!r}] * 2, contexts=parts)
{_total(plan, "found")}
total.head()"""


def give_total(plan: Plan) -> str:
    """Answer with the halves' table."""
    del plan
    return "FINAL(total)"


def leaf(plan: Plan) -> str:
    """Compute a part's table and answer with it."""
    return f"import re\nimport pandas as pd\n\n{_compute(plan, 'context')}\nFINAL(table)"


def empty(provenance: str) -> str:
    """Answer that there is nothing."""
    return (
        f'FINAL({{"answer": "The data is empty: there is nothing to find.", "provenance": {provenance!r}}})'
    )


def give_up(provenance: str) -> str:
    """Answer with what Python says of data that is neither tables nor texts."""
    return f"""\
FINAL({{"answer": f"The data is a {{type(context).__name__}}; the demo knows only tables and texts.",
       "provenance": {provenance!r}}})"""


def answer(plan: Plan, provenance: str) -> str:
    """Make the answer from the whole table, check it, and give it."""
    outside = (
        ""
        if plan.known
        else "The question is outside of what the scripted demo can do; this is a profile of the data instead. "
    )
    body = {
        "breakout": _breakout,
        "groups": _groups,
        "matches": _matches,
        "lines": _lines,
    }.get(plan.kind, _profile)(plan)
    return f'{body}\nFINAL({{"answer": {outside!r} + text, **facts, "table": result, "provenance": {provenance!r}}})'


def _breakout(plan: Plan) -> str:
    direction = "fall" if plan.falling else "rise"
    sign = "-" if plan.falling else ""
    return f'''\
import numpy as np
import pandas as pd

group, date, measure = {plan.group!r}, {plan.date!r}, {plan.measure or "rows"!r}

def breakout(daily):
    """Find the day that best splits a series in a before and an after (the largest t-statistic)."""
    y = daily.to_numpy(float)
    n = np.arange(1, len(y))
    before, after = np.cumsum(y)[:-1] / n, (y.sum() - np.cumsum(y)[:-1]) / (len(y) - n)
    left = np.cumsum(y**2)[:-1] / n - before**2
    right = ((y**2).sum() - np.cumsum(y**2)[:-1]) / (len(y) - n) - after**2
    noise = np.sqrt(np.maximum(left / n + right / (len(y) - n), 1e-12)) + 1e-9 + 0.01 * y.std()
    t = {sign}(after - before) / noise
    t[(n < 7) | (len(y) - n < 7)] = -np.inf          # a week on both sides at least
    best = int(np.argmax(t))
    return daily.index[best + 1], before[best], after[best], t[best]

days = pd.date_range(total[date].min(), total[date].max())
series = total.pivot_table(index=date, columns=group, values="amount", aggfunc="sum").reindex(days).fillna(0)
rows = [(name, *breakout(series[name])) for name in series.columns] if len(days) >= 15 else []
result = pd.DataFrame(rows, columns=[group, "since", "before_per_day", "after_per_day", "t"])
result = result.sort_values("t", ascending=False, ignore_index=True)
print(result.head())
if result.empty or not np.isfinite(result["t"].iloc[0]) or result["t"].iloc[0] < 5:
    facts, text = {{"found": None}}, f"No {{group}} breaks out: no clear {direction} of {{measure}} in these days."
else:
    top = result.iloc[0]
    facts = {{group: top[group], "since": top["since"].date().isoformat(),
             "before_per_day": round(float(top["before_per_day"]), 2),
             "after_per_day": round(float(top["after_per_day"]), 2)}}
    text = (f"{{top[group]}} explains the {direction} in {{measure}}: {{facts['before_per_day']:,}} a day before "
            f"{{facts['since']}}, {{facts['after_per_day']:,}} since.")
print(text)'''


def _groups(plan: Plan) -> str:
    return f"""\
group, measure = {plan.group!r}, {f"sum of {plan.measure}" if plan.measure else "rows"!r}
result = total.sort_values("amount", ascending=False, ignore_index=True)
top = result.iloc[0]
facts = {{group: top[group], "amount": float(top["amount"]), "total": float(result["amount"].sum())}}
text = f"{{top[group]}} has the most: {{top['amount']:,.0f}} of {{result['amount'].sum():,.0f}} ({{measure}})."
print(text)"""


def _matches(plan: Plan) -> str:
    del plan
    return """\
result = total.sort_values("matches", ascending=False, ignore_index=True)
top = result.iloc[0]
facts = {"total": int(result["matches"].sum()), "most": top["document"], "most_matches": int(top["matches"])}
text = f"{facts['total']:,} matches in {len(result):,} documents; most in {facts['most']}: {facts['most_matches']:,}."
print(text)"""


def _lines(plan: Plan) -> str:
    del plan
    return """\
result = total
facts = {"total": len(result)}
text = f"{len(result):,} lines in {result['document'].nunique():,} documents match."
print(text)
print(result.head())"""


def _profile(plan: Plan) -> str:
    del plan
    return """\
result = total
rows = int(result["rows"].max()) if len(result) else 0
facts = {"rows": rows, "columns": len(result)}
text = f"{rows:,} rows, {len(result)} columns, {int(result['missing'].sum()):,} missing values."
print(result)"""
