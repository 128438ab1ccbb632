"""Agents that ask databases: real kernels, handles among agents, stops, limits, records."""

import duckdb
import pytest
import sqlalchemy
from database_parts import ORDERS, duckdb_connection, duckdb_file, fill, sqlite_file
from run_parts import asking, until

from rlm_jupyter.records import load
from rlm_jupyter.run_setup.named_paths import paths_of
from rlm_jupyter.values.codec.table_handle import Table
from rlm_jupyter.views.text_tree import show_agent

TOTAL = sum(row[1] for row in ORDERS)


def queries(run, agent=None):
    events = [event for event in run.events if event.kind == "table_queried"]
    return [event for event in events if agent is None or event.agent == agent]


def test_an_agent_asks_by_the_handle_and_each_query_is_recorded(tmp_path):
    code = """
import pandas as pd
db = context
orders = db["orders"]
frame = orders.sql("SELECT customer, SUM(amount) AS total FROM t GROUP BY customer ORDER BY customer")
assert type(frame) is pd.DataFrame and str(frame["total"].dtype) == "float64", frame.dtypes
assert len(orders) == orders.count() == 100 and db.tables == ["orders", "vault"] and "orders" in db
assert orders.schema["id"] == "INTEGER" and orders.columns == ["id", "amount", "customer"]
assert len(orders.sample(4)) == 4 and orders.describe().loc["id", "max"] == 99
try:
    orders.sql("SELECT word FROM vault")
except ValueError as error:
    refused = str(error)
print(repr(orders), repr(db))
FINAL({"total": float(frame["total"].sum()), "refused": refused, "handle": orders.where("id > 5")})
"""
    with asking(tmp_path) as ask:
        run = ask({"root": [code]}, context=duckdb_file(tmp_path), names=("shop",))
        value = run.raise_for_error().value
        prompt = run.messages()[1]["content"]
        page = show_agent(run.tree, "0")
    assert value["total"] == TOTAL
    assert "There is no table `vault` here" in value["refused"]
    assert type(value["handle"]) is Table
    assert "DuckDB database `shop.duckdb` with 2 tables" in prompt
    assert "orders: 100 rows: id INTEGER" in prompt
    assert ".sql('SELECT ... FROM name ...') returns a DataFrame" in prompt
    asked = queries(run)
    assert [(one.text, one.rows, one.ok) for one in asked] == [
        ("SELECT customer, SUM(amount) AS total FROM t GROUP BY customer ORDER BY customer", 7, True),
        (".count()", None, True),
        (".count()", None, True),
        (".sample(4)", 4, True),
        (".describe()", None, True),
        ("SELECT word FROM vault", None, False),
        (".where('id > 5')", None, True),
    ]
    assert {(one.source, one.table, one.turn) for one in asked} == {
        ("DuckDB database `shop.duckdb`", "orders", 1)
    }
    assert "Query orders: SELECT customer, SUM(amount) AS total FROM t" in page
    assert "Query orders: SELECT word FROM vault failed" in page
    record = load(run.log_path)
    assert [call.query for call in record.tree.agents["0"].turns[0].tool_calls] == [True] * 7


def test_handles_go_to_sub_agents_and_back_and_stay_queries(tmp_path):
    code = """
orders = context["shop"]["orders"]
big = orders.where("amount > 120")
parts = [{"part": big.where(f"customer = 'c{n}'"), "n": n} for n in range(2)]
found = rlm_query_batched(["part"] * 2, contexts=parts)
FINAL([[back.count(), n] for back, n in found] + [repr(found[0][0])])
"""
    part = (
        "narrow = context['part'].where('id < 95')\nFINAL((narrow, len(narrow.sql('SELECT * FROM orders'))))"
    )
    expected = [
        len([1 for row in ORDERS if row[1] > 120 and row[2] == f"c{n}" and row[0] < 95]) for n in range(2)
    ]
    with asking(tmp_path) as ask:
        run = ask({"root": [code], "part": [part]}, context={"shop": sqlite_file(tmp_path), "more": 7})
        value = run.raise_for_error().value
        prompt = run.messages("0.1")[1]["content"]
    assert value[:2] == [[number, number] for number in expected]
    assert "where customer = 'c0' where id < 95" in value[2]
    assert "Table `orders` of a SQLite database `shop.db`, only amount > 120 AND customer = 'c0'" in prompt
    assert [one.text for one in queries(run, "0.1")] == [".where('id < 95')", "SELECT * FROM orders"]


def test_a_forged_handle_has_no_more_rights_than_the_run(tmp_path):
    code = """
db = context
Handle = type(db)
def attempt(*parts):
    try:
        return repr(Handle(*parts, {}).count())
    except Exception as error:
        return type(error).__name__ + ": " + str(error)[:60]
FINAL([attempt("0" * 8, "vault", ()), attempt(db.source, "vault", ()), attempt(db.source, "orders", ("1=1) OR (1=1",)),
       attempt(db.source, 7, ()), attempt(7, None, ()), attempt(db.source, "orders", tuple(["1=1"] * 99))])
"""
    connection = duckdb_connection(tmp_path)
    with asking(tmp_path) as ask:
        value = (
            ask({"root": [code]}, context=connection.sql("FROM orders"), names=("orders",))
            .raise_for_error()
            .value
        )
    assert value[0].startswith("ToolLookupError: There is no such database in this run")
    assert value[1].startswith("ToolValueError: There is no table `vault` here")
    assert value[2].startswith("ToolValueError: `1=1) OR (1=1` is not a condition")
    assert not any(one.isdigit() for one in value)


def test_several_sources_are_told_apart_and_files_are_not_readable_as_files(tmp_path):
    code = """
def read(path):
    try:
        return open(path, "rb").read(4)
    except OSError as error:
        return type(error).__name__
FINAL([shop.tables, other["vault"].sql("SELECT word FROM t")["word"][0], read(PATH)])
""".replace("PATH", repr(str(tmp_path / "shop.duckdb")))
    context = {"shop": paths_of(f"@{duckdb_file(tmp_path)}"), "other": sqlite_file(tmp_path)}
    with asking(tmp_path) as ask:
        run = ask({"root": [code]}, context=context, names=("shop", "other"))
        assert run.raise_for_error().value == [["orders", "vault"], "hidden", "PermissionError"]
        prompt = run.messages()[1]["content"]
    assert "shop: DuckDB database `shop.duckdb` with 2 tables" in prompt
    assert "other: SQLite database `shop.db` with 2 tables" in prompt
    assert "`shop`, `other`: It is a handle" in prompt


def test_a_follow_up_asks_the_databases_of_the_run_that_it_continues(tmp_path):
    with asking(tmp_path) as ask:
        run = ask(
            {
                "root": [
                    "print(context)\nFINAL(1)",
                    "FINAL([context['orders'].count(), context_2['orders'].count()])",
                ]
            },
            context=duckdb_file(tmp_path),
        )
        again = run.raise_for_error().ask("again", sqlite_file(tmp_path))
        assert again.value == [100, 100]
        again.close()


SLOW = "SELECT COUNT(*) FROM range(1000000) AS a(i), range(1000000) AS b(j) WHERE i + j = 7"


def under_way(run):
    """Whether the database of a run has a query that has not ended."""
    pools = [database.pool for database in run._conductor.databases.values()]
    return any(pool._turns._value < 5 for pool in pools)


@pytest.mark.parametrize("end", ["run", "agent"])
def test_stop_ends_the_query_in_the_database(tmp_path, end):
    connection = duckdb_connection(tmp_path)
    slow = f"context.sql({SLOW!r})\nFINAL(1)"
    script = {"root": ["FINAL(rlm_query('slow', context=context))"], "slow": [slow]}
    with asking(tmp_path) as ask:
        run = ask(script, context=connection, wait=False)
        until(lambda: under_way(run))
        if end == "run":
            run.stop()
        else:
            run.stop("0.1")
        until(lambda: queries(run))
        until(lambda: not under_way(run))
        run.wait(100)
        (asked,) = queries(run)
        assert (asked.agent, asked.text, asked.ok) == ("0.1", SLOW, False)
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_the_limit_of_a_cell_ends_the_query_too_and_the_agent_goes_on(tmp_path):
    with asking(tmp_path) as ask:
        code = f"context.sql({SLOW!r})"
        run = ask(
            {"root": [code, "FINAL(context['orders'].count())"]},
            context=duckdb_connection(tmp_path),
            limits={"cell_seconds": 3},
        )
        assert run.raise_for_error().value == 100
        until(lambda: not under_way(run))
        assert queries(run)[0].ok is False


def test_fifty_agents_ask_one_database(tmp_path):
    code = "found = rlm_query_batched(['part'] * 50, contexts=[context.where(f'id >= {n}') for n in range(50)])\nFINAL(found)"
    with asking(tmp_path) as ask:
        run = ask(
            {"root": [code], "part": ["FINAL(context.count())"]},
            context=duckdb_connection(tmp_path).sql("FROM orders"),
            limits={"agents": 100},
        )
        assert run.raise_for_error().value == [100 - n for n in range(50)]


def test_results_arrive_as_frames_of_plain_types(tmp_path):
    code = """
frame = context.sql("SELECT SUM(id) AS h, SUM(1.25::DECIMAL(9, 2)) AS d, 170141183460469231731687303715884105727::HUGEINT AS big, NULL::DECIMAL AS none, MAX('x') AS s, DATE '2024-02-29' AS day FROM orders")
FINAL([frame.iloc[0]["h"] + 1, frame.iloc[0]["d"] + 0.5, {name: str(kind) for name, kind in frame.dtypes.items()}])
"""
    with asking(tmp_path) as ask:
        total, decimal, kinds = (
            ask({"root": [code]}, context=duckdb_connection(tmp_path)).raise_for_error().value
        )
    assert (total, decimal) == (4951, 125.5)
    assert (kinds["h"], kinds["d"], kinds["big"]) == ("int64", "float64", "float64")


def test_secrets_of_an_engine_are_in_no_record(tmp_path):
    secret = "pass-word-of-the-shop"
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://someone:{secret}@127.0.0.1:1/shop")
    with asking(tmp_path) as ask:
        with pytest.raises(TypeError) as refused:
            ask({"root": ["FINAL(1)"]}, context=engine)
        assert secret not in str(refused.value)
        assert "someone" not in str(refused.value)


def test_a_query_with_a_secret_is_recorded_without_it(tmp_path):
    code = "import os\ncontext.sql(f\"SELECT '{os.environ['SHOP_KEY']}' AS a\")\nFINAL(1)"
    with asking(tmp_path) as ask:
        run = ask(
            {"root": [code]}, context=duckdb_connection(tmp_path), env={"SHOP_KEY": "sk-0123456789abcdef"}
        )
        run.raise_for_error()
        assert len(queries(run)) == 1
        assert "sk-0123456789abcdef" not in run.log_path.read_text()


def test_descriptions_quote_no_rows_if_none_are_wanted(tmp_path):
    connection = duckdb.connect()
    fill(connection.execute)
    with asking(tmp_path) as ask:
        for rows, quoted in ((3, True), (0, False)):
            run = ask(
                {"root": ["FINAL(1)"]}, context=connection.sql("FROM orders"), settings={"sample_rows": rows}
            )
            prompt = run.messages()[1]["content"]
            assert ("first rows:" in prompt) is quoted
            assert ("c1" in prompt) is quoted
            assert "100 rows x 3 columns" in prompt


def test_values_of_all_kinds_reach_an_agent(tmp_path):
    query = """
        SELECT UUID '00000000-0000-0000-0000-000000000001' AS u, TIME '12:30:00' AS tm, 'a'::ENUM('a', 'b') AS e,
        MAP {'a': 1} AS m, [1.5, NULL] AS l, {'a': 1, 'b': 'x'} AS s, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS tz,
        INTERVAL 90 MINUTE AS i, TRUE AS b, NULL AS n, 1.5::FLOAT AS f, 'x'::BLOB AS bl, 7::UTINYINT AS ui,
        '101'::BIT AS bits, DATE '2024-02-29' AS d, 170141183460469231731687303715884105727::HUGEINT AS h,
        '{"a": 1}'::JSON AS j
    """
    code = f"frame = context.sql({query!r})\nFINAL({{name: str(frame[name][0]) for name in frame}})"
    with asking(tmp_path) as ask:
        found = ask({"root": [code]}, context=duckdb_connection(tmp_path)).raise_for_error().value
    assert len(found) == 17
    assert found["u"] == "00000000-0000-0000-0000-000000000001"
    assert (found["tm"], found["e"], found["b"], found["f"], found["ui"]) == (
        "12:30:00",
        "a",
        "True",
        "1.5",
        "7",
    )
    assert found["s"] == "{'a': 1, 'b': 'x'}"
    assert found["h"] == "1.7014118346046923e+38"
    assert found["j"] == '{"a": 1}'
    assert found["tz"].startswith("2024-01-01")
