"""Hidden columns of databases: their values are read by queries on the way that agents' take."""

import sqlite3
from contextlib import closing

import pytest
from hidden_requests import assert_nothing_left, seen, values_of
from planted_values import EMAILS, PLANTED, SALARIES, frame

from rlm_jupyter.databases.query_errors import QueryError
from rlm_jupyter.errors import ConfigError

duckdb = pytest.importorskip("duckdb")
sqlalchemy = pytest.importorskip("sqlalchemy")

NESTED = """
CREATE TABLE orders AS SELECT * FROM (VALUES
    (1, {'email': 'one@x.example', 'n': 4711}, '[{"email": "two@x.example"}]'::JSON, MAP {'email': 'three@x.example'},
     ['four@x.example'], '5550 1234'),
    (2, NULL, NULL, NULL, NULL, NULL)) AS t(id, who, raw, keys, email, phone);
CREATE SCHEMA s;
CREATE TABLE s.orders AS SELECT 'five@x.example' AS email;
CREATE VIEW shouted AS SELECT upper(phone) AS phone FROM orders;
"""


@pytest.fixture
def nested():
    with closing(duckdb.connect()) as connection:
        connection.execute(NESTED)
        yield connection


def test_columns_of_tables_and_views_are_read(nested):
    found = values_of(nested, "phone")
    assert found == {"phone": ["5550 1234", "5550 1234"]}
    assert values_of(nested, "s.orders.email") == {"email": ["five@x.example"]}
    assert values_of(nested, "data.s.orders.email") == {"email": ["five@x.example"]}
    assert values_of(nested, "shouted.*") == {"phone": ["5550 1234"]}
    assert values_of(nested, "customers.email") == {}


def test_fields_of_nested_columns_are_read(nested):
    found = [f"{word}@x.example" for word in ("one", "two", "three", "four", "five")]
    assert sorted(values_of(nested, "email")["email"]) == sorted(found)
    assert values_of(nested, "who.email") == {"email": ["one@x.example"]}
    assert values_of(nested, "who") == {"who": ["one@x.example", 4711]}


def test_all_columns_of_a_database_are_read(nested):
    found = values_of(nested, whole=True)
    assert set(found) == {"id", "who", "raw", "keys", "email", "phone"}


def test_each_value_is_read_once_and_no_more_than_may_be_held(tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("CREATE TABLE t (email TEXT, name TEXT)")
        rows = [(f"p{number % 30}@x.example", f"Person {number}") for number in range(90)]
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.commit()
    assert len(values_of(tmp_path / "a.db", "email", most=30)["email"]) == 30
    for most in (29, 110):
        with pytest.raises(ConfigError, match=rf"values of `t\.\w+`: .*more than {most} values.*`hide_most`"):
            values_of(tmp_path / "a.db", "email", "name", most=most)


def test_a_column_that_cannot_be_read_is_refused(nested):
    nested.execute("CREATE VIEW broken AS SELECT CAST(phone AS INTEGER) AS code FROM orders")
    with pytest.raises(ConfigError, match=r"cannot tell the values of `broken.code`: .*Hand over a query"):
        values_of(nested, "code")


def test_a_slow_query_ends(nested, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.run_setup.hidden_sources.database_values.SECONDS", 0.2)
    nested.execute(
        "CREATE VIEW slow AS SELECT (a.range * b.range)::VARCHAR || 'x' AS code FROM range(1000000) a, range(1000000) b"
    )
    with pytest.raises(ConfigError, match=r"`slow.code`: it takes longer than 0 seconds|memory"):
        values_of(nested, "code", most=10**9)


@pytest.mark.parametrize("kind", ["engine", "memory", "relation"])
def test_connections_hide_as_files_do(ask, openai_server, tmp_path, kind):
    people = frame()
    if kind == "engine":
        data = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'p.db'}")
        people.to_sql("people", data, index=False)
    elif kind == "memory":
        data = sqlite3.connect(":memory:")
        people.to_sql("people", data, index=False)
    else:
        connection = duckdb.connect()
        connection.register("view_of_people", people)
        connection.execute("CREATE TABLE people AS SELECT * FROM view_of_people")
        data = connection.sql("FROM people")
    turns = [
        "print(context)\nprint(context['people'] if context.tables else context)"
        if kind != "relation"
        else "print(context)",
        f"people = context.sql('SELECT * FROM {'t' if kind == 'relation' else 'people'}')\nprint(people.to_string())",
        "print(context.where('salary > 50000').describe())"
        if kind == "relation"
        else "print(context['people'].describe())",
        "FINAL([list(people.email), context.sql(\"SELECT salary FROM {} WHERE email = '⟨email:1⟩'\").salary[0]])".format(
            "t" if kind == "relation" else "people"
        ),
    ]
    try:
        run = ask(turns, data)
        mails, salary = run.value
        assert (mails, salary) == (EMAILS, SALARIES[EMAILS.index(min(EMAILS))])
    finally:
        (data.dispose if kind == "engine" else connection.close if kind == "relation" else data.close)()
    assert_nothing_left(openai_server, PLANTED)
    assert "⟨email:1⟩" in "".join(seen(openai_server))


def test_a_result_that_is_too_large_says_so_to_agents_as_before(nested):
    from rlm_jupyter.databases.results import check_size

    with pytest.raises(QueryError, match="more than 1,000,000 rows"):
        check_size(1_000_001, 0)
    check_size(1_000_001, 0, (2_000_000, 10))
