"""Frames on a dask cluster of two real worker processes: what queries answer, compared with DuckDB, and what is refused."""

import threading
import time

import dask.dataframe
import duckdb
import numpy as np
import pandas as pd
import pytest
from database_attacks import CONDITIONS, FUNCTIONS, OTHER_TABLES, REACHES, TWO, WRITES
from database_parts import Asking
from distributed import Client, LocalCluster
from run_parts import asking, until

from rlm_jupyter.databases.query_errors import QueryError, QueryTimeoutError
from rlm_jupyter.databases.running import within
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
    return Asking(dask.dataframe.from_pandas(ORDERS, npartitions=5), "orders")


@pytest.fixture(scope="module")
def oracle():
    connection = duckdb.connect()
    orders = ORDERS.assign(kind=ORDERS["kind"].astype("object"))
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
    "SELECT t.id AS \"the id\", T.Amount FROM orders AS t WHERE T.ID < 5",
    "SELECT * EXCLUDE (note, kind) FROM t WHERE id < 3",
    "SELECT 1 AS one, NULL AS nothing, 'x' AS text, TRUE AS yes FROM t WHERE id < 2",
    "SELECT id FROM t WHERE 1 = 1 AND TRUE AND id < 4",
    "SELECT id FROM t WHERE NULL",
    "SELECT SUM(paid::INT), AVG(CAST(paid AS INT)), MIN(ts) FROM t",
    "SELECT customer, ANY_VALUE(customer) FROM t GROUP BY customer",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_gives_what_duckdb_gives(shop, oracle, query):
    wanted = oracle.execute(query).fetchall()
    found = [tuple(row.values()) for row in shop.sql(query)]
    ordered = "ORDER BY" in query
    assert _rows(found, ordered=ordered) == _rows(wanted, ordered=ordered)
