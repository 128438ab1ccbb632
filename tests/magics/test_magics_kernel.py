"""`%%rlm` in a real notebook kernel, driven as a frontend drives it, and in nbclient."""

import asyncio
import re
import time

import nbformat
import pytest
from magics_parts import REPOSITORY, notebook
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

SET_UP = """
get_ipython().run_line_magic("config", "RLMMagics.print_value = 'always'")
import pathlib
from rlm_jupyter.models import ScriptedModel

def code(text):
    return "```repl\\n" + text + "\\n```"

def long(messages):
    pathlib.Path("started").touch()
    return code("import time\\ntime.sleep(600)")

adds = ScriptedModel(lambda messages: code("FINAL(sum(context))"))
sleeps = ScriptedModel(long)
orders = [1, 2, 3]
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """One kernel for the tests that leave it as it was."""
    directory = tmp_path_factory.mktemp("notebook")
    with notebook(directory) as book:
        assert book.run(SET_UP)[0]["status"] == "ok"
        yield book


@pytest.fixture
def started(book):
    """The file that tells that an agent was sent to work; not there yet."""
    path = book.directory / "started"
    path.unlink(missing_ok=True)
    return path


def result_of(outputs):
    return [content["data"]["text/plain"] for kind, content in outputs if kind == "execute_result"]


def test_an_awaited_cell_gives_its_value_and_the_next_cell_has_it(book):
    first = book.send("%%rlm orders -o total -m adds\nWhat is the sum?")
    second = book.send("total + 1")
    assert book.reply(first)["status"] == "ok"
    assert book.reply(second)["status"] == "ok"
    assert result_of(book.outputs(first)) == ["6"]
    assert result_of(book.outputs(second)) == ["7"]


def test_several_models_are_asked_while_the_cell_awaits(book):
    book.run('tens = ScriptedModel(lambda messages: code("FINAL(10)"))')
    reply, outputs = book.run("%%rlm orders -m adds,tens -o both\nWhat is the sum?")
    assert (reply["status"], book.value("both")) == ("ok", "{'adds': 6, 'tens': 10}"), outputs
    shown = [content["data"] for kind, content in outputs if kind == "display_data"]
    assert any(
        "The answers differ." in data["text/plain"] and "rlm-compare" in data["text/html"] for data in shown
    )


@pytest.mark.parametrize("around", ["%%time", "%%capture captured", "%%time\n%%capture captured"])
def test_within_another_cell_magic_it_works_too(book, around):
    book.run("nested = None")
    reply, outputs = book.run(f"{around}\n%%rlm orders -o nested -m adds\nWhat is the sum?")
    assert (reply["status"], book.value("nested")) == ("ok", "6"), outputs


def test_with_autoawait_off_it_works_too(book):
    try:
        book.run("%autoawait off")
        reply, outputs = book.run("%%rlm orders -m adds\nWhat is the sum?")
    finally:
        book.run("%autoawait asyncio")
    assert (reply["status"], result_of(outputs)) == ("ok", ["6"])


@pytest.mark.parametrize("around", ["", "%%time\n"], ids=["awaited", "blocking"])
def test_an_interrupt_stops_the_run_and_aborts_the_queued_cells(book, started, around):
    running = book.send(f"{around}%%rlm orders -o never -m sleeps\nWhat is the sum?")
    queued = book.send("after = 1")
    book.wait_for(started)
    time.sleep(0.3)
    book.interrupt()
    reply = book.reply(running)
    assert (reply["status"], reply["ename"]) == ("error", "RunStoppedError")
    assert len("\n".join(reply["traceback"]).splitlines()) < 8
    assert book.reply(queued)["status"] in ("aborted", "error")
    book.outputs(running)
    assert book.value("get_ipython().run_line_magic('rlm', 'last').status") == "'stopped'"
    assert book.value("'after' in globals()") == "False"
    reply, outputs = book.run("%%rlm orders -m adds\nWhat is the sum?")  # and the kernel is as good as before
    assert (reply["status"], result_of(outputs)) == ("ok", ["6"])


def test_the_reference_has_the_settings_that_config_prints(book):
    reply, outputs = book.run("%config RLMMagics")
    assert reply["status"] == "ok"
    printed = "".join(content.get("text", "") for _, content in outputs)
    known = re.findall(r"^RLMMagics\.(\w+)=", printed, re.MULTILINE)
    page = (REPOSITORY / "docs" / "reference.md").read_text("utf-8")
    section = page.partition("## `%config RLMMagics`")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \| `", section, re.MULTILINE) == sorted(known)
    assert len(known) > 30


def test_a_run_in_the_background_sets_its_variable_while_other_cells_run(book):
    reply, outputs = book.run("%%rlm orders -o later -m adds --bg\nWhat is the sum?")
    assert reply["status"] == "ok"
    assert result_of(outputs)[0].startswith("<Run ")
    assert "\n" not in result_of(outputs)[0]
    assert book.run("run = await _")[0]["status"] == "ok"
    assert book.run("import asyncio\nawait asyncio.sleep(0.5)")[0]["status"] == "ok"
    assert book.value("later") == "6"


def test_a_background_run_is_stopped_by_a_command(book, started):
    book.run("%%rlm orders -m sleeps --bg\nWhat is the sum?")
    book.wait_for(started)
    wait_for_cell(book)
    reply, outputs = book.run("%rlm stop")
    assert reply["status"] == "ok"
    said = "".join(content.get("text", "") for _, content in outputs)
    assert "is stopped" in said


def test_usage_errors_and_failed_runs_end_the_cell_with_an_error(book):
    reply, _ = book.run("%%rlm ordes\nWhat?")
    assert (reply["status"], reply["ename"]) == ("error", "UsageError")
    reply, _ = book.run("%%rlm orders -m openai/gpt-5\nWhat?")
    assert (reply["status"], reply["ename"]) == ("error", "MissingKeyError")
    assert "OPENAI_API_KEY" in reply["evalue"]


def test_unload_in_a_kernel_ends_its_runs_and_load_brings_the_magic_back(book, started):
    book.run("%%rlm orders -m sleeps --bg\nWhat is the sum?\n")
    book.wait_for(started)
    wait_for_cell(book)
    assert book.run("run = %rlm last\n%unload_ext rlm_jupyter")[0]["status"] == "ok"
    assert book.value("run.wait(60).status") == "'stopped'"
    assert book.run("%%rlm orders\nWhat?")[0]["ename"] == "UsageError"
    assert book.run("%load_ext rlm_jupyter")[0]["status"] == "ok"
    assert book.run("%%rlm orders -m adds\nWhat is the sum?")[0]["status"] == "ok"
    assert book.value("_") == "6"


def wait_for_cell(book):
    """Wait until the newest run's agent runs its cell."""
    end = time.monotonic() + 60
    while book.value("get_ipython().run_line_magic('rlm', 'last').tree.agents['0'].cells") == "0":
        assert time.monotonic() < end
        time.sleep(0.05)


CELLS = [
    "%load_ext rlm_jupyter",
    SET_UP,
    "%%rlm orders -o total -m adds\nWhat is the sum?",
    "total * 2",
]


def execute(cells, directory, monkeypatch):
    """Execute a notebook as `jupyter execute` does."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("IPYTHONDIR", str(directory / "ipython"))
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        made, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(directory)}}
    )
    asyncio.run(client.async_execute())
    return made


def test_nbclient_executes_a_notebook_with_a_question(tmp_path, monkeypatch):
    made = execute(CELLS, tmp_path, monkeypatch)
    assert [out["data"]["text/plain"] for out in made.cells[3].outputs] == ["12"]
    assert made.cells[2].outputs[-1]["data"]["text/plain"] == "6"


def test_nbclient_stops_at_a_run_that_fails(tmp_path, monkeypatch):
    failing = "%%rlm orders -m failing\nWhat is the sum?"
    cells = [
        *CELLS[:2],
        "from rlm_jupyter import ModelError\nfailing = ScriptedModel([ModelError('No luck.')])",
        failing,
        "1",
    ]
    with pytest.raises(CellExecutionError, match="No luck"):
        execute(cells, tmp_path, monkeypatch)
