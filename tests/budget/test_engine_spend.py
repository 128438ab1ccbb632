"""What was spent: exact to the last unit, in every sum, and never 0 where it is not known."""

import asyncio
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_parts import PRICE, limits

from rlm_jupyter.engine.budget.ledger import Ledger, estimate_prompt_tokens
from rlm_jupyter.errors import LimitReachedError, UnknownPriceError
from rlm_jupyter.models.base import Price, Usage


async def test_a_money_limit_without_a_price_is_refused():
    with pytest.raises(UnknownPriceError, match="price="):
        await Ledger(limits(cost=1.0)).reserve("0", 1, 16, None)
    with pytest.raises(UnknownPriceError):
        await Ledger(limits(cost=1.0)).reserve("0", 1, 16, Price(math.nan, 1))
    ledger = Ledger(limits())
    ledger.settle(await ledger.reserve("0", 1, 16, None), Usage(1, 1), None)
    ledger.raise_limits(limits(cost=1.0))
    with pytest.raises(UnknownPriceError):
        await ledger.reserve("0", 1, 16, PRICE)


async def test_unknown_cost_is_none_for_all_sums_that_hold_it_and_never_0():
    ledger = Ledger(limits())
    ledger.settle(await ledger.reserve("0.1", 10, 16, PRICE), Usage(1, 1), None)
    ledger.settle(await ledger.reserve("0.2", 10, 16, None), Usage(1, 1), None)
    assert ledger.spend("0.1").cost == pytest.approx(12.5e-6)
    assert (ledger.spend("0.2").cost, ledger.spend("0").cost, ledger.spend().cost) == (None, None, None)
    assert ledger.spend("0.3").cost == 0.0


@pytest.mark.parametrize(
    ("told", "counted"),
    [(0.25, 0.25), (0, 0.0), (None, 12.5e-6), (-1.0, 12.5e-6), (math.nan, 12.5e-6), (math.inf, 12.5e-6),
     ("0.2", 12.5e-6), (True, 12.5e-6)],
)  # fmt: skip
async def test_a_providers_own_cost_wins_over_the_price_where_it_can_be_true(told, counted):
    ledger = Ledger(limits())
    held = await ledger.reserve("0", 10, 16, PRICE)
    assert ledger.settle(held, Usage(1, 1), told).cost == pytest.approx(counted, abs=1e-15)


async def test_a_provider_that_bills_more_than_it_promised_is_counted_as_it_bills():
    ledger = Ledger(limits(tokens=1000))
    spent = ledger.settle(await ledger.reserve("0", 10, 16, None), Usage(500, 700), None)
    assert (spent.tokens, spent.estimated) == (1200, False)
    with pytest.raises(LimitReachedError):
        await ledger.reserve("0", 1, 16, None)
    assert ledger.left("0").tokens == 0


async def test_a_thousand_tenths_of_a_cent_are_a_dollar():
    ledger = Ledger(limits(cost=1.0))
    for _ in range(1000):
        held = await ledger.reserve("0", 1000, 16, Price(1.0, 0.0))
        ledger.settle(held, Usage(1000, 0), None)
    assert ledger.spend().cost == 1.0
    with pytest.raises(LimitReachedError):
        await ledger.reserve("0", 1, 16, Price(1.0, 0.0))


async def test_a_limit_below_the_smallest_unit_is_rounded_down_and_a_price_up():
    ledger = Ledger(limits(cost=1.9e-18))
    ledger.release(await ledger.reserve("0", 1, 16, Price(1e-12, 0.0)))
    for price in (Price(1.1e-12, 0.0), Price(2e-12, 0.0)):
        with pytest.raises(LimitReachedError):
            await ledger.reserve("0", 1, 16, price)


@pytest.mark.parametrize(("told", "counted"), [(30, 30), (500, 100), (-1, 0), (None, 0)])
async def test_tokens_from_the_providers_cache_are_told_and_are_never_more_than_the_prompt(told, counted):
    ledger = Ledger(limits())
    held = await ledger.reserve("0", 400, 16, PRICE)
    assert ledger.settle(held, Usage(100, 1, told), None).cached_tokens == counted
    assert ledger.spend().cached_tokens == counted


AGENTS = ["0", "0.1", "0.2", "0.2.1", "0.2.11", "0.21", "0.3.1.4"]


TOKENS = st.integers(0, 10**6)


PRICES = st.builds(Price, *[st.sampled_from([0.0, 0.1, 0.075, 2.5, 15.0, 1 / 3, 123.456])] * 2)


CALLS = st.lists(
    st.tuples(st.sampled_from(AGENTS), TOKENS, TOKENS, PRICES, st.none() | st.floats(0, 10, width=32)),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(CALLS, st.randoms(use_true_random=False))
def test_the_childrens_spend_is_exactly_in_the_parents_sums(calls, shuffle):
    async def run(order):
        ledger = Ledger(limits())
        for agent, prompt, completion, price, cost in order:
            held = await ledger.reserve(agent, prompt, max(completion, 1), price)
            ledger.settle(held, Usage(prompt, completion), cost)
        return {agent: ledger.spend(agent) for agent in [None, *AGENTS]}

    spends = asyncio.run(run(calls))
    for agent, spend in spends.items():
        mine = [c for c in calls if agent is None or c[0] == agent or c[0].startswith(f"{agent}.")]
        exact = sum(
            (Fraction(repr(c[4])) if c[4] is not None
             else (c[1] * Fraction(repr(c[3][0])) + c[2] * Fraction(repr(c[3][1]))) / 10**6)
            for c in mine
        )  # fmt: skip
        assert abs(Fraction(spend.cost) - exact) <= Fraction(1, 10**9)
        assert spend.prompt_tokens == sum(c[1] for c in mine)
        assert spend.completion_tokens == sum(c[2] for c in mine)
        assert spend.calls == len(mine)
    assert spends[None] == spends["0"]
    shuffle.shuffle(calls)
    assert asyncio.run(run(calls)) == spends, "and the order changes nothing"


# Concurrency.


@given(st.lists(st.text(max_size=200), max_size=5))
def test_the_bound_of_a_prompt_is_above_a_token_for_each_byte_and_grows_with_the_chat(texts):
    messages = [{"role": "user", "content": text} for text in texts]
    for count in range(len(messages) + 1):
        raw = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts[:count])
        bound = estimate_prompt_tokens(messages[:count])
        assert bound >= raw + 12 * count + 100, "the bytes, and what a chat template adds"


def test_half_a_character_is_bounded_too():
    message = {"role": "assistant", "content": "\ud800é"}
    assert estimate_prompt_tokens([message]) == estimate_prompt_tokens([{**message, "content": "xxxxx"}])
