"""Databases with the same two tables, and questions to them as handles ask: what the tests of databases share."""

import sqlite3

import duckdb
import ibis
import pyarrow as pa
import sqlalchemy

from rlm_jupyter.databases.questions import Asked, answer
from rlm_jupyter.databases.running import Query
from rlm_jupyter.run_setup.database_sources import take_databases

ORDERS = [(number, number * 1.5, f"c{number % 7}") for number in range(100)]
SCHEMA = ["CREATE TABLE orders (id INTEGER, amount DOUBLE PRECISION, customer VARCHAR(20))"]
SCHEMA += ["CREATE TABLE vault (word VARCHAR(20))", "INSERT INTO vault VALUES ('hidden')"]


def fill(execute):
    """Make the tables by a function that runs a statement."""
    rows = ", ".join(f"({number}, {amount}, '{customer}')" for number, amount, customer in ORDERS)
    for statement in [*SCHEMA, f"INSERT INTO orders VALUES {rows}"]:
        execute(statement)


class Asking:
    """One database that was handed over.

    Attributes:
        handle: that agents get.
        database: that is asked.
    """

    def __init__(self, value, name="context", rows=3):
        handled = take_databases(value, name, rows=rows)
        self.handle = handled.value
        self.handled = handled
        (self.database,) = handled.databases.values()

    def ask(self, what, *, table=None, conditions=(), **more):
        """Ask as a handle does; returns plain data."""
        table = table or self.handle.name
        body = {"table": table, "conditions": list(conditions), "what": what, **more}
        found = answer(self.database, Asked.read(body), Query())
        return found.to_pylist() if isinstance(found, pa.Table) else found

    def sql(self, text, **more):
        return self.ask("sql", sql=text, **more)

    def whole(self, text):
        """Ask the whole database."""
        body = {"table": None, "conditions": [], "what": "sql", "sql": text}
        return answer(self.database, Asked.read(body), Query()).to_pylist()


def duckdb_file(folder):
    path = folder / "shop.duckdb"
    if not path.exists():
        with duckdb.connect(str(path)) as connection:
            fill(connection.execute)
    return path


def duckdb_connection(folder):
    connection = duckdb.connect()
    fill(connection.execute)
    return connection


def sqlite_file(folder):
    path = folder / "shop.db"
    if not path.exists():
        connection = sqlite3.connect(path)
        fill(connection.execute)
        connection.commit()
        connection.close()
    return path


def sqlite_connection(folder):
    return sqlite3.connect(sqlite_file(folder))


def sqlite_memory(folder):
    connection = sqlite3.connect(":memory:")
    fill(connection.execute)
    return connection


def sqlalchemy_sqlite(folder):
    return sqlalchemy.create_engine(f"sqlite:///{sqlite_file(folder)}")


def ibis_duckdb(folder):
    backend = ibis.duckdb.connect()
    fill(backend.con.execute)
    return backend


def ibis_sqlite(folder):
    return ibis.sqlite.connect(sqlite_file(folder))


KINDS = {
    function.__name__: function
    for function in (
        *(duckdb_file, duckdb_connection, sqlite_file, sqlite_connection, sqlite_memory),
        *(sqlalchemy_sqlite, ibis_duckdb, ibis_sqlite),
    )
}
