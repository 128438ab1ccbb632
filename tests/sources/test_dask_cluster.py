"""Frames on a dask cluster of two real worker processes: what queries answer, compared with DuckDB, and what is refused."""

import time
from concurrent.futures import ThreadPoolExecutor

import dask.dataframe
import duckdb
import numpy as np
import pandas as pd
import pytest
from database_attacks import CONDITIONS, FUNCTIONS, OTHER_TABLES, REACHES, TWO, WRITES
from database_parts import Asking
from distributed import Client, LocalCluster
from run_parts import asking, until

from rlm_jupyter.databases.query_errors import QueryError
from rlm_jupyter.databases.running import Query, within
from rlm_jupyter.errors import ContextError
from rlm_jupyter.run_setup.database_sources import take_databases

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed", "ignore::ResourceWarning")
ROWS = 600


def _orders():
    draw = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "id": range(ROWS),
            "amount": np.where(draw.random(ROWS) < 0.1, np.nan, draw.integers(-50, 200, ROWS) / 2),
            "customer": [None if n % 11 == 0 else f"c{n % 7}" for n in range(ROWS)],
            "note": ["100%", "late_now", "a.b", "", None, "abab\nab", "Größe", "x'y"] * (ROWS // 8),
            "ts": pd.Timestamp("2025-01-30") + pd.to_timedelta(draw.integers(0, 400 * 24, ROWS), unit="h"),
            "paid": draw.random(ROWS) < 0.5,
            "big": 1e9 + draw.random(ROWS),
        }
    )
    frame.loc[5:9, "ts"] = pd.NaT
    frame["code"] = pd.Categorical([n % 3 for n in range(ROWS)])
    frame["kind"] = frame["customer"].astype("category")
    return frame


ORDERS = _orders()


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, protocol="tcp"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def shop(client):
    return Asking(dask.dataframe.from_pandas(ORDERS, npartitions=3), "orders")


@pytest.fixture(scope="module")
def oracle():
    connection = duckdb.connect()
    orders = ORDERS.assign(kind=ORDERS["kind"].astype("object"), code=ORDERS["code"].astype("int64"))
    for name in ("orders", "t"):
        connection.register(name, orders)
    return connection


def _plain(value):
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, (pd.Timestamp, np.datetime64)) or hasattr(value, "isoformat"):
        return pd.Timestamp(value).isoformat()
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, np.number)) or type(value).__name__ == "Decimal":
        return round(float(value), 6)
    return str(value)


def _rows(rows, *, ordered):
    found = [tuple(_plain(value) for value in row) for row in rows]
    return found if ordered else sorted(found, key=repr)


QUERIES = [
    "SELECT * FROM t",
    "SELECT id, amount * 2 + 1 AS twice, -amount AS m FROM t WHERE amount > 20 AND customer = 'c1'",
    "SELECT id FROM t WHERE customer = 'c1'",
    "SELECT note FROM t WHERE amount::BIGINT::VARCHAR = '20' OR CAST(id AS BIGINT) = 5",
    "SELECT id FROM t WHERE NOT (amount > 20)",
    "SELECT id FROM t WHERE NOT (amount > 20 AND customer = 'c1')",
    "SELECT id FROM t WHERE NOT (amount > 20 OR customer = 'c1')",
    "SELECT id FROM t WHERE amount <> 5 AND customer <> 'c1'",
    "SELECT id FROM t WHERE amount IS NULL OR customer IS NOT NULL AND paid",
    "SELECT id FROM t WHERE customer IN ('c1', 'c2')",
    "SELECT id FROM t WHERE customer NOT IN ('c1', 'c2')",
    "SELECT id FROM t WHERE customer NOT IN ('c1', NULL)",
    "SELECT id FROM t WHERE amount BETWEEN 3 AND 40.5",
    "SELECT id FROM t WHERE amount NOT BETWEEN 3 AND 40.5",
    "SELECT id FROM t WHERE paid IS TRUE AND (amount > 3) IS NOT FALSE",
    "SELECT id, amount > 20 AS more, customer = 'c1' AND amount > 20 AS other FROM t",
    "SELECT customer, COUNT(*) AS n, COUNT(amount) AS m, SUM(amount) AS s, AVG(amount) AS a FROM t GROUP BY customer",
    "SELECT customer, MIN(amount), MAX(amount), MIN(note), MAX(ts) FROM orders GROUP BY 1",
    "SELECT customer, paid, COUNT(DISTINCT note) AS n FROM t GROUP BY ALL",
    "SELECT STDDEV(big), VAR_SAMP(amount), STDDEV(amount) FROM t WHERE id > 3",
    "SELECT customer, STDDEV(big) FROM t GROUP BY customer",
    "SELECT COUNT(*), SUM(amount), MIN(customer), COUNT(DISTINCT customer), AVG(amount) FROM t WHERE id > 100000",
    "SELECT customer FROM t WHERE id > 100000 GROUP BY customer",
    "SELECT SUM(amount) FROM t WHERE amount IS NULL",
    "SELECT COUNT(*) FILTER (WHERE paid) AS p, SUM(CASE WHEN paid THEN 1 ELSE 0 END) AS q, COUNT_IF(amount > 3) FROM t",
    "SELECT SUM(amount) / COUNT(*) + 1 AS r FROM t",
    "SELECT customer, SUM(amount) AS total FROM t GROUP BY customer HAVING SUM(amount) > 900 AND COUNT(*) > 5",
    "SELECT customer AS c, SUM(amount) AS total FROM t GROUP BY c HAVING total > 900 ORDER BY total DESC",
    "SELECT upper(customer) || '-' || paid AS k, COUNT(*) FROM t GROUP BY upper(customer) || '-' || paid",
    "SELECT DATE_TRUNC('month', ts) AS month, COUNT(*) AS n FROM t GROUP BY 1 ORDER BY 1",
    "SELECT DATE_TRUNC('week', ts), DATE_TRUNC('quarter', ts), DATE_TRUNC('year', ts), DATE_TRUNC('day', ts) FROM t",
    "SELECT YEAR(ts), MONTH(ts), EXTRACT(day FROM ts), HOUR(ts), QUARTER(ts), DAYOFWEEK(ts), WEEK(ts), EXTRACT(isodow FROM ts) FROM t",
    "SELECT STRFTIME(ts, '%Y-%m') AS m, COUNT(*) FROM t GROUP BY m",
    "SELECT id FROM t WHERE ts >= '2025-06-01' AND ts < DATE '2025-07-01'",
    "SELECT id FROM t WHERE CAST(ts AS DATE) = '2025-06-01' OR ts + INTERVAL 2 DAY > TIMESTAMP '2026-02-01 12:00:00'",
    "SELECT id FROM t ORDER BY amount DESC, id LIMIT 7",
    "SELECT id, amount FROM t ORDER BY amount NULLS FIRST, id DESC LIMIT 70 OFFSET 5",
    "SELECT id FROM t ORDER BY customer, amount, id",
    "SELECT DISTINCT customer, paid FROM t",
    "SELECT DISTINCT customer FROM t ORDER BY customer DESC LIMIT 3",
    "SELECT COUNT(*) FROM (SELECT DISTINCT customer FROM t) AS x",
    "SELECT one FROM (SELECT COUNT(*) AS n, 1 AS one FROM t) AS x",
    "SELECT COUNT(*) FROM (SELECT id, note FROM (SELECT * FROM t WHERE amount > 3) AS y WHERE id > 9) AS x WHERE note IS NULL",
    "SELECT MAX(n) FROM (SELECT customer, COUNT(*) AS n FROM t GROUP BY customer) AS x",
    "SELECT id FROM t WHERE amount = (SELECT MAX(amount) FROM t)",
    "SELECT id FROM t WHERE customer IN (SELECT customer FROM t GROUP BY customer HAVING SUM(amount) > 900)",
    "WITH big AS (SELECT * FROM t WHERE amount > 50), few AS (SELECT * FROM big WHERE paid) SELECT COUNT(*), SUM(amount) FROM few",
    "SELECT COALESCE(customer, note, 'none') AS c, NULLIF(customer, 'c1') AS n, GREATEST(amount, id, 30) AS g FROM t",
    "SELECT CASE WHEN amount > 50 THEN 'high' WHEN amount > 0 THEN 'low' END AS level, COUNT(*) FROM t GROUP BY level",
    "SELECT CASE customer WHEN 'c1' THEN 1 WHEN 'c2' THEN 2 ELSE 0 END AS k, IF(paid, 'y', 'n') AS p FROM t",
    "SELECT LOWER(note), LENGTH(note), TRIM(note), SUBSTRING(note, 2, 3), LEFT(note, 2), RIGHT(note, 2) FROM t",
    "SELECT CONCAT(customer, '/', note) AS c, customer || note AS d FROM t",
    "SELECT id FROM t WHERE note LIKE '%b' AND note LIKE 'a%'",
    "SELECT id FROM t WHERE note LIKE '%a%b%a%' OR note LIKE '100%'",
    "SELECT id FROM t WHERE note LIKE 'late_now' OR note LIKE '_.%' OR note LIKE '%_''_' OR note LIKE '%e_n%'",
    "SELECT id FROM t WHERE note NOT LIKE '%a%' AND note ILIKE 'grö%'",
    "SELECT id FROM t WHERE CONTAINS(note, '.') OR STARTS_WITH(note, 'x') OR ends_with(note, 'ow')",
    "SELECT ABS(amount), FLOOR(amount), CEIL(amount), SQRT(ABS(amount)), id / 7, id // 7, id % 7, -7 % (id + 1) FROM t",
    "SELECT CAST(id AS VARCHAR) || 'x' AS a, CAST('7' AS INTEGER) + id AS b, TRY_CAST(note AS DOUBLE) AS c FROM t",
    "SELECT kind, COUNT(*) FROM t WHERE kind > 'c2' GROUP BY kind",
    'SELECT t.id AS "the id", T.Amount FROM orders AS t WHERE T.ID < 5',
    "SELECT * EXCLUDE (note, kind, code) FROM t WHERE id < 3",
    "SELECT 1 AS one, NULL AS nothing, 'x' AS text, TRUE AS yes FROM t WHERE id < 2",
    "SELECT id FROM t WHERE 1 = 1 AND TRUE AND id < 4",
    "SELECT id FROM t WHERE NULL",
    "SELECT SUM(paid::INT), AVG(CAST(paid AS INT)), MIN(ts) FROM t",
    "SELECT customer, ANY_VALUE(customer) FROM t GROUP BY customer",
    "SELECT id FROM t WHERE @amount > 90",
    "SELECT MIN(kind), MAX(code), COUNT(DISTINCT code), SUM(code) FROM t",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_gives_what_duckdb_gives(shop, oracle, query):
    wanted = oracle.execute(query).fetchall()
    found = [tuple(row.values()) for row in shop.sql(query)]
    ordered = "ORDER BY" in query
    assert _rows(found, ordered=ordered) == _rows(wanted, ordered=ordered)


def test_what_is_divided_by_zero_is_null(shop):
    found = shop.sql("SELECT id / 0 AS a, 7 % (id - 1) AS b, id // (id - 1) AS c FROM t WHERE id = 1")
    assert found == [{"a": None, "b": None, "c": None}]


def test_a_handle_answers_count_sample_describe_and_where(shop):
    assert shop.handle.schema["amount"] == "DOUBLE"
    assert shop.handle.schema["ts"] == "TIMESTAMP"
    assert shop.ask("count", conditions=["amount > 20", "t.customer = 'c1'"]) == int(
        ((ORDERS["amount"] > 20) & (ORDERS["customer"] == "c1")).sum()
    )
    about = shop.ask("where", conditions=["amount > 20"])
    assert (
        "Table `orders` of a dask cluster of 2 workers, only amount > 20: rows not counted"
        in about["summary"]
    )
    sample = shop.ask("sample", n=400, conditions=["id >= 100"])
    assert len({row["id"] for row in sample}) == 400
    assert min(row["id"] for row in sample) >= 100
    assert len(shop.ask("sample", n=400, conditions=["id < 5"])) == 5
    figures = {row["column"]: row for row in shop.ask("describe")}
    assert (figures["id"]["min"], figures["id"]["max"], figures["id"]["values"]) == (0, ROWS - 1, ROWS)
    assert figures["amount"]["mean"] == pytest.approx(ORDERS["amount"].mean())
    assert figures["customer"]["max"] == "c6"


def test_what_is_described_is_in_the_words_of_handles(shop):
    about = shop.handle.about
    assert about["summary"].startswith("Table `orders` of a dask cluster of 2 workers: ")
    assert [column["dtype"] for column in about["columns"][:3]] == ["BIGINT", "DOUBLE", "VARCHAR"]
    assert any("JOIN, UNION and window functions are not available" in note for note in about["notes"])


# ---------------------------------------------------------------------------------- what is refused

HOSTILE = [
    "SELECT __import__('os').system('touch REACHED') FROM t",
    "SELECT id.__class__ FROM t",
    "SELECT t.__class__ FROM t",
    "SELECT * FROM t.__class__",
    "SELECT id.map_partitions(print) FROM t",
    "SELECT map_partitions(id) FROM t",
    "SELECT apply(id, 'lambda x: x') FROM t",
    "SELECT list_transform([id], x -> x + 1) FROM t",
    "SELECT eval('1') FROM t",
    "SELECT query('id > 3') FROM t",
    "SELECT * FROM t WHERE \"__import__('os').system('touch REACHED')\" = 1",
    "SELECT * FROM t WHERE `id` > 3",
    "SELECT * FROM t WHERE id = @pd.eval",
    "SELECT REPEAT(note, 1000000000) FROM t",
    "SELECT STRFTIME(ts, '%999999999Y') FROM t",
    "SELECT STRFTIME(ts, note) FROM t",
    "SELECT ROUND(amount, 500000) FROM t",
    "SELECT note * 1000000000 FROM t",
    "SELECT SUM(note) FROM t",
    "SELECT RPAD(note, 1000000000, 'x') FROM t",
    "SELECT regexp_matches(note, '(a+)+$') FROM t",
    "SELECT note SIMILAR TO '(a+)+' FROM t",
    "SELECT REPLACE(note, '', note) FROM t",
    "SELECT STRING_AGG(note, ',') FROM t",
    "SELECT LIST(note) FROM t",
    "SELECT UNNEST([1, 2, 3]) FROM t",
    "SELECT * FROM t, t AS u, t AS v",
    "SELECT * FROM t AS a CROSS JOIN t AS b",
    "SELECT * FROM t JOIN t AS b ON t.id = b.id",
    "SELECT * FROM t UNION ALL SELECT * FROM t",
    "SELECT * FROM range(1000000000)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    "SELECT ROW_NUMBER() OVER (ORDER BY id) FROM t",
    "SELECT *, *, * FROM (SELECT *, * FROM (SELECT *, *, *, *, *, *, *, * FROM (SELECT *, *, *, *, *, *, *, *, *, * FROM t) AS a) AS b) AS c",
    "SELECT id FROM t WHERE note LIKE '%a_b%a_b%'",
    "SELECT id FROM t ORDER BY RANDOM()",
    "SELECT id FROM t WHERE (SELECT MAX(u.id) FROM t AS u WHERE u.customer = t.customer) = id",
    "SELECT DISTINCT ON (customer) id FROM t",
    "SELECT id FROM t TABLESAMPLE 10%",
    "SELECT id, SUM(amount) FROM t",
    "SELECT SUM(AVG(amount)) FROM t",
    "SELECT id FROM t WHERE SUM(amount) > 3",
    "SELECT id FROM " + "(SELECT *, * FROM " * 8 + "t" + ") AS t" * 9,
    "SELECT " + "(" * 400 + "id" + ")" * 400 + " FROM t",
    "SELECT id FROM t WHERE " + " OR ".join(f"id = {n}" for n in range(3000)),
]


@pytest.mark.parametrize("query", [*WRITES, *REACHES, *TWO, *FUNCTIONS, *OTHER_TABLES, *HOSTILE])
def test_what_is_not_a_query_of_the_frame_is_refused_before_the_cluster_is_asked(
    shop, query, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QueryError) as refused:
        shop.sql(query)
    assert "The cluster says" not in refused.value.message
    assert list(tmp_path.iterdir()) == []


def test_texts_cannot_be_doubled_until_the_workers_are_full(shop):
    query = "SELECT note FROM t"
    for _ in range(30):
        query = f"SELECT note || note AS note FROM ({query}) AS t"
    with pytest.raises(QueryError, match="joins texts of"):
        shop.sql(query)


def _of_itself(times):
    return " || ".join(["x"] * times)


BOMBS = [
    # Each aggregate, and each query in parentheses, would begin anew with short texts.
    f"SELECT MAX({_of_itself(30)}) FROM (SELECT MAX({_of_itself(30).replace('x', 'note')}) AS x FROM t) AS a",
    f"WITH a AS (SELECT MAX(note) AS x FROM t) SELECT {_of_itself(30).replace('x', '(SELECT x FROM a)')} FROM t",
    f"SELECT (SELECT MAX(note || '{'x' * 1500}') FROM t) FROM t",
    f"SELECT LOWER('{'x' * 4000}') FROM t",
    f"SELECT COALESCE(note, '{'x' * 4000}') FROM t",
    f"SELECT id FROM t WHERE note LIKE '{'_' * 300}%'",
    # What an alias or a number stands for is computed wherever it stands.
    f"SELECT id{' + 1' * 100} AS a FROM t ORDER BY {', '.join(['a'] * 50)}",
    f"SELECT id{' + 1' * 100} AS a FROM t ORDER BY {', '.join(['1'] * 50)}",
    f"SELECT id{' + 1' * 100} AS a FROM t GROUP BY id HAVING {' OR '.join(['a > 1'] * 50)}",
]


@pytest.mark.parametrize("query", BOMBS)
def test_no_short_query_makes_long_texts_or_long_work(shop, query):
    with pytest.raises(QueryError, match=r"joins texts of|the most is|has at most|steps on its way"):
        shop.sql(query)


def test_a_long_number_is_refused_and_no_part_of_it_taken(shop):
    for number in (f"0.{'0' * 50}1", "9" * 60, f"'{'1' * 60}'", f"0.{'1' * 50}e5"):
        with pytest.raises(QueryError, match="at most 40 characters"):
            shop.sql(f"SELECT id FROM t WHERE amount > {number}")


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_is_one_condition(shop, condition):
    try:
        shop.ask("count", conditions=["id > 5", condition])
    except QueryError as refused:
        assert "The cluster says" not in refused.message  # noqa: PT017 - some are answered


def test_a_missing_column_and_a_wrong_type_are_told_with_what_to_do(shop):
    for query, says in (
        ("SELECT amuont FROM t", "There is no column `amuont` here. There is: `id`, `amount`"),
        ("SELECT id FROM t WHERE note > 3", "VARCHAR cannot be compared with DOUBLE"),
        ("SELECT SUM(customer) FROM t", "SUM of VARCHAR is not available: CAST it"),
        ("SELECT customer, id FROM t GROUP BY customer", "`id` must be in GROUP BY or in an aggregate"),
        (
            "SELECT MEDIAN(amount) FROM t",
            "The aggregate `MEDIAN` is not available for a frame on a dask cluster",
        ),
        ("SELECT id FROM t WHERE ts > 'yesterday'", "is not a date or a time"),
        ("SELECT CAST(note AS DOUBLE) FROM t", "The cluster says: Unable to parse string"),
    ):
        with pytest.raises(QueryError) as refused:
            shop.sql(query)
        assert says in refused.value.message


def test_no_code_of_this_package_was_sent_to_the_workers(client, shop):
    shop.sql("SELECT customer, AVG(amount) FROM t WHERE note LIKE '%a%' GROUP BY customer")

    def modules():
        import sys

        return [name for name in sys.modules if name.startswith(("rlm_jupyter", "_rlm", "sqlglot"))]

    assert list(client.run(modules).values()) == [[], []]


# -------------------------------------------------------------------------------------------- limits


def test_a_result_that_is_too_large_is_an_error_and_nothing_of_it_travels(shop, client, monkeypatch):
    travelled = []
    gather = client.gather
    monkeypatch.setattr(client, "gather", lambda futures, **more: _noted(gather(futures, **more), travelled))
    for name, limit in (("MOST_ROWS", 100), ("MOST_BYTES", 1000)):
        with monkeypatch.context() as patch:
            patch.setattr(f"rlm_jupyter.databases.results.{name}", limit)
            with pytest.raises(QueryError, match=r"limit of one result. Aggregate in SQL"):
                shop.sql("SELECT * FROM t")
            assert {type(one) for one in travelled} == {int}
            if name == "MOST_ROWS":
                assert len(shop.sql("SELECT * FROM t ORDER BY amount LIMIT 100")) == 100
                assert len(shop.sql("SELECT * FROM t LIMIT 100")) == 100
                with pytest.raises(QueryError, match="limit of one result"):
                    shop.sql("SELECT * FROM t LIMIT 101")
            travelled.clear()


def _noted(values, travelled):
    travelled += values
    return values


def _slowly(part):
    time.sleep(0.4)
    return part


@pytest.fixture
def slow(client):
    """A frame of the user's, each part of which takes a while."""
    import sys

    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    frame = dask.dataframe.from_pandas(ORDERS[["id", "amount"]], npartitions=14)
    yield frame.map_partitions(_slowly, meta=frame)
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    until(lambda: _tasks(client) == 0)


def _tasks(client):
    return client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))


def test_a_query_that_takes_too_long_is_given_up_and_the_same_query_of_another_goes_on(client, slow):
    database = Asking(slow, "orders").database
    query = 'SELECT SUM("id") AS "s" FROM "orders"'
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(database.execute, query, Query())
        until(lambda: _tasks(client) > 0)
        with pytest.raises(QueryError):
            within(0.8, lambda own: database.execute(query, own))
        assert other.result(100).to_pylist() == [{"s": float(ORDERS["id"].sum())}]
    until(lambda: _tasks(client) == 0)


def test_stop_gives_up_the_query_of_an_agent_on_the_cluster(client, slow, tmp_path):
    with asking(tmp_path) as ask:
        run = ask(
            {"root": ["context.sql('SELECT SUM(amount) AS s FROM t')\nFINAL(1)"]}, context=slow, wait=False
        )
        until(lambda: any(event.kind == "cell_started" or "code" in event.kind for event in run.events))
        until(lambda: _tasks(client) > 0)
        run.stop()
        until(lambda: _tasks(client) == 0)
        run.wait(100)
        (asked,) = [event for event in run.events if event.kind == "table_queried"]
        assert not asked.ok


# ---------------------------------------------------------------------------------------------- runs


def test_agents_ask_a_frame_on_a_cluster_by_a_handle(client, tmp_path):
    code = """
orders = context
total = orders.sql("SELECT customer, SUM(amount) AS total FROM t GROUP BY customer ORDER BY total DESC LIMIT 1")
part = orders.where("customer = 'c1'")
try:
    orders.map_partitions(print)
except AttributeError as error:
    refused = str(error)
try:
    orders.sql("SELECT a.id FROM t AS a JOIN t AS b ON a.id = b.id")
except ValueError as error:
    joined = str(error)
FINAL({"first": total["customer"][0], "sub": rlm_query("part", context=part), "n": len(part), "refused": refused, "joined": joined})
"""
    sub = "FINAL(context.sql('SELECT COUNT(DISTINCT note) AS n FROM t')['n'][0])"
    frame = dask.dataframe.from_pandas(ORDERS, npartitions=3)
    with asking(tmp_path) as ask:
        run = ask({"root": [code], "part": [sub]}, context=frame, names=("orders",))
        value = run.raise_for_error().value
        prompt = run.messages()[1]["content"]
    sums = ORDERS.groupby("customer")["amount"].sum()
    assert value["first"] == sums.idxmax()
    mine = ORDERS[ORDERS["customer"] == "c1"]
    assert (value["sub"], value["n"]) == (mine["note"].nunique(), len(mine))
    assert "map_partitions" in value["refused"]
    assert "is not available for a frame on a dask cluster" in value["joined"]
    assert "dask cluster of 2 workers" in prompt
    asked = [event for event in run.events if event.kind == "table_queried"]
    assert [(one.agent, one.ok) for one in asked] == [
        ("0", True),
        ("0", True),
        ("0", False),
        ("0.1", True),
        ("0", True),
    ]
    assert {one.source for one in asked} == {"dask cluster of 2 workers"}


def test_frames_of_several_kinds_are_taken(client):
    named = dask.dataframe.from_pandas(
        ORDERS.set_index("id")[["amount"]].rename(columns={"amount": 7}), npartitions=2
    )
    shop = Asking(named, "orders")
    assert list(shop.handle.schema) == ["id", "7"]
    assert shop.sql('SELECT MAX("7") AS m FROM t') == [{"m": ORDERS["amount"].max()}]
    column = Asking(dask.dataframe.from_pandas(ORDERS, npartitions=2)["amount"], "amounts")
    assert column.sql("SELECT COUNT(amount) AS n FROM amounts") == [{"n": int(ORDERS["amount"].count())}]
    kept = client.persist(dask.dataframe.from_pandas(ORDERS, npartitions=2))
    assert Asking(kept, "kept").ask("count") == ROWS


def test_a_frame_that_was_persisted_is_asked_by_its_own_client(client):
    with Client(client.scheduler.address, set_as_default=False) as other:
        kept = other.persist(dask.dataframe.from_pandas(ORDERS, npartitions=2))
        assert Asking(kept, "kept").database._client is other


def test_what_cannot_be_asked_is_refused(client, monkeypatch):
    frame = dask.dataframe.from_pandas(ORDERS, npartitions=2)
    twice = dask.dataframe.concat([frame["id"], frame["id"]], axis=1)
    with pytest.raises(ContextError, match="several columns of one name"):
        take_databases(twice, "orders", rows=0)
    monkeypatch.setattr(client, "_asynchronous", True)
    with pytest.raises(ContextError, match="asynchronous"):
        take_databases(frame, "orders", rows=0)
