"""No limit can be passed: runs against a server that counts for itself."""

import asyncio
import itertools
import threading
import time
from fractions import Fraction

import pytest
from limits_parts import (
    COUNTS,
    FAN,
    SAID,
    WIDTHS,
    asking,
    bound,
    limits,
    nothing_follows,
    spent,
    true_cost,
    until,
)
from openai_server import OpenAIServer, Reply, fault

from rlm_jupyter.engine.budget.ledger import Ledger
from rlm_jupyter.errors import LimitReachedError
from rlm_jupyter.models.base import Usage


@pytest.fixture
def ask(openai_server):
    with asking(openai_server) as start:
        yield start


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", COUNTS)
def test_the_servers_own_count_never_passes_a_limit(ask, openai_server, name, width):
    most = bound(name, width)
    run = ask(
        {"root": [FAN.format(width=width), "FINAL(len(got))"]}, bounds=limits(**{name: most}), latency=0.01
    )
    assert COUNTS[name](openai_server) <= Fraction(str(most))
    assert openai_server.in_flight == 0
    told = openai_server.prompt_tokens, openai_server.completion_tokens
    assert spent(run) == told == (run.usage.prompt_tokens, run.usage.completion_tokens)
    assert run.cost == pytest.approx(float(true_cost(openai_server)), abs=1e-9)
    assert run.tree.requests == openai_server.calls
    assert run.usage.estimated is False
    assert openai_server.calls > 3 or width < 10
    if name == "concurrency":
        assert run.raise_for_error().value == width
    elif name == "calls":
        assert openai_server.calls == most or width == 1
    if run.error is not None or (width >= 50 and name != "concurrency"):
        assert isinstance(run.error, LimitReachedError)
        assert (run.status, run.error.limit) == ("limit", name)
    assert run.agents["0"].pull("n") == 3
    nothing_follows(run, openai_server)


@pytest.mark.parametrize("name", ["calls", "tokens", "cost"])
def test_cancelled_calls_count(ask, openai_server, name):
    code = (
        "import asyncio\n"
        "async def waste():\n"
        "    tasks = [asyncio.create_task(llm_query('word ' * 60)) for _ in range(10)]\n"
        "    await asyncio.sleep(0.1)\n"
        "    for task in tasks:\n        task.cancel()\n"
        "    return await asyncio.gather(*tasks, return_exceptions=True)\n"
        "for _ in range(8):\n    last = await waste()"
    )
    most = {"calls": 25, "tokens": 25_000, "cost": 0.08}[name]
    run = ask({"root": [code, "FINAL(1)"]}, Reply(SAID, latency=600), bounds=limits(**{name: most}))
    assert COUNTS[name](openai_server) <= Fraction(str(most))
    assert openai_server.aborted > 0
    assert run.status in ("done", "limit")
    failed = [event for event in run.events if event.kind == "reply_failed"]
    assert all(event.error == "stopped" and event.input_tokens > 0 for event in failed)
    assert failed
    nothing_follows(run, openai_server)


def test_a_limit_that_is_raised_while_the_run_goes_on_holds_anew(ask, openai_server):
    code = (
        "import time\ngot = []\n"
        "while len(got) < 12:\n"
        "    try:\n        got.append(llm_query('more'))\n"
        "    except RLMQueryError:\n        time.sleep(0.02)"
    )
    run = ask({"root": [code, "FINAL(len(got))"]}, bounds=limits(calls=6), wait=False)
    until(lambda: openai_server.calls == 6 and run._conductor.limit is not None)
    time.sleep(0.2)
    assert openai_server.calls == 6
    run.set_limit("calls", 10)
    until(lambda: openai_server.calls == 10)
    time.sleep(0.2)
    assert openai_server.calls == 10
    run.set_limit("calls", None)
    assert run.wait(200).raise_for_error().value == 12
    assert openai_server.calls == 14


SPREAD = "parts = rlm_query_batched(['part'] * {width}, contexts=list(range({width})))\ngot = [p for p in parts if p]"
PART = ["first = llm_query('word ' * 60)\nprint(first)", "FINAL([context, first])"]


@pytest.mark.parametrize("name", ["calls", "tokens", "cost", "agents"])
def test_sub_agents_share_the_limit_and_their_spend_is_in_the_sums(ask, openai_server, name):
    most = {"calls": 17, "tokens": 40_000, "cost": 0.12, "agents": 5}[name]
    run = ask(
        {"root": [SPREAD.format(width=8), "FINAL(len(got))"], "part": PART}, bounds=limits(**{name: most})
    )
    if name == "agents":
        assert len(run.agents) == 5
        assert run.raise_for_error().value == 4
    else:
        assert COUNTS[name](openai_server) <= Fraction(str(most))
    tree = run.tree
    told = openai_server.prompt_tokens, openai_server.completion_tokens
    assert spent(run) == told
    assert sum(agent.input_tokens for agent in tree.agents.values()) == told[0]
    assert sum(agent.output_tokens for agent in tree.agents.values()) == told[1]
    whole = run._conductor.ledger.spend("0")
    assert (whole.calls, whole.prompt_tokens, whole.completion_tokens) == (openai_server.calls, *told)
    assert sum(agent.cost for agent in tree.agents.values()) == pytest.approx(whole.cost, abs=1e-9)
    assert Fraction(whole.cost).limit_denominator(10**9) == true_cost(openai_server)
    assert all(agent.status != "running" for agent in tree.agents.values())
    nothing_follows(run, openai_server)


def test_depth_and_turns_hold(ask, openai_server):
    deeper = "try:\n    sub = rlm_query('deeper', context=1)\nexcept RLMQueryError as error:\n    sub = error.kind\n"
    turns = {"root": [deeper + "FINAL(sub)"], "deeper": [deeper + "FINAL([sub])"]}
    run = ask(turns, plain="plain", bounds=limits(depth=1))
    assert run.raise_for_error().value == ["plain"]
    assert list(run.agents) == ["0", "0.1"]
    run = ask({"root": ["print(1)"]}, bounds=limits(calls_per_agent=3))
    assert (run.status, run.error.limit) == ("limit", "calls_per_agent")
    assert sum(event.kind == "prompt_sent" for event in run.events) == 3


class Greedy(OpenAIServer):
    """A server that does not mind `max_tokens`."""

    def _billed(self, request, reply):
        return super()._billed({k: v for k, v in request.items() if not k.startswith("max_")}, reply)


def test_a_server_that_sends_more_than_it_was_asked_for_is_counted_as_billed_and_ends_the_run(ask):
    with Greedy() as server:
        code = "for _ in range(50):\n    llm_query('x')"
        run = ask({"root": [code]}, "a word " * 2000, bounds=limits(completion_tokens=4000), server=server)
        assert run.status == "limit"
        assert run.usage.completion_tokens == server.completion_tokens
        per_call = 3500
        assert server.completion_tokens <= 4000 + per_call
        nothing_follows(run, server)


def test_a_request_that_is_sent_anew_for_an_old_server_counts_too(ask, openai_server):
    openai_server.refuse = {"stream_options"}
    run = ask({"root": ["x = [llm_query('a') for _ in range(9)]", "FINAL(1)"]}, bounds=limits(calls=5))
    assert openai_server.calls == 5
    assert run.status == "limit"
    assert run._conductor.ledger.spend().calls == 5
    kinds = [event for event in run.events if event.kind == "waiting" and event.reason != "kernel"]
    assert kinds == []


def test_what_is_left_is_told_once_half_is_gone_and_by_budget(ask):
    turns = [
        "print(budget())",
        "x = llm_query_batched(['a'] * 4)",
        "left = budget()\nprint(left['calls'])",
        "FINAL(left)",
    ]
    run = ask({"root": turns}, bounds=limits(calls=12, cost=1.0))
    assert "Left to spend" not in run.messages()[3]["content"]
    assert "Left to spend: 18 turns, 6 calls, $0." in run.messages()[5]["content"]
    assert run.raise_for_error().value["calls"] == 5
    assert run.value["turns"] == 17
    assert 0 < run.value["cost"] < 1


def test_budget_tells_how_much_data_may_still_leave(ask):
    turns = ["before = budget()['exposure']\nprint('x' * 400)", "FINAL([before, budget()['exposure']])"]
    before, after = ask({"root": turns}, bounds=limits(exposure=10_000)).raise_for_error().value
    assert 0 < before - after < 1000 <= after < 10_000
    assert ask({"root": ["FINAL(budget()['exposure'])"]}).raise_for_error().value is None


def test_two_runs_at_once_have_their_own_limits(ask, openai_server):
    runs = []
    script = {"root": [FAN.format(width=20), "FINAL(len(got))"]}
    starts = [
        threading.Thread(target=lambda n=n: runs.append(ask(script, bounds=limits(calls=n)))) for n in (6, 12)
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert sorted(run._conductor.ledger.spend().calls for run in runs) == [6, 12]
    assert openai_server.calls == 18


def test_a_retry_waits_for_what_others_may_free_and_the_run_goes_on(ask, openai_server):
    numbers = itertools.count()

    def plain(_):
        return fault("truncated", latency=0.01) if next(numbers) == 0 else Reply(SAID, latency=0.1)

    most = 3 * (296 + 300) + 2000
    code = "parts = llm_query_batched(['word ' * 60] * 3)\nprint(parts)"
    run = ask({"root": [code, "FINAL(list(map(bool, parts)))"]}, plain, bounds=limits(tokens=most + 12_000))
    assert run.raise_for_error().value == [True] * 3
    assert openai_server.calls == 6


async def test_a_retry_waits_where_others_may_free_enough_and_is_refused_where_none_can():
    ledger = Ledger(limits(tokens=1300))
    first, second = [await ledger.reserve("0", 100, 400, None) for _ in range(2)]
    waiting = asyncio.ensure_future(ledger.wait_to_retry(first))
    newer = asyncio.ensure_future(ledger.reserve("0", 10, 10, None))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert not newer.done()  # what was begun goes first
    with pytest.raises(LimitReachedError):
        await ledger.wait_to_retry(second)
    ledger.settle(second, Usage(100, 100), None)
    await waiting
    assert first.attempts == 2
    ledger.settle(first, Usage(200, 400), None, attempts=2)
    ledger.release(await newer)
    assert ledger.spend().tokens == 800
