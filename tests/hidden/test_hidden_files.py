"""Hidden columns of files: a kernel in the sandbox reads their values, none leaves, and the answers hold them."""

import json
import re
import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from hidden_requests import ENCODED, SHOWN, assert_nothing_left, block, seen
from planted_values import EMAILS, HIDE, NAMES, PHONES, PLANTED, SALARIES, frame, leaks

from rlm_jupyter import RLM, Hidden, host_tool
from rlm_jupyter.errors import ConfigError, HiddenDataChangedError
from rlm_jupyter.magics.dry_run import first_prompt
from rlm_jupyter.magics.task import Task
from rlm_jupyter.records.sent_values import sent_values

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


def test_a_description_shows_no_short_value_of_a_file(ask, openai_server, tmp_path):
    (tmp_path / "p.csv").write_text("id,age\n1,37\n2,41\n")
    (tmp_path / "t.txt").write_text("id,age\n1,37\n2,41\n")
    (tmp_path / "p.json").write_text('[{"id": 1, "age": 37}, {"id": 2, "age": 41, "sex": "f"}]')
    (tmp_path / "p.jsonl").write_text('{"id": 1, "age": 37}\n{"id": 2, "age": 41, "sex": "f"}\n')
    paths = [tmp_path / name for name in ("p.csv", "t.txt", "p.json", "p.jsonl")]
    for data in (*paths, {path.name: path for path in paths}):
        ask(["FINAL(1)"], data, hide=["age", "sex"])
    for request in openai_server.received:
        text = request.json["messages"][1]["content"]
        assert not re.search(r"\b(37|41)\b|\"f\"", text), text
        assert "age" in text


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


def test_what_is_not_hidden_is_told(ask, tmp_path):
    run = ask(["FINAL(1)"], write("folder", tmp_path), hide=["email", "ssn"])
    assert any("nothing in the data is called `ssn`" in notice for notice in run.tree.notices)
    assert any("files without columns (`people.folder/readme.txt`)" in notice for notice in run.tree.notices)


def test_the_code_behind_an_answer_runs_on_the_values_of_a_file(ask, tmp_path):
    turns = [
        "import pandas as pd\npeople = pd.read_csv(context)\nfirst = people.email[0]",
        "FINAL([llm_query(f'Who is {first}?'), people[people.email == '⟨email:1⟩'].city.iloc[0]])",
    ]
    run = ask(turns, write("csv", tmp_path), plain=lambda prompt: f"{prompt[7:-1]}, of course")
    assert run.value == [f"{EMAILS[0]}, of course", "Kiel"]
    code = run.code()
    assert code.verdict == "reproduced", code.detail


def test_a_branch_hides_the_same(ask, openai_server, tmp_path):
    path = write("csv", tmp_path)
    run = ask(["x = 1", "FINAL(x)"], path)
    rlm = RLM(
        "test-model", base_url=openai_server.url, api_key="sk-test-0123456789", log_dir=None, cache=False, hide=HIDE,
        require_look=False,
    )  # fmt: skip
    openai_server.script = [block("FINAL(context.read_text())")]
    with rlm.branch(run, 2, code="print(context.read_text())").wait(60) as branch:
        assert branch.value == path.read_text()
    assert_nothing_left(openai_server)
    assert "⟨email:1⟩" in seen(openai_server)[-1]


def test_a_resumed_run_has_the_same_tokens(ask, openai_server, tmp_path):
    data = {"people": write("sqlite", tmp_path), "more": write("csv", tmp_path)}
    turns = [
        "found = context['people'].sql(\"SELECT * FROM people WHERE email = '⟨email:3⟩'\")\nprint(found)",
        "FINAL([list(found.email), llm_query('Who is ⟨email:4⟩?')])",
    ]
    run = ask(turns, data, plain=lambda prompt: prompt[7:-1])
    run.close()
    openai_server.received.clear()
    rlm = RLM(
        "test-model", base_url=openai_server.url, api_key="sk-test-0123456789", log_dir=tmp_path / "logs",
        cache=False, hide=HIDE,
    )  # fmt: skip
    again = rlm.resume(run.log_path, data).wait(60)
    assert again.value == run.value
    assert set(again.value[0]) < set(EMAILS)
    assert not openai_server.received
    again.close()


def test_the_lines_and_bytes_of_a_file_are_searched_too(ask, openai_server, tmp_path):
    turns = ["print(context.read_text())\nprint(context.read_bytes())", "FINAL(context.read_text())"]
    for kind in ("csv", "jsonl"):
        path = write(kind, tmp_path)
        assert ask(list(turns), path).value == path.read_text()
    assert_nothing_left(openai_server)


@pytest.mark.parametrize("prompt", ["small", "frugal"])
def test_other_prompts_hide_the_same_of_files(ask, openai_server, tmp_path, prompt):
    turns = ["import pandas as pd\npeople = pd.read_csv(context)\nprint(people)", "FINAL(list(people.email))"]
    assert ask(turns, write("csv", tmp_path), prompt=prompt).value == EMAILS
    assert_nothing_left(openai_server)


@pytest.mark.parametrize("where", ["a cell", "a prompt of code"])
def test_nothing_more_is_sent_once_a_file_has_changed(ask, openai_server, tmp_path, where):
    path = tmp_path / "people.csv"
    path.write_text("id,email\n1,old@x.example\n")

    @host_tool
    def change():
        """Change the data."""
        path.write_text("id,email\n1,fresh@x.example\n")

    cell = {"a cell": "print(context.read_text())", "a prompt of code": "llm_query(context.read_text())"}[
        where
    ]
    run = ask([f"change()\n{cell}", "FINAL(1)", "FINAL(2)"], path, tools=[change])
    with pytest.raises(HiddenDataChangedError, match=r"people.csv` changed while the run went on.*Ask again"):
        run.raise_for_error()
    assert len(openai_server.received) == 1
    assert "fresh" not in "".join(seen(openai_server))


def test_a_file_that_comes_into_a_folder_is_a_change(ask, openai_server, tmp_path):
    folder = write("folder", tmp_path)

    @host_tool
    def change():
        """Change the data."""
        (folder / "new.csv").write_text("id,email\n1,fresh@x.example\n")

    run = ask(["change()", "FINAL(1)"], folder, tools=[change])
    with pytest.raises(HiddenDataChangedError, match=r"new.csv"):
        run.raise_for_error()


def test_plans_over_files_are_read_too(ask, openai_server, tmp_path):
    pl = pytest.importorskip("polars")
    plan = pl.scan_parquet(write("parquet", tmp_path))
    turns = ["print(context.collect().to_dicts())", "FINAL(context.collect()['email'].to_list())"]
    assert ask(list(turns), plan).value == EMAILS
    assert_nothing_left(openai_server)
    renamed = plan.with_columns(mail=pl.col("email"))
    with pytest.raises(ConfigError, match="cannot hide the column `mail`"):
        ask(list(turns), renamed, hide=["mail"])


def test_a_file_or_a_database_is_hidden_as_a_whole(ask, openai_server, tmp_path):
    turns = ["print(context['people'].read_text())", "FINAL(context['people'].read_text())"]
    path = write("csv", tmp_path)
    ask(list(turns), {"people": Hidden(path), "n": 1}, hide=())
    ask(list(turns), {"people": path, "n": 1}, hide=["PEOPLE"])
    ask(
        ["print(context.sql('SELECT * FROM people'))", "FINAL(1)"], Hidden(write("sqlite", tmp_path)), hide=()
    )
    assert_nothing_left(openai_server, [*PLANTED, "Kiel", "Bonn"])


def test_a_name_may_stand_with_what_it_is_in(ask, openai_server, tmp_path):
    turns = ["print(context['a'].read_text(), context['b'].sql('SELECT * FROM people'))", "FINAL(1)"]
    data = {"a": write("csv", tmp_path), "b": write("sqlite", tmp_path)}
    ask(list(turns), data, hide=["a.email", "b.people.email", "a.name", "b.name", "people.sal*", "phone"])
    assert_nothing_left(openai_server)


def test_a_follow_up_hides_what_the_file_of_the_run_before_had(ask, openai_server, tmp_path):
    run = ask(["FINAL(1)"], write("csv", tmp_path))
    openai_server.script = [block("print(context.read_text())\nFINAL(2)")] * 2
    again = run.ask("And now?").wait(60)
    assert again.value == 2
    assert_nothing_left(openai_server)
    again.close()


def test_more_values_than_may_be_held_are_refused(ask, openai_server, tmp_path):
    for kind in ("csv", "sqlite"):
        with pytest.raises(ConfigError, match=r"more than 9 values.*`hide_most`"):
            ask(["FINAL(1)"], write(kind, tmp_path), hide_most=9)
    assert not openai_server.received


def test_what_was_sent_is_counted_for_files(ask, tmp_path):
    run = ask(["print(context.read_text())", "FINAL(1)"], write("csv", tmp_path), limits={"exposure": 5000})
    told = sent_values(run.tree)
    assert sum(sum(one.tokens.get("email", {}).values()) for one in told) >= 10
    assert sorted(run.tree.hidden) == ["email", "name", "phone", "salary"]


def test_a_dry_run_shows_tokens_of_a_file(tmp_path):
    rlm = RLM(
        "test-model", api_key="sk-test-0123456789", base_url="http://127.0.0.1:9/v1", hide=HIDE, log_dir=None
    )
    task = Task("What is there?", context=write("csv", tmp_path), names=("people",), settings={})
    text = json.dumps(first_prompt(rlm, task), ensure_ascii=False)
    assert leaks(text) == []
    assert "⟨email:1⟩" in text


def test_a_database_in_its_write_ahead_log_is_watched_too(ask, openai_server, tmp_path):
    path = tmp_path / "p.db"
    with closing(sqlite3.connect(path)) as own:
        own.execute("PRAGMA journal_mode = WAL")
        frame().to_sql("people", own, index=False)
        own.commit()
    turns = ["print(context.sql('SELECT * FROM people'))"] * 2 + ["FINAL(1)"]
    assert ask(list(turns), path).value == 1

    @host_tool
    def change():
        """Change the data."""
        with closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE people SET email = 'fresh@x.example'")
            other.commit()

    run = ask([f"change(); {turns[0]}", "FINAL(1)"], path, tools=[change])
    with pytest.raises(HiddenDataChangedError, match=r"p\.db"):
        run.raise_for_error()
    assert "fresh" not in "".join(seen(openai_server))
    assert_nothing_left(openai_server)
