"""From a question's words and a look at the data to a plan: what the demo knows how to do, and no more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["breakout", "groups", "profile", "matches", "lines", "empty"]

_RISE = r"ris\w*|rose|increas\w*|jump\w*|spik\w*|surg\w*|grow\w*|grew|climb\w*|soar\w*"
_FALL = r"fall\w*|fell|drop\w*|declin\w*|decreas\w*|dip\w*|sank|shr[aiu]nk\w*|loss\w*"
_CHANGE = r"chang\w*|break\w*|broke|anomal\w*|outlier\w*|shift\w*|since when|explain\w*"
_COUNT = r"how many|how often|count\w*|number of|how much|most|least|top"
_PATTERNS = {
    r"class(es)?\b|class definitions?": r"^\s*class\s+\w+",
    r"functions?\b|methods?\b|function definitions?": r"^\s*(?:async\s+)?def\s+\w+",
    r"imports?\b": r"^\s*(?:import|from)\s+\w+",
    r"comments?\b": r"^\s*#",
    r"dates?\b": r"\b\d{4}-\d{2}-\d{2}\b",
    r"e-?mails?( addresses)?\b": r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b",
    r"urls?\b|links?\b": r"https?://\S+",
}
_MOST_GROUPS = 5000


@dataclass(frozen=True)
class Plan:
    """One thing to compute over the parts of the data, and how to say it.

    Attributes:
        kind: which of the few things.
        thought: one sentence for the reply.
        table: the variable's name where the data is a dict of tables; None where it is the table itself.
        group, date, measure: columns, where the kind needs them.
        pattern: a regular expression, for texts.
        falling: whether a fall is looked for, not a rise.
        parts: how many sub-agents.
        halves: whether a sub-agent hands its part on in two halves.
        known: False where the question is outside the repertoire.
        join: another table to take the group from, and the shared column: (table, column).
    """

    kind: Kind
    thought: str = ""
    table: str | None = None
    group: str | None = None
    date: str | None = None
    measure: str | None = None
    pattern: str | None = None
    falling: bool = False
    parts: int = 4
    halves: bool = False
    known: bool = True
    join: tuple[str, str] | None = None

    @property
    def sub_question(self) -> str:
        """The question of a sub-agent, in words that name all it needs."""
        match self.kind:
            case "breakout":
                what = f"Sum `{self.measure}`" if self.measure else "Count the rows"
                text = f"{what} for each `{self.group}` and day of `{self.date}`."
            case "groups":
                what = f"Sum `{self.measure}`" if self.measure else "Count the rows"
                text = f"{what} for each `{self.group}`."
            case "matches":
                text = f"Count the matches of `{self.pattern}` in each document."
            case "lines":
                text = f"Collect the lines that match `{self.pattern}` in each document."
            case _:
                text = "Count the rows, missing values, smallest and largest value of each column."
        return text

    @property
    def whole_question(self) -> str:
        """The question of a sub-agent that shall hand its part on."""
        return f"{self.sub_question} {_HALVES}"


_HALVES = "Use a sub-agent for each half."
_SUB = {
    "breakout": re.compile(
        r"(?:Sum `(?P<measure>.+?)`|Count the rows) for each `(?P<group>.+?)` and day of `(?P<date>.+?)`\."
    ),
    "groups": re.compile(r"(?:Sum `(?P<measure>.+?)`|Count the rows) for each `(?P<group>.+?)`\."),
    "matches": re.compile(r"Count the matches of `(?P<pattern>.+)` in each document\."),
    "lines": re.compile(r"Collect the lines that match `(?P<pattern>.+)` in each document\."),
    "profile": re.compile(r"Count the rows, missing values, smallest and largest value of each column\."),
}


def plan_from_sub_question(question: str) -> Plan | None:
    """Read a plan back from a sub-agent's question; None for a question of a user."""
    halves = question.endswith(_HALVES)
    body = question.removesuffix(_HALVES).strip()
    for kind, pattern in _SUB.items():
        match = pattern.fullmatch(body)
        if match is not None:
            return Plan(kind=kind, halves=halves, **match.groupdict())  # type: ignore[arg-type]
    return None


def plan_for(question: str, look: dict[str, Any]) -> Plan:
    """Choose what to do for a user's question.

    Args:
        question: verbatim.
        look: what the first cell printed: ``{"tables": {name: {"rows", "columns": [...]}}}`` or
            ``{"documents", "characters"}``.
    """
    if "tables" in look:
        return _table_plan(question, look["tables"])
    if not look.get("documents") or not look.get("characters"):
        return Plan("empty")
    return _text_plan(question)


# ---- texts


def _text_plan(question: str) -> Plan:
    pattern = _pattern(question)
    if pattern is None:
        return Plan(
            "matches",
            "This question is outside of what a script can do with a text, so I count its lines.",
            pattern=r"^.*\S.*$",
            known=False,
        )
    shown = f"`{pattern}`"
    counting = re.search(rf"\b(?:{_COUNT})\b", question, re.IGNORECASE)
    if counting:
        return Plan("matches", f"I count what matches {shown}.", pattern=pattern)
    return Plan("lines", f"I collect the lines that match {shown}.", pattern=pattern)


def _pattern(question: str) -> str | None:
    """Find what is asked for: a quoted term, or a noun that the script knows."""
    quoted = re.search(r"[\"“'`]([^\"”'`]{2,60})[\"”'`]", question)
    known = next(
        (p for words, p in _PATTERNS.items() if re.search(rf"\b(?:{words})", question, re.IGNORECASE)), None
    )
    if quoted is None:
        return known
    term = quoted[1].strip()
    named = next((p for words, p in _PATTERNS.items() if re.fullmatch(words, term, re.IGNORECASE)), None)
    return named or rf"(?i:{re.escape(term)})"


# ---- tables


def _table_plan(question: str, tables: dict[str, Any]) -> Plan:
    name = _table(question, tables)
    table = tables[name]
    of = None if list(tables) == [""] else name
    if not table["rows"] or not table["columns"]:
        return Plan("empty")
    words = question.lower()
    roles = _Roles(question, table["columns"])
    date, group, measure = roles.date(), roles.group(), roles.measure()
    join = None
    if group is None or not roles.named(group):
        join, group = _join(question, tables, name, group)
    if re.search(rf"\b(?:{_RISE}|{_FALL}|{_CHANGE})\b", words) and group and date:
        falling = bool(re.search(rf"\b(?:{_FALL})\b", words)) and not re.search(rf"\b(?:{_RISE})\b", words)
        what = f"`{measure}`" if measure else "the number of rows"
        thought = f"I follow {what} by day for each `{group}`, and look where one breaks out."
        return Plan("breakout", thought, of, group, date, measure, falling=falling, join=join)
    if (
        re.search(rf"\b(?:{_COUNT}|total\w*|sum|per|each)\b", words)
        and group
        and (roles.named(group) or join)
    ):
        summed = measure if measure and roles.named(measure) else None
        what = f"sum `{summed}`" if summed else "count the rows"
        return Plan("groups", f"I {what} for each `{group}`.", of, group, None, summed, join=join)
    asked = re.search(
        r"\b(?:profil\w*|describ\w*|overview|summar\w*|look like|missing|columns?|how many rows)\b", words
    )
    thought = "I make a profile of the table."
    if not asked:
        thought = "This question is outside of what a script can do, so I make a profile of the table."
    return Plan("profile", thought, of, known=bool(asked))


def _table(question: str, tables: dict[str, Any]) -> str:
    """Choose the table whose changes the question is about: named last, else the one with a date."""
    named = [name for name in tables if name and _mentions(question, name)]
    dated = [name for name in tables if _Roles(question, tables[name]["columns"]).date() is not None]
    both = [name for name in named if name in dated]
    return (both or dated or named or list(tables))[-1]


def _join(
    question: str, tables: dict[str, Any], name: str, group: str | None
) -> tuple[tuple[str, str] | None, str | None]:
    """Look for the group that the question names in another table that shares a key."""
    own = {column[0] for column in tables[name]["columns"]}
    for other, table in tables.items():
        if other == name:
            continue
        roles = _Roles(question, table["columns"])
        candidate = roles.group()
        shared = [
            c[0]
            for c in table["columns"]
            if c[0] in own and re.search(r"(?i)(?:^|_)(?:id|key|no|number)$|id$", c[0])
        ]
        if candidate is not None and roles.named(candidate) and shared:
            return (other, shared[0]), candidate
    return None, group


def _mentions(question: str, name: str) -> bool:
    """Whether a question names a column or table: its words, in singular or plural, or parts of them."""
    words = {_stem(word) for word in re.findall(r"[a-z0-9]+", question.lower())}
    parts = [
        _stem(part) for part in re.findall(r"[a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())
    ]
    return bool(parts) and all(part in words for part in parts)


def _stem(word: str) -> str:
    for ending in ("ies", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


class _Roles:
    """Which column could be the group, the date, the measure. A column is [name, dtype, distinct values, sample]."""

    def __init__(self, question: str, columns: list[list[Any]]) -> None:
        self._question = question
        self._columns = columns

    def named(self, name: str) -> bool:
        return _mentions(self._question, name)

    def _best(self, names: list[str]) -> str | None:
        return next((name for name in names if self.named(name)), names[0] if names else None)

    def date(self) -> str | None:
        dates = [c[0] for c in self._columns if c[1].startswith("datetime")]
        texts = [c[0] for c in self._columns if _is_text(c[1]) and re.match(r"\d{4}-\d{2}-\d{2}", str(c[3]))]
        return self._best(dates + texts)

    def group(self) -> str | None:
        date = self.date()
        texts = [
            c[0]
            for c in self._columns
            if _is_text(c[1]) and c[0] != date and 1 < c[2] <= min(_MOST_GROUPS, max(2, 0.5 * c[4]))
        ]
        return self._best(texts)

    def measure(self) -> str | None:
        flags = [c[0] for c in self._columns if c[1] in ("bool", "boolean")]
        numbers = [
            c[0]
            for c in self._columns
            if re.match(r"(?i)u?int|float", c[1]) and not re.search(r"(?i)(?:^|_)id$", c[0])
        ]
        named = [name for name in flags + numbers if self.named(name)]
        if named:
            return str(named[0])
        return None


def _is_text(dtype: str) -> bool:
    return dtype in ("object", "str", "string", "category") or dtype.startswith("string")
