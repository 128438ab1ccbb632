"""A plan: the one thing that the demo computes for a question, and the words in which it hands parts of it on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from rlm_jupyter.demo_model.words import Direction, shown

Kind = Literal["breakout", "groups", "profile", "matches", "lines", "documents", "empty", "unknown"]
How = Literal["sum", "mean", "max", "min"]
Period = Literal["year", "quarter", "month", "value"]

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip

_SIMPLE = re.compile(r"[^\W\d][\w .&/-]{0,58}")
_DIRECT = re.compile(r"(?:u?int|float|UInt|Int|Float)\d+|bool(?:ean)?")
_OWN_WORDS = frozenset({"sum", "count", "size", "nan", "None", "True", "False", "NaT", "all rows"})


def simple(name: str) -> bool:
    """Returns whether a name can stand in a sub-agent's question and be read back from it."""
    return _SIMPLE.fullmatch(name) is not None and name == name.strip() and name not in _OWN_WORDS


@dataclass(frozen=True)
class Column:
    """One column of a table, as the look at a sample showed it.

    Attributes:
        at: its place, from 0.
        name: as text, shortened.
        plain: whether `table[name]` is this column and no other.
        dtype: of pandas.
        kind: ``"date"``, ``"text"``, ``"flag"``, ``"number"`` or ``"other"``.
        inferred: what `pandas.api.types.infer_dtype` says of its values.
        distinct: values in the sample.
        values: the first texts in it.
        unique: whether no value of the sample occurs twice.
    """

    at: int
    name: str
    plain: bool
    dtype: str
    kind: str
    distinct: int
    inferred: str = "string"
    values: tuple[str, ...] = ()
    unique: bool = False

    @property
    def title(self) -> str:
        """Its name, fit for a sentence."""
        return f"`{shown(self.name)}`"

    @property
    def adds_up(self) -> bool:
        """Whether pandas adds up its values as they are."""
        return _DIRECT.fullmatch(self.dtype) is not None


@dataclass(frozen=True)
class Measure:
    """What is added up.

    Attributes:
        column: None counts rows.
        equals: count the rows in which the column is this text.
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
    """Another table that holds the group, and the column that both tables have.

    Attributes:
        code: the other table, in the agent's code.
        key: the shared column's name.
    """

    code: str
    key: str


@dataclass(frozen=True)
class Filter:
    """Which rows a question is about.

    Attributes:
        column: what is compared.
        period: ``"value"``, or the part of a date that is compared.
        value: what it is compared with.
    """

    column: Column
    period: Period
    value: str | int

    @property
    def title(self) -> str:
        """It, in words."""
        if self.period == "value":
            return f"where {self.column.title} is {shown(self.value)}"
        if self.period == "month":
            return f"in {MONTHS[int(self.value) - 1].capitalize()}"
        return f"in {self.value}" if self.period == "year" else f"in quarter {self.value}"


@dataclass(frozen=True)
class Plan:
    """One thing to compute, and how to say it.

    Attributes:
        kind: which of the few things.
        thought: a sentence for the reply.
        remark: what must be said before the answer, such as that the question was not understood; or nothing.
        table: the table, in the agent's code.
        rows: how many it has.
        others: more tables with the same columns, in the agent's code.
        ordered: whether each column's values have an order.
        group: None for all rows as one group.
        date: where the kind needs it.
        measure: what is added up.
        how: how it is.
        least: the smallest instead of the largest.
        direction: of the change that is looked for.
        join: where the group is in another table.
        where: which rows.
        pattern: a regular expression, for texts.
        words: what the pattern stands for, in words.
        document: the only document that is asked about, of texts.
        draw: whether the answer has a chart.
    """

    kind: Kind
    thought: str = ""
    remark: str = ""
    table: str = "context"
    rows: int = 0
    others: tuple[str, ...] = ()
    ordered: bool = True
    group: Column | None = None
    date: Column | None = None
    measure: Measure = field(default_factory=Measure)
    how: How = "sum"
    least: bool = False
    direction: Direction = "change"
    join: Join | None = None
    where: tuple[Filter, ...] = ()
    pattern: str = ""
    words: str = ""
    document: str | None = None
    draw: bool = False

    @property
    def measure_title(self) -> str:
        """What is computed, in words."""
        title = self.measure.title
        words = {"sum": "", "mean": "the mean of ", "max": "the largest ", "min": "the smallest "}
        return f"{words[self.how]}{title}{self.only}".replace("`", "")

    @property
    def only(self) -> str:
        """Which rows, in words: behind what is computed."""
        return "".join(f" {one.title}" for one in self.where)


@dataclass(frozen=True)
class Part:
    """What a sub-agent does with its part of the data. It is handed on as a question, and read back from it.

    Attributes:
        kind: which of the few things.
        group: a column's name; None for all rows as one group.
        date: a column's name, to group by day too.
        measure: a column's name; None counts rows.
        mean: whether the number of values is wanted beside their sum.
        ordered: whether each column's values have an order.
        pattern: a regular expression, for texts.
        documents: whether the part is a dict of texts and not one text.
    """

    kind: Literal["table", "profile", "matches", "lines"]
    group: str | None = None
    date: str | None = None
    measure: str | None = None
    mean: bool = False
    ordered: bool = True
    pattern: str = ""
    documents: bool = False

    @property
    def question(self) -> str:
        """The sub-agent's question, of which `part_of` makes this part again."""
        if self.kind == "profile":
            return f"Part: profile the columns{'' if self.ordered else ' that have no order'}."
        if self.kind != "table":
            verb = "count the matches of" if self.kind == "matches" else "collect the lines that match"
            return f"Part: {verb} `{self.pattern}` in {'each document' if self.documents else 'the text'}."
        verb = "sum and count" if self.mean else "sum"
        what = "count the rows" if self.measure is None else f"{verb} `{self.measure}`"
        keys = [f"`{self.group}`"] * (self.group is not None)
        keys += [f"day of `{self.date}`"] * (self.date is not None)
        return f"Part: {what} by {' and '.join(keys)}."

    @property
    def keys(self) -> list[str]:
        """The columns that the part's table has besides its figures."""
        return [name for name in (self.date, self.group) if name is not None]


_PROFILE = re.compile(r"Part: profile the columns(?P<unordered> that have no order)?\.")
_TEXTS = re.compile(
    r"Part: (?P<verb>count the matches of|collect the lines that match) `(?P<pattern>.+)` in "
    r"(?P<unit>each document|the text)\.",
    re.DOTALL,
)
_TABLE = re.compile(
    r"Part: (?:count the rows|sum(?P<mean> and count)? `(?P<measure>[^`\n]+)`) by "
    r"(?:`(?P<group>[^`\n]+)`)?(?: and )?(?:day of `(?P<date>[^`\n]+)`)?\."
)


def part_of(question: str) -> Part | None:
    """Read a part back from a sub-agent's question; None for a question of a user."""
    if match := _PROFILE.fullmatch(question):
        return Part("profile", ordered=match["unordered"] is None)
    if match := _TEXTS.fullmatch(question):
        kind: Literal["matches", "lines"] = "matches" if match["verb"].startswith("count") else "lines"
        return Part(kind, pattern=match["pattern"], documents=match["unit"] == "each document")
    match = _TABLE.fullmatch(question)
    if match is None or not (match["group"] or match["date"]):
        return None
    return Part("table", match["group"], match["date"], match["measure"], mean=match["mean"] is not None)
