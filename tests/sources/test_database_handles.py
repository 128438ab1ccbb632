"""Databases that are handed over: what handles of them answer, for each kind of database."""

import datetime as dt
import math
import sqlite3
import sys
import threading

import duckdb
import ibis
import pandas as pd
import pytest
import sqlalchemy
from database_parts import KINDS, ORDERS, Asking, duckdb_file, sqlite_file

from rlm_jupyter.databases.handed_over import is_database
from rlm_jupyter.databases.query_errors import QueryError
from rlm_jupyter.errors import ContextError
from rlm_jupyter.run_setup.database_sources import take_databases
from rlm_jupyter.values.codec import api as codec
from rlm_jupyter.values.codec.table_handle import Table


@pytest.fixture(params=list(KINDS))
def shop(request, tmp_path):
    return Asking(KINDS[request.param](tmp_path))


def test_a_whole_database_is_described_by_its_tables_and_asked_by_their_names(shop):
    assert sorted(shop.handle.tables) == ["orders", "vault"]
    assert "with 2 tables" in shop.handle.about["summary"]
    items = {item["key"]: item["summary"] for item in shop.handle.about["items"]}
    assert items["orders"].startswith("100 rows: id ")
    joined = shop.whole("SELECT o.id, v.word FROM orders o CROSS JOIN vault v ORDER BY o.id LIMIT 2")
    assert joined == [{"id": 0, "word": "hidden"}, {"id": 1, "word": "hidden"}]
    schema = shop.ask("schema")
    assert list(schema["orders"]) == ["id", "amount", "customer"]
    with pytest.raises(QueryError, match=r"whole database.*\['orders'\]"):
        shop.ask("count")


def test_a_table_answers_by_sql_count_sample_describe_and_where(shop):
    assert shop.ask("open", table="orders")["name"] == "orders"
    assert shop.ask("count", table="orders") == 100
    wanted = [{"customer": "c0", "n": 15}, {"customer": "c1", "n": 15}]
    for name in ("t", "orders", "ORDERS", "main.orders"):
        query = f"SELECT customer, COUNT(*) AS n FROM {name} GROUP BY customer ORDER BY customer LIMIT 2"
        assert shop.sql(query, table="orders") == wanted
    assert shop.sql("SELECT t.id FROM t WHERE t.id < 1", table="orders") == [{"id": 0}]
    sample = shop.ask("sample", table="orders", n=5)
    assert len(sample) == 5
    assert all((row["id"], row["amount"], row["customer"]) in ORDERS for row in sample)
    figures = {row["column"]: row for row in shop.ask("describe", table="orders")}
    assert figures["id"]["min"] == 0
    assert figures["id"]["max"] == 99
    assert math.isclose(figures["amount"]["mean"], 74.25)
    assert figures["customer"]["values"] == 100
    assert figures["customer"]["max"] == "c6"


def test_conditions_narrow_a_handle_and_hold_in_whatever_it_is_asked(shop):
    conditions = ["amount > 120", "t.customer = 'c1'", "id < (SELECT MAX(id) FROM t)"]
    expected = [row for row in ORDERS if row[1] > 120 and row[2] == "c1"]
    expected = [row for row in expected if row[0] < max(one[0] for one in expected)]
    about = shop.ask("where", table="orders", conditions=conditions)
    assert "only amount > 120 AND t.customer = 'c1'" in about["summary"]
    assert "rows not counted" in about["summary"]
    assert shop.ask("count", table="orders", conditions=conditions) == len(expected) > 0
    for name in ("t", "orders"):
        found = shop.sql(f"SELECT {name}.id FROM {name} ORDER BY 1", table="orders", conditions=conditions)
        assert [row["id"] for row in found] == [row[0] for row in expected]
    assert len(shop.ask("sample", table="orders", conditions=conditions, n=50)) == len(expected)
    twice = "SELECT COUNT(*) AS n FROM t AS a JOIN orders AS b ON a.id = b.id"
    assert shop.sql(twice, table="orders", conditions=conditions) == [{"n": len(expected)}]


@pytest.mark.parametrize(
    "query",
    [
        "WITH big AS (SELECT * FROM t WHERE id > 97) SELECT id FROM big ORDER BY id",
        "WITH t AS (SELECT * FROM t WHERE id > 97) SELECT id FROM t ORDER BY id",
        "SELECT id FROM (SELECT id FROM t) AS x WHERE id IN (SELECT id FROM orders WHERE id >= 98) ORDER BY 1",
        "SELECT id FROM t WHERE id = 98 UNION ALL SELECT id FROM t WHERE id = 99 ORDER BY 1",
        "(SELECT id FROM t WHERE id > 97) ORDER BY id",
        "SELECT id FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id DESC) AS r FROM t) AS x WHERE r <= 2 ORDER BY 1",
        "SELECT id FROM t -- the last ones\nWHERE id > 97 /* of them */ ORDER BY id;",
        "WITH RECURSIVE n(i) AS (SELECT 98 UNION ALL SELECT i + 1 FROM n WHERE i < 99) SELECT i AS id FROM n",
        "WITH a AS (SELECT id FROM t), b AS (SELECT id FROM a WHERE id > 97) SELECT id FROM b ORDER BY 1",
        "SELECT CASE WHEN id > 0 THEN id END AS id FROM t WHERE customer LIKE 'c%' AND id BETWEEN 98 AND 99",
    ],
)
def test_queries_of_usual_forms_are_answered(shop, query):
    if query.startswith("WITH t AS (SELECT * FROM t") and shop.database.dialect == "sqlite":
        pytest.skip("SQLite has every WITH refer to itself")
    assert shop.sql(query, table="orders") == [{"id": 98}, {"id": 99}]


def test_a_missing_column_or_table_is_told_with_what_there_is(shop):
    with pytest.raises(QueryError, match=r"The database says: .*amuont"):
        shop.sql("SELECT amuont FROM t", table="orders")
    with pytest.raises(QueryError, match=r"There is no table `oders` here. There is: .*`orders`"):
        shop.sql("SELECT 1 FROM oders", table="orders")
    with pytest.raises(QueryError, match=r"no table `nothing` here. There is: `orders`, `vault`"):
        shop.ask("open", table="nothing")


# ------------------------------------------------------------------------------- what is handed over


def test_tables_of_a_dict_are_handles_beside_other_data(tmp_path):
    handled = take_databases(
        {"shop": duckdb_file(tmp_path), "other": sqlite_file(tmp_path), "n": 7}, "context", rows=3
    )
    assert type(handled.value["shop"]) is type(handled.value["other"]) is Table
    assert handled.value["n"] == 7
    assert len(handled.databases) == 2


def test_a_relation_of_the_default_connection_is_asked_where_it_is(tmp_path):
    duckdb.sql("CREATE OR REPLACE TABLE rlm_numbers AS SELECT range AS i FROM range(50)")
    try:
        shop = Asking(duckdb.sql("SELECT i, i * 2 AS twice FROM rlm_numbers WHERE i >= 10"), "numbers")
        assert shop.handle.name == "numbers"
        assert shop.database.notes == ()
        assert "40 rows x 2 columns" in shop.handle.about["summary"]
        duckdb.sql("INSERT INTO rlm_numbers VALUES (1000)")
        assert shop.sql("SELECT MAX(numbers.twice) AS m FROM numbers") == [{"m": 2000}]
        with pytest.raises(QueryError, match="no table `rlm_numbers`"):
            shop.sql("SELECT * FROM rlm_numbers")
        assert duckdb.sql("SELECT COUNT(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [(0,)]
    finally:
        duckdb.sql("DROP TABLE rlm_numbers")


def test_a_relation_of_another_connection_is_copied_and_that_is_told(tmp_path):
    connection = duckdb.connect()
    connection.execute("CREATE TABLE rlm_numbers AS SELECT range AS i FROM range(50)")
    shop = Asking(connection.sql("FROM rlm_numbers"), "numbers")
    connection.execute("DROP TABLE rlm_numbers")
    assert shop.ask("count") == 50
    assert "Its rows were copied when it was handed over." in shop.handle.about["notes"]
    assert Asking(duckdb.from_df(pd.DataFrame({"i": range(3)})), "frame").sql(
        "SELECT MAX(i) AS m FROM frame"
    ) == [{"m": 2}]


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")  # ibis calls it
def test_a_table_of_ibis_that_other_cursors_do_not_see_is_refused_with_what_to_do(tmp_path):
    pd.DataFrame({"i": range(3)}).to_parquet(tmp_path / "numbers.parquet")
    backend = ibis.duckdb.connect()
    seen_by_one = backend.read_parquet(tmp_path / "numbers.parquet")
    with pytest.raises(ContextError, match=r"only its own connection sees .*name it by `create_view`"):
        Asking(seen_by_one, "numbers")
    backend.con.execute(f"CREATE VIEW numbers AS FROM '{tmp_path}/numbers.parquet'")
    assert Asking(backend.table("numbers"), "numbers").ask("count") == 3


def test_a_relation_that_is_too_large_to_be_copied_is_refused(monkeypatch):
    monkeypatch.setattr("rlm_jupyter.databases.results.MOST_ROWS", 10)
    connection = duckdb.connect()
    with pytest.raises(ContextError, match="hand over the connection"):
        take_databases(connection.sql("SELECT range AS i FROM range(50)"), "numbers", rows=3)


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")  # ibis 12 with DuckDB 2
def test_an_ibis_table_is_the_query_that_it_is(tmp_path):
    for connect in (
        lambda: ibis.duckdb.connect(duckdb_file(tmp_path)),
        lambda: KINDS["ibis_sqlite"](tmp_path),
    ):
        backend = connect()
        orders = backend.table("orders")
        shop = Asking(orders.filter(orders.amount > 100).select("id", "amount"), "big")
        assert shop.handle.columns == ["id", "amount"]
        assert shop.sql("SELECT COUNT(*) AS n FROM big") == [
            {"n": len([1 for row in ORDERS if row[1] > 100])}
        ]
        assert shop.ask("count", conditions=["id < 70"]) == len(
            [1 for row in ORDERS if row[1] > 100 and row[0] < 70]
        )
        backend.disconnect()


def test_other_dialects_and_backends_are_refused_with_the_reason():
    class Dialect:
        name = "oracle"

    engine = sqlalchemy.create_engine("sqlite://")
    engine.dialect = Dialect()
    with pytest.raises(ContextError, match="an engine of `oracle`, whose queries cannot be held to reading"):
        take_databases(engine, "db", rows=3)
    backend = ibis.duckdb.connect()
    type(backend).name, kept = "spark", type(backend).name
    try:
        with pytest.raises(ContextError, match="ibis' backend `spark`"):
            take_databases(backend, "db", rows=3)
    finally:
        type(backend).name = kept


def test_a_file_that_another_connection_holds_open_is_refused_with_what_to_do(tmp_path):
    path = duckdb_file(tmp_path)
    held = duckdb.connect(str(path))
    with pytest.raises(ContextError, match="hand over that connection"):
        take_databases(path, "db", rows=3)
    assert Asking(held).ask("count", table="orders") == 100
    held.close()


def test_a_connection_of_another_thread_is_refused_with_what_to_do():
    connections = []
    thread = threading.Thread(target=lambda: connections.append(sqlite3.connect(":memory:")))
    thread.start()
    thread.join()
    with pytest.raises(ContextError, match="hand over the path"):
        take_databases(connections[0], "db", rows=3)


def test_a_connection_deep_in_other_data_is_refused_with_what_to_do(tmp_path):
    from rlm_jupyter.run_setup.start import encode

    for value in (duckdb.connect(), sqlite3.connect(":memory:"), sqlalchemy.create_engine("sqlite://")):
        with pytest.raises(ContextError, match=r"data\[0\]\['db'\].*hand over `context={'db': CONNECTION}`"):
            encode([{"db": value}], ("data",), rows=3)


def test_without_sqlglot_it_is_told_what_to_install(tmp_path, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sqlglot" else found(name))
    with pytest.raises(ContextError, match=r"pip install 'rlm_jupyter\[sql\]'"):
        take_databases(sqlite_file(tmp_path), "db", rows=3)


def test_nothing_else_is_taken_for_a_database_and_no_library_is_imported(tmp_path):
    (tmp_path / "notes.db").write_text("no database")
    values = [
        tmp_path,
        tmp_path / "notes.db",
        tmp_path / "none.db",
        "x.duckdb",
        pd.DataFrame(),
        7,
        None,
        sqlite3,
    ]
    assert not any(map(is_database, values))
    code = (
        "import rlm_jupyter, sys; from rlm_jupyter.run_setup.start import encode; encode([1], (), rows=3)\n"
    )
    code += "print({'duckdb', 'sqlalchemy', 'ibis', 'sqlglot', 'psycopg'} & set(sys.modules))"
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ------------------------------------------------------------------------------------------- handles


def test_a_handle_in_the_notebook_is_a_description_that_answers_nothing(tmp_path):
    handle = Asking(duckdb_file(tmp_path)).handle
    table = Table(
        "x", "orders", ("amount > 5",), {"columns": [{"name": "id", "dtype": "BIGINT"}], "length": 3}
    )
    fd, kind = codec.dump({"db": handle, "parts": [table, (table,)]}, allow_pickle=False)
    assert kind == "safe"
    back = codec.load(fd, allow_pickle=False)
    assert back["parts"][0] == table
    assert repr(table) == "<table orders(id BIGINT) where amount > 5: 3 rows>"
    assert back["db"].tables == ["orders", "vault"]
    assert "\x1b" not in repr(Table("x", "a\x1b[2J", ("b\x1b",), {"columns": 7, "length": "many"}))
    for use in (table.count, lambda: table.sql("SELECT 1"), lambda: len(table), lambda: handle["orders"]):
        with pytest.raises(TypeError, match="answers in agents' code only"):
            use()
    assert table


@pytest.mark.parametrize(
    "payload",
    [[7, "t", [], {}], ["x", 7, [], {}], ["x", "t", [7], {}], ["x", "t", [], []], ["x", "t", ["a"] * 51, {}]],
)
def test_a_malformed_handle_is_no_value(payload):
    from rlm_jupyter.values.codec import container

    fd = container.write("safe", codec._json({"n": [["table", *payload]], "r": [0]}), [])
    with pytest.raises(codec.Malformed):
        codec.load(fd, allow_pickle=False)


# ------------------------------------------------------------------------------------------- results


def test_duckdb_results_of_all_usual_types(tmp_path):
    shop = Asking(KINDS["duckdb_connection"](tmp_path))
    query = """
        SELECT TRUE AS b, 1::TINYINT AS i1, 9007199254740993::BIGINT AS i8, SUM(id)::HUGEINT AS h, 1.25::DECIMAL(9, 2) AS d,
        0.5::DOUBLE AS f, 'ä' AS s, DATE '2024-02-29' AS day, TIMESTAMP '2024-02-29 12:00:00' AS moment,
        [1, 2] AS l, {'a': 1} AS st, NULL AS nothing, INTERVAL 1 DAY AS span, UNHEX('00ff') AS bytes FROM orders
    """
    (row,) = shop.whole(query)
    assert row["i8"] == 9007199254740993
    assert row["h"] == sum(one[0] for one in ORDERS)
    assert row["day"] == dt.date(2024, 2, 29)
    assert row["moment"] == dt.datetime(2024, 2, 29, 12)  # noqa: DTZ001 - as the database has it
    assert (row["l"], row["st"], row["nothing"], row["bytes"]) == ([1, 2], {"a": 1}, None, b"\x00\xff")


def test_sqlite_results_of_all_types_also_mixed_in_one_column(tmp_path):
    path = tmp_path / "mixed.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mixed (i, r, s, b, m, n)")
    rows = [
        (2**60, 0.5, "ä", b"\x00\xff", 1, None),
        (None, 2, "x", None, "two", None),
        (3, None, None, b"", 2.5, None),
    ]
    connection.executemany("INSERT INTO mixed VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    found = Asking(path).whole("SELECT * FROM mixed")
    assert [row["i"] for row in found] == [2**60, None, 3]
    assert [row["r"] for row in found] == [0.5, 2.0, None]
    assert [row["s"] for row in found] == ["ä", "x", None]
    assert [row["b"] for row in found] == [b"\x00\xff", None, b""]
    assert [row["m"] for row in found] == ["1", "two", "2.5"]
    assert [row["n"] for row in found] == [None] * 3
    assert Asking(path).whole("SELECT i, i, r AS i FROM mixed WHERE r > 9") == []


def test_types_that_differ_between_the_parts_of_a_long_result_are_joined(tmp_path, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.databases.sqlite_database.BATCH", 2)
    path = tmp_path / "mixed.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mixed (a, b)")
    connection.executemany(
        "INSERT INTO mixed VALUES (?, ?)", [(1, 1), (2, 2), (None, None), (None, None), (1.5, "x")]
    )
    connection.commit()
    found = Asking(path).whole("SELECT * FROM mixed ORDER BY rowid")
    assert [row["a"] for row in found] == [1, 2, None, None, 1.5]
    assert [row["b"] for row in found] == ["1", "2", None, None, "x"]


def test_columns_of_the_same_name_are_told_apart(shop):
    (row,) = shop.whole("SELECT a.id, b.id FROM orders a JOIN orders b ON a.id = b.id WHERE a.id = 3")
    assert list(row.values()) == [3, 3]
    assert len(row) == 2


def test_a_result_of_no_rows_has_its_columns(shop):
    from rlm_jupyter.databases.questions import Asked, answer
    from rlm_jupyter.databases.running import Query

    body = {"table": None, "what": "sql", "sql": "SELECT id, customer FROM orders WHERE id < 0"}
    found = answer(shop.database, Asked.read(body), Query())
    assert (found.num_rows, found.column_names) == (0, ["id", "customer"])


@pytest.mark.parametrize(
    ("limit", "most", "told"), [("ROWS", 50, "more than 50 rows"), ("BYTES", 100, "MB, the limit")]
)
def test_a_result_that_passes_a_limit_is_an_error_that_names_it_and_the_way(
    shop, monkeypatch, limit, most, told
):
    monkeypatch.setattr(f"rlm_jupyter.databases.results.MOST_{limit}", most)
    with pytest.raises(QueryError, match=f"{told}.*Aggregate in SQL.*sample"):
        shop.whole("SELECT * FROM orders")
    assert shop.whole("SELECT COUNT(*) AS n FROM orders") == [{"n": 100}]


def test_conditions_that_multiply_are_refused_before_they_are_written(tmp_path):
    shop = Asking(duckdb_file(tmp_path))
    twice = "id <= (SELECT MAX(id) FROM t) AND id <= (SELECT MAX(id) FROM t)"
    assert shop.ask("count", table="orders", conditions=[twice] * 3) == 100
    with pytest.raises(QueryError, match="too many parts"):
        shop.ask("count", table="orders", conditions=[twice] * 50)
    many = "SELECT 1 FROM t" + ", t" * 6000
    with pytest.raises(QueryError, match="names tables 6,001 times"):
        shop.sql(many, table="orders", conditions=["id > 5"] * 50)


def test_large_values_meet_the_limit_before_they_fill_the_memory(tmp_path):
    for path, query in (
        (sqlite_file(tmp_path), "SELECT PRINTF('%.*c', 40000000, 'x') AS a FROM orders"),
        (
            sqlite_file(tmp_path),
            "SELECT REPLACE(PRINTF('%.*c', 20000000, 'x'), 'x', 'yyyyyyyyyyyyyyyyyyyy') AS a FROM orders",
        ),
        (duckdb_file(tmp_path), "SELECT REPEAT('x', 4000000) AS a FROM orders"),
    ):
        with pytest.raises(QueryError, match=r"limit of one result|too big"):
            Asking(path).whole(query)
