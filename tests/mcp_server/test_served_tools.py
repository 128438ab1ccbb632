"""The server's tools without a process of their own: large files, odd files, odd answers, and the command's own mistakes."""

import argparse
import io
import json
import os
import socket
import zipfile

import numpy as np
import pandas as pd
import pytest
from mcp import Client
from mcp_client_parts import call, opened
from scripts import cell, question_of

from rlm_jupyter import cli
from rlm_jupyter.mcp_server import mcp_command, opened_file


@pytest.fixture
def root(tmp_path, monkeypatch):
    where = tmp_path / "shared"
    where.mkdir()
    (where / "notes.txt").write_text("first line\nsecond line\n")
    for name in list(os.environ):
        if name.startswith("RLM_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RLM_MODEL_API_KEY", "sk-test-0123456789")
    return where


@pytest.fixture
def served(root, openai_server, tmp_path):
    """A server in this process, over the directory `shared`."""
    parser = argparse.ArgumentParser()
    mcp_command.add_command(parser.add_subparsers())
    where = ["--root", str(root), "--audit-log", str(tmp_path / "audit.jsonl"), "--log-dir", "none"]
    model = ["-m", "test-model", "--base-url", openai_server.url, "--no-cache", "--price", "1", "2"]
    server, tools = mcp_command._server(vars(parser.parse_args(["mcp", *where, *model])))
    yield server
    tools.end()


def answers(openai_server, by):
    openai_server.script = lambda request: cell(by[question_of(request["messages"])])


async def test_a_large_file_is_read_by_agents_from_its_place(served, root, openai_server, monkeypatch):
    monkeypatch.setattr(opened_file, "_MOST_TEXT", 10)
    monkeypatch.setattr(opened_file, "MOST_STORED", 10)
    answers(
        openai_server, {"How many lines?": "FINAL([len(context.read_text().splitlines()), str(context)])"}
    )
    async with Client(served) as client:
        handle = await opened(client, "notes.txt")
        answer = await call(client, "ask", handle=handle, question="How many lines?")
        assert answer["answer"] == [2, handle]  # the path itself is not told
        assert (await call(client, "value", run=answer["run"], path="/1"))["value"] == handle


async def test_what_agents_read_of_a_file_that_was_exchanged_meanwhile_is_not_handed_out(
    served, root, openai_server, monkeypatch, tmp_path
):
    monkeypatch.setattr(opened_file, "_MOST_TEXT", 10)
    monkeypatch.setattr(opened_file, "MOST_STORED", 10)
    (tmp_path / "secret.txt").write_text("the secret\n")

    def reply(request):
        (root / "notes.txt").rename(tmp_path / "away")
        (root / "notes.txt").symlink_to(tmp_path / "secret.txt")
        if question_of(request["messages"]) == "And back?":
            (root / "notes.txt").unlink()
            (tmp_path / "away").rename(root / "notes.txt")
        return cell(
            "try:\n    text = context.read_text()\nexcept OSError as e:\n    text = repr(e)\nFINAL(text)"
        )

    openai_server.script = reply
    async with Client(served) as client:
        handle = await opened(client, "notes.txt")
        for question in ("And back?", "What?"):
            assert "took its place" in await call(client, "ask", handle=handle, question=question)
        for run in (await call(client, "status"))["runs"]:
            assert "took its place" in await call(client, "value", run=run["run"])


async def test_schemas_and_prices_of_clients_hold(served, openai_server):
    good = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    answers(openai_server, {"Right?": "FINAL({'n': 2})", "Wrong?": "FINAL({'n': 'two'})"})
    async with Client(served) as client:
        handle = await opened(client, "notes.txt")
        assert (await call(client, "ask", handle=handle, question="Right?", schema=good))["answer"] == {
            "n": 2
        }
        answer = await call(client, "ask", handle=handle, question="Wrong?", schema=good, max_cost=0.02)
        assert answer["status"] in ("limit", "failed")
        assert answer["error"]
        assert answer["cost_usd"] <= 0.02


async def test_an_answer_that_is_code_is_described_and_not_run(served, openai_server):
    answers(
        openai_server,
        {"What?": "class Evil:\n    def __reduce__(self): return print, ('run',)\nFINAL([Evil(), print])"},
    )
    async with Client(served) as client:
        handle = await opened(client, "notes.txt")
        answer = await call(client, "ask", handle=handle, question="What?")
        assert (answer["answer"], "UnsafeValueError" in answer["error"]) == (None, True)
        assert "trust" in await call(client, "value", run=answer["run"])


def odd_files(root):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"0" * 50_000_000)
    wide = pd.DataFrame(np.zeros((3, 3000)), columns=[f"column number {n} " * 5 for n in range(3000)])
    made = {
        "empty.txt": b"",
        "empty.csv": b"",
        "broken.parquet": b"PAR1 no PAR1",
        "broken.xlsx": b"PK\x03\x04broken",
        "broken.pdf": b"%PDF-1.4 broken",
        "bomb.zip": buffer.getvalue(),
        "bomb.csv.gz": __import__("gzip").compress(b"a,b\n" * 5_000_000),
        "wide.csv": wide.to_csv(index=False).encode(),
        "long.csv": b"a,b\n" + b'"' + b"x" * 3_000_000 + b'",1\n',
        "one.txt": b"y" * 5_000_000,
        "deep.json": b"[" * 100_000,
        "zeros.bin": bytes(100_000),
        "control.txt": b"\x1b[31mred\x07\x00",
        "latin.txt": "für alle\n".encode("cp1252") * 100,
        "no_suffix": b"plain words\n",
    }
    for name, content in made.items():
        (root / name).write_bytes(content)
    wide.to_parquet(root / "wide.parquet")
    return [*made, "wide.parquet"]


async def test_odd_files_are_described_within_bounds(served, root):
    async with Client(served) as client:
        for name in odd_files(root):
            about = await call(client, "describe", handle=await opened(client, name))
            assert isinstance(about, dict), (name, about)
            assert len(json.dumps(about)) < 24_000, name
            assert str(root) not in json.dumps(about)


async def test_arguments_of_other_types_are_refused(served, root):
    async with Client(served) as client:
        handle = await opened(client, "notes.txt")
        for tool, arguments in [
            ("open_source", {"source": ["notes.txt"]}),
            ("open_source", {}),
            ("read_span", {"handle": handle, "start": "first"}),
            ("read_span", {"handle": {"a": 1}, "start": 1}),
            ("search", {"handle": handle, "pattern": 5}),
            ("ask", {"handle": handle, "question": "x", "max_cost": "much"}),
            ("value", {"run": None}),
        ]:
            told = await call(client, tool, **arguments)
            assert isinstance(told, str), (tool, arguments)
            assert str(root) not in told


# ---- the command


def run_command(*words):
    return cli.main(["mcp", *map(str, words)])


def test_mistakes_of_the_command_line_are_told(root, tmp_path, capsys, monkeypatch):
    audit = ["--audit-log", tmp_path / "audit.jsonl"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("RLM_MCP_TOKEN", "a-token-of-these-tests")
        port = taken.getsockname()[1]
        for words, told in [
            (audit, "--root"),
            (["--root", tmp_path / "missing", *audit], "can be read"),
            (["--root", root / "notes.txt", *audit], "not a directory"),
            (["--root", "/", *audit], "cannot be shared"),
            (["--root", root, "--audit-log", root / "audit.jsonl"], "below a root"),
            (["--root", root, *audit, "--log-dir", root / "runs"], "below a root"),
            (["--root", root, "--audit-log", tmp_path], "cannot be written"),
            (["--root", root, *audit, "--http", port], "cannot be used"),
            (["--root", root, *audit, "--http", 99999999], "cannot be used"),
        ]:
            assert run_command(*words) == 2
            assert told in capsys.readouterr().err
        monkeypatch.setenv("RLM_MCP_TOKEN", "short")
        assert run_command("--root", root, *audit, "--http", 0) == 2
        assert "20 characters" in capsys.readouterr().err


def test_without_the_package_the_command_says_what_to_install(root, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mcp.server.mcpserver", None)
    assert run_command("--root", root, "--audit-log", tmp_path / "audit.jsonl") == 2
    assert "rlm_jupyter[mcp]" in capsys.readouterr().err


def test_what_is_written_stands_in_the_users_state_unless_another_place_is_named(root, tmp_path, monkeypatch):
    """So that `--root .` works, and shares neither the audit log nor the logs of runs."""
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    told = {"root": ["."], "model": "demo"}
    _, tools = mcp_command._server(told)
    assert told["log_dir"] == str(tmp_path / "state" / "rlm_jupyter" / "mcp_runs")
    assert (tmp_path / "state" / "rlm_jupyter" / "mcp_audit.jsonl").exists()
    assert sorted(path.name for path in root.iterdir()) == ["notes.txt"]
    tools.end()
