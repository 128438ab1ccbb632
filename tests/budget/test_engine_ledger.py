"""No limit can be passed: simulated servers count for themselves, and who waits is let go in order."""

import asyncio
from fractions import Fraction

import pytest
from ledger_parts import LIMITS, PRICE, Server, call, limits, spend_all

from rlm_jupyter.engine.budget.amounts import MIN_MAX_TOKENS
from rlm_jupyter.engine.budget.ledger import Ledger
from rlm_jupyter.errors import LimitReachedError
from rlm_jupyter.models.base import Price, Usage


@pytest.mark.parametrize("agents", [1, 4, 10, 50, 200])
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("tells", ["truth", "nothing", "null", "negative", "huge", "text", "nan", "bool"])
@pytest.mark.parametrize("retries", [False, True])
async def test_the_servers_own_count_never_passes_a_limit(agents, limit, tells, retries):
    ledger, server = Ledger(limits(**{limit: LIMITS[limit]})), Server(agents, tells)
    async with asyncio.timeout(60):
        errors = await asyncio.gather(
            *(spend_all(ledger, server, f"0.{number}", retries=retries) for number in range(agents))
        )
    assert {error.limit for error in errors} == {limit}
    assert getattr(server, limit) <= Fraction(str(LIMITS[limit]))
    assert getattr(ledger.spend(), limit) <= LIMITS[limit]
    assert getattr(ledger.spend(), limit) >= float(getattr(server, limit)) * (1 - 1e-12)
    assert ledger.spend().estimated or tells == "truth"
    assert (ledger.in_flight, ledger.waiting) == (0, 0)
    if tells == "truth" and not retries:  # and it is used up: less than one worst case is left
        rest = {"calls": 1, "tokens": 600, "prompt_tokens": 400, "completion_tokens": 200, "cost": 0.003}
        assert LIMITS[limit] - getattr(ledger.spend(), limit) < rest[limit]
    if retries:  # a retry was refused: a smaller request may still fit
        await spend_all(ledger, server, "0.late", retries=False)
    before = server.calls
    with pytest.raises(LimitReachedError):
        await call(ledger, server, "0.late", retries=False, bound=400)
    assert server.calls == before, "after the limit no new request"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", LIMITS)
async def test_cancelled_calls_are_counted_as_they_may_have_been_billed(limit, seed):
    ledger, server = Ledger(limits(**{limit: LIMITS[limit], "concurrency": 7})), Server(seed, "truth")
    tasks = [asyncio.create_task(spend_all(ledger, server, f"0.{n}", retries=True)) for n in range(50)]
    async with asyncio.timeout(60):
        for task in server.random.sample(tasks, 30):
            await asyncio.sleep(0)
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, (LimitReachedError, asyncio.CancelledError)) for end in ended)
    assert getattr(server, limit) <= Fraction(str(LIMITS[limit]))
    assert getattr(server, limit) <= Fraction(getattr(ledger.spend(), limit)) * (1 + Fraction(1, 10**12))
    assert server.most_in_flight <= 7
    assert (ledger.in_flight, ledger.waiting) == (0, 0)


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_limit_raised_while_running_lets_those_who_wait_go_on_up_to_the_new_one(limit):
    ledger, server = Ledger(limits(**{limit: LIMITS[limit]})), Server(3, "truth")
    agents = [asyncio.create_task(spend_all(ledger, server, f"0.{n}", retries=False)) for n in range(50)]
    while getattr(server, limit) < Fraction(str(LIMITS[limit])) / 3:
        await asyncio.sleep(0)
    raised = 3 * LIMITS[limit]
    ledger.raise_limits(limits(**{limit: raised}))
    async with asyncio.timeout(60):
        await asyncio.gather(*agents)
    assert Fraction(str(LIMITS[limit])) * 2 < getattr(server, limit) <= Fraction(str(raised))


async def test_a_raised_limit_wakes_who_waits_at_once():
    ledger = Ledger(limits(calls=1))
    await ledger.reserve("0", 10, 100, None)
    second = asyncio.create_task(ledger.reserve("0", 10, 100, None))
    await asyncio.sleep(0)
    assert ledger.waiting == 1
    ledger.raise_limits(limits(calls=2))
    assert (await second).max_tokens == 100


async def test_a_clamped_request_gets_what_is_left_once_it_is_alone():
    ledger = Ledger(limits(tokens=1000))
    first = await ledger.reserve("0", 300, 500, None)
    second = asyncio.create_task(ledger.reserve("0", 300, 500, None))
    await asyncio.sleep(0)
    assert not second.done(), "while others are in flight, it waits for its full size"
    ledger.settle(first, Usage(200, 150), None)
    assert (await second).max_tokens == 350
    ledger.settle(await second, Usage(300, 330), None)
    with pytest.raises(LimitReachedError, match="limit `tokens` of 1,000: 980 spent") as caught:
        await ledger.reserve("0", 5, 500, None)
    assert caught.value.limit == "tokens"
    assert (await ledger.reserve("0", 4, 500, None)).max_tokens == MIN_MAX_TOKENS


async def test_a_request_that_can_never_fit_is_refused_at_once_and_the_others_go_on():
    ledger = Ledger(limits(tokens=1000, cost=1.0))
    held = await ledger.reserve("0", 100, 100, PRICE)
    with pytest.raises(LimitReachedError, match="up to 2,016 needed"):
        await ledger.reserve("0", 2000, 100, PRICE)
    ledger.release(held)
    with pytest.raises(
        LimitReachedError, match=r"`cost` of \$1.00: \$0 spent, up to \$2.50 needed"
    ) as caught:
        await Ledger(limits(cost=1.0)).reserve("0", 1_000_000, 16, Price(2.5, 0))
    assert caught.value.limit == "cost"


async def test_first_come_first_served_so_that_a_large_request_is_not_overtaken():
    ledger, order = Ledger(limits(tokens=1000)), []

    async def one(name, size):
        held = await ledger.reserve("0", size, 16, None)
        order.append(name)
        await asyncio.sleep(0)
        ledger.settle(held, Usage(1, 1), None)

    async with asyncio.timeout(60):
        sizes = {"a": 400, "b": 400, "large": 900, "c": 10, "d": 10}
        await asyncio.gather(*(one(name, size) for name, size in sizes.items()))
    assert order == ["a", "b", "large", "c", "d"]


async def test_cancelling_the_first_in_the_queue_lets_the_next_one_go():
    ledger = Ledger(limits(tokens=1000))
    held = await ledger.reserve("0", 500, 100, None)
    large = asyncio.create_task(ledger.reserve("0", 900, 16, None))
    small = asyncio.create_task(ledger.reserve("0", 10, 16, None))
    await asyncio.sleep(0)
    assert ledger.waiting == 2
    large.cancel()
    assert (await small).max_tokens == 16
    with pytest.raises(asyncio.CancelledError):
        await large
    ledger.release(held)


async def test_a_reservation_granted_and_cancelled_in_one_step_is_given_back():
    ledger = Ledger(limits(calls=1))
    held = await ledger.reserve("0", 1, 16, None)
    waiting = asyncio.create_task(ledger.reserve("0", 1, 16, None))
    await asyncio.sleep(0)
    ledger.release(held)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ledger.in_flight == 0
    assert (await ledger.reserve("0", 1, 16, None)).max_tokens == 16


# Retries.


async def test_a_retry_reserves_another_attempt_and_is_refused_where_there_is_no_room():
    ledger = Ledger(limits(tokens=500))
    held = await ledger.reserve("0", 100, 100, None)
    ledger.retry(held)
    with pytest.raises(LimitReachedError) as caught:
        ledger.retry(held)
    assert caught.value.limit == "tokens"
    ledger.retry(held, billed=False)
    spent = ledger.settle(held, None, None, attempts=3)
    assert (spent.calls, spent.tokens, spent.estimated) == (3, 400, True)


async def test_retries_that_nobody_announced_are_counted_all_the_same():
    ledger = Ledger(limits())
    spent = ledger.settle(await ledger.reserve("0", 100, 50, None), None, None, attempts=3)
    assert (spent.calls, spent.prompt_tokens, spent.completion_tokens) == (3, 300, 150)


async def test_a_refusal_that_cost_nothing_is_a_call_without_tokens():
    ledger = Ledger(limits(cost=1.0))
    held = await ledger.reserve("0", 100, 50, PRICE)
    spent = ledger.settle(held, Usage(0, 0), None, failed=True)
    assert (spent.calls, spent.tokens, spent.cost, spent.estimated) == (1, 0, 0.0, False)


# Money.
