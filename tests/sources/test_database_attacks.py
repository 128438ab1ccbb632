"""What is refused: everything that is not reading the tables that were handed over, twice: by us and by the database."""

import shutil

import duckdb
import pytest
from database_attacks import ALLOWED, CONDITIONS, FUNCTIONS, OTHER_TABLES, REACHES, TWO, WRITES
from database_parts import KINDS, ORDERS, Asking, duckdb_file, fill, sqlite_file

from rlm_jupyter.databases.query_errors import QueryError
from rlm_jupyter.databases.running import Query


@pytest.fixture(params=list(KINDS), scope="module")
def shop(request, tmp_path_factory):
    return Asking(KINDS[request.param](tmp_path_factory.mktemp("shop")))


@pytest.fixture(autouse=True)
def unchanged(shop):
    """All is as it was after each attack."""
    yield
    assert shop.whole("SELECT COUNT(*) AS n, SUM(amount) AS s FROM orders") == [
        {"n": len(ORDERS), "s": sum(row[1] for row in ORDERS)}
    ]
    assert shop.whole("SELECT word FROM vault") == [{"word": "hidden"}]


@pytest.mark.parametrize("query", [*WRITES, *REACHES, *TWO, *FUNCTIONS])
def test_what_is_not_a_query_of_the_tables_is_refused(shop, query):
    if "@" in query and shop.database.dialect == "duckdb":
        pytest.skip("`@` is an operator of DuckDB: the absolute value")
    for ask in (shop.whole, lambda text: shop.sql(text, table="orders")):
        with pytest.raises(QueryError) as refused:
            ask(query)
        assert "The database says" not in refused.value.message  # it was not even asked


@pytest.mark.parametrize("query", OTHER_TABLES)
def test_a_table_that_is_not_the_handles_is_refused(shop, query):
    with pytest.raises(QueryError, match=r"There is no table `(main.)?vault` here"):
        shop.sql(query, table="orders")


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_is_one_condition(shop, condition):
    for what in ("where", "count"):
        if condition in ALLOWED:
            shop.ask(what, table="orders", conditions=[condition])
            continue
        with pytest.raises(QueryError) as refused:
            shop.ask(what, table="orders", conditions=["id > 5", condition])
        assert "The database says" not in refused.value.message


@pytest.mark.parametrize("statement", [*WRITES, *REACHES])
def test_the_database_itself_refuses_what_would_pass_the_check(shop, statement, tmp_path, monkeypatch):
    if type(shop.database).__name__ == "DuckDB" and statement == "ROLLBACK":
        pytest.skip("nothing is open that it could undo")
    monkeypatch.chdir(tmp_path)
    try:
        shop.database.execute(statement, Query())
    except QueryError:
        pass
    else:  # harmless where it does nothing, such as a lock of a reader
        assert statement in HARMLESS, statement
    assert list(tmp_path.iterdir()) == []


HARMLESS = {"SELECT * FROM orders FOR UPDATE", "DESCRIBE orders", "SHOW TABLES", "SUMMARIZE orders"}


@pytest.mark.parametrize("kind", ["duckdb_file", "sqlite_file"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT load_extension('x')",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM pragma_database_list",
    ],
)
def test_connections_of_our_own_reach_no_file_even_unchecked(kind, statement, tmp_path):
    database = Asking(KINDS[kind](tmp_path)).database
    if kind == "duckdb_file" and ("sqlite" in statement or "pragma" in statement):
        pytest.skip("the catalogue of the file itself")
    with pytest.raises(QueryError):
        database.execute(statement, Query())


def test_nothing_is_written_beside_a_file_not_even_by_a_query_that_spills(tmp_path):
    for path in (duckdb_file(tmp_path), sqlite_file(tmp_path)):
        before = path.read_bytes()
        names = sorted(each.name for each in tmp_path.iterdir())
        shop = Asking(path)
        shop.whole(
            "SELECT a.id, b.amount FROM orders a CROSS JOIN orders b ORDER BY b.amount, a.customer LIMIT 7"
        )
        assert path.read_bytes() == before
        assert sorted(each.name for each in tmp_path.iterdir()) == names


def test_files_in_a_folder_that_cannot_be_written_are_read(tmp_path):
    folder = tmp_path / "fixed"
    folder.mkdir()
    for path in (duckdb_file(folder), sqlite_file(folder)):
        path.chmod(0o444)
        assert Asking(path).whole("SELECT COUNT(*) AS n FROM orders") == [{"n": 100}]
    shutil.rmtree(folder)


def test_the_settings_and_the_transaction_of_the_users_connection_stay_as_they_are():
    connection = duckdb.connect()
    fill(connection.execute)
    listing = "SELECT name, value FROM duckdb_settings() ORDER BY name"
    before = connection.execute(listing).fetchall()
    connection.execute("BEGIN")
    connection.execute("INSERT INTO orders VALUES (-1, 0, 'new')")
    shop = Asking(connection)
    assert shop.ask("count", table="orders") == 100  # not committed yet
    connection.execute("COMMIT")
    assert shop.ask("count", table="orders") == 101
    assert connection.execute(listing).fetchall() == before


def test_a_query_that_is_too_long_or_too_deep_is_refused():
    connection = duckdb.connect()
    fill(connection.execute)
    shop = Asking(connection)
    with pytest.raises(QueryError, match="20,000"):
        shop.whole("SELECT 1" + " " * 20_000)
    with pytest.raises(QueryError):
        shop.whole("SELECT " + "(" * 9000 + "1" + ")" * 9000)
    with pytest.raises(QueryError):
        shop.whole("SELECT " + "- " * 9000 + "1")
    assert shop.whole("SELECT 1 AS a") == [{"a": 1}]


def test_malformed_questions_are_refused(shop):
    from rlm_jupyter.databases.questions import Asked

    for body in (
        {"conditions": "id > 5"},
        {"conditions": [7]},
        {"conditions": ["id > 5"] * 51},
        {"table": 7},
        {"sql": 7},
        {"n": "7"},
        {"n": True},
    ):
        with pytest.raises(QueryError):
            Asked.read({"table": "orders", "what": "count", **body})
    for more in ({"what": "drop"}, {"what": "sample", "n": -1}, {"what": "sample", "n": 10**9}):
        with pytest.raises(QueryError):
            shop.ask(more.pop("what"), table="orders", **more)
