"""DuckDB: a file on a connection of its own, or cursors of the user's connection, in read-only transactions."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.databases.database import Database, Relation
from rlm_jupyter.databases.query_errors import QueryCancelledError, QueryError
from rlm_jupyter.databases.results import MOST_BYTES, collect, unique_names
from rlm_jupyter.errors import ContextError
from rlm_jupyter.system import machine_memory

if TYPE_CHECKING:
    import pyarrow as pa

    from rlm_jupyter.databases.running import Query

_VECTOR = 2048
"""Rows that DuckDB works on, and are fetched, at once: few, because they may be large."""
_COLUMNS = """
SELECT c.database_name, c.schema_name, c.table_name, c.column_name, c.data_type, t.estimated_size
FROM duckdb_columns() c LEFT JOIN duckdb_tables() t USING (database_oid, schema_oid, table_oid)
WHERE NOT c.internal AND c.database_name = current_database()
ORDER BY c.schema_name, c.table_name, c.column_index
"""


class DuckDB(Database):
    """A DuckDB database.

    Args:
        connection: whose cursors ask it.
        title: what it is.
    """

    def __init__(self, connection: Any, title: str, **more: Any) -> None:
        super().__init__(title, "duckdb", **more)
        self._connection = connection

    @classmethod
    def of_file(cls, path: Path) -> DuckDB:
        """Open a file on a connection of its own, which can neither write nor reach anything else.

        Raises:
            ContextError: it cannot be opened, and why.
        """
        import duckdb

        try:
            connection = duckdb.connect(str(path), read_only=True, config=_config())
        except duckdb.Error as error:
            text = str(error).split("\n", maxsplit=1)[0][:300]
            raise ContextError(
                f"The DuckDB file `{path}` cannot be opened for reading: {text}. If this notebook has it open, hand "
                "over that connection; if another program has, close it there."
            ) from None
        return cls(connection, f"DuckDB database `{path.name}`", files=(str(path.absolute()),))

    @classmethod
    def of_rows(cls, rows: pa.Table, name: str) -> DuckDB:
        """Make a database of one table of rows, in memory."""
        import duckdb

        connection = duckdb.connect(":memory:", config=_config())
        connection.from_arrow(rows).create(name)
        return cls(connection, "DuckDB relation", whole=False)

    def look(self, query: Query) -> Mapping[str, Relation]:
        """Returns its tables and views."""
        cursor = self._connection.cursor()
        try:
            with query.running(cursor.interrupt):
                rows = cursor.execute(_COLUMNS).fetchall()
                default = cursor.execute("SELECT current_schema()").fetchone()[0]
        finally:
            cursor.close()
        columns: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
        sizes: dict[tuple[str, str, str], int | None] = {}
        for catalog, schema, table, column, kind, size in rows:
            columns.setdefault((catalog, schema, table), []).append((column, kind))
            sizes[catalog, schema, table] = size
        found = {}
        for path, held in columns.items():
            name = path[2] if path[1] == default else f"{path[1]}.{path[2]}"
            found[name] = Relation(name, tuple(held), path, rows=sizes[path])
        return found

    def described(self, sql: str) -> tuple[tuple[str, str], ...]:
        """Returns the columns of a query of the user's, which is bound and not run.

        Raises:
            Exception: it cannot be bound here.
        """
        cursor = self._connection.cursor()
        try:
            relation = cursor.sql(sql)
            return tuple(zip(relation.columns, map(str, relation.types), strict=True))
        finally:
            cursor.close()

    def execute(self, sql: str, query: Query) -> pa.Table:
        """Run one query on a cursor of its own."""
        import duckdb

        cursor = self._connection.cursor()
        try:
            statements = cursor.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise QueryError("DuckDB does not take this for one SELECT.")
            _begin(cursor)
            with query.running(cursor.interrupt):
                relation = cursor.sql(sql)
                names = unique_names(relation.columns)
                read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
                reader = read(_VECTOR)  # not of `execute`, which would gather the whole result first
                found = collect(reader, reader.schema, query.check, query.bounds)
                kinds = list(map(str, relation.types))
                return _plain(found, names, kinds)
        except (QueryError, QueryCancelledError):
            raise
        except Exception as error:
            raise self.failed(error) from None
        finally:
            with suppress(Exception):
                cursor.rollback()
            cursor.close()


def _plain(table: pa.Table, names: list[str], kinds: list[str]) -> pa.Table:
    """Give columns that Arrow cannot hold as DuckDB has them a type that it can, and each a name of its own."""
    import pyarrow as pa

    columns = [_plain_column(column, kind) for column, kind in zip(table.columns, kinds, strict=True)]
    return pa.Table.from_arrays(columns, names=names)


def _plain_column(column: Any, kind: str) -> Any:
    import pyarrow as pa

    if kind in (
        "HUGEINT",
        "UHUGEINT",
    ):  # such as of SUM: they come as decimals, which may have too many digits
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            return column.cast(pa.float64())
    if isinstance(column.type, pa.ExtensionType):  # texts such as UUID and JSON
        return column.cast(column.type.storage_type) if kind != "UUID" else _texts(column)
    return column


def _texts(column: Any) -> Any:
    import pyarrow as pa

    return pa.array([None if one is None else str(one) for one in column.to_pylist()], pa.string())


def _begin(cursor: Any) -> None:
    """Begin a transaction that cannot write, where this version has such (1.4 or newer); it is never committed."""
    import duckdb

    try:
        cursor.execute("BEGIN TRANSACTION READ ONLY")
    except duckdb.ParserException:
        cursor.execute("BEGIN TRANSACTION")


@cache
def _spill_directory() -> str:
    """Make the directory that queries of this process spill to; it goes with the process.

    One for all: DuckDB opens a file a second time only with the very same settings.
    """
    directory = tempfile.mkdtemp(prefix="rlm-duckdb-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def _config() -> dict[str, Any]:
    """Settings of connections of our own: nothing outside of the file is reached, and no setting can be changed."""
    return {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "memory_limit": f"{machine_memory() // 4 // 1_000_000}MB",
        "temp_directory": _spill_directory(),
        "lock_configuration": "true",
    }


def of_connection(connection: Any) -> DuckDB:
    """Returns the database of a connection of the user's, whose settings stay as they are."""
    cursor = connection.cursor()
    try:
        name = cursor.execute("SELECT current_database()").fetchone()[0]
    finally:
        cursor.close()
    return DuckDB(connection, f"DuckDB database `{name}`")


def of_relation(relation: Any, name: str) -> DuckDB:
    """Returns a relation as a database of one table.

    It is asked on the connection that `duckdb.sql` uses, if it is of that. Of another connection DuckDB does not say
    which it is: then its rows are copied, if they are few.

    Raises:
        ContextError: they are too many.
    """
    import duckdb

    sql = relation.sql_query()
    columns = tuple(zip(relation.columns, map(str, relation.types), strict=True))
    with suppress(Exception):
        default = duckdb.default_connection()
        database = DuckDB(default, "DuckDB relation", whole=False)
        if _same_instance(relation, default) and database.described(sql) == columns:
            database.relations = {name: Relation(name, columns, query=sql)}
            return database
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    reader = read(_VECTOR)
    try:
        rows = collect(reader, reader.schema, lambda: None)
    except QueryError:
        raise ContextError(
            f"`{name}` is a DuckDB relation of a connection that it does not name, and its rows take more than "
            f"{MOST_BYTES / 1e6:,.0f} MB, too many to be copied: hand over the connection, or a file, and name the "
            "table in the question."
        ) from None
    made = DuckDB.of_rows(rows, name)
    made.relations = {name: Relation(name, columns, (name,), rows=rows.num_rows, exact=True)}
    made.notes = ("Its rows were copied when it was handed over.",)
    return made


def _same_instance(relation: Any, connection: Any) -> bool:
    """Whether a relation is of the same database as a connection: then both count on in one number of transactions."""
    count = "SELECT txid_current()"

    def of_connection() -> int:
        cursor = connection.cursor()
        try:
            return int(cursor.execute(count).fetchone()[0])
        finally:
            cursor.close()

    before, again = of_connection(), of_connection()
    between = int(relation.query("rlm_relation", count).fetchall()[0][0])
    after = of_connection()
    return again - before < after - again and again < between < after
