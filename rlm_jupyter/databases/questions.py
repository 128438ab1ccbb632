"""The questions of handles: each one checked against what was handed over, made a query of, and run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from rlm_jupyter.databases.query_errors import QueryError
from rlm_jupyter.databases.results import MOST_ROWS
from rlm_jupyter.databases.sql_queries import (
    MOST_OF_CONDITIONS,
    Source,
    alias_in,
    checked_condition,
    checked_query,
    restricted,
    size_of,
    written,
)
from rlm_jupyter.databases.table_summary import describe_relation, is_about, opened
from rlm_jupyter.values.codec.table_handle import MOST_CONDITIONS

if TYPE_CHECKING:
    import pyarrow as pa

    from rlm_jupyter.databases.database import Database, Relation
    from rlm_jupyter.databases.running import Query

_MOST_COLUMNS = 100
_MOST_TABLES = 200
_NUMBERS = re.compile(
    r"(?i)(u?(tiny|small|medium|big|huge)?int(eger|\d+)?|float\d*|double|real|dec(imal)?|num(eric|ber)?)\b"
)
_TEXTS = re.compile(r"(?i)\w*(char|text|string|date|time)|any$")
"""Kinds of columns that have a least and a greatest value in all databases."""


@dataclass(frozen=True)
class Asked:
    """A question of a handle, as an agent's code sent it; nothing of it is believed.

    Attributes:
        table: the handle's table; None for the whole database.
        conditions: of the handle.
        what: "sql", "where", "count", "sample", "describe", "open" or "schema".
        sql: the query.
        n: of "sample".
    """

    table: str | None
    conditions: tuple[str, ...]
    what: str
    sql: str = ""
    n: int = 0

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Asked:
        """Read a request.

        Raises:
            QueryError: it is malformed.
        """
        conditions, table = body.get("conditions") or [], body.get("table")
        sql, n = body.get("sql", ""), body.get("n", 0)
        if not isinstance(conditions, list) or not all(isinstance(one, str) for one in conditions):
            raise QueryError("The conditions of a handle are texts.")
        if len(conditions) > MOST_CONDITIONS:
            raise QueryError(
                f"A handle has at most {MOST_CONDITIONS} conditions: write them as one, with AND."
            )
        if not (table is None or isinstance(table, str)) or not isinstance(sql, str) or type(n) is not int:
            raise QueryError("The question of a handle is malformed.")
        return cls(table, tuple(conditions), str(body.get("what"))[:20], sql, n)

    @property
    def text(self) -> str:
        """What it asks, as the agent wrote it."""
        if self.what == "sql":
            return self.sql
        if self.what == "where":
            return f".where({self.conditions[-1]!r})" if self.conditions else ".where()"
        return f".{self.what}({self.n if self.what == 'sample' else ''})"


def answer(database: Database, asked: Asked, query: Query) -> Any:
    """Answer a question. Blocking.

    Returns:
        An Arrow table, a number, or what is JSON.

    Raises:
        QueryError: why not, and what to do.
    """
    if asked.what == "open" or (asked.what == "schema" and asked.table is None):
        return _of_catalogue(database, asked)
    if asked.what == "sql":
        tree = checked_query(asked.sql, database.dialect, _tables(database, asked))
        return _run(database, tree, query)
    if asked.table is None:
        first = next(iter(database.relations), "name")
        raise QueryError(
            f"This is a whole database: ask one of its tables, as in db['{first}'].{asked.what}(). There is: "
            f"{database.listed()}."
        )
    relation = database.relation(asked.table)
    source = _source(database, asked)
    if asked.what == "where":
        _run(database, exp.select("*").from_(_as_t(source)).limit(0), query)
        return describe_relation(database, relation, conditions=asked.conditions)
    if asked.what == "count":
        counted = _run(
            database, exp.select(exp.alias_(exp.Count(this=exp.Star()), "n")).from_(_as_t(source)), query
        )
        return int(counted.column(0)[0].as_py())
    if asked.what == "sample":
        return _sample(database, source, asked.n, query)
    if asked.what == "describe":
        return _figures(database, relation, source, query)
    raise QueryError(f"A handle does not know `{asked.what}`.")


def _of_catalogue(database: Database, asked: Asked) -> Any:
    if asked.what == "open":
        return opened(database, database.relation(asked.table))
    tables = list(database.relations.values())[:_MOST_TABLES]
    return {relation.name: dict(relation.columns) for relation in tables}


def _run(database: Database, tree: exp.Query, query: Query) -> pa.Table:
    if database.dialect == "mysql" and tree.args.get("limit") is None:
        tree = tree.limit(MOST_ROWS + 1)  # its driver gathers a result whole before the first row is seen
    return database.execute(written(tree, database.dialect), query)


def _as_t(source: Source) -> exp.Expr:
    return exp.alias_(source(), "t", table=True, copy=False)


def _source(database: Database, asked: Asked) -> Source:
    """Returns what a handle of a table stands for in a query: the table, or its rows for which the conditions hold."""
    relation = database.relation(asked.table)
    source: Source = partial(relation.expression, database.dialect)
    total = 0
    for condition in asked.conditions:
        names = _names_of(relation, source)
        tree = checked_condition(condition, database.dialect, names)
        total += size_of(tree)
        if total > MOST_OF_CONDITIONS:
            raise QueryError(
                "The conditions of this handle have too many parts: narrow it by fewer, or simpler ones."
            )
        source = restricted(source, alias_in(condition, database.dialect, _simple(relation)), tree)
    return source


def _tables(database: Database, asked: Asked) -> dict[str, Source]:
    """Returns the names that a query may use, and what they stand for."""
    if asked.table is not None:
        return _names_of(database.relation(asked.table), _source(database, asked))
    found: dict[str, Source] = {}
    for relation in database.relations.values():
        source: Source = partial(relation.expression, database.dialect)
        found[relation.name.lower()] = source
        for name in _spelled_out(relation):
            found.setdefault(name, source)
    return dict(sorted(found.items(), key=lambda item: item[0].count(".")))


def _names_of(relation: Relation, source: Source) -> dict[str, Source]:
    names = ["t", _simple(relation).lower(), relation.name.lower(), *_spelled_out(relation)]
    return dict.fromkeys(names, source)


def _spelled_out(relation: Relation) -> list[str]:
    """Returns its names with its schema, and with its catalogue."""
    return [".".join(relation.path[-length:]).lower() for length in range(2, len(relation.path) + 1)]


def _simple(relation: Relation) -> str:
    return relation.path[-1] if relation.path else relation.name


def _sample(database: Database, source: Source, n: int, query: Query) -> pa.Table:
    if not 0 <= n <= MOST_ROWS:
        raise QueryError(f"A sample has at most {MOST_ROWS:,} rows.")
    tree = exp.select("*").from_(_as_t(source)).order_by(exp.Rand()).limit(n)
    return _run(database, tree, query)


def _figures(database: Database, relation: Relation, source: Source, query: Query) -> list[dict[str, Any]]:
    """Returns of each column how many values it has, the least, the greatest and the mean, in one query."""
    columns = relation.columns[:_MOST_COLUMNS]
    wanted: list[exp.Expr] = [exp.Count(this=exp.Star())]
    for name, kind in columns:
        column = exp.column(exp.to_identifier(name, quoted=True))
        wanted.append(exp.Count(this=column))
        number = _NUMBERS.match(kind) and "[" not in kind
        ordered = number or (_TEXTS.match(kind) and "[" not in kind)
        wanted += [function(this=column.copy()) if ordered else exp.null() for function in (exp.Min, exp.Max)]
        wanted.append(exp.Avg(this=column.copy()) if number else exp.null())
    named = [exp.alias_(one, f"f{place}") for place, one in enumerate(wanted)]
    (row,) = _run(database, exp.select(*named).from_(_as_t(source)), query).to_pylist()
    values = [is_about(value) for value in row.values()]
    return [
        {"column": name, "type": kind, **dict(zip(("values", "min", "max", "mean"), figures, strict=True))}
        for (name, kind), figures in zip(columns, _fours(values[1:]), strict=True)
    ]


def _fours(values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[at : at + 4] for at in range(0, len(values), 4)]
