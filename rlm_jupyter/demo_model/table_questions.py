"""From a question about tables to a plan: which table, group, date and measure its words name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlm_jupyter.demo_model import words
from rlm_jupyter.demo_model.plan import Column, Join, Measure, Plan

UNKNOWN = (
    "The question is outside of what the scripted demo can do with tables (find where a measure breaks out, count "
    "or add up by group); here is a profile of the data instead. "
)
_NO_DATES = "There is no column with dates, so the script cannot tell when something changed. "
_ROWS_ONLY = "The question names no column that the script could count or add up, so it counted rows. "
_FEW = 50
_ASKED = 1000.0
_KEY = re.compile(r"(?i)(?:^|[_ ])(?:id|no|nr|key|code|number)$|[a-z]I[dD]$")


@dataclass(frozen=True)
class Table:
    """One table, as the first cell saw it.

    Attributes:
        name: how the cells call it.
        rows: how many.
        columns: at most some dozens, those that the question may mean first.
        sampled: rows that the figures of the columns come from.
        alias: the notebook's name of it.
    """

    name: str
    rows: int
    columns: tuple[Column, ...]
    sampled: int
    alias: str = ""

    @property
    def called(self) -> str:
        """The name that a question may use for it."""
        return self.alias or self.name


def read_tables(seen: Mapping[str, Any], alias: str = "") -> list[Table]:
    """Read what the first cell printed of tables."""
    return [
        Table(
            name=name,
            rows=table["rows"],
            columns=tuple(_read_column(row) for row in table["columns"]),
            sampled=table["sampled"],
            alias=alias if name == "context" else "",
        )
        for name, table in seen.items()
    ]


def _read_column(row: list[Any]) -> Column:
    at, name, plain, dtype, kind, distinct, values, unique = row
    return Column(at, name, plain, dtype, kind, distinct, tuple(values), unique)


def table_plan(question: str, tables: list[Table]) -> Plan:
    """Choose what to do for a question about tables."""
    table = _choose(question, tables)
    if not table.rows or not table.columns:
        return Plan("empty")
    roles = _Roles(question, table)
    date = roles.date()
    group, join = roles.group(date), None
    if group is None:
        group, join = _elsewhere(question, tables, table)
    measure = roles.measure({column.at for column in (date, group if join is None else None) if column})
    named = (
        group is not None or measure.column is not None or words.position(question, table.called) is not None
    )
    found = _Found(question, table, date, group, join, measure)
    direction = words.direction(question)
    if words.draws(question) and named and (group or date):
        over_time = date and (words.over_time(question) or group is None)
        return replace(found.breakout() if over_time else found.groups(""), draw=True)
    if direction and date and (named or words.rows(question)):
        return found.breakout()
    if named and (words.counts(question) or direction) and (group or measure.column):
        return found.groups(_NO_DATES if direction and date is None else "")
    if direction and date is None and named:
        return found.profile(_NO_DATES + "Here is a profile of the data instead. ")
    return found.profile("" if words.profile(question) else UNKNOWN)


def in_words_of(questions: Sequence[str], tables: list[Table]) -> str:
    """Returns the last question, with the one before it where it names a group and nothing else ("And by country?").

    Args:
        questions: the first one and its follow-ups, in order.
        tables: what they are about.
    """
    whole = questions[0]
    for question in questions[1:]:
        whole = f"{question} {whole}" if _names_only_a_group(question, tables) else question
    return whole


def _names_only_a_group(question: str, tables: list[Table]) -> bool:
    if any(asks(question) for asks in (words.direction, words.amount, words.rows, words.profile)):
        return False
    groups = measures = 0
    for table in tables:
        roles = _Roles(question, table)
        group = roles.group(roles.date())
        groups += group is not None
        measures += roles.measure({group.at} if group is not None else set()) != Measure()
    return groups > 0 and not measures


@dataclass(frozen=True)
class _Found:
    """What a question names, ready to become a plan."""

    question: str
    table: Table
    date: Column | None
    group: Column | None
    join: Join | None
    measure: Measure

    def breakout(self) -> Plan:
        group, remark = self.group, self._rows_only()
        if group is None:
            group = _Roles(self.question, self.table).default_group(self.date)
            if group is not None:
                remark += (
                    f"The question names no group that the script knows, so it looked at {group.title}. "
                )
        mean = words.mean(self.question) and self.measure.column is not None
        each = f"each {group.title}" if group else "all rows"
        what = f"the mean of {self.measure.title}" if mean else self.measure.title
        return Plan(
            "breakout",
            f"I follow {what} by day for {each}, and look where one breaks out.",
            f"added up {self.measure.title} by day for {each}, and split each series where its two sides differ most",
            remark,
            self.table.name,
            group,
            self.date,
            self.measure,
            mean=mean,
            direction=words.direction(self.question) or "change",
            join=self.join,
        )

    def groups(self, remark: str) -> Plan:
        mean = words.mean(self.question) and self.measure.column is not None
        what = f"{'the mean of ' if mean else ''}{self.measure.title}"
        each = f"each {self.group.title}" if self.group else "all rows"
        return Plan(
            "groups",
            f"I compute {what} for {each}.",
            f"computed {what} for {each}",
            remark + self._rows_only(),
            self.table.name,
            self.group,
            None,
            self.measure,
            mean=mean,
            least=words.least(self.question),
            join=self.join,
        )

    def profile(self, remark: str) -> Plan:
        thought = "I make a profile of the table."
        if remark:
            thought = "This is outside of what a script can do: I make a profile of the table."
        return Plan("profile", thought, "profiled each column", remark, self.table.name)

    def _rows_only(self) -> str:
        spoken = words.rows(self.question) or words.position(self.question, self.table.called) is not None
        return "" if self.measure.column is not None or spoken else _ROWS_ONLY


def _choose(question: str, tables: list[Table]) -> Table:
    """Choose the table that the question counts or follows: the first named after words such as `rise in`."""
    since = words.after_change(question)

    def order(table: Table) -> tuple[float, bool, int]:
        at = words.position(question, table.called)
        named = float("inf") if at is None else at - since if at >= since else _ASKED + at
        dated = any(column.kind == "date" for column in table.columns)
        return named, not dated, -table.rows

    return min(tables, key=order)


def _elsewhere(question: str, tables: list[Table], table: Table) -> tuple[Column | None, Join | None]:
    """Look for the group that the question names in another table that shares a key."""
    own = {column.name for column in table.columns if column.plain}
    for other in tables:
        group = _Roles(question, other).group(None) if other is not table else None
        keys = [c.name for c in other.columns if c.plain and c.name in own and c.unique]
        if group is not None and keys and group.name not in keys:
            return group, Join(other.name, keys[0])
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

    def group(self, date: Column | None) -> Column | None:
        """The column that the question asks for (`which supplier`, `per country`); None if it names none."""
        asked: list[tuple[bool, float, Column]] = []
        for column in self._columns:
            at = words.group_position(self._question, column.name)
            few = 1 <= column.distinct <= max(_FEW, self._sampled // 2)
            fits = column.kind == "text" or (column.kind in ("number", "flag") and at < _ASKED)
            if column != date and few and fits and at < float("inf"):
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
            for value in column.values:
                if words.position(self._question, value) is not None:
                    return Measure(column, value)
        return Measure()

    def _named_first(self, column: Column) -> tuple[float, int]:
        at = words.position(self._question, column.name)
        return (float("inf") if at is None else at, column.at)
