"""`Table`: a handle of a table, or of a database, that stays where it is. Agents ask it; its rows come when asked for.

Travels as source into kernels: standard library only at import.

A handle is a reference with a description, and nothing more: a few texts. It carries no rights: whoever serves the
questions of a kernel checks each of them anew against what was handed over with the run. In an agent's kernel
`answer_with` connects handles with the engine; in the notebook they are descriptions that answer no question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .container import Malformed

Ask = Callable[[dict[str, Any]], Any]

MOST_CONDITIONS = 50
"""Conditions of one handle, each of which narrows what the last one left."""
_MOST_COLUMNS = 12
_answering: list[Ask] = []


def answer_with(ask: Ask) -> None:
    """Let the handles of this process be answered by a function of a request."""
    _answering[:] = [ask]


class Table:
    """A handle of a table in a database, or of a whole database: a query, not rows.

    Args:
        source: of which of a run's databases it is.
        name: of the table; None for the whole database.
        conditions: which rows of it.
        about: its description: `summary`, `columns`, `length` (rows, if they are known), `tables`.
    """

    __slots__ = ("about", "conditions", "name", "source")

    def __init__(
        self, source: str, name: str | None, conditions: tuple[str, ...], about: dict[str, Any]
    ) -> None:
        self.source = source
        self.name = name
        self.conditions = conditions
        self.about = about

    @property
    def columns(self) -> list[str]:
        """The names of the columns; of a database, none."""
        return list(self.schema) if self.name is not None else []

    @property
    def schema(self) -> dict[str, Any]:
        """The columns and their types; of a database, those of each of its tables."""
        if self.name is None:
            found: dict[str, Any] = self._ask("schema")
            return found
        return {str(one.get("name")): str(one.get("dtype")) for one in _dicts(self.about.get("columns"))}

    @property
    def tables(self) -> list[str]:
        """The names of a database's tables; a table is its own."""
        if self.name is not None:
            return [self.name]
        names = self.about.get("tables")
        return [str(name) for name in names] if isinstance(names, (list, tuple)) else []

    def sql(self, query: str) -> Any:
        """Run a query in the database: one SELECT. `t` is this table, with its conditions.

        Returns:
            A DataFrame.
        """
        return self._ask("sql", sql=_text(query, "query"))

    def where(self, condition: str) -> Table:
        """Returns a handle of the rows for which a condition of SQL holds, such as ``"amount > 5"``."""
        conditions = (*self.conditions, _text(condition, "condition"))
        return Table(self.source, self.name, conditions, self._ask("where", conditions=conditions))

    def count(self) -> int:
        """Returns the number of rows, counted by the database."""
        return int(self._ask("count"))

    def sample(self, n: int = 5) -> Any:
        """Returns a DataFrame of so many rows, chosen at random."""
        if type(n) is not int or n < 0:
            raise ValueError(f"`n` is a number of rows, not {n!r:.60}.")
        return self._ask("sample", n=n)

    def describe(self) -> Any:
        """Returns a DataFrame with a row for each column: type, number of values, least, greatest, mean."""
        return self._ask("describe")

    def __getitem__(self, name: str) -> Table:
        """Returns the handle of a table of this database."""
        if self.name is not None:
            raise self._holds_no_rows()
        about = self._ask("open", table=_text(name, "name"))
        return Table(self.source, str(about.get("name", name)), (), about)

    def __iter__(self) -> Iterator[str]:
        if self.name is not None:
            raise self._holds_no_rows()
        return iter(self.tables)

    def __len__(self) -> int:
        return self.count() if self.name is not None else len(self.tables)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return type(other) is Table and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        # What an agent returned may hold anything, also what a terminal would obey.
        return "".join(char if char.isprintable() else "?" for char in self._shown())

    def _shown(self) -> str:
        if self.name is None:
            return f"<database {', '.join(self.tables[:20])}>"
        shown = list(self.schema.items())[:_MOST_COLUMNS]
        more = ", …" if len(self.schema) > len(shown) else ""
        columns = ", ".join(f"{name} {kind}" for name, kind in shown)
        rows = self.about.get("length")
        about = "about " if self.about.get("estimated") else ""
        counted = f": {about}{rows:,} rows" if isinstance(rows, int) else ""
        which = "".join(f" where {condition:.100}" for condition in self.conditions[-3:])
        return f"<table {self.name}({columns}{more}){which}{counted}>"

    @property
    def _identity(self) -> tuple[Any, ...]:
        return self.source, self.name, self.conditions

    def _holds_no_rows(self) -> TypeError:
        ways = (
            "what .sql('SELECT ... FROM t ...') returns is a DataFrame, what .where('...') returns a handle."
        )
        return TypeError(f"`{self.name}` is a handle of a table and holds no rows: {ways}")

    def _ask(self, what: str, **more: Any) -> Any:
        if not _answering:
            raise TypeError(
                "A handle of a table answers in agents' code only. Here, ask the database itself, by your connection."
            )
        request = {"source": self.source, "table": self.name, "conditions": self.conditions}
        return _answering[0]({**request, "what": what, **more})


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a `str`, not `{type(value).__name__}`.")
    return value


def _dicts(parts: object) -> list[dict[str, Any]]:
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, (list, tuple)) else []


def table_form(value: Table, _: object) -> list[Any]:
    """Encode a handle."""
    return ["table", value.source, value.name, list(value.conditions), value.about]


def table_of(payload: list[Any], _: object) -> Table:
    """Decode what `table_form` gave.

    Raises:
        Malformed: it is not of a handle.
    """
    source, name, conditions, about = payload
    texts = [source, *conditions] + ([] if name is None else [name])
    if not all(type(text) is str for text in texts) or type(about) is not dict:
        raise Malformed("A handle of a table is not made of texts.")
    if len(conditions) > MOST_CONDITIONS:
        raise Malformed("A handle of a table has too many conditions.")
    return Table(source, name, tuple(conditions), about)
