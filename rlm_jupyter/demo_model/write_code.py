"""The cells that the demo writes. Real Python for a real kernel, short enough to be read in class.

Names of columns and patterns come from the data and the question: they enter the code as literals (`repr`) only.
"""

from __future__ import annotations

from rlm_jupyter.demo_model.plan import Column, Plan

_TEXTS = ("matches", "lines", "documents")

_WORK = {
    "breakout": '''\
def work(part):
    """Add up a part by group and day."""
    by = part.groupby(["group", "day"], as_index=False, sort=False)
    return by.agg(amount=("amount", "sum"), rows=("amount", "count"))''',
    "groups": '''\
def work(part):
    """Add up a part by group."""
    return part.groupby("group", as_index=False, sort=False).agg(amount=("amount", "sum"), rows=("amount", "count"))''',
    "profile": '''\
def work(part):
    """Profile each column: its type, missing values, different values, smallest and largest."""
    rows = []
    for at, name in enumerate(part.columns):
        column = part.iloc[:, at]
        there = column.dropna()
        try:
            ends = [str(there.min())[:40], str(there.max())[:40]] if len(there) else ["", ""]
        except TypeError:                                            # mixed values have no order
            ends = ["", ""]
        rows.append([str(name), str(column.dtype), len(column), int(column.isna().sum()),
                     int(there.astype(str).nunique()), *ends])
    return pd.DataFrame(rows, columns=["column", "dtype", "rows", "missing", "different", "smallest", "largest"])''',
    "matches": '''\
pattern = re.compile(PATTERN, re.MULTILINE)

def work(part):
    """Count the matches in each document of a part."""
    rows = [(name, sum(1 for _ in pattern.finditer(text))) for name, _, text in part]
    return pd.DataFrame(rows, columns=["document", "matches"])''',
    "lines": '''\
pattern = re.compile(PATTERN, re.MULTILINE)

def work(part):
    """Collect the lines that match in each document of a part."""
    rows = [(name, number, line.strip()[:200]) for name, first, text in part
            for number, line in enumerate(text.split("\\n"), first) if pattern.search(line)]
    return pd.DataFrame(rows, columns=["document", "line", "text"])''',
    "documents": '''\
def work(part):
    """Measure each document of a part."""
    rows = [(name, len(lines), len(text), max(map(len, lines), default=0))
            for name, _, text in part for lines in [text.removesuffix("\\n").split("\\n") if text else []]]
    return pd.DataFrame(rows, columns=["document", "lines", "characters", "longest_line"])''',
}
_KEYS = {"breakout": ["group", "day"], "groups": ["group"]}


def _combine(plan: Plan) -> str:
    """Returns the code of the function that makes one table of the parts' tables."""
    keys = _KEYS.get(plan.kind)
    joined = "pd.concat(tables, ignore_index=True)"
    if keys is None:
        body = f"    return {joined}"
    else:
        body = f"""\
    if not tables:
        return pd.DataFrame(columns={[*keys, "amount", "rows"]})
    return {joined}.groupby({keys}, as_index=False, sort=False).sum()"""
    return f'def combine(tables):\n    """Make one table of the parts\' tables."""\n{body}'


def _work(plan: Plan) -> str:
    imports = "import re\nimport pandas as pd" if plan.kind in ("matches", "lines") else "import pandas as pd"
    return f"{imports}\n\n{_WORK[plan.kind].replace('PATTERN', repr(plan.pattern))}"


def _column(table: str, column: Column) -> str:
    return f"{table}[{column.name!r}]" if column.plain else f"{table}.iloc[:, {column.at}]"


def _day(table: str, column: Column) -> str:
    """Returns the code for a column's days, without a clock and a time zone."""
    at = _column(table, column)
    if column.dtype.startswith("datetime64"):
        zone = ".dt.tz_localize(None)" if "," in column.dtype else ""
        return f"{at}{zone}.dt.normalize()"
    if column.dtype.startswith("period"):
        return f"{at}.dt.to_timestamp().dt.normalize()"
    return f'pd.to_datetime({at}.astype(str).str[:10].str.replace("/", "-"), errors="coerce")'


def _group(table: str, column: Column) -> str:
    at = _column(table, column)
    if column.kind == "text":  # categories and mixed values have no common order
        return f'{at}.astype(object).map(str, na_action="ignore")'
    return at


def _amount(plan: Plan, table: str) -> str:
    column, equals = plan.measure.column, plan.measure.equals
    if column is None:
        return "1.0"
    if equals is not None:
        return f'{_column(table, column)}.astype(object).isin([{equals!r}]).astype("float64")'
    return f'{_column(table, column)}.astype("float64")'


def _data(plan: Plan) -> str:
    """Returns the code that makes `data`, the whole that is split in parts."""
    if plan.kind in _TEXTS:
        return '''\
if len(texts) == 1:                                                  # one long text: pieces that end at line ends
    *lines, last = texts[0][1].split("\\n")
    lines = [line + "\\n" for line in lines] + ([last] if last else [])
    step = max(1, -(-len(lines) // 8))
    data, unit, first = [], "pieces", 1
    for i in range(0, len(lines), step):
        piece = "".join(lines[i:i + step])
        last = first + max(piece.count("\\n") - 1, 0)
        data.append((f"lines {first:,}-{last:,}", first, piece))
        first += piece.count("\\n")
else:
    data, unit = [(name, 1, text) for name, text in texts], "documents"'''
    lines = [f"table = tables[{plan.table!r}]"]
    if plan.kind == "profile":
        return f"data = tables[{plan.table!r}]"
    if plan.join is not None:
        key = plan.join.key
        lines += [
            f"other = tables[{plan.join.table!r}]",
            f"other = other[~other[{key!r}].duplicated()].set_index({key!r})",
        ]
    if plan.group is None:
        group = '"all rows"'
    elif plan.join is None:
        group = _group("table", plan.group)
    else:
        names = f"other[{plan.group.name!r}]" if plan.group.plain else f"other.iloc[:, {plan.group.at - 1}]"
        group = f'table[{plan.join.key!r}].map({names}.astype(object)).map(str, na_action="ignore")'
    rows = [f'    "group": {group},']
    if plan.date is not None:
        rows.append(f'    "day": {_day("table", plan.date)},')
    rows.append(f'    "amount": {_amount(plan, "table")},')
    keys = ["group"] + ["day"] * (plan.date is not None)
    lines += ["data = pd.DataFrame({", *rows, f"}}, index=table.index).dropna(subset={keys})"]
    return "\n".join(lines)


def _parts(plan: Plan, name: str, count: int) -> str:
    """Returns the code that splits the data in at most so many parts, none of them empty."""
    size, cut = f"len({name})", f"{name}.iloc[i * n // count:(i + 1) * n // count]"
    if plan.kind == "profile":
        size, cut = f"{name}.shape[1]", f"{name}.iloc[:, i * n // count:(i + 1) * n // count]"
    elif plan.kind in _TEXTS:
        cut = f"{name}[i * n // count:(i + 1) * n // count]"
    return f"n = {size}\ncount = min({count}, n)\nparts = [{cut} for i in range(count)]"


def _hand_on(question: str) -> str:
    return f"""\
found = rlm_query_batched([{question!r}] * count, contexts=parts)
done = [isinstance(table, pd.DataFrame) for table in found]
total = combine([table if ok else work(part) for table, ok, part in zip(found, done, parts)])
print("PARTS", sum(done), "done by sub-agents,", count - sum(done), "here;", len(total), "rows")"""


def spread(plan: Plan) -> str:
    """Hand the parts of the data to sub-agents; their tables come back as variables."""
    parts = f"{_parts(plan, 'data', plan.parts)}\n{_hand_on(plan.sub_question)}"
    return f"{_work(plan)}\n\n{_combine(plan)}\n\n{_data(plan)}\n{parts}"


def alone(plan: Plan) -> str:
    """Do it without sub-agents, where the limits allow none."""
    return (
        f"{_work(plan)}\n\n{_combine(plan)}\n\n{_data(plan)}\ntotal = combine([work(data)])\n"
        'print("PARTS 0 done by sub-agents, all here;", len(total), "rows")'
    )


def halves(plan: Plan) -> str:
    """Hand both halves of a part on."""
    return f"{_work(plan)}\n\n{_combine(plan)}\n\n{_parts(plan, 'context', 2)}\n{_hand_on(plan.asked)}"


def leaf(plan: Plan) -> str:
    """Compute a part's table and answer with it."""
    return f"{_work(plan)}\n\nFINAL(work(context))"


def final(text: str, provenance: str) -> str:
    """Answer with a text alone."""
    return f'FINAL({{"answer": {text!r}, "provenance": {provenance!r}}})'


def give_up(text: str, provenance: str, data: str = "context") -> str:
    """Answer with what Python says of the data, which the variable `data` holds."""
    return f"""\
size = f" of length {{len({data}):,}}" if hasattr({data}, "__len__") else ""
FINAL({{"answer": {text!r} + f" The data is a {{type({data}).__name__}}{{size}}.",
       "provenance": {provenance!r}}})"""
