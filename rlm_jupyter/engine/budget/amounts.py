"""What was spent and what is left: the ledger's records, exact to the last unit.

Money is counted in whole units of 1e-18 USD, so that sums neither drift nor depend on their order, and
`spent <= limit` holds exactly. Floats appear only where figures leave the ledger.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from rlm_jupyter.models.base import CachingPrice, Usage

if TYPE_CHECKING:
    from rlm_jupyter.models.base import Price

MIN_MAX_TOKENS = 16
"""A reply of fewer tokens is of no use: rather than clamp below it, the limit counts as reached."""

_DIGITS = 18
_MOST_TOKENS = 20_000_000
"""No model takes or gives more tokens in one request; a figure above it is not a count."""
_MOST_COST = 1e6
"""USD; no request costs more."""


@functools.lru_cache(maxsize=1024)
def units(usd: float, *, down: bool = False) -> int:
    """Convert USD into units of 1e-18 USD, rounded up (a cost) or down (a limit)."""
    return _whole(_exact(usd).scaleb(_DIGITS), down=down)


def _exact(number: float) -> Decimal:
    return Decimal(repr(float(number)))  # what a user wrote as 0.1 is a tenth, not the double next to it


def _whole(number: Decimal, *, down: bool = False) -> int:
    return int(number.to_integral_value(ROUND_FLOOR if down else ROUND_CEILING))


def dollars(amount: int) -> float:
    """Convert units of 1e-18 USD into USD."""
    return amount / int(10**_DIGITS)


def known_price(price: Price | None) -> bool:
    """Returns whether a price is one: two numbers, neither negative nor infinite."""
    if price is None:
        return False
    cache = (price.cache_read, price.cache_write) if isinstance(price, CachingPrice) else ()
    return all(math.isfinite(part) and part >= 0 for part in (*price, *cache))


def cost_units(price: Price, prompt_tokens: int, completion_tokens: int) -> int:
    """Returns the most that tokens can cost, in units of 1e-18 USD; `price` is in USD per million tokens.

    The provider may write all of a prompt to its cache, which is dearer than to read it.
    """
    dearest = max(price.prompt, price.cache_write) if isinstance(price, CachingPrice) else price.prompt
    return _per_token(dearest) * prompt_tokens + _per_token(price.completion) * completion_tokens


def told_units(price: Price, usage: Usage) -> int:
    """Returns what tokens cost of which the provider told where they came from, in units of 1e-18 USD."""
    if not isinstance(price, CachingPrice):
        return cost_units(price, usage.prompt_tokens, usage.completion_tokens)
    read = min(usage.cached_tokens, usage.prompt_tokens)
    written = min(usage.cache_write_tokens, usage.prompt_tokens - read)
    plain = usage.prompt_tokens - read - written
    rates = ((price.prompt, plain), (price.cache_read, read), (price.cache_write, written))
    return sum(
        _per_token(rate) * tokens for rate, tokens in (*rates, (price.completion, usage.completion_tokens))
    )


def affordable(price: Price, amount: int) -> int | None:
    """Returns how many completion tokens an amount pays for; None for any number."""
    each = _per_token(price.completion)
    return amount // each if each else None


@functools.lru_cache(maxsize=256)
def _per_token(price: float) -> int:
    return _whole(_exact(price).scaleb(_DIGITS - 6))


@dataclass(frozen=True)
class Spend:
    """What a run, an agent with its descendants, or one call has spent.

    Attributes:
        calls: requests that were sent, retries included.
        prompt_tokens: tokens sent.
        completion_tokens: tokens received.
        cached_tokens: of the prompt tokens, those that the provider read from its cache.
        cost: USD; None where any part of it is not known, never 0 for unknown.
        turns: turns of agents.
        cached: replies that came from our own cache, and cost nothing.
        estimated: whether any figure is our estimate.
        exposure: tokens of data that were sent.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = 0.0
    turns: int = 0
    cached: int = 0
    estimated: bool = False
    exposure: int = 0

    @property
    def tokens(self) -> int:
        """Tokens sent and received."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Left:
    """What an agent may still spend; None is no limit. What is reserved by requests in flight is not left.

    Attributes:
        cost: USD of the whole run.
        tokens: tokens of the whole run, under the tightest of its token limits.
        calls: completions of the whole run.
        turns: turns of this agent.
        seconds: of the whole run.
        depth: levels of sub-agents below this agent.
        exposure: tokens of data that may leave this machine, of the whole run.
    """

    cost: float | None = None
    tokens: int | None = None
    calls: int | None = None
    turns: int | None = None
    seconds: float | None = None
    depth: int | None = None
    exposure: int | None = None


@dataclass
class Account:
    """Sums that can be added to and taken from; `cost` in units of 1e-18 USD."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: int = 0
    turns: int = 0
    cached: int = 0
    unknown: int = 0
    estimated: int = 0
    exposure: int = 0

    def add(self, other: Account, sign: int = 1) -> None:
        """Add another account, or take it away."""
        for name, amount in vars(other).items():
            setattr(self, name, getattr(self, name) + sign * amount)

    def spend(self) -> Spend:
        """Returns the sums as they are shown."""
        return Spend(
            calls=self.calls,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_tokens=self.cached_tokens,
            cost=None if self.unknown else dollars(self.cost),
            turns=self.turns,
            cached=self.cached,
            estimated=self.estimated > 0,
            exposure=self.exposure,
        )

    def amount(self, limit: str) -> int:
        """Returns the sum that a limit of `Limits` is about."""
        if limit == "tokens":
            return self.prompt_tokens + self.completion_tokens
        amount = getattr(self, limit)
        assert isinstance(amount, int)
        return amount


@dataclass(eq=False)
class Request:
    """A request that wants to be sent."""

    agent: str
    prompt_tokens: int
    max_tokens: int
    price: Price | None
    turn: bool
    exposure: int = 0

    @property
    def least(self) -> int:
        """The fewest tokens of a reply that are worth the request."""
        return min(self.max_tokens, MIN_MAX_TOKENS)

    def worst(self, max_tokens: int) -> Account:
        """Returns the most that it can spend with a reply of that many tokens."""
        worst = worst_case(self.prompt_tokens, max_tokens, self.price, turn=self.turn)
        worst.exposure = self.exposure  # of the first attempt: what is sent once more has left already
        return worst


@dataclass(eq=False)
class Reservation:
    """The worst case of one request that is about to be sent.

    Attributes:
        agent: on whose account.
        prompt_tokens: upper bound of the prompt's tokens.
        max_tokens: most tokens of the reply; the request must carry this figure.
        price: USD per million tokens; None if it is not known.
        turn: whether it is a turn of the agent.
        held: what is kept free for it, all attempts together.
        open: whether it is neither settled nor released yet.
        sent: when its newest attempt was let go, by the ledger's clock.
        day: on which a shared budget reserved it; empty without one.
    """

    agent: str
    prompt_tokens: int
    max_tokens: int
    price: Price | None
    turn: bool
    held: Account
    open: bool = True
    sent: float = 0.0
    day: str = ""

    @property
    def attempts(self) -> int:
        """Requests that were announced for it."""
        return self.held.calls


def worst_case(prompt_tokens: int, max_tokens: int, price: Price | None, *, turn: bool = False) -> Account:
    """Returns the most that one request can spend."""
    cost = 0 if price is None else cost_units(price, prompt_tokens, max_tokens)
    return Account(1, prompt_tokens, max_tokens, cost=cost, turns=int(turn))


def true_spend(reservation: Reservation, usage: Usage | None, cost: float | None, attempts: int) -> Account:
    """Returns what a request spent: as told where that can be true, else as reserved, and marked.

    A count above the reservation is taken as told (the provider bills what it says, be it for a hidden
    prompt), unless no model could have counted so many. The provider's own cost wins over the price.

    Of an estimate, tokens are about what came, and money is the most that may be billed (`Usage.at_most`): thoughts
    that nobody saw are billed too, so that what came is no bound, and a limit in money must not be passed.
    """
    counts = (None, None) if usage is None else (usage.prompt_tokens, usage.completion_tokens)
    prompt, completion = (_count(value, attempts) for value in counts)
    estimated = prompt is None or completion is None or (usage is not None and bool(usage.estimated))
    # Each request that was sent and not announced (`Ledger.retry`) may have cost as much as the first.
    more = max(0, attempts - reservation.attempts)
    worst_prompt = reservation.held.prompt_tokens + more * reservation.prompt_tokens
    worst_completion = reservation.held.completion_tokens + more * reservation.max_tokens
    prompt = worst_prompt if prompt is None else prompt
    completion = worst_completion if completion is None else completion
    spent = Account(attempts, prompt, completion, turns=int(reservation.turn), estimated=int(estimated))
    spent.exposure = reservation.held.exposure
    cached = None if usage is None else _count(usage.cached_tokens, attempts)
    spent.cached_tokens = min(cached or 0, prompt)
    if _is_cost(cost):
        assert cost is not None
        spent.cost = units(cost)
    elif reservation.price is not None:
        if usage is not None and isinstance(usage.at_most, tuple):
            bounds = [_count(value, attempts) for value in usage.at_most]
            most_prompt, most_completion = bounds if len(bounds) == 2 else (None, None)  # noqa: PLR2004 - a pair
            prompt = max(prompt, worst_prompt if most_prompt is None else most_prompt)
            completion = max(completion, worst_completion if most_completion is None else most_completion)
        cost_of = cost_units(reservation.price, prompt, completion)
        if usage is not None and not estimated and not isinstance(usage.at_most, tuple):
            written = _count(usage.cache_write_tokens, attempts) or 0
            told = Usage(prompt, completion, spent.cached_tokens, cache_write_tokens=written)
            cost_of = told_units(reservation.price, told)
        spent.cost = cost_of
    elif prompt or completion:
        spent.unknown = 1
    return spent


def _count(value: object, attempts: int) -> int | None:
    """Returns a count of tokens; None if it is none: no number, negative, or more than is possible."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 <= value <= _MOST_TOKENS * max(attempts, 1):  # also false for a NaN
        return None
    return math.ceil(value)


def _is_cost(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= _MOST_COST
