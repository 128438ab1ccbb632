"""The lines in which the demo looks at the rows of a question before it computes: their number, gaps, span, spread."""

from __future__ import annotations

from rlm_jupyter.demo_model.literals import listed, literal
from rlm_jupyter.demo_model.plan import Plan
from rlm_jupyter.demo_model.table_rows import Rows


def first_look(plan: Plan, rows: Rows) -> tuple[str, ...]:
    """Returns the lines that print what the rows of a question are like: their number, gaps and span."""
    part, code = rows.part, rows.code
    used = [*part.keys, *([part.measure] if part.measure is not None else [])]
    used = list(dict.fromkeys(used))
    if not used:
        return ()
    lines = [f'print(len({code}), "rows; missing:", {code}[{listed(used)}].isna().sum().to_dict())']
    if part.date is not None:
        own = f"{code}[{literal(part.date)}]"
        lines.append(f'print("from", {own}.min(), "to", {own}.max())')
    if part.measure is not None:
        lines.append(f"print({code}[{literal(part.measure)}].{_spread(plan)})")
    return tuple(lines)


def _spread(plan: Plan) -> str:
    """Returns the code for how the values of a measure are spread: of numbers their range, of others each one."""
    column = plan.measure.column
    numbers = column is not None and column.kind == "number" and plan.measure.equals is None
    return "describe().round(2).to_dict()" if numbers else "value_counts().to_dict()"
