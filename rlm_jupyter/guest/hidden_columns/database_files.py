"""Hidden columns of database files that are among other files, where agents read them as files.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from .found_values import FoundValues, RefusedError
from .wanted_columns import Wanted

_SQLITE, _DUCKDB = b"SQLite format 3\x00", b"DUCK"
_HEAD = 16
_ROWS = 20_000


def database_kind(path: Path) -> str | None:
    """Returns whether a file is one of "sqlite" or "duckdb", by its first bytes."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return "sqlite" if head == _SQLITE else "duckdb" if head[8:12] == _DUCKDB else None


def read_sqlite(path: Path, wanted: Wanted, found: FoundValues) -> bool:
    """Read the wanted columns of the tables of an SQLite file.

    Raises:
        RefusedError: it has changes that are not in it yet, or cannot be read.
    """
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise RefusedError("it has changes in its write-ahead log: close the program that has it open")
    # Immutable: its folder cannot be written here, where SQLite would make files of its own beside it.
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        listed = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (table,) in listed:
            columns = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
            for (column,) in columns:
                if wanted(column, f"{table}."):
                    query = f"SELECT DISTINCT {_quoted(column)} FROM {_quoted(table)}"  # noqa: S608 - quoted names
                    cursor = connection.execute(query)
                    for (value,) in _rows(cursor):
                        found.column(column).add(value)
    return True


def _rows(cursor: sqlite3.Cursor) -> Iterator[tuple[object]]:
    while part := cursor.fetchmany(_ROWS):
        yield from part


def read_duckdb(path: Path, wanted: Wanted, found: FoundValues) -> bool:
    """Read the wanted columns of the tables of a DuckDB file."""
    import duckdb

    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        listed = connection.execute(
            "SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
        for schema, table, column in listed:
            if not (wanted(column, f"{table}.") or wanted(column, f"{schema}.{table}.")):
                continue
            query = f"SELECT DISTINCT {_quoted(column)} FROM {_quoted(schema)}.{_quoted(table)}"  # noqa: S608 - as above
            relation = connection.sql(query)
            read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
            for batch in read(_ROWS):
                found.column(column).add_array(batch.column(0))
    return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
