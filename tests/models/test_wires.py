"""What carries requests to a server: an HTTP client of ours, straight; the SDK where that cannot."""

import asyncio
import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from openai_server import OpenAIServer, raw
from pydantic import SecretStr

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.errors import ModelError
from rlm_jupyter.models.base import CompletionRequest
from rlm_jupyter.models.openai import direct_wire
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.direct_wire import DirectWire
from rlm_jupyter.models.openai.sdk_wire import SdkWire
from rlm_jupyter.models.openai.wire import RefusedError
from rlm_jupyter.models.retry import RetryPolicy

KEY = "sk-test-0123456789abcdef"
ROOT = Path(__file__).parents[2]


def chat(server, **changes):
    url = changes.pop("base_url", server.url)
    return OpenAIChat("m", base_url=url, api_key=KEY, retry=RetryPolicy(first_wait=0.01), **changes)


@pytest.fixture(autouse=True)
def _answers(openai_server):
    openai_server.script = lambda _: "ok"


def ask(text="How many?"):
    return CompletionRequest([{"role": "user", "content": text}], on_delta=lambda _: None)


def with_password(server):
    return server.url.replace("//", "//user:hunter22@")


@pytest.mark.parametrize(
    ("changes", "wire"),
    [
        ({}, DirectWire),
        ({"parameters": {"extra_headers": {"X-Mine": "1"}}}, DirectWire),
        ({"parameters": {"extra_query": {"version": "1"}}}, SdkWire),
        ({"base_url": with_password}, SdkWire),
        ({"base_url": lambda server: f"{server.url}?version=1"}, SdkWire),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_sdk(openai_server, changes, wire):
    changes = {name: value(openai_server) if callable(value) else value for name, value in changes.items()}
    assert type(chat(openai_server, **changes)._wires.choose()) is wire


def test_a_proxy_is_left_to_the_sdk(openai_server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert type(chat(openai_server)._wires.choose()) is SdkWire
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert type(chat(openai_server)._wires.choose()) is DirectWire


async def test_headers_are_the_keys_the_accounts_and_the_users(openai_server, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-2")
    model = chat(openai_server, parameters={"extra_headers": {"X-Mine": "1", "X-Not": None}})
    await model.complete(ask("ä \u2028"))
    await model.aclose()
    headers = openai_server.received[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-2")
    assert headers["x-mine"] == "1"
    assert "x-not" not in headers
    assert headers["user-agent"].startswith("rlm_jupyter/")
    assert openai_server.requests[0]["messages"][0]["content"] == "ä \u2028"


def test_runs_find_the_connections_of_those_before_them_open(openai_server):
    openai_server.script = lambda _: "```repl\nllm_query_batched(['a'] * 5)\nFINAL(1)\n```"
    for _ in range(3):  # each with a model of its own, which is closed with its run
        rlm = RLM("m", base_url=openai_server.url, api_key=KEY, limits=Limits(cost=None), log_dir=None)
        with rlm.run("Five at once?"):
            pass
    assert openai_server.calls > 3
    assert openai_server.connections <= 6  # five at once, and the one that asked what the server is


async def test_models_on_a_loop_of_the_users_share_nothing_and_close_their_connections(openai_server):
    first, second = chat(openai_server), chat(openai_server)
    await asyncio.gather(first.complete(ask()), second.complete(ask()))
    assert openai_server.connections == 2
    await first.aclose()
    await second.complete(ask())
    assert openai_server.connections == 2
    await second.aclose()


@pytest.mark.filterwarnings("error")
async def test_a_model_that_nobody_holds_any_more_closes_its_connections(openai_server):
    model = chat(openai_server)
    await model.complete(ask())
    wire = model._wires.choose()
    session = wire._own.here(wire._new_session)
    del wire
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del model
        gc.collect()
        while not session.closed:
            await asyncio.sleep(0.01)
    assert session.closed


def test_connections_of_the_engine_can_be_closed_and_made_anew(openai_server):
    def complete():
        return engine().submit(chat(openai_server).complete(ask())).result(60).text

    openai_server.script = lambda _: "ok"
    assert [complete(), complete()] == ["ok", "ok"]
    assert openai_server.connections == 1
    engine().submit(direct_wire.close_connections()).result(60)
    assert complete() == "ok"
    assert openai_server.connections == 2


def test_a_process_that_asked_a_model_ends_without_a_word_and_without_the_sdk(openai_server):
    code = (
        "import sys; from rlm_jupyter import RLM, Limits; "
        f"rlm = RLM('m', base_url={openai_server.url!r}, api_key='k', limits=Limits(cost=None), log_dir=None); "
        "run = rlm.run('How many?'); print(run.value); "
        "print('openai' in sys.modules)"
    )
    openai_server.script = lambda _: "```repl\nFINAL(7)\n```"
    run = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", code],
        capture_output=True, text=True, check=True, cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("SSL")},
    )  # fmt: skip
    assert run.stdout.split("\n")[:2] == ["7", "False"]
    assert "aiohttp" not in run.stderr
    assert "nclosed" not in run.stderr


async def test_a_redirection_takes_the_key_nowhere_else(openai_server):
    with OpenAIServer() as other:
        other.script = lambda _: "taken"
        openai_server.script = lambda _: raw(
            b"", "text/plain", status=307, Location=f"{other.url}/chat/completions"
        )
        model = chat(openai_server)
        await model.complete(ask())
        await model.aclose()
        assert "authorization" not in other.received[0].headers


@pytest.mark.parametrize("header", ["x-goog-api-key", "api-key", "X-Api-Key"])
async def test_a_key_in_another_header_goes_nowhere_else(openai_server, header):
    with OpenAIServer() as other:
        openai_server.script = lambda _: raw(
            b"", "text/plain", status=307, Location=f"{other.url}/chat/completions"
        )
        wire = DirectWire({header: SecretStr(KEY)}, SecretStr(openai_server.url))
        with pytest.raises(RefusedError) as caught:
            async with wire.posted({"model": "m"}, 5):
                pass
        await wire.aclose()
        assert caught.value.status_code == 307
        assert other.received == []


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_a_refusal_is_read_up_to_a_bound(openai_server, status):
    openai_server.script = lambda _: raw(b"No. " * 10_000_000, "text/plain", status=status)
    model = chat(openai_server)
    model.retry = RetryPolicy(attempts=1)
    with pytest.raises(ModelError, match="No") as caught:
        await model.complete(ask())
    await model.aclose()
    assert len(str(caught.value)) < 2000
