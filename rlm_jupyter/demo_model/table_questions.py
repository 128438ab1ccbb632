"""From a question about tables to a plan: which table, rows, group, date and measure its words name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlm_jupyter.demo_model import words
from rlm_jupyter.demo_model.conditions import conditions
from rlm_jupyter.demo_model.plan import Column, Filter, How, Join, Kind, Measure, Plan, simple

UNKNOWN = (
    "The question is outside of what the scripted demo can do with tables (find where a measure breaks out, count "
    "or add up by group); here is a profile of the data instead. "
)
_NO_DATES = "There is no column with dates, so the script cannot tell when something changed. "
_ROWS_ONLY = "The question names no column that the script could count or add up, so it counted rows. "
_FEW = 50
_ASKED = 1000.0
_VALUES = 12
"""Texts that a look shows of a column."""
_KEY = re.compile(r"(?i)(?:^|[_ ])(?:id|no|nr|key|code|number)$|[a-z]I[dD]$")


@dataclass(frozen=True)
class Table:
    """One table, as the first cell saw it.

    Attributes:
        name: the notebook's name of it.
        code: it, in the agent's code.
        rows: how many.
        width: how many columns.
        columns: at most some dozens of them, those that the question may mean first.
        sampled: rows that the figures of the columns come from.
    """

    name: str
    code: str
    rows: int
    width: int
    columns: tuple[Column, ...]
    sampled: int

    @property
    def ordered(self) -> bool:
        """Whether the values of each column have an order."""
        return len(self.columns) == self.width and all(
            column.kind != "other" and column.inferred != "mixed-integer" and column.dtype != "category"
            for column in self.columns
        )


_KINDS = {
    "string": "text", "mixed-integer": "text", "boolean": "flag", "integer": "number", "floating": "number",
    "decimal": "number", "mixed-integer-float": "number", "date": "date", "datetime": "date", "datetime64": "date",
    "period": "date",
}  # fmt: skip
_DATE = re.compile(r"\d{4}[-/]\d{2}[-/]\d{2}")


def read_tables(seen: Sequence[tuple[dict[str, Any], Sequence[list[Any]]]]) -> list[Table]:
    """Read what the look printed of tables."""
    return [
        Table(
            name=head["table"],
            code=head["code"],
            rows=head["rows"],
            width=head["columns"],
            columns=tuple(_read_column(row, rows, head["sampled"]) for row in rows),
            sampled=head["sampled"],
        )
        for head, rows in seen
    ]


def _read_column(row: list[Any], rows: Sequence[list[Any]], sampled: int) -> Column:
    at, name, dtype, inferred, _missing, distinct, values = row
    kind = _KINDS.get(inferred if inferred != "empty" else _of_dtype(dtype), "other")
    if kind == "text" and values and all(_DATE.match(value) for value in values):
        kind = "date"
    levels = re.findall(r"'([^']*)'", name) if name.startswith("(") else []
    called = next((level for level in reversed(levels) if level), name)
    plain = simple(name) and sum(other[1] == name for other in rows) == 1
    texts = tuple(value for value in values if len(value) < 40) if kind == "text" else ()  # noqa: PLR2004 - cut there
    return Column(at, called, plain, dtype, kind, distinct, inferred, texts, distinct == sampled > 1)


def _of_dtype(dtype: str) -> str:
    """Returns what the values of a column without any would be."""
    kinds = {
        "f": "floating",
        "i": "integer",
        "u": "integer",
        "F": "floating",
        "I": "integer",
        "d": "datetime",
    }
    return kinds.get(dtype[:1], "empty")


def table_plan(question: str, tables: list[Table]) -> Plan:
    """Choose what to do for a question about tables."""
    table = choose(question, tables)
    if not table.rows or not table.columns:
        return Plan("empty")
    found = find(question, table, tables)
    date, group, measure = found.date, found.group, found.measure
    named = (
        group is not None or measure.column is not None or words.position(question, table.name) is not None
    )
    direction = words.direction(question)
    if words.draws(question) and named and (group or date):
        over_time = date and (words.over_time(question) or group is None)
        return replace(found.breakout() if over_time else found.groups(""), draw=True)
    if direction and date and (named or words.rows(question)):
        return found.breakout()
    spoken = words.position(question, table.name) is not None
    counted = found.where and words.counts(question) and (named or words.rows(question))
    if (
        counted
        or (spoken and words.tallies(question) and not words.profile(question))
        or (named and (words.counts(question) or direction) and (group or measure.column))
    ):
        return found.groups(_NO_DATES if direction and date is None else "")
    if direction and date is None and named:
        return found.profile(_NO_DATES + "Here is a profile of the data instead. ")
    return found.profile("" if words.profile(question) else UNKNOWN)


def find(question: str, table: Table, tables: list[Table]) -> Found:
    """Returns what a question names of a table, and of those that share a key with it."""
    roles = _Roles(question, table)
    date = roles.date()
    where = conditions(question, table.columns, date)
    taken = {one.column.at for one in where if one.period == "value"}
    group, join = roles.group(date, taken), None
    if group is None:
        group, join = _elsewhere(question, tables, table)
    own_group = group if join is None else None
    measure = roles.measure(taken | {column.at for column in (date, own_group) if column})
    return Found(question, table, date, group, join, measure, where, _siblings(question, table, tables))


def _siblings(question: str, table: Table, tables: list[Table]) -> tuple[Table, ...]:
    """Returns the other tables with the same columns, if the question names none of them."""
    columns = [(column.name, column.dtype) for column in table.columns]
    alike = [other for other in tables if [(c.name, c.dtype) for c in other.columns] == columns]
    if any(words.position(question, one.name) is not None for one in alike):
        return ()
    return tuple(one for one in alike if one is not table)


@dataclass(frozen=True)
class Found:
    """What a question names, ready to become a plan."""

    question: str
    table: Table
    date: Column | None
    group: Column | None
    join: Join | None
    measure: Measure
    where: tuple[Filter, ...] = ()
    siblings: tuple[Table, ...] = ()

    @property
    def how(self) -> How:
        """Whether the measure is added up, averaged, or its largest or smallest value is asked for."""
        if self.measure.column is None:
            return "sum"
        if words.mean(self.question):
            return "mean"
        one = self.group is None and self.measure.equals is None and not words.adds_up(self.question)
        if one and words.extreme(self.question) and self.measure.column.kind == "number":
            return "min" if words.least(self.question) else "max"
        return "sum"

    def breakout(self) -> Plan:
        """Returns the plan to look where a measure changes over time."""
        group, remark = self.group, self._rows_only()
        if group is None:
            group = _Roles(self.question, self.table).default_group(self.date)
            if group is not None:
                remark += (
                    f"The question names no group that the script knows, so it looked at {group.title}. "
                )
        how: How = "mean" if self.how == "mean" else "sum"
        direction = words.direction(self.question) or "change"
        plan = self._plan("breakout", remark)
        return told(replace(plan, group=group, date=self.date, how=how, direction=direction))

    def groups(self, remark: str) -> Plan:
        """Returns the plan to count, add up or average by group."""
        plan = self._plan("groups", remark + self._rows_only())
        return told(replace(plan, group=self.group, least=words.least(self.question)))

    def profile(self, remark: str) -> Plan:
        """Returns the plan to say what the data is."""
        thought = "I profile each column of the table."
        if remark:
            thought = "This is outside of what a script can do: I profile each column of the table."
        return Plan(
            "profile",
            thought,
            remark,
            self.table.code,
            self._rows(self.siblings),
            tuple(one.code for one in self.siblings),
            ordered=self.table.ordered,
        )

    def _plan(self, kind: Kind, remark: str) -> Plan:
        others = () if self.join else self.siblings
        return Plan(
            kind,
            "",
            remark,
            self.table.code,
            self._rows(others),
            tuple(one.code for one in others),
            measure=self.measure,
            how=self.how,
            join=self.join,
            where=self.where,
        )

    def _rows(self, others: Sequence[Table]) -> int:
        return self.table.rows + sum(one.rows for one in others)

    def _rows_only(self) -> str:
        spoken = words.rows(self.question) or words.position(self.question, self.table.name) is not None
        return "" if self.measure.column is not None or spoken else _ROWS_ONLY


def told(plan: Plan) -> Plan:
    """Returns a plan with the sentence that says what it does."""
    each = f"each {plan.group.title}" if plan.group else "all rows"
    only = f", only {plan.only.strip()}" if plan.where else ""
    words = {"sum": "", "mean": "the mean of ", "max": "the largest ", "min": "the smallest "}
    what = f"{words[plan.how]}{plan.measure.title}"
    if plan.kind == "breakout":
        thought = f"I follow {what} by day for {each}{only}."
    else:
        thought = f"I compute {what}{f' for {each}' if plan.group else ' over all rows'}{only}."
    return replace(plan, thought=thought)


def choose(question: str, tables: list[Table]) -> Table:
    """Choose the table that the question counts or follows: the first named after words such as `rise in`."""
    since = words.after_change(question)

    def order(table: Table) -> tuple[float, bool, int]:
        at = words.position(question, table.name)
        named = float("inf") if at is None else at - since if at >= since else _ASKED + at
        dated = any(column.kind == "date" for column in table.columns)
        return named, not dated, -table.rows

    return min(tables, key=order)


def _elsewhere(question: str, tables: list[Table], table: Table) -> tuple[Column | None, Join | None]:
    """Look for the group that the question names in another table that shares a key."""
    own = {column.name for column in table.columns if column.plain}
    for other in tables:
        group = _Roles(question, other).group(None, set()) if other is not table else None
        keys = [c.name for c in other.columns if c.plain and c.name in own and c.unique]
        if group is not None and group.plain and keys and group.name not in own:
            return group, Join(other.code, keys[0])
    return None, None


class _Roles:
    """Which columns the question names as group, date or measure."""

    def __init__(self, question: str, table: Table) -> None:
        self._question = question
        self._columns = table.columns
        self._sampled = table.sampled

    def date(self) -> Column | None:
        """The column of dates that is named, else the first."""
        dates = [column for column in self._columns if column.kind == "date"]
        return min(dates, key=self._named_first, default=None)

    def group(self, date: Column | None, taken: set[int]) -> Column | None:
        """The column that the question asks for (`which supplier`, `per country`); None if it names none."""
        asked: list[tuple[bool, float, Column]] = []
        for column in self._columns:
            at = words.group_position(self._question, column.name)
            few = 1 <= column.distinct <= max(_FEW, self._sampled // 2)
            fits = column.kind == "text" or (column.kind in ("number", "flag") and at < _ASKED)
            if column != date and column.at not in taken and few and fits and at < float("inf"):
                asked.append((column.kind != "text" or at >= _ASKED, at, column))
        return min(asked, key=lambda one: (one[0], one[1], one[2].at), default=(False, 0, None))[2]

    def default_group(self, date: Column | None) -> Column | None:
        """The first column with few texts in it."""
        texts = [
            c
            for c in self._columns
            if c.kind == "text" and c != date and 1 < c.distinct <= max(2, self._sampled // 10)
        ]
        return min(texts, key=lambda column: column.at, default=None)

    def measure(self, taken: set[int]) -> Measure:
        """What the question names to count or add up: a flag, a number, a text that stands in a column."""
        free = [column for column in self._columns if column.at not in taken]
        numbers = [c for c in free if c.kind == "flag" or (c.kind == "number" and not _KEY.search(c.name))]
        named = [c for c in numbers if words.position(self._question, c.name) is not None]
        if named:
            return Measure(min(named, key=lambda c: (c.kind != "flag", self._named_first(c))))
        for column in free:
            for value in column.values if column.distinct <= _VALUES else ():
                if words.position(self._question, value) is not None:
                    return Measure(column, value)
        return Measure()

    def _named_first(self, column: Column) -> tuple[float, int]:
        at = words.position(self._question, column.name)
        return (float("inf") if at is None else at, column.at)
