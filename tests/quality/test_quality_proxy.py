"""The proxy counts what went over the wire, whoever asked, and keeps the key."""

import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from openai_server import OpenAIServer, Reply, fault

from benchmarks.quality.exchange import Exchange, read_log, write_log
from benchmarks.quality.recording_proxy import RecordingProxy

KEY = "sk-quality-0123456789"


def post(url, *, stream=False, timeout=60, **fields):
    messages = [{"role": "user", "content": "How many?"}]
    body = {"model": "test-model", "messages": messages, "stream": stream, **fields}
    if stream:
        body["stream_options"] = {"include_usage": True}
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return response.read().decode()


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_is_passed_on_and_counted_as_the_server_does(openai_server, stream):
    openai_server.script = ["There are seven."]
    with RecordingProxy(openai_server.url, KEY) as proxy:
        recording = proxy.record()
        told = post(proxy.url, stream=stream)
        (exchange,) = recording.end()
    assert (
        "[DONE]" in told
        if stream
        else json.loads(told)["choices"][0]["message"]["content"] == "There are seven."
    )
    assert exchange.messages == [{"role": "user", "content": "How many?"}]
    assert exchange.reply == "There are seven."
    assert exchange.tokens() == (openai_server.prompt_tokens, openai_server.completion_tokens)
    assert not exchange.estimated
    assert exchange.error is None


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_that_the_server_does_not_count_are_estimated_and_marked(openai_server, stream):
    openai_server.script = [Reply("x" * 40, usage=None)]
    with RecordingProxy(openai_server.url, KEY) as proxy:
        recording = proxy.record()
        post(proxy.url, stream=stream)
        (exchange,) = recording.end()
    assert exchange.estimated
    assert exchange.tokens() == (3, 10)


def test_the_key_is_added_by_the_proxy_and_stands_in_no_log(openai_server, tmp_path):
    openai_server.script = ["7"]
    with RecordingProxy(openai_server.url, KEY) as proxy:
        recording = proxy.record()
        post(proxy.url)
        write_log(tmp_path / "log.jsonl", recording.end())
    assert openai_server.received[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in (tmp_path / "log.jsonl").read_text()
    assert read_log(tmp_path / "log.jsonl") == recording.exchanges


@pytest.mark.parametrize(
    ("asked", "sent"),
    [({}, 50), ({"max_tokens": 20}, 20), ({"max_tokens": 90}, 50), ({"max_completion_tokens": 30}, 30)],
)
def test_replies_are_limited_in_the_field_that_the_server_reads(openai_server, asked, sent):
    openai_server.script = ["7", "7"]
    for field in ("max_tokens", "max_completion_tokens"):
        with RecordingProxy(openai_server.url, KEY, 50, field) as proxy:
            post(proxy.url, **asked)
        request = openai_server.requests[-1]
        assert {name: value for name, value in request.items() if name.startswith("max_")} == {field: sent}


def test_other_paths_are_passed_on_and_not_counted(openai_server):
    with RecordingProxy(openai_server.url, KEY) as proxy:
        recording = proxy.record()
        with urllib.request.urlopen(f"{proxy.url}/models", timeout=60) as response:
            assert json.load(response)["data"][0]["id"] == "test-model"
        assert recording.end() == []


def test_an_error_of_the_server_is_passed_on_and_recorded(openai_server):
    openai_server.script = [fault("unauthorized")]
    with RecordingProxy(openai_server.url, KEY) as proxy:
        recording = proxy.record()
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(proxy.url)
        refused.value.close()
        (exchange,) = recording.end()
    assert exchange.status == refused.value.code == 401
    assert exchange.error.startswith("HTTP 401: ")
    assert KEY not in exchange.error  # which this server quotes
    assert "***" in exchange.error


def test_a_server_that_is_not_there_is_told_as_such():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with RecordingProxy(f"http://127.0.0.1:{port}/v1", KEY) as proxy:
        recording = proxy.record()
        with pytest.raises(urllib.error.HTTPError, match="502") as refused:
            post(proxy.url)
        refused.value.close()
        (exchange,) = recording.end()
    assert exchange.status == 0
    assert "ConnectionRefusedError" in exchange.error


def test_a_reply_that_breaks_off_is_no_whole_reply_for_the_harness(openai_server):
    openai_server.script = [Reply("There are seven.", mode="reset_mid_body")]
    with RecordingProxy(openai_server.url, KEY) as proxy:
        recording = proxy.record()
        with pytest.raises(Exception, match=r"IncompleteRead|closed|reset"):
            post(proxy.url)
        (exchange,) = recording.end()
    assert exchange.error


def test_the_end_of_a_run_ends_its_requests_at_the_server():
    with OpenAIServer(["late"], latency=3600) as server, RecordingProxy(server.url, KEY) as proxy:
        recording = proxy.record()

        def ask():
            try:
                post(proxy.url)
            except urllib.error.HTTPError as error:
                error.close()
            except (OSError, http.client.HTTPException):
                pass

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        wait_for(lambda: server.in_flight == 1)
        (exchange,) = recording.end()
        assert exchange.error
        wait_for(lambda: server.aborted == 1)
        asking.join(60)


def test_what_comes_after_the_end_of_a_run_is_not_counted_for_the_next(openai_server):
    openai_server.script = ["7", "8"]
    with RecordingProxy(openai_server.url, KEY) as proxy:
        first = proxy.record()
        post(proxy.url)
        second = proxy.record()
        post(proxy.url)
        assert [exchange.reply for exchange in first.end()] == ["7"]
        assert [exchange.reply for exchange in second.end()] == ["8"]


def test_a_url_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`localhost` is not the URL of a server"):
        RecordingProxy("localhost", KEY)


def test_a_file_that_is_no_log_is_refused(tmp_path):
    (tmp_path / "log").write_text('{"kind": "exchange", "other": 1}\n')
    with pytest.raises(ValueError, match="not a log of exchanges"):
        read_log(tmp_path / "log")
    assert Exchange([]).kind == "exchange"


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
