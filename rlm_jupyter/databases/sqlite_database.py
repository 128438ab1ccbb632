"""SQLite: a file, on connections of its own that can only read; of a database in memory, a copy."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from rlm_jupyter.databases.database import Database, Relation
from rlm_jupyter.databases.query_errors import QueryCancelledError, QueryError
from rlm_jupyter.databases.results import BATCH, MOST_BYTES, collect_rows
from rlm_jupyter.errors import ContextError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from rlm_jupyter.databases.running import Query

MOST_COPIED = 512_000_000
"""Bytes of a database in memory that are copied, so that it can be asked while its owner goes on."""
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_NOT_CALLED = {
    "load_extension",
    "readfile",
    "writefile",
    "edit",
    "fts3_tokenizer",
    "zipfile",
    "sqlar_uncompress",
}
_LARGE = 16_000_000
"""Bytes of texts that are fetched at once."""
_OWN = ("sqlite_", "pragma_", "dbstat")


class SQLite(Database):
    """An SQLite database.

    Args:
        uri: that opens it, for reading only.
        title: what it is.
        keeper: a connection that keeps a database in memory alive.
    """

    def __init__(self, uri: str, title: str, keeper: sqlite3.Connection | None = None, **more: Any) -> None:
        super().__init__(title, "sqlite", **more)
        self._uri = uri
        self._keeper = keeper

    @classmethod
    def of_file(cls, path: Path) -> SQLite:
        """Returns the database of a file."""
        files = (str(path.absolute()), f"{path.absolute()}-wal")
        return cls(f"{path.absolute().as_uri()}?mode=ro", f"SQLite database `{path.name}`", files=files)

    def look(self, query: Query) -> Mapping[str, Relation]:
        """Returns its tables and views."""
        found = {}
        with closing(self._connect(checked=False)) as connection, query.running(connection.interrupt):
            listed = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' "
                "ESCAPE '\\' ORDER BY name"
            ).fetchall()
            for (name,) in listed:
                with suppress(sqlite3.Error):  # a view of what is not there
                    columns = connection.execute("SELECT name, type FROM pragma_table_info(?)", (name,))
                    kinds = tuple((column, kind or "ANY") for column, kind in columns)
                    found[name] = Relation(name, kinds, ("main", name))
        return found

    def execute(self, sql: str, query: Query) -> pa.Table:
        """Run one query on a connection of its own."""
        try:
            with closing(self._connect()) as connection, query.running(connection.interrupt):
                cursor = connection.execute(sql)
                return collect_rows(
                    lambda: _some_rows(cursor),
                    lambda: [column[0] for column in cursor.description],
                    query.check,
                    query.bounds,
                )
        except (QueryError, QueryCancelledError):
            raise
        except Exception as error:
            raise self.failed(error) from None

    def _connect(self, *, checked: bool = True) -> sqlite3.Connection:
        connection = sqlite3.connect(self._uri, uri=True, check_same_thread=False, isolation_level=None)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        connection.execute("PRAGMA query_only = 1")
        if checked:
            connection.set_authorizer(_may_read)
        return connection


def _some_rows(cursor: sqlite3.Cursor) -> list[Any]:
    """Fetch the next rows: fewer where they are large, so that the limit is seen before memory is full."""
    rows, size = [], 0
    for row in islice(cursor, BATCH):
        rows.append(row)
        size += sum(len(value) for value in row if type(value) in (str, bytes))
        if size > _LARGE:
            break
    return rows


def _may_read(
    action: int, one: str | None, two: str | None, _database: str | None, inside: str | None
) -> int:
    """Allow what a query reads; SQLite asks for each part of a statement before it runs any of it."""
    if action == sqlite3.SQLITE_READ:
        own = (one or "").lower().startswith(_OWN) and inside is None
        return sqlite3.SQLITE_DENY if own else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (two or "").lower() in _NOT_CALLED:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY


def _copy(connection: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy a database in memory, with what is not committed yet: nobody but its owner could see that either."""
    if not connection.in_transaction:
        connection.backup(target)
        return
    # To back up a connection that is writing waits for the end of that, for ever (https://sqlite.org/c3ref/backup_finish.html).
    with closing(sqlite3.connect(":memory:")) as between:
        between.deserialize(connection.serialize())
        between.backup(target)


def of_connection(connection: sqlite3.Connection, name: str) -> SQLite:
    """Returns the database of a connection of the user's: the file behind it, or a copy of what is in memory.

    Raises:
        ContextError: it belongs to another thread, or is too large to be copied.
    """
    from pathlib import Path

    try:
        files = {row[1]: row[2] for row in connection.execute("PRAGMA database_list")}
        if path := files.get("main"):
            made = SQLite.of_file(Path(path))
            if connection.in_transaction:
                made.notes = ("What is not committed yet is not seen.",)
            return made
        (size,) = connection.execute(
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        ).fetchone()
        if size > MOST_COPIED:
            raise ContextError(
                f"`{name}` is an SQLite database of {size / 1e6:,.0f} MB in memory, and at most "
                f"{MOST_COPIED / 1e6:,.0f} MB are copied: save it (`VACUUM INTO 'name.db'`) and hand over the file."
            )
        uri = f"file:rlm-{secrets.token_hex(16)}?mode=memory&cache=shared"
        keeper = sqlite3.connect(uri, uri=True, check_same_thread=False)
        _copy(connection, keeper)
    except sqlite3.Error as error:
        raise ContextError(
            f"`{name}` is an SQLite connection that cannot be used here ({str(error)[:200]}): hand over the path of "
            "its file."
        ) from None
    keeper.execute("PRAGMA query_only = 1")
    notes = ("It was in memory: a copy was made when it was handed over.",)
    return SQLite(uri, "SQLite database in memory", keeper, notes=notes)
