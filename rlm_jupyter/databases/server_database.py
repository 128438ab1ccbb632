"""PostgreSQL, MySQL and MariaDB: connections of the user's pool, in read-only transactions, always rolled back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.databases.database import Database, Relation
from rlm_jupyter.databases.query_errors import QueryCancelledError, QueryError
from rlm_jupyter.databases.results import BATCH, collect_rows

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from rlm_jupyter.databases.running import Query

_LONGEST_SECONDS = 600
_FIRST, _LARGE = 100, 16_000_000
"""Rows that are fetched first, and bytes of texts that are meant to be fetched at once."""

_POSTGRES_TABLES = """
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), c.reltuples::bigint, current_schema()
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
ORDER BY n.nspname, c.relname, a.attnum
"""
_MYSQL_TABLES = """
SELECT c.table_schema, c.table_name, c.column_name, c.column_type, t.table_rows, DATABASE()
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = DATABASE() ORDER BY c.table_name, c.ordinal_position
"""

Connections = Callable[[], "AbstractContextManager[Any]"]
"""Lends a connection of Python's DB-API for a while."""


class Server(Database):
    """A database of a server.

    Args:
        connections: lends connections.
        title: what it is.
        dialect: "postgres" or "mysql".
    """

    def __init__(self, connections: Connections, title: str, dialect: str, **more: Any) -> None:
        super().__init__(title, dialect, **more)
        self._connections = connections

    def look(self, query: Query) -> Mapping[str, Relation]:
        """Returns the tables and views that the user may read."""
        listing = _POSTGRES_TABLES if self.dialect == "postgres" else _MYSQL_TABLES
        with self._asking(query) as cursor:
            cursor.execute(listing)
            rows = cursor.fetchall()
        columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
        sizes: dict[tuple[str, str], int | None] = {}
        default = ""
        for schema, table, column, kind, size, current in rows:
            default = current
            columns.setdefault((schema, table), []).append((column, str(kind)))
            sizes[schema, table] = None if size is None or size < 0 else int(size)
        found = {}
        for path, held in columns.items():
            name = path[1] if path[0] == default else ".".join(path)
            found[name] = Relation(name, tuple(held), path, rows=sizes[path])
        return found

    def execute(self, sql: str, query: Query) -> pa.Table:
        """Run one query in a transaction of its own."""
        with self._asking(query) as cursor:
            if self.dialect == "postgres":
                # The server itself refuses a cursor for anything but one query that changes nothing.
                _execute_one(cursor, f"DECLARE rlm_result NO SCROLL CURSOR FOR {sql}")
                cursor.execute(f"FETCH FORWARD {_FIRST} FROM rlm_result")
            else:
                cursor.execute(sql)
            title = [column[0] for column in cursor.description]
            wanted = 0

            def fetch() -> Any:
                nonlocal wanted
                if self.dialect != "postgres":
                    return cursor.fetchmany(BATCH)
                if wanted:
                    cursor.execute(f"FETCH FORWARD {wanted} FROM rlm_result")
                rows = cursor.fetchall()
                wanted = _next_number(rows)
                return rows

            return collect_rows(fetch, lambda: title, query.check, query.bounds)

    @contextlib.contextmanager
    def _asking(self, query: Query) -> Iterator[Any]:
        """Lend a cursor in a read-only transaction, which is rolled back in the end."""
        try:
            lent = self._connections()
            connection = lent.__enter__()
        except Exception as error:  # the message may name the server, the user and more
            raise QueryError(f"The database cannot be reached (`{type(error).__name__}`).") from None
        cursor, writes = None, False
        try:
            cursor = connection.cursor()
            if self.dialect == "postgres":
                cancel = self._begin_postgres(connection, cursor)
            else:
                writes = not _is_read_only(cursor)
                cancel = self._begin_mysql(cursor)
            with query.running(cancel):
                yield cursor
        except (QueryError, QueryCancelledError):
            raise
        except Exception as error:
            raise self.failed(error) from None
        finally:
            with contextlib.suppress(Exception):
                if getattr(connection, "autocommit", False) is True and cursor is not None:
                    cursor.execute("ROLLBACK")
                connection.rollback()
            if writes:
                _end_mysql(connection, cursor)
            with contextlib.suppress(Exception):
                lent.__exit__(None, None, None)

    def _begin_postgres(self, connection: Any, cursor: Any) -> Callable[[], object]:
        if getattr(connection, "autocommit", False) is True:
            cursor.execute("BEGIN")
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(f"SET LOCAL statement_timeout = {_LONGEST_SECONDS * 1000}")
        cursor.execute("SET LOCAL standard_conforming_strings = on")  # as `sqlglot` writes texts
        cursor.execute("SELECT current_setting('transaction_read_only'), pg_backend_pid()")
        ((read_only, pid),) = cursor.fetchall()
        if read_only != "on":
            raise QueryError("The server did not begin a read-only transaction, so nothing is asked.")
        cancel: Callable[[], object] | None = getattr(connection, "cancel", None)
        return cancel or (lambda: self._elsewhere(f"SELECT pg_cancel_backend({int(pid)})"))

    def _begin_mysql(self, cursor: Any) -> Callable[[], object]:
        # MariaDB lets statements such as DROP TABLE end a read-only transaction and run after it, but not in a session
        # all of whose transactions are read-only.
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("START TRANSACTION READ ONLY")
        cursor.execute("SELECT CONNECTION_ID()")
        ((number,),) = cursor.fetchall()
        return lambda: self._elsewhere(f"KILL QUERY {int(number)}")

    def _elsewhere(self, statement: str) -> None:
        """Run a statement on another connection."""
        with self._connections() as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            cursor.close()


def _next_number(rows: list[Any]) -> int:
    """Returns how many rows to fetch next, by how large the last ones were: the driver holds all of them at once."""
    size = sum(len(value) for row in rows for value in row if isinstance(value, (str, bytes))) + 1
    return max(1, min(BATCH, 20 * len(rows), _LARGE * len(rows) // size))


def _execute_one(cursor: Any, statement: str) -> None:
    """Execute one statement; where the driver can be told so, the server refuses a second one behind it."""
    if type(cursor).__module__.partition(".")[0] == "psycopg":
        # Of the two protocols, the one that knows no list of statements: https://www.psycopg.org/psycopg3/docs/basic/from_pg2.html
        cursor.execute(statement, binary=True)
    else:
        cursor.execute(statement)


def _is_read_only(cursor: Any) -> bool:
    """Whether a session of MySQL begins read-only transactions anyway."""
    for name in ("transaction_read_only", "tx_read_only"):  # of MySQL 8 and MariaDB 11.1, and of older ones
        with contextlib.suppress(Exception):
            cursor.execute(f"SELECT @@session.{name}")
            return bool(cursor.fetchall()[0][0])
    return False


def _end_mysql(connection: Any, cursor: Any) -> None:
    """Let the session write again, as its pool expects; a session that cannot be told so is closed."""
    try:
        cursor.execute("SET SESSION TRANSACTION READ WRITE")
    except Exception:
        with contextlib.suppress(Exception):
            connection.close()
