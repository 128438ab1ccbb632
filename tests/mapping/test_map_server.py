"""`rlm.map` against a real HTTP server: its own count of tokens, its failures, and a process that is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from map_parts import QUESTION, SCHEMA, answers, complaints, good_reply, items_in
from openai_server import FAULTS, OpenAIServer, Reply, fault
from run_parts import until

from rlm_jupyter import RLM, LimitReachedError, Limits
from rlm_jupyter.models.base import Price
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.retry import RetryPolicy

SUPPORT = Path(__file__).parents[1] / "support"
ROWS, PER, CONCURRENCY = 5000, 20, 2


def good(request):
    return good_reply(request["messages"])


def started(server, cache):
    arguments = [server.url, str(ROWS), str(PER), str(CONCURRENCY)]
    path = os.pathsep.join([str(SUPPORT), str(SUPPORT.parents[1]), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": path.rstrip(os.pathsep)}
    return subprocess.Popen(
        [sys.executable, str(SUPPORT / "map_process.py"), *arguments],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )


def ended(process):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


def test_a_process_that_is_killed_at_half_is_gone_on_with_and_pays_for_nothing_twice(tmp_path):
    with OpenAIServer(good) as server:
        assert ended(started(server, tmp_path / "one")) == {"done": ROWS, "errors": 0, "wrong": 0}
        one_pass = server.prompt_tokens + server.completion_tokens
        calls = server.calls
        process = started(server, tmp_path / "two")
        until(lambda: server.calls >= calls + ROWS // PER // 2, 200)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        process.stdout.close()
        assert server.calls < calls + ROWS // PER
        assert ended(started(server, tmp_path / "two")) == {"done": ROWS, "errors": 0, "wrong": 0}
        both = server.prompt_tokens + server.completion_tokens - one_pass
        assert both <= 1.01 * one_pass
        again = server.calls
        assert ended(started(server, tmp_path / "two")) == {"done": ROWS, "errors": 0, "wrong": 0}
        assert server.calls == again


def test_what_was_sent_before_a_stop_is_kept_and_not_paid_for_again(rlm):
    with OpenAIServer(good) as server:
        made, data = rlm(server), complaints(200)
        server.together = 4  # nobody is answered until four are there
        run = made.start_map(data, QUESTION, SCHEMA, confirm=False, per=10)
        until(lambda: server.calls >= 1)
        server.latency = 0.5
        server.together = 0
        until(lambda: server.in_flight >= 2)
        run.stop()
        run.wait(100)
        assert run.status == "stopped"
        assert server.aborted == 0
        stopped_at = server.calls
        assert stopped_at < 20
        server.latency = 0.0
        out = made.map(data, QUESTION, SCHEMA, confirm=False, per=10)
        assert out["error"].isna().all()
        assert server.calls == 20


def test_a_request_that_waits_does_not_hold_back_a_stop(rlm, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.engine.mapping.last_replies.MOST_SECONDS", 10_000)
    refused = [fault("rate_limit", retry_after=5000)] * 100
    with OpenAIServer(refused) as server:
        run = rlm(server).start_map(complaints(20), QUESTION, SCHEMA, confirm=False, per=20)
        until(lambda: any(event.kind == "waiting" for event in run.events))
        run.stop()
        assert run.wait(100).status == "stopped"


def test_a_further_stop_gives_up_what_is_under_way(rlm, monkeypatch):
    monkeypatch.setattr("rlm_jupyter.engine.mapping.last_replies.MOST_SECONDS", 10_000)
    with OpenAIServer([fault("hang")] * 100) as server:
        run = rlm(server).start_map(complaints(20), QUESTION, SCHEMA, confirm=False, per=20)
        until(lambda: server.in_flight == 1)
        until(lambda: run.stop() or run.done)  # two within one turn of the engine's loop are one
        assert run.status == "stopped"


@pytest.fixture
def rlm(tmp_path, monkeypatch):
    """Makes an `RLM` of a server; what it starts is closed at the end."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    runs = []

    def make(server, price=None, **options):
        model = OpenAIChat(
            "test-model",
            base_url=server.url,
            api_key="sk-test-0123456789",
            retry=RetryPolicy(first_wait=0.01, longest_backoff=0.05),
        )
        made = RLM(model=model, price=price, log_dir=tmp_path / "logs", **options)
        start = made.start_map

        def start_map(*args, **kwargs):
            runs.append(start(*args, **kwargs))
            return runs[-1]

        made.start_map = start_map
        return made

    yield make
    for run in runs:
        run.close()


def test_rows_keep_their_answers_whatever_fails_in_the_middle(rlm):
    """Missing and doubled numbers, a wrong order, wrong types, prose, a 500, a 429 and a refusal."""
    lock, seen = threading.Lock(), [0]
    faults = [fault("server_error"), fault("rate_limit", retry_after=0.01), fault("bad_request")]

    def script(request):
        rows = answers(request["messages"])
        with lock:
            seen[0] += 1
            number = seen[0]
        if len(rows) == 1:
            return json.dumps(rows)
        changes = {
            2: lambda: json.dumps(rows[:3] + rows[4:]),
            3: lambda: json.dumps([*rows, rows[2]]),
            4: lambda: json.dumps(rows[::-1]),
            5: lambda: json.dumps([{**rows[0], "delivery": "yes"}, *rows[1:]]),
            6: lambda: f"Certainly! Here are [all] of {{them}}:\n{json.dumps(rows)}\nAnything else?",
            7: lambda: faults[0],
            8: lambda: faults[1],
            9: lambda: faults[2],
        }
        return changes.get(number, lambda: json.dumps(rows))()

    data = complaints(400)
    with OpenAIServer(script) as server:
        out = rlm(server).map(data, QUESTION, SCHEMA, confirm=False, per=20)
        assert server.calls > 20
    assert out["error"].isna().all()
    assert out["why"].tolist() == data["text"].tolist()
    assert out["delivery"].tolist() == ["late" in text for text in data["text"]]


ONCE = [name for name in FAULTS if name not in ("hang", "late_hang", "late", "unauthorized", "forbidden")]


@pytest.mark.parametrize("name", ONCE)
def test_one_failure_of_any_kind_costs_no_row(rlm, name):
    lock, seen = threading.Lock(), [0]

    def script(request):
        with lock:
            seen[0] += 1
            if seen[0] == 3:
                return fault(name)
        return good_reply(request["messages"])

    with OpenAIServer(script) as server:
        out = rlm(server, cache=False).map(complaints(80), QUESTION, SCHEMA, confirm=False, per=10)
    assert out["error"].isna().all()
    assert out["why"].tolist() == complaints(80)["text"].tolist()


@pytest.mark.parametrize("concurrency", [1, 16])
def test_the_cost_stays_within_the_limit_also_with_concurrency_and_failures(rlm, concurrency):
    lock, seen = threading.Lock(), [0]

    def script(request):
        with lock:
            seen[0] += 1
            if seen[0] % 5 == 0:
                return fault("rate_limit", retry_after=0.01)
        rows = answers(request["messages"])
        return json.dumps(rows[: len(rows) // 2 + 1])

    price = Price(2.0, 8.0)
    with OpenAIServer(script, latency=0.005) as server:
        made = rlm(
            server, price=price, limits=Limits(cost=0.05, concurrency=concurrency), completion_tokens=2000
        )
        with pytest.raises(LimitReachedError) as caught:
            made.map(complaints(3000), QUESTION, SCHEMA, confirm=False, per=10)
        run = caught.value.run
        billed = (server.prompt_tokens * price.prompt + server.completion_tokens * price.completion) / 1e6
    assert billed <= 0.05
    assert run.cost <= 0.05
    assert run.value["error"].isna().sum() > 20


def test_packing_saves_four_fifths_of_the_tokens_that_the_server_counts(rlm):
    def sent(**options):
        with OpenAIServer(good) as server:
            out = rlm(server, cache=False).map(
                complaints(400), QUESTION, SCHEMA, columns=["text"], confirm=False, **options
            )
            assert out["error"].isna().all()
            return server.prompt_tokens

    assert sent(per=1) >= 5 * sent()


def test_a_server_that_counts_no_tokens_and_cuts_replies(rlm):
    def script(request):
        return Reply(good_reply(request["messages"]), usage=None)

    with OpenAIServer(script) as server:
        out = rlm(server, completion_tokens=300, cache=False).map(
            complaints(60), QUESTION, SCHEMA, confirm=False
        )
        assert max(len(items_in(request["messages"])) for request in server.requests) < 10
    assert out["error"].isna().all()
