"""MariaDB as a source of data: a real server, read by handles, attacked, cancelled."""

import asyncio
import time
from functools import partial

import pytest
import sqlalchemy
from database_attacks import ALLOWED, CONDITIONS, FUNCTIONS, OTHER_TABLES, REACHES, TWO, WRITES
from database_parts import ORDERS, Asking, fill
from mariadb_server import mariadb_server

from rlm_jupyter.databases.query_errors import QueryError, QueryTimeoutError
from rlm_jupyter.databases.running import Query

HARMLESS = {"SHOW TABLES", "DESCRIBE orders", "BEGIN", "COMMIT", "ROLLBACK"}


@pytest.fixture(scope="module")
def engine():
    with mariadb_server() as address:
        engine = sqlalchemy.create_engine(f"mariadb+{address}", pool_size=5, max_overflow=0)
        with engine.begin() as connection:
            fill(connection.exec_driver_sql)
        yield engine
        engine.dispose()


@pytest.fixture(scope="module")
def shop(engine):
    return Asking(engine)


@pytest.fixture
def unchanged(shop):
    yield
    assert shop.whole("SELECT COUNT(*) AS n FROM orders") == [{"n": 100}]
    assert shop.whole("SELECT word FROM vault") == [{"word": "hidden"}]
    assert sorted(shop.database.look(Query())) == ["orders", "vault"]


def test_it_is_described_and_asked_as_any_other(shop):
    assert shop.handle.about["summary"] == "MariaDB database `shop` with 2 tables"
    query = "SELECT customer, COUNT(*) AS n, '50%s' AS p FROM t GROUP BY customer ORDER BY customer LIMIT 1"
    assert shop.sql(query, table="orders") == [{"customer": "c0", "n": 15, "p": "50%s"}]
    conditions = ["amount > 120", "t.customer = 'c1'"]
    expected = [row for row in ORDERS if row[1] > 120 and row[2] == "c1"]
    assert shop.ask("count", table="orders", conditions=conditions) == len(expected)
    assert len(shop.ask("sample", table="orders", n=4)) == 4
    assert {row["column"]: row for row in shop.ask("describe", table="orders")}["id"]["max"] == 99


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "query",
    [
        *(WRITES + REACHES + TWO + FUNCTIONS),
        "SELECT * FROM orders INTO OUTFILE '/tmp/rlm-out'",
        "SELECT id INTO @x FROM orders LIMIT 1",
        "SELECT 'a\\\\', LOAD_FILE('/etc/passwd')",
        "SELECT 'a\\\\\\'; DELETE FROM orders -- '",
    ],
)
def test_what_is_not_a_query_of_the_tables_is_refused(shop, query):
    with pytest.raises(QueryError):
        shop.sql(query, table="orders")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("query", OTHER_TABLES)
def test_a_table_that_is_not_the_handles_is_refused(shop, query):
    with pytest.raises(QueryError, match="There is no table"):
        shop.sql(query.replace("main.", "shop."), table="orders")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("condition", [one for one in CONDITIONS if one not in ALLOWED])
def test_a_condition_is_one_condition(shop, condition):
    with pytest.raises(QueryError):
        shop.ask("count", table="orders", conditions=["id > 5", condition])


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("statement", [*WRITES, *REACHES, "SELECT 1; DELETE FROM orders"])
def test_the_server_itself_refuses_what_would_pass_the_check(shop, statement):
    try:
        shop.database.execute(statement, Query())
    except QueryError:
        return
    assert statement in HARMLESS


@pytest.mark.parametrize("init", ["SET @a = 1", "SET SESSION TRANSACTION READ ONLY"])
def test_the_sessions_of_the_pool_are_as_they_were(engine, init):
    own = sqlalchemy.create_engine(
        engine.url, connect_args={"init_command": init}, pool_size=1, max_overflow=0
    )
    listing = "SELECT @@session.tx_read_only"
    with own.connect() as connection:
        before = connection.exec_driver_sql(listing).scalar()
    assert Asking(own).whole("SELECT COUNT(*) AS n FROM orders") == [{"n": 100}]
    with own.connect() as connection:
        assert connection.exec_driver_sql(listing).scalar() == before == int("READ ONLY" in init)
    own.dispose()


async def test_a_query_whose_time_is_up_is_cancelled_in_the_server(engine, shop):
    slow = "SELECT COUNT(*) AS slow FROM orders a, orders b, orders c, orders d, orders e WHERE a.id + b.id + c.id + d.id + e.id = -7"
    with pytest.raises(QueryTimeoutError):
        await shop.database.pool.run(partial(shop.database.execute, slow), 0.5)
    listing = (
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT COUNT(*) AS slow%%'"
    )
    end = time.monotonic() + 60
    while True:
        with engine.connect() as connection:
            if not connection.exec_driver_sql(listing).scalar():
                break
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    assert shop.whole("SELECT 1 AS a") == [{"a": 1}]
