"""What of the data that is handed over is a database: told by its type's module, or by the first bytes of a file.

No library is imported for this: whoever has an object of a library has imported it.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.databases.dask_cluster.cluster_database import database_of_frame, is_on_cluster
from rlm_jupyter.errors import ContextError

if TYPE_CHECKING:
    from rlm_jupyter.databases.database import Database

_HEAD = 16
_SQLITE = b"SQLite format 3\x00"
_DUCKDB = b"DUCK"
_CLASSES = {
    "duckdb.DuckDBPyConnection",
    "_duckdb.DuckDBPyConnection",
    "duckdb.DuckDBPyRelation",
    "_duckdb.DuckDBPyRelation",
    "sqlite3.Connection",
    "sqlalchemy.Engine",
    "sqlalchemy.AsyncEngine",
    "ibis.Table",
    "ibis.BaseBackend",
}


def is_database(value: object) -> bool:
    """Returns whether a value is a database, or a table of one, that agents can ask by a handle."""
    if isinstance(value, Path):
        return file_kind(value) is not None
    return _class_of(value) is not None or is_on_cluster(value)


def file_kind(path: Path) -> str | None:
    """Returns whether a path is that of a "sqlite" or a "duckdb" file, by its first bytes."""
    try:
        with path.expanduser().open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    return "sqlite" if head == _SQLITE else "duckdb" if head[8:12] == _DUCKDB else None


def database_of(value: Any, name: str) -> Database:
    """Returns the database that a value is or is of.

    Args:
        value: for which `is_database` holds.
        name: what it is called.

    Raises:
        ContextError: it cannot be asked read-only, and why; or something is not installed.
    """
    if importlib.util.find_spec("sqlglot") is None:
        raise ContextError(
            f"`{name}` is a database, whose queries are checked by `sqlglot`: `pip install 'rlm_jupyter[sql]'`."
        )
    try:
        if isinstance(value, Path):
            return _of_file(value, name)
        if is_on_cluster(value):
            return database_of_frame(value, name)
        kind = _class_of(value) or ""
        library, _, what = kind.partition(".")
        if library in ("duckdb", "_duckdb"):
            return _of_duckdb(value, what, name)
        if library == "sqlite3":
            from rlm_jupyter.databases import sqlite_database

            return sqlite_database.of_connection(value, name)
        return _of_engine(value, name) if library == "sqlalchemy" else _of_ibis(value, what, name)
    except ContextError:
        raise
    except Exception as error:  # of a driver; its message may hold what is secret
        raise ContextError(
            f"`{name}` cannot be asked: its connection raised `{type(error).__name__}`. Is it open?"
        ) from None


def _class_of(value: object) -> str | None:
    for kind in type(value).__mro__:
        known = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
        if known in _CLASSES:
            return known
    return None


def _of_file(path: Path, name: str) -> Database:
    if file_kind(path) == "sqlite":
        from rlm_jupyter.databases.sqlite_database import SQLite

        return SQLite.of_file(path)
    if importlib.util.find_spec("duckdb") is None:
        raise ContextError(f"`{name}` is a DuckDB file, and `duckdb` is not installed: `pip install duckdb`.")
    from rlm_jupyter.databases.duckdb_database import DuckDB

    return DuckDB.of_file(path)


def _of_duckdb(value: Any, what: str, name: str) -> Database:
    from rlm_jupyter.databases import duckdb_database

    if what == "DuckDBPyRelation":
        return duckdb_database.of_relation(value, name)
    return duckdb_database.of_connection(value)


_DIALECTS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}


def _of_engine(engine: Any, name: str) -> Database:
    """Returns the database of an engine of SQLAlchemy, whose pool lends the connections."""
    dialect = engine.dialect.name
    if _class_of(engine) == "sqlalchemy.AsyncEngine":
        raise ContextError(
            f"`{name}` is an asynchronous engine: hand over one of `sqlalchemy.create_engine`."
        )
    if dialect == "sqlite":
        from rlm_jupyter.databases import sqlite_database

        with contextlib.closing(engine.raw_connection()) as lent:
            return sqlite_database.of_connection(lent.driver_connection, name)
    if dialect == "duckdb":
        return _of_duckdb_engine(engine, name)
    if dialect not in _DIALECTS:
        raise ContextError(_not_read_only(name, f"an engine of `{dialect}`"))

    @contextlib.contextmanager
    def lend() -> Iterator[Any]:
        with contextlib.closing(engine.raw_connection()) as lent:
            yield lent.driver_connection

    url = engine.url
    place = f" on `{url.host}`" if url.host else ""
    title = f"{_TITLES[dialect]} database `{url.database}`{place}"
    secrets = [str(url.password), url.render_as_string(hide_password=False)] if url.password else []
    from rlm_jupyter.databases.server_database import Server

    return Server(lend, title, _DIALECTS[dialect], secrets=tuple(secrets))


_TITLES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}


def _of_duckdb_engine(engine: Any, name: str) -> Database:
    from rlm_jupyter.databases import duckdb_database

    with contextlib.closing(engine.raw_connection()) as lent:
        held = lent.driver_connection
        for candidate in (held, *vars(held).values()):
            if (_class_of(candidate) or "").endswith("DuckDBPyConnection"):
                return duckdb_database.of_connection(candidate)
    raise ContextError(f"`{name}` is an engine of DuckDB whose connection is not found: hand over that.")


def _of_ibis(value: Any, what: str, name: str) -> Database:
    """Returns the database behind a table or a backend of ibis, through the backend's own connection."""
    backend = value if what == "BaseBackend" else value.get_backend()
    if backend.name not in ("duckdb", "sqlite", "postgres"):
        raise ContextError(_not_read_only(name, f"of ibis' backend `{backend.name}`"))
    database = _of_backend(backend, name)
    if what == "BaseBackend":
        return database
    from rlm_jupyter.databases.database import Relation

    schema = value.schema()
    columns = tuple((column, str(kind)) for column, kind in schema.items())
    query = str(backend.compile(value))
    if backend.name == "duckdb":
        _check_seen(database, query, name)
    database.relations = {name: Relation(name, columns, query=query)}
    database.whole = False
    return database


def _check_seen(database: Any, query: str, name: str) -> None:
    """Refuse a query of ibis over temporary views, such as its `read_parquet` makes: other cursors do not see them.

    Raises:
        ContextError: it cannot be bound by a cursor, and what to do.
    """
    try:
        database.described(query)
    except Exception as error:
        text = database.clean(str(error).split("\n", maxsplit=1)[0])
        raise ContextError(
            f"`{name}` is a table of ibis that only its own connection sees ({text}), as the temporary views are that "
            "`read_parquet` and `read_csv` make: name it by `create_view` or `create_table`, or hand over the paths."
        ) from None


def _of_backend(backend: Any, name: str) -> Database:
    connection = backend.con
    if backend.name == "duckdb":
        from rlm_jupyter.databases import duckdb_database

        return duckdb_database.of_connection(connection)
    if backend.name == "sqlite":
        from rlm_jupyter.databases import sqlite_database

        return sqlite_database.of_connection(connection, name)
    if not hasattr(connection, "info") or not hasattr(connection.info, "password"):
        raise ContextError(f"`{name}` has a connection of a driver other than psycopg: hand over an engine.")
    info = connection.info
    address, password = info.dsn, info.password

    @contextlib.contextmanager
    def lend() -> Iterator[Any]:
        import psycopg

        with contextlib.closing(psycopg.connect(address, password=password)) as lent:
            yield lent

    from rlm_jupyter.databases.server_database import Server

    title = f"PostgreSQL database `{info.dbname}` on `{info.host}`"
    return Server(lend, title, "postgres", secrets=tuple(filter(None, (password,))))


def _not_read_only(name: str, what: str) -> str:
    return (
        f"`{name}` is {what}, whose queries cannot be held to reading here: only those of DuckDB, SQLite, PostgreSQL, "
        "MySQL and MariaDB can. Query it yourself and hand over the frame."
    )
