"""A plan: the one thing that the demo computes for a question, and the words in which it hands it on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rlm_jupyter.demo_model.words import Direction, shown

Kind = Literal["breakout", "groups", "profile", "matches", "lines", "documents", "empty", "unknown"]

_HALVES = " In two halves."


@dataclass(frozen=True)
class Column:
    """One column of a table, as the first cell saw it in a sample.

    Attributes:
        at: its place, from 0.
        name: as text, shortened.
        plain: whether `table[name]` is this column and no other.
        dtype: of pandas.
        kind: ``"date"``, ``"text"``, ``"flag"``, ``"number"`` or ``"other"``.
        distinct: values in the sample.
        values: the texts in it, where they are few.
        unique: whether no value of the sample is there twice.
    """

    at: int
    name: str
    plain: bool
    dtype: str
    kind: str
    distinct: int
    values: tuple[str, ...] = ()
    unique: bool = False

    @property
    def title(self) -> str:
        """Its name, fit for a sentence."""
        return f"`{shown(self.name)}`"


@dataclass(frozen=True)
class Measure:
    """What is added up.

    Attributes:
        column: None counts rows.
        equals: count the rows where the column is this text.
    """

    column: Column | None = None
    equals: str | None = None

    @property
    def title(self) -> str:
        """It, in words."""
        if self.column is None:
            return "the number of rows"
        if self.equals is not None:
            return f"rows with `{shown(self.equals)}` in {self.column.title}"
        return self.column.title


@dataclass(frozen=True)
class Join:
    """Another table that knows the group, and the column that both tables have.

    Attributes:
        table: the other table's name.
        key: the shared column's name.
    """

    table: str
    key: str


@dataclass(frozen=True)
class Plan:
    """One thing to compute over the parts of the data, and how to say it.

    Attributes:
        kind: which of the few things.
        thought: a sentence for the reply.
        computed: what is computed, in words, for the answer.
        remark: what must be said before the answer, such as that the question was not understood; or nothing.
        table: the table's name.
        group: None for all rows as one group.
        date: where the kind needs it.
        measure: what is added up.
        mean: a mean instead of a sum.
        least: the smallest instead of the largest.
        direction: of the change that is looked for.
        join: where the group is in another table.
        pattern: a regular expression, for texts.
        words: what the pattern stands for, in words.
        parts: how many sub-agents.
        draw: whether the answer has a chart.
        halves: whether a sub-agent hands its part on, in two halves.
        asked: for a plan that was read from a sub-agent's question: that question, for one part.
    """

    kind: Kind
    thought: str = ""
    computed: str = ""
    remark: str = ""
    table: str = ""
    group: Column | None = None
    date: Column | None = None
    measure: Measure = Measure()
    mean: bool = False
    least: bool = False
    direction: Direction = "rise"
    join: Join | None = None
    pattern: str | None = None
    words: str = ""
    parts: int = 4
    draw: bool = False
    halves: bool = False
    asked: str = ""

    @property
    def sub_question(self) -> str:
        """The question of a sub-agent. It names the data for its reader; the parts' columns have fixed names."""
        group = self.group.title if self.group else "all rows"
        match self.kind:
            case "breakout":
                text = f"Part: sum {self.measure.title} by {group} and day."
            case "groups":
                text = f"Part: sum {self.measure.title} by {group}."
            case "matches":
                text = f"Part: count the matches of `{self.pattern}` in each document."
            case "lines":
                text = f"Part: collect the lines that match `{self.pattern}`."
            case "documents":
                text = "Part: measure each document."
            case _:
                text = "Part: profile the columns."
        return text + (_HALVES if self.halves else "")


_SUB: dict[Kind, re.Pattern[str]] = {
    "breakout": re.compile(r"Part: sum .+ by .+ and day\."),
    "groups": re.compile(r"Part: sum .+ by .+\."),
    "matches": re.compile(r"Part: count the matches of `(?P<pattern>.+)` in each document\.", re.DOTALL),
    "lines": re.compile(r"Part: collect the lines that match `(?P<pattern>.+)`\.", re.DOTALL),
    "documents": re.compile(r"Part: measure each document\."),
    "profile": re.compile(r"Part: profile the columns\."),
}


def plan_from_sub_question(question: str) -> Plan | None:
    """Read a plan back from a sub-agent's question; None for a question of a user."""
    body = question.removesuffix(_HALVES)
    for kind, pattern in _SUB.items():
        if match := pattern.fullmatch(body):
            return Plan(kind, pattern=match.groupdict().get("pattern"), halves=body != question, asked=body)
    return None
