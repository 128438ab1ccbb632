"""MCP servers that are odd, as many are: they are used all the same, and the notebook's cell stays clean."""

import logging
import sys
from pathlib import Path

import pytest
from tool_runs import asking

from rlm_jupyter.tools import mcp

SCRIPT = str(Path(__file__).parents[1] / "support" / "mcp_raw_server.py")
CALL = "FINAL(mcp_call('raw', {name!r})['text'])"


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


def raw(*modes):
    return {"raw": {"command": sys.executable, "args": [SCRIPT, *modes]}}


def notices(run):
    return [event.text for event in run.events if event.kind == "notice" and "`raw`" in event.text]


@pytest.mark.parametrize(
    ("mode", "name", "value"),
    [
        ("plain", "first", "called first"),
        ("noise", "first", "called first"),
        ("stderr", "second", "called second"),
        ("pages", "third", "called third"),
        ("late", "first", "called first"),
        ("names", "get-user.by id", "called get-user.by id"),
        ("names", "a/b", "called a/b"),
    ],
)
def test_an_odd_server_is_used_and_nothing_is_shown_in_the_cell(ask, capfd, caplog, mode, name, value):
    run = ask({"root": [f"mcp_list_tools('raw')\n{CALL.format(name=name)}"]}, mcp=raw(mode))
    assert run.raise_for_error().value == value
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert len(notices(run)) == (mode == "noise")


def test_all_pages_of_a_list_are_read(ask):
    run = ask({"root": ["FINAL([tool['name'] for tool in mcp_list_tools('raw')])"]}, mcp=raw("pages"))
    assert run.raise_for_error().value == ["first", "second", "third"]


def test_a_large_answer_arrives_whole(ask, capfd):
    run = ask({"root": ["FINAL(len(mcp_call('raw', 'first')['text']))"]}, mcp=raw("large"))
    assert run.raise_for_error().value == 20_000_000
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("mode", ["no-data", "wrong-data"])
def test_data_that_are_not_what_a_tool_promises_end_no_run(ask, capfd, mode):
    code = "try: said = mcp_call('raw', 'first')['text']\nexcept Exception as error: said = str(error)\nFINAL(said)"
    value = ask({"root": [code]}, mcp=raw(mode)).raise_for_error().value
    assert value == "called first" or ("`raw`" in value and "first" in value)
    assert capfd.readouterr() == ("", "")


def test_noise_on_stdout_is_told_once_by_its_first_line(ask):
    code = "mcp_call('raw', 'first'); mcp_call('raw', 'second')\nFINAL(mcp_call('raw', 'third')['text'])"
    run = ask({"root": [code]}, mcp=raw("noise"))
    (notice,) = notices(run)
    assert "`Shop server 1.2 is ready`" in notice
    assert "stdout" in notice
    assert "\n" not in notice


def test_a_server_that_only_writes_noise_is_named_with_it(ask, capfd, monkeypatch):
    monkeypatch.setattr(mcp, "_START_SECONDS", 4.0)
    code = "try: mcp_call('raw', 'first')\nexcept Exception as error: FINAL(str(error))"
    run = ask({"root": [code]}, mcp=raw("only-noise"))
    said = f"{run.error} {run.value}"
    assert "did not answer in 4 s" in said
    assert "Shop server 1.2 is ready" in said
    assert capfd.readouterr() == ("", "")


def test_what_the_package_logs_for_others_is_left_alone(ask, caplog):
    ask({"root": [CALL.format(name="first")]}, mcp=raw("noise")).raise_for_error()
    logging.getLogger("mcp.client.stdio").warning("of another user of the package")
    assert [record.message for record in caplog.records] == ["of another user of the package"]
