"""Hidden columns of files: a kernel in the sandbox reads their values, none leaves, and the answers hold them."""

import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from hidden_requests import ENCODED, SHOWN, assert_nothing_left, seen
from planted_values import EMAILS, NAMES, PHONES, SALARIES, frame, leaks

from rlm_jupyter.errors import ConfigError

LOAD = {
    "csv": "people = pd.read_csv(context, dtype={'phone': str})",
    "parquet": "people = pd.read_parquet(context)",
    "jsonl": "people = pd.read_json(context, lines=True, convert_dates=False, dtype={'phone': str})",
    "xlsx": "people = pd.read_excel(context, dtype={'phone': str})",
    "folder": "people = pd.concat([pd.read_parquet(one) for one in sorted(context.glob('*.parquet'))], ignore_index=True)",
    "sqlite": "people = context.sql('SELECT * FROM people')",
    "duckdb": "people = context.sql('SELECT * FROM people')",
}


def write(kind, folder):
    people = frame()
    path = folder / f"people.{kind}"
    if kind == "csv":
        people.to_csv(path, index=False)
    elif kind == "parquet":
        people.to_parquet(path, row_group_size=3)
    elif kind == "jsonl":
        people.to_json(path, orient="records", lines=True)
    elif kind == "xlsx":
        people.to_excel(path, index=False)
    elif kind == "folder":
        path.mkdir()
        people[:4].to_parquet(path / "a.parquet")
        people[4:].to_parquet(path / "b.parquet")
        (path / "readme.txt").write_text("What the people earn.\n")
    elif kind == "sqlite":
        with closing(sqlite3.connect(path)) as connection:
            people.to_sql("people", connection, index=False)
    else:
        duckdb = pytest.importorskip("duckdb")
        with closing(duckdb.connect(str(path))) as connection:
            connection.execute("CREATE TABLE people AS SELECT * FROM people")
    return path


def look_up(number):
    """Return the record of a person."""
    return {"number": number, "mail": "a number", "pay": number}


@pytest.mark.parametrize("kind", LOAD)
def test_forty_values_of_a_file_in_all_ways_out_and_none_leaves(ask, openai_server, tmp_path, kind):
    path = write(kind, tmp_path)
    turns = {
        "": [
            "import pandas as pd\n" + LOAD[kind] + "\n" + SHOWN,
            ENCODED,
            "people.describe(include='all')",
            "SHOW_VARS(); one = people.email[3]; names = list(people['name'])",
            "print(context)\ncontext",
            "raise KeyError(people.email[2], people.salary[4])",
            "def f(mail, pay):\n    raise ValueError(f'no {mail} of {pay}')\nf(people.email[0], people.salary[0])",
            "a = llm_query(f'Is {people.email[0]} of {people.salary[0]} a person?')\nprint(a)",
            "b = llm_query_batched([f'{row.email}|{row.phone}' for row in people.itertuples()])\nprint(b)",
            "c = rlm_query(f'Who is {names[1]}?', context=people[['email', 'salary']][:4])\nprint(c)",
            "d = rlm_query('List', context={'who': names, people.email[5]: 1}, name=people.email[6])\nprint(d)",
            "FINAL({'a': a, 'b': b, 'c': c, 'd': d, 'all': people})",
        ],
        "Who is": ["print(context)\ncontext", "FINAL(context.email[0])"],
        "List": ["print(context)", "FINAL([context['who'], list(context)])"],
    }
    run = ask(turns, path, plain=lambda prompt: prompt[:60])
    value = run.value
    assert value["a"] == f"Is {EMAILS[0]} of {SALARIES[0]} a person?"
    assert value["b"] == [f"{mail}|{phone}" for mail, phone in zip(EMAILS, PHONES, strict=True)]
    assert value["c"] == EMAILS[0]
    assert value["d"] == [NAMES, ["who", EMAILS[5]]]
    pd.testing.assert_frame_equal(value["all"], frame(), check_dtype=False)
    assert_nothing_left(openai_server)
    assert "⟨email:1⟩" in "".join(seen(openai_server))
    assert leaks(run.log_path.read_text()) == []


def test_the_description_of_a_file_shows_types_and_tokens(ask, openai_server, tmp_path):
    ask(["FINAL(1)"], write("csv", tmp_path))
    ask(["FINAL(1)"], {"people": write("parquet", tmp_path), "more": write("jsonl", tmp_path)})
    first, second = (one.json["messages"][1]["content"] for one in openai_server.received)
    assert "⟨email:1⟩ | ⟨name:1⟩ | ⟨salary:1⟩" in first
    assert next(line for line in first.splitlines() if line.startswith("- salary")) == "- salary (int64)"
    assert "⟨email:1⟩" in second
    assert_nothing_left(openai_server)


def test_what_a_model_writes_as_a_token_is_the_value_of_the_file(ask, openai_server, tmp_path):
    turns = [
        "import pandas as pd\npeople = pd.read_csv(context)\nprint(people.email[0], people.salary[3])",
        "FINAL([people[people.email == '⟨email:1⟩'].city.iloc[0], ⟨salary:4⟩])",
    ]
    run = ask(turns, write("csv", tmp_path))
    assert run.value == ["Kiel", SALARIES[3]]
    assert_nothing_left(openai_server)


def test_a_file_without_columns_is_refused_if_a_name_fits_nothing(ask, openai_server, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text(f"mail {EMAILS[0]}")
    with pytest.raises(
        ConfigError, match=r"nothing in the data is called `email`, and `notes/a.txt` has no columns"
    ):
        ask(["FINAL(1)"], tmp_path / "notes", hide=["email"])
    assert not openai_server.received
