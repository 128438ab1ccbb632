"""`rlm-jupyter mcp --http`: tokens, the sessions of several clients, and what a browser's page must not reach."""

import asyncio
import json

import httpx
import psutil
import pytest
from mcp_client_parts import OTHER, TOKEN, call, opened, over_http, served_over_http
from openai_server import OpenAIServer
from run_parts import until
from scripts import cell, question_of

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.mcp_server.access_tokens import read_tokens

MODES = ["legacy", "auto"]
"""The protocol with sessions, and the one without."""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("http")
    root, audit = folder / "shared", folder / "audit.jsonl"
    root.mkdir()
    (root / "notes.txt").write_text("one\ntwo\nthree\n")
    codes = {"How long?": "FINAL(len(context))", "Slow?": "import time\nwhile True: time.sleep(0.1)"}
    with (
        OpenAIServer(lambda request: cell(codes[question_of(request["messages"])])) as model,
        served_over_http(root, model, audit=audit) as url,
    ):
        yield url, audit, model


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_with_a_token_has_all_tools_and_hears_how_far_a_run_is(served, mode):
    url = served[0]
    told = []

    async def hear(progress, total, message):
        told.append(message)

    async with over_http(url, mode=mode) as client:
        handle = await opened(client, "notes.txt")
        assert (await call(client, "read_span", handle=handle, start=2, lines=1))["text"] == "two"
        asked = {"handle": handle, "question": "How long?"}
        result = await client.call_tool("ask", asked, progress_callback=hear)
        assert result.structured_content["answer"] == 14
        assert told[-1].startswith("done:")


@pytest.mark.parametrize("mode", MODES)
async def test_a_handle_and_a_run_of_another_client_are_not_there(served, mode):
    url = served[0]
    async with over_http(url, mode=mode) as one, over_http(url, OTHER, mode=mode) as other:
        handle = await opened(one, "notes.txt")
        run = (await call(one, "ask", handle=handle, question="How long?"))["run"]
        for tool, arguments in {
            "describe": {"handle": handle},
            "read_span": {"handle": handle, "start": 1},
            "search": {"handle": handle, "pattern": "o"},
            "ask": {"handle": handle, "question": "How long?"},
            "value": {"run": run},
            "close": {"handle": handle},
        }.items():
            assert "There is no such" in await call(other, tool, **arguments)
        assert "There is no such" in await call(other, "close", handle=run)
        assert (await call(other, "status"))["sources"] == []
        assert (await call(one, "value", run=run))["value"] == 14


async def test_a_handle_of_another_session_of_the_same_token_is_not_there(served):
    url = served[0]
    async with over_http(url, mode="legacy") as one, over_http(url, mode="legacy") as other:
        handle = await opened(one, "notes.txt")
        assert "There is no such handle" in await call(other, "read_span", handle=handle, start=1)
    async with over_http(url, mode="auto") as newer:  # which may say of itself what it likes
        assert "There is no such handle" in await call(newer, "read_span", handle=handle, start=1)


@pytest.mark.parametrize("mode", MODES)
async def test_a_cancelled_question_stops_its_run(served, mode):
    url, _, model = served
    calls = model.calls
    async with over_http(url, mode=mode) as client:
        handle = await opened(client, "notes.txt")
        asking = asyncio.create_task(client.call_tool("ask", {"handle": handle, "question": "Slow?"}))
        while model.calls == calls:
            await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        while (await call(client, "status"))["runs"][-1]["status"] == "running":
            await asyncio.sleep(0.05)
        assert (await call(client, "status"))["runs"][-1]["status"] == "stopped"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong-token-of-these-tests"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": TOKEN},
    ],
)
def test_without_a_token_nothing_is_served(served, headers):
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    for method, path in (("POST", ""), ("GET", ""), ("DELETE", ""), ("GET", "/../"), ("OPTIONS", "")):
        answer = httpx.request(
            method, served[0] + path, json=asked if method == "POST" else None, headers=headers
        )
        assert answer.status_code == 401


def test_pages_of_other_sites_and_names_are_refused_even_with_the_token(served):
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    own = {"authorization": f"Bearer {TOKEN}", "accept": "application/json, text/event-stream"}
    for more in ({"origin": "https://example.org"}, {"host": "example.org"}, {"host": "example.org:8000"}):
        answer = httpx.post(served[0], json=asked, headers={**own, **more})
        assert answer.status_code in (403, 421)
    large = httpx.post(
        served[0], content=b"[" + b" " * (2 << 20) + b"]", headers={**own, "content-type": "application/json"}
    )
    assert large.status_code == 413


def test_tokens_are_in_no_log(served):
    text = served[1].read_text()
    assert json.loads(text.splitlines()[0])["tool"] == "open_source"
    assert TOKEN not in text
    assert OTHER not in text


def test_tokens_of_a_file_which_is_made_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.delenv("RLM_MCP_TOKEN", raising=False)
    file = tmp_path / "tokens"
    tokens, made = read_tokens(str(file))
    assert file.read_text().split() == list(tokens.values())
    assert (oct(file.stat().st_mode & 0o777), made) == ("0o600", False)
    file.write_text("short\n")
    with pytest.raises(ConfigError, match="20 characters"):
        read_tokens(str(file))
    assert read_tokens(None)[1]


async def test_the_end_of_the_server_ends_all_kernels(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "notes.txt").write_text("one\n")
    with (
        OpenAIServer(lambda _: cell("import time\nwhile True: time.sleep(0.1)")) as model,
        served_over_http(tmp_path / "shared", model, audit=tmp_path / "audit.jsonl") as url,
    ):
        async with over_http(url) as client:
            handle = await opened(client, "notes.txt")
            asking = asyncio.create_task(client.call_tool("ask", {"handle": handle, "question": "Slow?"}))
            while model.calls == 0:
                await asyncio.sleep(0.05)
            (own,) = [one for one in psutil.Process().children() if str(tmp_path) in " ".join(one.cmdline())]
            started = [own, *own.children(recursive=True)]
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    assert len(started) > 1
    until(lambda: not [one for one in started if one.is_running() and one.status() != psutil.STATUS_ZOMBIE])
