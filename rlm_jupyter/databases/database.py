"""A database that was handed over: its tables, and what is asked of it. What is common to all kinds."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rlm_jupyter.databases.query_errors import QueryError
from rlm_jupyter.databases.running import QueryPool

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import exp

    from rlm_jupyter.databases.running import Query

_SHORTEST_SECRET = 3
_LONGEST_MESSAGE = 600


@dataclass(frozen=True)
class Relation:
    """A table, a view, or a query of the user's that was handed over as one.

    Attributes:
        name: what it is called.
        columns: names and types, as the database calls them.
        path: where it is: catalogue, schema and table, or the last two or one of them.
        query: of the user's own, in the place of a path.
        rows: if the database knows them without counting.
        exact: whether these are counted.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    path: tuple[str, ...] = ()
    query: str | None = None
    rows: int | None = None
    exact: bool = False

    def expression(self, dialect: str) -> exp.Expr:
        """Returns what it is in a query."""
        import sqlglot
        from sqlglot import exp

        if self.query is not None:  # the user's own text, which is not checked
            query = sqlglot.parse_one(self.query, read=dialect)
            assert isinstance(query, exp.Query)
            return query.subquery()
        parts = [exp.to_identifier(part, quoted=True) for part in reversed(self.path)]
        names = dict(zip(("this", "db", "catalog"), parts, strict=False))
        return exp.Table(**names)


@dataclass
class Database(ABC):
    """One database of a run. Its queries run side by side; none of them can write.

    Attributes:
        title: what it is, for descriptions; nothing of it is secret.
        dialect: of its SQL, as `sqlglot` calls it.
        relations: its tables by the names that agents use; loaded by `look`.
        whole: whether the whole database was handed over, rather than one table of it.
        secrets: what is kept out of messages: passwords, addresses with passwords in them.
        notes: what agents and the user should know of it.
        called: what it is called in the data.
        source: what was handed over: the object or the path that it was made of.
        files: in which its data lies, if it lies in files of this machine.
    """

    title: str
    dialect: str
    relations: dict[str, Relation] = field(default_factory=dict)
    whole: bool = True
    secrets: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    called: str = ""
    source: object = field(default=None, repr=False)
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.pool = QueryPool()

    @abstractmethod
    def look(self, query: Query) -> Mapping[str, Relation]:
        """Returns the tables that there are. Blocking."""

    @abstractmethod
    def execute(self, sql: str, query: Query) -> pa.Table:
        """Run one query that was checked, read-only. Blocking, on any thread.

        Raises:
            QueryError: it failed; the message holds no secret.
        """

    def relation(self, name: object) -> Relation:
        """Returns a table by its name.

        Raises:
            QueryError: there is none.
        """
        found = self.relations.get(str(name))
        if found is None:
            same = [known for known in self.relations if known.lower() == str(name).lower()]
            if len(same) != 1:
                raise QueryError(f"There is no table `{str(name)[:80]}` here. There is: {self.listed()}.")
            found = self.relations[same[0]]
        return found

    def listed(self, most: int = 20) -> str:
        """Returns the names of its tables in one line."""
        names = list(self.relations)
        more = f" and {len(names) - most:,} more" if len(names) > most else ""
        return ", ".join(f"`{name}`" for name in names[:most]) + more if names else "none"

    def failed(self, error: BaseException) -> QueryError:
        """Returns an error of the database's, without its secrets, for an agent."""
        return QueryError(f"The database says: {self.clean(str(error) or type(error).__name__)}")

    def clean(self, text: str) -> str:
        """Take passwords out of a message of the database's."""
        for secret in self.secrets:
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        text = re.sub(r"\b([\w+]+://)[^\s@/]*@", r"\1", text)
        text = re.sub(r"(?i)\b(password|pwd)\s*=\s*\S+", r"\1=***", text)
        return text.strip()[:_LONGEST_MESSAGE]
