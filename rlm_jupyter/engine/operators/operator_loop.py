"""The agent of an operator: one request first, then the user's consent, then all others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent.chat_size import window
from rlm_jupyter.engine.mapping.item_answers import Unusable
from rlm_jupyter.engine.mapping.item_requests import SYSTEM, ItemRequests
from rlm_jupyter.engine.mapping.map_estimate import Estimate, estimate_text
from rlm_jupyter.engine.mapping.packing import PackLimits, item_tokens
from rlm_jupyter.engine.mapping.table_loop import TableLoop
from rlm_jupyter.engine.operators.table_operator import Batch, Plan, TableOperator, request_tokens
from rlm_jupyter.events import events as ev
from rlm_jupyter.text import units

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.engine.mapping.item_answers import Outcome

UNASKED = 4
"""Requests that are made without asking the user."""
_TOLD_SECONDS = 0.25
_MOST_TOKENS = 24_000
"""Of one item, to a model of which the window is not known."""


@dataclass
class OperatorLoop(TableLoop):
    """Answers a question about a table by rounds of requests."""

    _plan: Plan = field(default_factory=Plan, init=False)
    _done: int = 0
    _errors: int = 0
    _told: float = 0.0
    _asked_first: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        operator = self.spec.mapping
        assert isinstance(operator, TableOperator)
        self.operator = operator

    def frame(self) -> pd.DataFrame:
        """Returns the table so far; its `attrs` say where it comes from."""
        operator = self.operator
        frame = operator.table()
        self._say_origin(frame, operator.question, operator.prompt)
        frame.attrs.update(operator=operator.verb, errors=self._errors)
        return frame

    @property
    def summary(self) -> str:
        """How much is done, in words."""
        return f"{self._done:,} of {units.amount(self._plan.items, self._plan.noun)} are done"

    @property
    def limits(self) -> PackLimits:
        """Of one request."""
        return self._pack_limits(None)

    @property
    def most_tokens(self) -> int:
        """Of one item that cannot be divided."""
        known = window(self.services, self.spec.model, root=False)
        return known // 2 if known else _MOST_TOKENS

    async def compute(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run on a thread what takes long."""
        return await self.calls.work.run(partial(function, *arguments))

    def tell(self, text: str) -> None:
        """Tell the user how far it is."""
        self.services.journal.emit(ev.Notice, text=text)

    async def work(self) -> None:
        """Ask; the table is then in `value`.

        Raises:
            LimitReachedError, ModelError, ConfigError, AgentFailedError: why it is not whole.
        """
        try:
            self._plan = await self.compute(self.operator.plan, self.limits)
            self._tell(force=True)
            await self.operator.work(self)
        finally:
            self._tell(force=True)
            self._keep()

    async def ask(self, batches: Sequence[Batch]) -> list[list[Outcome]]:
        """Ask batches, several requests at once; see `Asking`."""
        outcomes: list[list[Outcome]] = [
            [Unusable("not done", "limit") for _ in batch.items] for batch in batches
        ]
        limits = self.limits
        packs = await self.compute(lambda: [batch.packs(limits) for batch in batches])
        jobs = [
            partial(self._pack, batch, positions, found)
            for batch, found, parts in zip(batches, outcomes, packs, strict=True)
            for positions in parts
        ]
        if jobs and not self._asked_first:
            self._asked_first = True
            first = next(batch for batch in batches if batch.items)
            await jobs.pop(0)()
            if self.operator.confirm and self._plan.requests > UNASKED:
                await self._confirm(first)
        await self._do(jobs, self._at_once())
        return outcomes

    async def _pack(self, batch: Batch, positions: Sequence[int], outcomes: list[Outcome]) -> None:
        def done(index: int, outcome: Outcome) -> None:
            outcomes[positions[index]] = outcome
            if batch.done is not None:
                batch.done(positions[index], outcome)
            self._done += 1
            self._errors += isinstance(outcome, Unusable)
            self._tell()

        check = batch.check
        requests = ItemRequests(
            batch.question,
            batch.schema,
            self._ask,
            self.calls.work.run,
            None if check is None else lambda index, answer: check(positions[index], answer),
        )
        await requests.outcomes([batch.items[position] for position in positions], done)

    async def _confirm(self, first: Batch) -> None:
        estimate = self._estimate(first)
        rest = max(0, self._plan.items - self._done)
        left = self.services.ledger.left(self.id)
        text = estimate_text(self._plan.noun, self._plan.items, rest, estimate, left)
        requests = units.amount(estimate.requests, "request")
        await self._consent(f"{requests} more, {text}")

    def _estimate(self, first: Batch) -> Estimate:
        """Estimate the rest by the first request: its tokens are taken as typical."""
        plan, measured = self._plan, self._measured
        items = first.packs(self.limits)[0]
        guessed = request_tokens(first, 1) + sum(item_tokens(first.items[place]) for place in items)
        system = item_tokens(SYSTEM)
        scale = measured.prompt_tokens / max(1, guessed + system)
        requests = max(0, plan.requests - 1)
        prompt = max(0, plan.prompt_tokens - guessed + system * requests) * scale
        reply = measured.completion_tokens / len(items) * max(0, plan.items - len(items))
        price, cost = self.services.completions.price_of(self.spec.model), None
        if price is not None:
            cost = (prompt * price.prompt + reply * price.completion) / 1e6
        seconds = None
        if measured.timed:
            seconds = measured.seconds / measured.timed * -(-requests // self._at_once())
        return Estimate(requests, round(prompt + reply), cost, seconds)

    def _tell(self, *, force: bool = False) -> None:
        """Tell how far it is, a few times in a second at most."""
        now = time.monotonic()
        if not force and now - self._told < _TOLD_SECONDS:
            return
        self._told = now
        total = max(self._plan.items, self._done)
        rate = self._progress.rate(self._done)
        self.services.journal.emit(
            ev.RowsMapped,
            self.id,
            noun=self._plan.noun,
            total=total,
            done=self._done,
            failed=self._errors,
            rate=rate,
            seconds_left=(total - self._done) / rate if rate else None,
        )
