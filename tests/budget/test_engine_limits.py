"""Limits besides money and tokens: concurrency, turns, agents, depth, time; and what is left."""

import asyncio
import math

import pytest
from ledger_parts import NONE, PRICE, Clock, Server, call, limits

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.budget.ledger import Ledger, Left
from rlm_jupyter.errors import ConfigError, LimitReachedError, UnknownPriceError
from rlm_jupyter.models.base import Completion, Usage


async def test_the_gate_holds_falls_on_refusals_once_a_burst_and_rises_slowly():
    clock = Clock()
    ledger, server = Ledger(limits(concurrency=40), clock=clock), Server(1, "truth")
    assert ledger.concurrency == 40
    held = [await ledger.reserve("0", 1, 16, None) for _ in range(40)]
    for _ in range(40):
        ledger.rate_limited()
    assert ledger.concurrency == 20
    clock.now += 2
    ledger.rate_limited()
    assert ledger.concurrency == 10
    for one in held:
        ledger.settle(one, Usage(1, 1), None, failed=True)
    assert ledger.concurrency == 10, "failures do not raise it"
    async with asyncio.timeout(60):
        await asyncio.gather(*(call(ledger, server, "0", retries=False) for _ in range(10)))
        assert server.most_in_flight <= 10
        assert 10 < ledger.concurrency + 1 <= 12
        await asyncio.gather(*(call(ledger, server, "0", retries=False) for _ in range(1200)))
    assert 20 < server.most_in_flight <= 40
    assert ledger.concurrency == 40


async def test_the_gate_never_closes_whole_and_works_without_a_limit():
    clock = Clock()
    ledger = Ledger(limits(), clock=clock)
    assert ledger.concurrency is None
    for _ in range(5):
        clock.now += 2
        ledger.rate_limited()
    assert ledger.concurrency == 1
    held = await ledger.reserve("0", 1, 16, None)
    second = asyncio.create_task(ledger.reserve("0", 1, 16, None))
    await asyncio.sleep(0)
    assert not second.done()
    ledger.settle(held, Usage(1, 1), None)
    assert (await second).open


# Agents, turns, time.


async def test_turns_of_one_agent_are_limited_and_plain_calls_are_none():
    ledger = Ledger(limits(calls_per_agent=2))
    for _ in range(2):
        ledger.settle(await ledger.reserve("0", 1, 16, None, turn=True), Usage(1, 1), None)
        ledger.settle(await ledger.reserve("0", 1, 16, None), Usage(1, 1), None)
    assert ledger.left("0").turns == 0
    assert ledger.half_gone("0")
    with pytest.raises(
        LimitReachedError, match="Agent `0` reached its limit `calls_per_agent` of 2"
    ) as caught:
        await ledger.reserve("0", 1, 16, None, turn=True)
    assert caught.value.limit == "calls_per_agent"
    assert (await ledger.reserve("0.1", 1, 16, None, turn=True)).turn
    assert ledger.left("0.1").turns == 1, "the turn in flight counts"
    assert ledger.spend("0").turns == 2


async def test_a_turn_that_was_never_sent_is_given_back():
    ledger = Ledger(limits(calls_per_agent=1, calls=1))
    held = await ledger.reserve("0", 1, 16, None, turn=True)
    ledger.release(held)
    ledger.release(held)
    assert ledger.left("0") == Left(calls=1, turns=1)
    assert ledger.spend().calls == 0
    with pytest.raises(ValueError, match="settled or released before"):
        ledger.settle(held, None, None)


def test_a_cached_reply_costs_a_turn_and_nothing_else():
    ledger = Ledger(limits(calls_per_agent=1, calls=0, cost=0, tokens=0))
    spent = ledger.count_cached("0.1", turn=True)
    assert (spent.calls, spent.tokens, spent.cost, spent.turns, spent.cached) == (0, 0, 0.0, 1, 1)
    ledger.count_cached("0.1")
    assert ledger.spend("0").cached == 2
    with pytest.raises(LimitReachedError):
        ledger.count_cached("0.1", turn=True)


def test_agents_are_limited_in_number_and_depth():
    ledger = Ledger(limits(agents=3, depth=1))
    for agent in ("0", "0.1", "0.1", "0.2"):
        ledger.admit_agent(agent)
    with pytest.raises(LimitReachedError, match="`agents` of 3") as caught:
        ledger.admit_agent("0.3")
    assert caught.value.limit == "agents"
    with pytest.raises(LimitReachedError, match="`depth` of 1") as caught:
        ledger.admit_agent("0.1.1")
    assert caught.value.limit == "depth"
    assert [ledger.left(agent).depth for agent in ("0", "0.1", "0.1.1")] == [1, 0, 0]


async def test_after_its_seconds_nothing_is_sent_any_more():
    clock = Clock()
    ledger = Ledger(limits(seconds=10), clock=clock)
    held = await ledger.reserve("0", 1, 16, None)
    assert not ledger.half_gone()
    clock.now += 5
    assert ledger.half_gone()
    assert ledger.left("0").seconds == 5
    clock.now += 5
    with pytest.raises(LimitReachedError, match=r"`seconds` of 10\.0 s"):
        await ledger.reserve("0", 1, 16, None)
    with pytest.raises(LimitReachedError):
        ledger.retry(held)
    with pytest.raises(LimitReachedError):
        ledger.admit_agent("0.1")
    assert ledger.left("0").seconds == 0
    ledger.raise_limits(limits(seconds=20))
    assert (await ledger.reserve("0", 1, 16, None)).open


async def test_who_waits_when_the_time_is_up_is_told():
    ledger = Ledger(limits(seconds=0.05, calls=1))
    held = await ledger.reserve("0", 1, 16, None)
    async with asyncio.timeout(60):
        with pytest.raises(LimitReachedError) as caught:
            await ledger.reserve("0", 1, 16, None)
    assert caught.value.limit == "seconds"
    ledger.release(held)


async def test_what_is_left_leaves_out_what_requests_in_flight_have_reserved():
    ledger = Ledger(limits(cost=1.0, tokens=10_000, completion_tokens=500, calls=5))
    held = await ledger.reserve("0", 1000, 100, PRICE)
    assert ledger.left("0") == Left(cost=pytest.approx(0.9965), tokens=400, calls=4)
    ledger.settle(held, Usage(100, 10), None)
    assert ledger.left("0") == Left(cost=pytest.approx(0.99965), tokens=490, calls=4)
    assert Ledger(limits()).left("0.1.2") == Left()


@pytest.mark.parametrize(
    ("limit", "half"), [("calls", 2), ("tokens", 4), ("prompt_tokens", 2), ("cost", 25e-6)]
)
async def test_half_gone_is_told_of_every_limit(limit, half):
    ledger = Ledger(limits(**{limit: half * 2}))
    ledger.settle(await ledger.reserve("0", 1, 1, PRICE), Usage(1, 1), None)
    assert not ledger.half_gone()
    ledger.settle(await ledger.reserve("0", 1, 1, PRICE), Usage(1, 1), None)
    assert ledger.half_gone()


# The bound of a prompt.


@pytest.mark.parametrize("name", sorted(NONE))
def test_an_infinite_limit_is_none(name):
    assert getattr(Limits.of(**{name: math.inf}), name) is None
    with pytest.raises(ConfigError):
        Limits.of(**{name: math.nan})


def test_a_run_without_a_limit_in_money_is_given_none_that_could_not_be_kept():
    class Own:
        name, scripted, price = "own", False, None

        async def complete(self, request):
            await asyncio.sleep(0.3)
            return Completion("```repl\nFINAL(1)\n```")

    run = RLM(model=Own(), log_dir=None, cache=False).start("q")
    with run:
        with pytest.raises(UnknownPriceError, match="`own`"):
            run.set_limit("cost", 1.0)
        run.set_limit("cost", math.inf)
        run.set_limit("tokens", 100_000.0)
        assert run.wait(60).raise_for_error().value == 1
        assert [event.detail for event in run.events if event.kind == "command"] == [
            "cost=none",
            "tokens=100000",
        ]
