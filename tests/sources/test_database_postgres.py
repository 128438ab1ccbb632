"""PostgreSQL as a source of data: a real server, read by handles, attacked, cancelled."""

import asyncio
import datetime as dt
import time
import uuid
from decimal import Decimal
from functools import partial

import ibis
import psycopg
import pytest
import sqlalchemy
from database_attacks import CONDITIONS, FUNCTIONS, OTHER_TABLES, REACHES, TWO, WRITES
from database_parts import ORDERS, Asking, fill
from hidden_requests import values_of
from postgres_server import PASSWORD, postgres_server

from rlm_jupyter.databases.query_errors import QueryError, QueryTimeoutError
from rlm_jupyter.databases.running import Query
from rlm_jupyter.errors import ContextError
from rlm_jupyter.run_setup.database_sources import take_databases

MORE = """
CREATE TABLE kinds (b boolean, i2 smallint, i8 bigint, n numeric(12, 2), big numeric, r real, t text, j jsonb, a int[],
    u uuid, d date, ts timestamp, tz timestamptz, tm time, iv interval, by bytea, ip inet, rng int4range);
INSERT INTO kinds VALUES (TRUE, 1, 9007199254740993, 1.25, 123456789012345678901234567890, 0.5, 'ä%s', '{"a": [1]}',
    '{1,2}', '00000000-0000-0000-0000-000000000001', '2024-02-29', '2024-02-29 12:00', '2024-02-29 12:00+00', '12:30',
    '1 day', '\\x00ff', '127.0.0.1', '[1,5)');
INSERT INTO kinds (b) VALUES (NULL), (NULL);
CREATE SCHEMA sales;
CREATE TABLE sales.items (id int);
CREATE TABLE "Mixed" ("Id" int);
INSERT INTO "Mixed" VALUES (7);
CREATE SEQUENCE numbers;
CREATE FUNCTION total(x double precision) RETURNS double precision LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO vault VALUES ('written'); RETURN x; END $$;
CREATE FUNCTION own_function(x integer) RETURNS integer LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO vault VALUES ('written'); RETURN x; END $$;
CREATE VIEW cheap AS SELECT * FROM orders WHERE amount < 10;
ANALYZE;
"""


@pytest.fixture(scope="module")
def server():
    with postgres_server() as server:
        with psycopg.connect(
            host=str(server.sockets), port=server.port, user="owner", dbname="shop"
        ) as connection:
            fill(connection.execute)
            connection.execute(MORE)
            connection.execute(f"CREATE ROLE reader LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        yield server


@pytest.fixture(scope="module")
def engine(server):
    engine = sqlalchemy.create_engine(server.url(), pool_size=5, max_overflow=0)
    yield engine
    # A connection that a thread holds now would be closed by nobody: a test of another file would be warned of it.
    end = time.monotonic() + 60
    while engine.pool.checkedout() and time.monotonic() < end:
        time.sleep(0.02)
    engine.dispose()


@pytest.fixture(scope="module")
def shop(engine):
    return Asking(engine)


@pytest.fixture
def unchanged(shop):
    """All is as it was after an attack, and no connection is left in a transaction."""
    yield
    assert shop.whole("SELECT COUNT(*) AS n FROM orders") == [{"n": 100}]
    assert shop.whole("SELECT word FROM vault") == [{"word": "hidden"}]


def test_hidden_columns_are_read(engine):
    found = values_of(engine, "t", "a", "orders.customer", "n")
    assert found == {
        "t": ["ä%s"],
        "a": [1, 1, 2],
        "customer": [f"c{number}" for number in range(7)],
        "n": [Decimal("1.25")],
    }
    assert values_of(engine, "j.a") == {"a": [1]}


def test_it_is_described_from_its_catalogue(shop):
    assert shop.handle.about["summary"] == "PostgreSQL database `shop` with 6 tables"
    assert set(shop.handle.tables) == {"orders", "vault", "kinds", "sales.items", "Mixed", "cheap"}
    items = {item["key"]: item["summary"] for item in shop.handle.about["items"]}
    assert (
        items["orders"].removeprefix("about ")
        == "100 rows: id integer, amount double precision, customer character varying(20)"
    )


def test_it_is_asked_as_any_other(shop):
    assert shop.sql("SELECT COUNT(*) AS n, SUM(amount) AS s FROM t", table="orders") == [
        {"n": 100, "s": 7425.0}
    ]
    assert shop.sql("SELECT COUNT(*) AS n FROM public.orders", table="orders") == [{"n": 100}]
    assert shop.whole("SELECT COUNT(*) AS n FROM sales.items") == [{"n": 0}]
    assert shop.whole('SELECT "Id" FROM "Mixed"') == shop.whole('SELECT "Id" FROM mixed') == [{"Id": 7}]
    assert shop.whole("SELECT COUNT(*) AS n FROM cheap WHERE customer LIKE 'c%' AND id % 2 = 0") == [{"n": 4}]
    conditions = ["amount > 120", "t.customer = 'c1'"]
    expected = [row for row in ORDERS if row[1] > 120 and row[2] == "c1"]
    assert shop.ask("count", table="orders", conditions=conditions) == len(expected)
    assert len(shop.ask("sample", table="orders", n=4)) == 4
    figures = {row["column"]: row for row in shop.ask("describe", table="kinds")}
    assert figures["n"]["max"] == 1.25
    assert figures["j"]["values"] == 1


def test_results_of_all_usual_types(shop):
    (row,) = shop.whole("SELECT * FROM kinds WHERE b")
    assert (row["b"], row["i2"], row["i8"], row["t"]) == (True, 1, 9007199254740993, "ä%s")
    assert (float(row["n"]), int(row["big"]), row["r"]) == (1.25, 123456789012345678901234567890, 0.5)
    assert (row["j"], row["a"]) == ('{"a": [1]}', "[1, 2]")
    assert (
        uuid.UUID(bytes=row["u"])
        if isinstance(row["u"], bytes)
        else uuid.UUID(str(row["u"])) == uuid.UUID(int=1)
    )
    assert row["d"] == dt.date(2024, 2, 29)
    assert row["ts"] == dt.datetime(2024, 2, 29, 12)  # noqa: DTZ001 - as the database has it
    assert row["tz"] == dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
    assert (row["tm"], row["iv"]) == (dt.time(12, 30), dt.timedelta(days=1))
    assert (row["by"], row["ip"]) == (b"\x00\xff", "127.0.0.1")
    assert "[1, 5)" in row["rng"]


def test_a_long_result_comes_in_parts(shop):
    found = shop.whole("SELECT i, i::text AS s FROM generate_series(1, 50001) AS g(i)")
    assert [found[0], found[-1], len(found)] == [{"i": 1, "s": "1"}, {"i": 50001, "s": "50001"}, 50001]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("query", [*WRITES, *REACHES, *TWO, *FUNCTIONS])
def test_what_is_not_a_query_of_the_tables_is_refused(shop, query):
    for ask in (shop.whole, lambda text: shop.sql(text, table="orders")):
        with pytest.raises(QueryError):
            ask(query)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("query", OTHER_TABLES)
def test_a_table_that_is_not_the_handles_is_refused(shop, query):
    with pytest.raises(QueryError, match="There is no table"):
        shop.sql(query.replace("main.", "public."), table="orders")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("condition", [one for one in CONDITIONS if one != "1=1 -- "])
def test_a_condition_is_one_condition(shop, condition):
    with pytest.raises(QueryError):
        shop.ask("count", table="orders", conditions=["id > 5", condition])


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "statement",
    [
        *WRITES,
        *(one for one in REACHES if not one.startswith(("COMMIT", "ROLLBACK"))),
        "SELECT total(1)",
        "SELECT own_function(1)",
        "SELECT nextval('numbers')",
        "SELECT 1; DELETE FROM orders",
        "SELECT 1; COMMIT; DELETE FROM orders",
        "SELECT setval('numbers', 7)",
    ],
)
def test_the_server_itself_refuses_what_would_pass_the_check(shop, statement):
    with pytest.raises(QueryError):
        shop.database.execute(statement, Query())


@pytest.mark.usefixtures("unchanged")
def test_a_function_that_writes_is_refused_by_the_server_where_its_name_is_allowed(shop):
    with pytest.raises(QueryError, match="cannot execute INSERT in a read-only transaction"):
        shop.whole("SELECT total(amount) FROM orders")


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "SERIALIZABLE"])
def test_transactions_are_read_only_however_the_engine_begins_them(server, level):
    engine = sqlalchemy.create_engine(server.url(), isolation_level=level)
    shop = Asking(engine)
    with pytest.raises(QueryError, match="read-only transaction"):
        shop.whole("SELECT total(amount) FROM orders")
    assert shop.whole("SELECT COUNT(*) AS n FROM orders") == [{"n": 100}]
    engine.dispose()


def test_texts_with_backslashes_are_texts_whatever_the_server_takes_them_for(server):
    engine = sqlalchemy.create_engine(
        server.url(), connect_args={"options": "-c standard_conforming_strings=off"}
    )
    shop = Asking(engine)
    (row,) = shop.sql("SELECT '\\' AS a, 'it''s' AS b FROM t LIMIT 1", table="orders")
    assert row == {"a": "\\", "b": "it's"}
    engine.dispose()


def test_percent_signs_and_colons_are_part_of_the_query(shop):
    assert shop.whole("SELECT '%s %(x)s :y 50%' AS a, 7 % 4 AS b") == [{"a": "%s %(x)s :y 50%", "b": 3}]


def test_nothing_tells_the_password_or_the_user(server):
    engine = sqlalchemy.create_engine(server.loopback("reader", PASSWORD))
    handled = take_databases({"db": engine}, "context", rows=3)
    shop = Asking(engine)
    told = [repr(handled.value), repr(handled.value["db"].about), repr(shop.handle.about)]
    for query in (f"SELECT '{PASSWORD}'::int", "SELECT nothing", "SELECT 1 FROM"):
        with pytest.raises(QueryError) as failed:
            shop.whole(query)
        told.append(failed.value.message)
    engine.dispose()
    wrong = sqlalchemy.create_engine(server.loopback("reader", "wrong-password"))
    with pytest.raises(ContextError) as refused:
        take_databases(wrong, "db", rows=3)
    told.append(refused.value.message)
    nowhere = sqlalchemy.create_engine(f"postgresql+psycopg://reader:{PASSWORD}@127.0.0.1:1/shop")
    with pytest.raises(ContextError, match="cannot be reached") as refused:
        take_databases(nowhere, "db", rows=3)
    told.append(refused.value.message)
    assert PASSWORD not in str(told)
    assert "wrong-password" not in str(told)
    assert "reader" not in str(told)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ibis")
def test_an_ibis_backend_and_its_tables(server):
    backend = ibis.postgres.connect(
        host="127.0.0.1", port=server.port, user="reader", password=PASSWORD, database="shop"
    )
    shop = Asking(backend)
    assert "orders" in shop.handle.tables
    assert PASSWORD not in repr(shop.handle.about)
    orders = backend.table("orders")
    big = Asking(orders.filter(orders.amount > 120), "big")
    assert big.sql("SELECT COUNT(*) AS n FROM big") == [{"n": len([1 for row in ORDERS if row[1] > 120])}]
    backend.disconnect()


def running(engine):
    """How many queries of handles the server executes."""
    with engine.connect() as connection:
        text = "SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE 'FETCH FORWARD%' AND state = 'active'"
        return connection.execute(sqlalchemy.text(text)).scalar()


SLOW = "SELECT COUNT(*) AS n FROM generate_series(1, 100000) AS a(i), generate_series(1, 100000) AS b(j) WHERE i + j = 7"


async def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_a_query_that_nobody_waits_for_is_cancelled_in_the_server(server, shop):
    watching = sqlalchemy.create_engine(server.url())
    job = partial(shop.database.execute, SLOW)
    task = asyncio.create_task(shop.database.pool.run(job, 600))
    await until(lambda: running(watching))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not running(watching))
    assert shop.whole("SELECT 1 AS a") == [{"a": 1}]
    watching.dispose()


async def test_a_query_whose_time_is_up_is_cancelled_in_the_server(server, shop):
    watching = sqlalchemy.create_engine(server.url())
    with pytest.raises(QueryTimeoutError, match=r"longer than 0.5 s.*aggregate in SQL"):
        await shop.database.pool.run(partial(shop.database.execute, SLOW), 0.5)
    await until(lambda: not running(watching))
    watching.dispose()


async def test_fifty_queries_share_a_pool_of_five_connections(server, shop):
    watching = sqlalchemy.create_engine(server.url())
    most, done = 0, False
    query = "SELECT 300 AS n FROM (SELECT pg_sleep(0.3)) AS x"

    async def watch():
        nonlocal most
        while not done:
            most = max(most, await asyncio.to_thread(running, watching))
            await asyncio.sleep(0.01)

    watcher = asyncio.create_task(watch())
    jobs = [shop.database.pool.run(partial(shop.database.execute, query), 600) for _ in range(50)]
    found = await asyncio.gather(*jobs)
    done = True
    await watcher  # not cancelled: its thread would still hold a connection, which `dispose` does not close
    assert [table.to_pylist() for table in found] == [[{"n": 300}]] * 50
    assert 2 <= most <= 5
    watching.dispose()
