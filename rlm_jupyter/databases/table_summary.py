"""Descriptions of databases and their tables: for prompts, the tree, and the handles that agents have."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rlm_jupyter.databases.query_errors import QueryError
from rlm_jupyter.databases.running import within
from rlm_jupyter.values.describe.short_text import cut, short

if TYPE_CHECKING:
    from rlm_jupyter.databases.database import Database, Relation

_COUNT_SECONDS = 1.0
_LOOK_SECONDS = 20.0
_TABLES = 30
_COLUMNS = 60
_NAMES = 5000
_CELL = 60

HOW = (
    "It is a handle: the data stays in the database. .sql('SELECT ... FROM t ...') returns a DataFrame (t is this "
    "table), .where('amount > 5') a handle of fewer rows, also for sub-agents;"
)
HOW_ELSE = ".schema, .count(), .sample(n), .describe() are there too. It is read-only."
HOW_WHOLE = (
    "It is a handle: the data stays in the database. .sql('SELECT ... FROM name ...') returns a DataFrame, ['name'] is "
    "the handle of one table, with .sql, .where('amount > 5'), .schema,"
)
HOW_WHOLE_ELSE = ".count(), .sample(n), .describe(); .tables has the names. It is read-only."


def describe_database(database: Database, rows: int) -> dict[str, Any]:
    """Look at a database that was handed over, and describe it or its one table. Blocking, for some seconds at most.

    Args:
        database: whose `relations` are loaded by this, unless they are there.
        rows: of a table that are quoted.

    Raises:
        QueryError: it cannot be read.
    """
    if not database.relations:
        database.relations = dict(within(_LOOK_SECONDS, database.look))
    until = time.monotonic() + 2 * _COUNT_SECONDS
    for name in list(database.relations)[:_TABLES]:
        database.relations[name] = _counted(database, database.relations[name], until)
    if not database.whole:
        (relation,) = database.relations.values()
        return opened(database, relation, rows=rows)
    names = list(database.relations)
    number = f"{len(names):,} {'table' if len(names) == 1 else 'tables'}"
    items = [
        {"key": cut(relation.name, 60), "type": "table", "summary": cut(_outline(relation), 190)}
        for relation in list(database.relations.values())[:_TABLES]
    ]
    more = [f"{len(names) - _TABLES:,} more tables are in .tables."] if len(names) > _TABLES else []
    return {
        "type": "DatabaseTable",
        "summary": f"{database.title} with {number}",
        "bytes": None,
        "tables": names[:_NAMES],
        "items": items,
        "truncated": True,
        "notes": [*more, HOW_WHOLE, HOW_WHOLE_ELSE, *database.notes],
    }


def _counted(database: Database, relation: Relation, until: float) -> Relation:
    """Count a table's rows, if that takes no longer than a moment."""
    from dataclasses import replace

    from sqlglot import exp

    from rlm_jupyter.databases.sql_queries import written

    left = min(_COUNT_SECONDS, until - time.monotonic())
    if relation.exact or left <= 0:
        return relation
    source = exp.alias_(relation.expression(database.dialect), "t", table=True)
    sql = written(exp.select(exp.Count(this=exp.Star())).from_(source), database.dialect)
    with suppress(QueryError):
        counted = within(left, lambda query: database.execute(sql, query))
        return replace(relation, rows=int(counted.column(0)[0].as_py()), exact=True)
    return relation


def opened(database: Database, relation: Relation, *, rows: int = 0) -> dict[str, Any]:
    """Describe one table at length.

    Args:
        database: that it is in.
        relation: the table.
        rows: that are quoted.
    """
    about = describe_relation(database, relation)
    about["notes"] = [HOW, HOW_ELSE, *database.notes]
    if rows:
        about["rows"] = _first_rows(database, relation, rows)
    return about


def describe_relation(
    database: Database, relation: Relation, *, conditions: Sequence[str] = ()
) -> dict[str, Any]:
    """Describe one table, or the rows of it for which conditions hold, without reading any."""
    which = f", only {cut(' AND '.join(conditions), 80)}" if conditions else ""
    counted = "rows not counted" if conditions else _rows(relation)
    number = f"{len(relation.columns):,} {'column' if len(relation.columns) == 1 else 'columns'}"
    about: dict[str, Any] = {
        "type": "DatabaseTable",
        "name": relation.name,
        "summary": f"Table `{relation.name}` of a {database.title}{which}: {counted} x {number}",
        "bytes": None,
        "columns": [{"name": cut(name, 60), "dtype": cut(kind, 60)} for name, kind in relation.columns],
        "truncated": True,
        "notes": [HOW, HOW_ELSE],
    }
    if relation.rows is not None and not conditions:
        about["length"] = relation.rows
        about["estimated"] = not relation.exact
    return about


def _rows(relation: Relation) -> str:
    if relation.rows is None:
        return "rows not counted"
    number = f"{relation.rows:,} {'row' if relation.rows == 1 else 'rows'}"
    return number if relation.exact else f"about {number}"


def _outline(relation: Relation) -> str:
    columns = ", ".join(f"{name} {kind}" for name, kind in relation.columns[:_COLUMNS])
    return f"{_rows(relation)}: {columns}"


def _first_rows(database: Database, relation: Relation, rows: int) -> list[list[str]]:
    from sqlglot import exp

    from rlm_jupyter.databases.sql_queries import written

    source = exp.alias_(relation.expression(database.dialect), "t", table=True)
    sql = written(exp.select("*").from_(source).limit(rows), database.dialect)
    with suppress(QueryError):
        table = within(_COUNT_SECONDS, lambda query: database.execute(sql, query))
        return [
            [cut(short(is_about(value), _CELL), _CELL) for value in row.values()] for row in table.to_pylist()
        ]
    return []


def is_about(value: Any) -> Any:
    """Returns a value of a result as JSON has it: numbers as numbers, all else as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value if not isinstance(value, str) else value[:200]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, decimal.Decimal):
        return float(value) if value.as_tuple().exponent else int(value)
    if isinstance(value, (dt.date, dt.time, dt.datetime)):
        return value.isoformat()
    return str(value)[:200]
