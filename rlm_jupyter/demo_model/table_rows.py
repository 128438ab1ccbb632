"""The rows and columns that a question about tables is about, in code: joined, converted and chosen if need be."""

from __future__ import annotations

from dataclasses import dataclass

from rlm_jupyter.demo_model.literals import at, listed, literal
from rlm_jupyter.demo_model.plan import Column, Filter, Part, Plan, simple

_TAKEN = frozenset({"sum", "count", "size"})
_WIDTH = 100


@dataclass(frozen=True)
class Rows:
    """Lines of code that make a table, and what its columns are called.

    Attributes:
        lines: none, if the data can be used as it is.
        code: the table.
        part: its columns, and what is wanted of them.
        observed: an argument of `groupby`, for categories.
        extended: whether sums must be made floats, since their dtype is none of numpy.
    """

    lines: tuple[str, ...]
    code: str
    part: Part
    observed: str = ""
    extended: bool = False


def rows_of(plan: Plan, *, apart: bool = False) -> Rows:
    """Returns the rows of a plan.

    Args:
        plan: what is computed.
        apart: whether only the columns that are used are wanted, to hand them on.
    """
    lines, code = _whole(plan)
    names = _names(plan)
    if not _as_it_is(plan):
        lines, code = (*lines, *_frame(_made(plan, code, names))), "rows"
        if plan.where:
            lines = (*lines, f"rows = rows[{_condition(plan, 'rows', names)}]")
    elif plan.where:
        lines, code = (*lines, f"rows = {code}[{_condition(plan, code, names)}]"), "rows"
    used = [names[role] for role in ("date", "group", "measure") if role in names]
    if apart:
        lines, code = (*lines, f"rows = {code}[{listed(list(dict.fromkeys(used)))}]"), "rows"
    column = plan.measure.column
    part = Part("table", names.get("group"), names.get("date"), names.get("measure"), mean=plan.how == "mean")
    extended = column is not None and (column.dtype[:1].isupper() or column.dtype in ("boolean", "string"))
    observed = ", observed=True" if plan.group is not None and plan.group.dtype == "category" else ""
    return Rows(lines, code, part, observed, extended)


def _frame(items: dict[str, str]) -> tuple[str, ...]:
    """Returns the lines that make a table of columns."""
    pairs = [f"{literal(name)}: {made}" for name, made in items.items()]
    one = f"rows = pd.DataFrame({{{', '.join(pairs)}}})"
    return (
        (one,) if len(one) <= _WIDTH else ("rows = pd.DataFrame({", *(f"    {pair}," for pair in pairs), "})")
    )


def _whole(plan: Plan) -> tuple[tuple[str, ...], str]:
    """Returns the lines that put tables together, and the code of the whole."""
    if plan.others:
        return (f"rows = pd.concat([{', '.join((plan.table, *plan.others))}], ignore_index=True)",), "rows"
    if plan.join is None or plan.group is None:
        return (), plan.table
    key, columns = literal(plan.join.key), listed([plan.join.key, plan.group.name])
    return (
        f"other = {plan.join.code}[{columns}].drop_duplicates({key})",
        f"rows = {plan.table}.merge(other, on={key})",
    ), "rows"


def _names(plan: Plan) -> dict[str, str]:
    """Returns what the columns are called by their roles; each name once, for columns that are not the same."""
    roles: dict[str, Column | None] = {"date": plan.date, "group": plan.group, "measure": plan.measure.column}
    roles |= {f"where_{number}": one.column for number, one in enumerate(plan.where)}
    names: dict[str, str] = {}
    for role, column in roles.items():
        if column is None:
            continue
        name = column.name if column.plain and column.name not in _TAKEN else role
        if role == "measure" and plan.measure.equals is not None:
            name = plan.measure.equals if simple(plan.measure.equals) else role
        same = [
            other for other, one in roles.items() if other in names and names[other] == name and one != column
        ]
        names[role] = f"{name}_{role}" if same or (role == "measure" and name in names.values()) else name
    return names


def _day(column: Column) -> bool:
    """Returns whether `.dt.normalize()` of a column is its day."""
    return column.plain and column.dtype.startswith("datetime64") and "," not in column.dtype


def _as_it_is(plan: Plan) -> bool:
    """Returns whether all columns can be used under their own names, without a conversion."""
    group, measure = plan.group, plan.measure
    return (
        (group is None or (group.plain and _comparable(group) and group.name not in _TAKEN))
        and (plan.date is None or _day(plan.date))
        and (
            measure.column is None
            or (measure.equals is None and measure.column.plain and measure.column.adds_up)
        )
        and (measure.column is None or measure.column.name not in _TAKEN)
        and (measure.column is None or measure.column != group)
        and all(
            one.column.plain and _comparable(one.column) if one.period == "value" else _day(one.column)
            for one in plan.where
        )
    )


def _comparable(column: Column) -> bool:
    return column.kind != "text" or column.inferred == "string"


def _made(plan: Plan, code: str, names: dict[str, str]) -> dict[str, str]:
    """Returns the columns of a table made for this question: name to code."""
    made = {}
    if plan.date is not None:
        made[names["date"]] = _date(code, plan.date)
    if plan.group is not None:
        made[names["group"]] = _text(
            f"{code}[{literal(plan.group.name)}]" if plan.join else at(code, plan.group), plan.group
        )
    column, equals = plan.measure.column, plan.measure.equals
    if column is not None:
        whole = at(code, column)
        made[names["measure"]] = (
            f"{whole} == {literal(equals)}"
            if equals is not None
            else whole
            if column.adds_up
            else f"{whole}.astype(float)"
        )
    for number, one in enumerate(plan.where):
        own = at(code, one.column)
        made[names[f"where_{number}"]] = (
            _text(own, one.column) if one.period == "value" else _date(code, one.column)
        )
    return made


def _text(code: str, column: Column) -> str:
    """Returns a column of texts, in which other values are texts too: mixed values have no order."""
    return code if _comparable(column) else f'{code}.map(str, na_action="ignore")'


def _date(table: str, column: Column) -> str:
    """Returns a column's dates, without a time zone."""
    code = at(table, column)
    if column.dtype.startswith("datetime64"):
        return f"{code}.dt.tz_localize(None)" if "," in column.dtype else code
    if column.dtype.startswith("period"):
        return f"{code}.dt.to_timestamp()"
    texts = code if column.inferred == "string" and column.dtype != "category" else f"{code}.astype(str)"
    return f'pd.to_datetime({texts}.str[:10].str.replace("/", "-"), errors="coerce")'


def _condition(plan: Plan, code: str, names: dict[str, str]) -> str:
    tests = [_test(code, names[f"where_{number}"], one) for number, one in enumerate(plan.where)]
    return tests[0] if len(tests) == 1 else " & ".join(f"({test})" for test in tests)


def _test(code: str, name: str, one: Filter) -> str:
    column = f"{code}[{literal(name)}]"
    if one.period == "value":
        return f"{column} == {literal(str(one.value))}"
    return f"{column}.dt.{one.period} == {one.value}"
