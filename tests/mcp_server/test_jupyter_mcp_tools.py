"""Jupyter's own MCP server with our tools: an assistant asks about a variable of a notebook, in its kernel."""

import asyncio
import json
import time
import urllib.request

import pytest
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.blocking import BlockingKernelClient
from lab import Lab
from magics_parts import REPOSITORY, Notebook
from mcp import Client
from mcp_client_parts import call

from rlm_jupyter import jupyter_mcp_tools

SET_UP = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
%load_ext rlm_jupyter
%config RLMMagics.model = "script"
%config RLMMagics.log_dir = None
import pandas as pd
from rlm_jupyter.models import ScriptedModel

def replies(messages):
    question = messages[1]["content"].split("\\n")[1]
    code = {{"How many?": "FINAL(len(context))", "Rows?": "FINAL(context.tail(2))"}}.get(question, "import time; time.sleep(600)")
    return "```repl\\n" + code + "\\n```"

script = ScriptedModel(replies, price=(1.0, 1.0))
orders = pd.DataFrame({{"n": range(100_000)}})
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("lab"), assistants=True) as lab:
        yield lab


def opened(lab, path):
    """Open a notebook as JupyterLab does, and return its kernel."""
    asked = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
    request = urllib.request.Request(
        f"{lab.url}/api/sessions", json.dumps(asked).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        kernel = json.load(answer)["kernel"]["id"]
    file = lab.directory / "runtime" / f"kernel-{kernel}.json"
    client = BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels()
    end = time.monotonic() + 60
    while True:
        try:
            client.wait_for_ready(timeout=60)
            break
        except RuntimeError:  # jupyter_client takes a kernel that has no heartbeat yet for a dead one
            assert time.monotonic() < end, "the kernel did not start"
    return Notebook(None, client, lab.notebooks)


@pytest.fixture(scope="module")
def book(lab):
    lab.write("work.ipynb", [])
    book = opened(lab, "work.ipynb")
    reply, outputs = book.run(SET_UP)
    assert reply["status"] == "ok", outputs
    yield book
    book.client.stop_channels()


@pytest.fixture
def assistant(lab, book):
    """Returns what calls a tool of the server, as a client of its own."""

    async def ask(tool, **arguments):
        while True:
            async with Client(lab.mcp_url) as client:
                told = await call(client, tool, **arguments)
            if "did not answer in time" not in str(told):  # on a machine that is busy with other tests
                return told

    return ask


async def handles(assistant):
    """Returns the handles of the runs, once they are told."""
    while "runs" not in (told := await assistant("rlm_status")):
        await asyncio.sleep(0.1)
    return {run["handle"] for run in told["runs"]}


async def ended(assistant, told):
    """Wait for a run's end."""
    while told["status"] == "running":
        told = (await assistant("rlm_status", handle=told["handle"]))["runs"][0]
    return told


async def test_the_server_finds_our_tools_and_asks_nothing_before_the_user_allows_it(assistant, book, lab):
    async with Client(lab.mcp_url) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {"rlm_ask", "rlm_status", "rlm_pull"} <= tools.keys()
    assert set(tools["rlm_ask"].input_schema["required"]) == {"variable", "question"}
    book.run("%rlm assistant --off")
    told = await assistant("rlm_ask", variable="orders", question="How many?")
    assert "%rlm assistant" in told["error"]


async def test_a_variable_is_asked_about_and_the_answer_pulled_while_the_tree_is_below_the_cell(
    assistant, book
):
    cell = book.send("%rlm assistant --max-cost 0.5")
    assert book.reply(cell)["status"] == "ok"
    told = await assistant("rlm_ask", variable="orders", question="Rows?", max_cost=0.2)
    told = await ended(assistant, told)
    assert (told["status"], told["error"]) == ("done", None)
    assert "99,999" in told["preview"] or "99999" in told["preview"]
    assert 0 < told["cost_usd"] < 0.2
    shown = []
    while not any(
        "2 rows" in json.dumps(one["content"]) for one in shown
    ):  # the tree of the run that has ended
        message = book.client.get_iopub_msg(timeout=60)
        if message["msg_type"] in ("display_data", "update_display_data"):
            shown.append(message)
    assert {one["parent_header"]["msg_id"] for one in shown} == {cell}
    pulled = await assistant("rlm_pull", handle=told["handle"], name="last_rows")
    assert pulled["variable"] == "last_rows"
    assert book.value("last_rows['n'].tolist()") == "[99998, 99999]"
    listed = await assistant("rlm_status")
    assert [run["handle"] for run in listed["runs"]] == [told["handle"]]


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("rlm_ask", {"variable": "missing", "question": "How many?"}, "no variable"),
        (
            "rlm_ask",
            {"variable": "__import__('os').system('touch hacked')", "question": "How many?"},
            "no variable",
        ),
        ("rlm_ask", {"variable": "sys", "question": "How many?"}, "no variable"),
        ("rlm_ask", {"variable": "replies", "question": "How many?"}, "no variable"),
        ("rlm_ask", {"variable": "orders", "question": " "}, "question"),
        ("rlm_ask", {"variable": "orders", "question": "How many?", "max_cost": -1}, "max_cost"),
        ("rlm_ask", {"variable": "orders", "question": "How many?", "notebook": "../work.ipynb"}, "not open"),
        ("rlm_pull", {"handle": "nothing", "name": "x"}, "no such run"),
        ("rlm_status", {"handle": "nothing"}, "no such run"),
    ],
)
async def test_what_an_assistant_must_not_is_an_error_it_can_read(assistant, book, tool, arguments, words):
    book.run("%rlm assistant")
    assert words in (await assistant(tool, **arguments))["error"]
    assert not (book.directory / "hacked").exists()


async def test_an_assistant_overwrites_nothing_of_the_notebook(assistant, book):
    book.run("%rlm assistant")
    told = await ended(assistant, await assistant("rlm_ask", variable="orders", question="How many?"))
    for name in ("orders", "get_ipython", "sys", "In", "a b", "class", "__name__", "x" * 100, "\uff4frders"):
        assert "error" in await assistant("rlm_pull", handle=told["handle"], name=name)
    assert book.value("len(orders)") == "100000"


class Manager:
    """What the server has of a kernel: it makes clients."""

    def __init__(self, book):
        self.file = book.client.connection_file

    def client(self):
        client = AsyncKernelClient(connection_file=self.file)
        client.load_connection_file()
        return client


async def test_a_busy_kernel_is_said_and_the_request_is_not_done_later(book, monkeypatch):
    book.run("%rlm assistant\nfrom rlm_jupyter.rlm import runs")
    before = book.value("len(runs())")
    monkeypatch.setattr(jupyter_mcp_tools, "_REPLY_SECONDS", 0.5)
    cell = book.send("import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)")
    with pytest.raises(TimeoutError):
        await jupyter_mcp_tools._ask_kernel(
            Manager(book), {"what": "ask", "variable": "orders", "question": "How many?"}
        )
    (book.directory / "go").touch()
    assert book.reply(cell)["status"] == "ok"
    assert book.value("len(runs())") == before
    monkeypatch.setattr(jupyter_mcp_tools, "_REPLY_SECONDS", 60.0)
    told = await jupyter_mcp_tools._ask_kernel(Manager(book), {"what": "hack"})
    assert told == {"error": "There is no such request."}


async def test_a_notebook_that_never_heard_of_this_is_told_how_to_allow_it(assistant, lab, book):
    lab.write("bare.ipynb", [])
    bare = opened(lab, "bare.ipynb")
    told = await assistant("rlm_ask", variable="x", question="How many?", notebook="bare.ipynb")
    assert "%rlm assistant" in told["error"]
    bare.client.stop_channels()


async def test_taking_the_permission_back_stops_the_runs(assistant, book):
    book.run("%rlm assistant")
    before = await handles(assistant)
    book.run("from rlm_jupyter.rlm import last_run")
    slow = asyncio.create_task(assistant("rlm_ask", variable="orders", question="Slow?"))
    while not await handles(assistant) - before:
        await asyncio.sleep(0.1)
    book.run("%rlm assistant --off")
    told = await slow  # it may have returned before, with the run that goes on
    assert "%rlm assistant" in told.get("error", "") or told.get("status") in ("running", "stopped"), told
    assert "%rlm assistant" in (await assistant("rlm_status"))["error"]
    while book.value("last_run().status") == "'running'":
        await asyncio.sleep(0.1)
    assert book.value("last_run().status") == "'stopped'"
