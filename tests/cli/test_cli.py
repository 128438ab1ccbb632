"""The command `rlm-jupyter`, asked through its own front door."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from database_parts import sqlite_file
from magics_parts import without_settings
from openai_server import Reply, fault
from scripts import cell, question_of

from rlm_jupyter import ContextError, cli
from rlm_jupyter.data_files import read_data


@pytest.fixture
def answer(openai_server, tmp_path, monkeypatch, capsys):
    """Run the command against a server whose agents run this code; give the exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    without_settings(monkeypatch)

    def run(code, *words, question="What?"):
        def reply(request):
            assert question_of(request["messages"]) == question
            return cell(code) if isinstance(code, str) else code

        openai_server.script = reply
        where = ["-m", "test-model", "--base-url", openai_server.url, "--no-cache"]
        exit_code = cli.main(["run", *words, "-q", question, *where])
        return exit_code, *capsys.readouterr()

    return run


def write(path, content):
    if isinstance(content, pd.DataFrame):
        content.to_parquet(path) if path.suffix == ".parquet" else content.to_csv(path, index=False)
    else:
        path.write_text(content, encoding="utf-8")
    return str(path)


FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "ü"]})


@pytest.mark.parametrize(
    ("name", "content", "code", "printed"),
    [
        ("orders.csv", FRAME, "FINAL(context[context.a > 1])", "a,b\n2,ü\n"),
        ("orders.parquet", FRAME, "FINAL(context.a.sum())", "3\n"),
        ("orders.csv", FRAME, "FINAL(context.groupby('b').a.sum())", "b,a\nx,1\nü,2\n"),
        ("rows.json", '{"k": [1, 2]}', "FINAL({'k': set(context['k'])})", '{"k": [1, 2]}\n'),
        ("rows.jsonl", '{"n": 1}\n\n{"n": 2}\n', "FINAL([r['n'] for r in context])", "[1, 2]\n"),
        ("notes.txt", "grüße\n", "FINAL(context.strip().upper())", "GRÜSSE\n"),
        ("code.py", "x = 1\n", "FINAL(len(context))", "6\n"),
    ],
)
def test_a_question_about_a_file_prints_the_value_alone(answer, tmp_path, name, content, code, printed):
    exit_code, out, err = answer(code, write(tmp_path / name, content))
    assert (exit_code, out) == (0, printed)
    assert err.startswith("RLM run ")
    assert "Question: What?" in err
    assert f"Log: {tmp_path}" in err


def test_a_database_is_asked_where_it_is(answer, tmp_path):
    path = sqlite_file(tmp_path)
    for word in (str(path), f"@{path}"):
        exit_code, out, _ = answer("FINAL(context.sql('SELECT MAX(id) AS m FROM orders')['m'][0])", word)
        assert (exit_code, out) == (0, "99\n")


def test_without_a_file_and_quietly_with_a_schema(answer, tmp_path):
    schema = write(tmp_path / "schema.json", '{"type": "integer"}')
    assert answer("FINAL(7)", "--quiet", "-s", schema, "--log-dir", "none") == (0, "7\n", "")
    assert not (tmp_path / "rlm_runs").exists()
    assert answer("FINAL(8)", "--quiet", "-s", '{"type": "integer"}')[:2] == (0, "8\n")


def test_a_directory_of_texts_is_a_dict_by_path(answer, tmp_path):
    docs = tmp_path / "docs"
    (docs / "sub").mkdir(parents=True)
    write(docs / "a.md", "one")
    write(docs / "sub" / "b.txt", "two")
    write(docs / ".hidden", "no")
    (docs / "image.bin").write_bytes(b"\xff\xfe\x00\x9f")
    exit_code, out, _ = answer("FINAL(context)", str(docs))
    assert (exit_code, json.loads(out)) == (0, {"a.md": "one", "sub/b.txt": "two"})


def test_limits_and_parameters_reach_the_run(answer, openai_server):
    exit_code, out, err = answer(
        "import time\ntime.sleep(0.1)\nx = 1",
        "--max-calls",
        "2",
        "--temperature",
        "0.5",
        "--max-cost",
        "none",
    )
    assert (exit_code, out) == (3, "")
    assert "limit `calls`" in err
    assert [request["temperature"] for request in openai_server.requests] == [0.5, 0.5]


def test_what_there_was_of_a_value_is_printed_at_a_limit(answer):
    code = "answer['content'] = 'a part'"
    assert answer(code, "--max-calls", "2", "--quiet")[:2] == (3, "a part\n")


@pytest.mark.parametrize(
    ("words", "exit_code", "says"),
    [
        (["missing.csv"], 2, "no file or directory `missing.csv`"),
        (["-s", "{broken"], 2, "The schema is not JSON"),
        (["--max-cost", "1"], 2, "price"),
    ],
)
def test_wrong_usage_asks_nobody(answer, openai_server, words, exit_code, says):
    code, out, err = answer("FINAL(1)", *words)
    assert (code, out) == (exit_code, "")
    assert says in err
    assert openai_server.calls == 0


def test_unknown_options_are_argparse_s_own_error(capsys):
    for words in (
        ["run", "--nope"],
        [],
        ["run"],
        ["run", "-q", "x", "--max-calls", "many"],
        ["run", "-q", "x", "--depth", "-1"],
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 2


@pytest.mark.parametrize(
    ("option", "given", "says"),
    [
        ("--max-tokens", "1.5", "whole number"),
        ("--max-tokens", "1.5k", "number"),
        ("--max-cost", "much", "number"),
    ],
)
def test_a_limit_that_is_no_number_is_named_in_words(capsys, option, given, says):
    with pytest.raises(SystemExit):
        cli.main(["run", "-q", "x", option, given])
    assert (
        f"`{given}` is not a {says}; write one{'' if says == 'whole number' else ' in digits'}, or `none` for no limit"
        in capsys.readouterr().err
    )


def test_limits_of_the_command_line_may_be_none_infinite_or_grouped(answer):
    words = ["--quiet", "--max-cost", "inf", "--max-tokens", "1,000_000", "--timeout", "none"]
    assert answer("FINAL(7)", *words)[:2] == (0, "7\n")


def test_a_run_that_fails_exits_with_1_and_says_why(answer):
    exit_code, out, err = answer(fault("unauthorized"), "--quiet")
    assert (exit_code, out) == (1, "")
    assert err.startswith("rlm-jupyter: AuthenticationError")


def test_the_log_of_a_run_is_shown_with_figures(answer, tmp_path, capsys):
    answer("print('seen')\nFINAL(5)")
    path = next((tmp_path / "rlm_runs").glob("*.jsonl"))
    assert cli.main(["log", str(path)]) == 0
    shown = capsys.readouterr().out
    for part in (
        "RLM run ",
        "Agents: 1 done",
        "Completions: 1 turns",
        "Cells: 1 ok",
        "0 from the cache",
        "all ",
    ):
        assert part in shown
    assert cli.main(["log", str(path), "--agent", "0"]) == 0
    assert "seen" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-9])
    assert cli.main(["log", str(path)]) == 0
    assert "ends in the middle" in capsys.readouterr().out
    assert cli.main(["log", str(tmp_path / "no.jsonl")]) == 1
    assert "There is no log" in capsys.readouterr().err


def test_doctor_tells_the_same_facts_as_in_a_notebook(capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    monkeypatch.setenv("RLM_MODEL", "openai/gpt-5")
    assert cli.main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for part in (
        "rlm_jupyter ",
        "Packages: ",
        "Model: gpt-5 (",
        "`OPENAI_API_KEY`",
        "Kernels: ",
        "Sandbox: `auto`",
    ):
        assert part in shown
    assert "sk-secret" not in shown


def command(tmp_path, *words):
    env = {name: v for name, v in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "rlm_jupyter.cli", *words],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_as_a_process_with_the_demo_the_value_can_be_piped(tmp_path):
    path = write(tmp_path / "orders.csv", pd.DataFrame({"supplier": ["a", "b"] * 60, "refund": range(120)}))
    process = command(tmp_path, "run", path, "-q", "Which supplier has the most refunds?", "-m", "demo")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["supplier"] == "b"
    assert "scripted" in err


@pytest.mark.parametrize("where", ["cell", "request"])
def test_an_interrupt_ends_the_command_with_130_and_shows_the_tree(tmp_path, openai_server, where):
    code = cell("import time\nx = 1\ntime.sleep(600)")
    openai_server.script = lambda request: Reply(code, latency=60 if where == "request" else 0)
    process = command(
        tmp_path, "run", "-q", "What?", "-m", "test-model", "--base-url", openai_server.url, "--no-cache"
    )
    end = time.monotonic() + 60
    while not openai_server.calls and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "RLM run" in err
    assert "stopped" in err
    assert openai_server.aborted == (where == "request")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b"{", "cannot be read as `.json`"),
        ("a.parquet", b"nothing", "cannot be read as `.parquet`"),
        ("a.txt", b"\xff\xfe\x9f", "not text in UTF-8"),
        ("a.csv", b"", "cannot be read as `.csv`"),
    ],
)
def test_a_file_that_does_not_hold_what_its_name_says(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ContextError, match=says):
        read_data(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ContextError, match="no text"):
        read_data(tmp_path / "empty")


def test_the_command_of_the_package_is_this_one():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["rlm-jupyter"].partition(":")
    assert getattr(importlib.import_module(module), name) is cli.main


def test_how_a_table_was_read_is_told_beside_the_value(answer, tmp_path):
    path = tmp_path / "e.csv"
    path.write_bytes("name;sum\r\nMüller;1,5\r\n".encode("cp1252"))
    exit_code, out, err = answer("FINAL(context['sum'].sum())", str(path))
    assert (exit_code, float(out)) == (0, 1.5)
    assert "as cp1252, with `;` between columns, with decimal commas" in err


def test_a_log_is_exported_to_a_new_file(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = Path(__file__).parents[1] / "logs" / "pairs.jsonl"
    assert cli.main(["export", str(log), "-o", "run.html"]) == cli.DONE
    assert "is in `run.html`" in capsys.readouterr().err
    page = (tmp_path / "run.html").read_text("utf-8")
    assert 'id="rlm-data"' in page
    assert cli.main(["export", str(log), "-o", "run.html"]) == cli.USAGE
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["export", str(log), "-o", "s.html", "--static", "--level", "structure"]) == cli.DONE
    assert "<script" not in (tmp_path / "s.html").read_text("utf-8")
    (tmp_path / "torn.jsonl").write_bytes(log.read_bytes()[:-30])
    assert cli.main(["export", "torn.jsonl", "-o", "torn.py"]) == cli.DONE
    assert "ends in the middle" in capsys.readouterr().err
    assert cli.main(["export", "none.jsonl", "-o", "x.html"]) == cli.FAILED
