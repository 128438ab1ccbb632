"""A server that counts for itself and calls on a ledger, without a wire: what the tests of the ledger share."""

import asyncio
import math
import random
from fractions import Fraction

from rlm_jupyter.engine.budget.amounts import MIN_MAX_TOKENS
from rlm_jupyter.engine.budget.ledger import Ledger
from rlm_jupyter.errors import LimitReachedError
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
