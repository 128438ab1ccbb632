"""What the rest of a map will cost and take, from what the sample did; and which limit it will meet first."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rlm_jupyter.engine.mapping.packing import item_tokens
from rlm_jupyter.models.token_estimate import utf8_bytes
from rlm_jupyter.text import units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.engine.budget.amounts import Left
    from rlm_jupyter.models.base import Completion, Message, Price

_BYTES_PER_TOKEN = 4
_MANY_MINUTES = 90.0


@dataclass
class Measured:
    """What requests were made and what they took; of replies from the cache, what they took when they were new."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    cost_told: bool = True
    seconds: float = 0.0
    timed: int = 0

    def add(self, messages: Sequence[Message], completion: Completion, seconds: float | None) -> None:
        """Count one request; `seconds` is None if it was not sent."""
        usage = completion.usage
        self.requests += 1
        if usage is None:
            self.prompt_tokens += sum(utf8_bytes(one["content"]) for one in messages) // _BYTES_PER_TOKEN
            self.completion_tokens += -(-utf8_bytes(completion.text) // _BYTES_PER_TOKEN)
        else:
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens
        if completion.cost is None:
            self.cost_told = False
        else:
            self.cost += completion.cost
        if seconds is not None:
            self.seconds += seconds
            self.timed += 1


@dataclass(frozen=True)
class Estimate:
    """What a number of items will take.

    Attributes:
        requests: how many, at least.
        tokens: sent and received.
        cost: USD; None if the price is not known.
        seconds: None if nothing was measured.
    """

    requests: int
    tokens: int
    cost: float | None
    seconds: float | None


def estimate_rows(
    measured: Measured,
    price: Price | None,
    *,
    head: int,
    sample: Sequence[str],
    packs: Sequence[Sequence[str]],
    workers: int,
) -> Estimate:
    """Estimate the rest of the rows.

    Args:
        measured: of the sample.
        price: of the model.
        head: tokens of a prompt without items, about.
        sample: the items of the sample.
        packs: the items of the requests to come.
        workers: requests at once.
    """
    in_sample = sum(map(item_tokens, sample)) + head * measured.requests
    per_token = measured.prompt_tokens / max(1, in_sample)
    rest = sum(item_tokens(text) for one in packs for text in one) + head * len(packs)
    count = sum(map(len, packs))
    # Items of the sample that were asked again are in what was measured, and so is the same share of the rest.
    prompt, reply = rest * per_token, measured.completion_tokens * count / max(1, len(sample))
    cost = None
    if price is not None:
        cost = (prompt * price.prompt + reply * price.completion) / 1e6
    elif measured.cost_told and measured.requests:
        cost = measured.cost * (prompt + reply) / max(1, measured.prompt_tokens + measured.completion_tokens)
    seconds = None
    if measured.timed:
        scale = count / len(packs) / max(1.0, len(sample) / measured.requests) if packs else 1.0
        seconds = measured.seconds / measured.timed * scale * -(-len(packs) // workers)
    return Estimate(len(packs), round(prompt + reply), cost, seconds)


def estimate_text(
    noun: str, total: int, rest: int, estimate: Estimate, left: Left, agents: int | None = None
) -> str:
    """Returns the question for the user: `all 58,000 rows: about $3.10 and 4 minutes; go on?`.

    Args:
        noun: what one item is called.
        total: how many items there are.
        rest: how many of them are not done.
        estimate: of the rest.
        left: what may still be spent.
        agents: how many more agents there may be, if each item is given to one; None: any number.
    """
    about = (
        [units.money(estimate.cost)] if estimate.cost is not None else [f"{_rounded(estimate.tokens)} tokens"]
    )
    if estimate.seconds is not None:
        about.append(_time(estimate.seconds))
    text = f"all {units.amount(total, noun)}: about {' and '.join(about)}; go on?"
    limit = _first_limit(rest, estimate, left, agents)
    return f"{text} {limit}" if limit else text


def _first_limit(rest: int, estimate: Estimate, left: Left, agents: int | None) -> str:
    """Returns which limit ends it before its end, and about where."""
    shares = {
        name: have / need
        for name, need, have in (
            ("cost", estimate.cost, left.cost),
            ("tokens", float(estimate.tokens), left.tokens),
            ("calls", float(estimate.requests), left.calls),
            ("seconds", estimate.seconds, left.seconds),
            ("agents", float(rest), agents),
        )
        if need and have is not None and have < need
    }
    if not shares:
        return ""
    name = min(shares, key=lambda one: shares[one])
    more = int(rest * shares[name])
    return f"The limit `{name}` ends it after about {more:,} more: `run.set_limit({name!r}, ...)` raises it."


def _rounded(number: float) -> str:
    """Returns a number by its first two digits."""
    digits = max(0, len(str(int(number))) - 2)
    return f"{round(number / 10**digits) * 10**digits:,}"


def _time(seconds: float) -> str:
    if seconds < _MANY_MINUTES:
        return units.amount(max(1, round(seconds)), "second")
    if seconds < 60 * _MANY_MINUTES:
        return units.amount(round(seconds / 60), "minute")
    return f"{seconds / 3600:.1f} hours"


@dataclass
class Progress:
    """How quickly items are done, the time of waiting for the user apart.

    Attributes:
        began: monotonic seconds.
    """

    began: float = field(default_factory=time.monotonic)
    _paused: float | None = None
    _lost: float = 0.0

    def pause(self) -> None:
        """Let the clock stand."""
        self._paused = time.monotonic()

    def resume(self) -> None:
        """Let the clock go on."""
        if self._paused is not None:
            self._lost += time.monotonic() - self._paused
            self._paused = None

    def rate(self, done: int) -> float | None:
        """Returns items in a second; None before the first one."""
        elapsed = (self._paused or time.monotonic()) - self.began - self._lost
        return done / elapsed if done and elapsed > 0 else None
