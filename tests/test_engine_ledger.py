"""No limit can be passed: simulated servers count for themselves, and the ledger's sums are exact."""

import asyncio
import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_jupyter.engine.ledger import Ledger, Left, PromptEstimator, estimate_prompt_tokens
from rlm_jupyter.engine.spend import MIN_MAX_TOKENS
from rlm_jupyter.errors import LimitReachedError, UnknownPriceError
from rlm_jupyter.models.base import Price, Usage
from rlm_jupyter.settings import Limits

PRICE = Price(2.5, 10.0)
NONE = dict.fromkeys(Limits.model_fields)


def limits(**given) -> Limits:
    return Limits(**{**NONE, **given})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Counts what it was asked for and what it gave, whatever it tells."""

    def __init__(self, seed: int, tells: str) -> None:
        self.random = random.Random(seed)
        self.tells = tells
        self.calls = self.prompt_tokens = self.completion_tokens = self.in_flight = self.most_in_flight = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost(self) -> Fraction:
        price = [Fraction(str(part)) / 10**6 for part in PRICE]
        return self.prompt_tokens * price[0] + self.completion_tokens * price[1]

    async def complete(self, bound: int, max_tokens: int) -> tuple[int, int]:
        """Take a prompt of at most `bound` tokens; every byte it sends is counted, also when nobody listens."""
        self.calls += 1
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        prompt, completion = self.random.randint(1, bound), self.random.randint(1, max_tokens)
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        try:
            for _ in range(self.random.randint(0, 4)):
                await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        return prompt, completion

    def told(self, prompt: int, completion: int) -> Usage | None:
        """What the server says of a call that took this much."""
        return {
            "truth": Usage(prompt, completion),
            "nothing": None,
            "null": Usage(None, None),
            "negative": Usage(-prompt, -1),
            "huge": Usage(10**15, completion),
            "text": Usage(str(prompt), "many"),
            "nan": Usage(math.nan, math.inf),
            "bool": Usage(True, False),
        }[self.tells]


async def call(ledger: Ledger, server: Server, agent: str, *, retries: bool, bound: int = 0) -> None:
    """One completion as the engine makes it: with retries, each of them billed, and cancelled at any point."""
    bound = bound or server.random.randint(50, 400)
    held = await ledger.reserve(agent, bound, 200, PRICE)
    assert MIN_MAX_TOKENS <= held.max_tokens <= 200
    prompt = completion = 0
    attempts = 0
    try:
        for attempt in range(server.random.choice([1, 1, 2, 3]) if retries else 1):
            if attempt:
                ledger.retry(held)
            attempts += 1
            more = await server.complete(bound, held.max_tokens)
            prompt, completion = prompt + more[0], completion + more[1]
    except BaseException:
        ledger.settle(held, None, None, failed=True, attempts=attempts)
        raise
    ledger.settle(held, server.told(prompt, completion), None, attempts=attempts)


async def spend_all(ledger: Ledger, server: Server, agent: str, *, retries: bool) -> LimitReachedError:
    """Call until a limit says no."""
    while True:
        try:
            await call(ledger, server, agent, retries=retries)
        except LimitReachedError as error:
            return error


LIMITS = {
    "calls": 30,
    "tokens": 12_000,
    "prompt_tokens": 8_000,
    "completion_tokens": 4_000,
    "cost": 0.05,
}


@pytest.mark.parametrize("agents", [1, 4, 10, 50, 200])
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("tells", ["truth", "nothing", "null", "negative", "huge", "text", "nan", "bool"])
@pytest.mark.parametrize("retries", [False, True])
async def test_the_servers_own_count_never_passes_a_limit(agents, limit, tells, retries):
    ledger, server = Ledger(limits(**{limit: LIMITS[limit]})), Server(agents, tells)
    async with asyncio.timeout(30):
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
    async with asyncio.timeout(30):
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
    async with asyncio.timeout(30):
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

    async with asyncio.timeout(5):
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
    async with asyncio.timeout(10):
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
    async with asyncio.timeout(5):
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


@given(st.lists(st.text(max_size=200), max_size=5))
def test_the_bound_of_a_prompt_is_above_a_token_for_each_byte_and_grows_with_the_chat(texts):
    messages = [{"role": "user", "content": text} for text in texts]
    estimator = PromptEstimator()
    for count in range(len(messages) + 1):
        raw = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts[:count])
        bound = estimate_prompt_tokens(messages[:count])
        assert bound >= raw + 12 * count + 100, "the bytes, and what a chat template adds"
        assert estimator.tokens(messages[:count]) == bound


def test_a_chat_that_was_compacted_is_counted_anew():
    estimator = PromptEstimator()
    old = [{"role": "user", "content": "x" * 1000}, {"role": "assistant", "content": "\ud800é"}]
    new = [{"role": "user", "content": "y"}, old[1]]
    for chat in (old, new, new[:1], old):
        assert estimator.tokens(chat) == estimate_prompt_tokens(chat)
