"""The agent of a map: a sample first, then the user's consent, then all other items; each answer as it comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from rlm_jupyter.engine.mapping import row_function
from rlm_jupyter.engine.mapping.group_agents import ask_group
from rlm_jupyter.engine.mapping.item_requests import SYSTEM, ItemRequests, prompt
from rlm_jupyter.engine.mapping.map_estimate import (
    Estimate,
    estimate_rows,
    estimate_text,
)
from rlm_jupyter.engine.mapping.map_results import MapResults
from rlm_jupyter.engine.mapping.map_task import MapTask
from rlm_jupyter.engine.mapping.packing import item_tokens, pack
from rlm_jupyter.engine.mapping.table_loop import REQUESTS_AT_ONCE, Job, TableLoop
from rlm_jupyter.events import events as ev
from rlm_jupyter.text import units

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.engine.mapping.item_answers import Outcome
    from rlm_jupyter.engine.mapping.row_function import RowFunction

_GROUPS = 8
"""Sub-agents of a map at once: each has a kernel."""
_TOLD_SECONDS = 0.25


@dataclass
class MapLoop(TableLoop):
    """Asks one question about each item of a table.

    Attributes:
        results: the answers so far.
        function: a function that does the same, if the model wrote one.
        accepted: whether the user wants that to do the rest.
    """

    results: MapResults = field(init=False, repr=False, compare=False)
    function: RowFunction | None = None
    accepted: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        task = self.spec.mapping
        assert isinstance(task, MapTask)
        self.task = task
        self.results = MapResults(task)
        self._told = 0.0
        self._requests = ItemRequests(self.task.question, self.task.schema, self._ask, self.calls.work.run)

    def frame(self) -> pd.DataFrame:
        """Returns the table so far; its `attrs` say where it comes from."""
        task, frame = self.task, self.results.table()
        asked = task.question if task.by_group else prompt(task.question, task.schema)
        self._say_origin(frame, task.question, asked)
        frame.attrs.update(done=self.results.done, errors=self.results.failed)
        if self.accepted and self.function is not None:
            frame.attrs["function"] = self.function.source
        return frame

    async def work(self) -> None:
        """Do all items; the table is then in `value`.

        Raises:
            LimitReachedError, ModelError, ConfigError: why some are not done.
        """
        task, rest = self.task, self.task.rest
        try:
            self._tell(force=True)
            await self._do(self._jobs(task.sample), self._workers)
            self._tell(force=True)
            if rest:
                await self._offer_function()
                if task.confirm and not self.accepted:
                    await self._confirm(rest)
                if self.accepted and self.function is not None:
                    await self._apply_function(rest)
                else:
                    await self._do(self._jobs(rest), self._workers)
        finally:
            self._tell(force=True)
            self._keep()
            if self._opening is not None and not self._opening.done():
                self._opening.cancel()

    # ---- items

    def _jobs(self, positions: Sequence[int]) -> list[Job]:
        if self.task.by_group:
            return [partial(self._group, position) for position in positions]
        return [partial(self._rows, positions) for positions in self._packs(positions)]

    def _packs(self, positions: Sequence[int]) -> list[list[int]]:
        return pack(positions, self.task.texts, self.task.schema.tokens, self._pack_limits(self.task.per))

    async def _rows(self, positions: Sequence[int]) -> None:
        def done(index: int, outcome: Outcome) -> None:
            self.results.put(positions[index], outcome)
            self._tell()

        await self._requests.outcomes([self.task.texts[position] for position in positions], done)

    async def _group(self, position: int) -> None:
        self.results.put(position, await ask_group(self, position))
        self._tell()

    @property
    def _workers(self) -> int:
        return self._at_once(_GROUPS if self.task.by_group else REQUESTS_AT_ONCE)

    # ---- after the sample

    async def _confirm(self, rest: Sequence[int]) -> None:
        estimate, left = self._estimate(rest), self.services.ledger.left(self.id)
        most, agents = self.services.limits.agents, None
        if self.task.by_group and most is not None:
            agents = max(0, most - len(self.services.journal.state.agents))
        text = estimate_text(self.task.noun, self.task.count, len(rest), estimate, left, agents)
        if self.function is not None and self.function.offered:
            text = f"{text} {self.function.offer}"
        await self._consent(text)

    def _estimate(self, rest: Sequence[int]) -> Estimate:
        task, state = self.task, self.services.journal.state
        if task.by_group:
            scale = len(rest) / max(1, len(task.sample))
            rate = self._progress.rate(self.results.done)
            return Estimate(
                round(state.requests * scale),
                round((state.input_tokens + state.output_tokens) * scale),
                None if state.cost is None else state.cost * scale,
                None if rate is None else len(rest) / rate,
            )
        head = item_tokens(SYSTEM) + item_tokens(prompt(task.question, task.schema))
        return estimate_rows(
            self._measured,
            self.services.completions.price_of(self.spec.model),
            head=head,
            sample=[task.texts[position] for position in task.sample],
            packs=[[task.texts[position] for position in one] for one in self._packs(rest)],
            workers=self._workers,
        )

    async def _offer_function(self) -> None:
        """Let the model write a function that does the same, if the user may want it; its failure is only told."""
        task = self.task
        wanted = task.write_function and (task.confirm or task.use_function)
        if task.by_group or not wanted:
            return
        self.function = await row_function.written(self)
        self.accepted = task.use_function and self.function is not None and self.function.offered

    async def _apply_function(self, rest: Sequence[int]) -> None:
        assert self.function is not None
        async for position, outcome in row_function.applied(self, self.function, rest):
            self.results.put(position, outcome)
            self._tell()

    # ---- what is told

    def _tell(self, *, force: bool = False) -> None:
        """Tells how far it is, a few times in a second at most."""
        now = time.monotonic()
        if not force and now - self._told < _TOLD_SECONDS:
            return
        self._told = now
        results, rate = self.results, self._progress.rate(self.results.done)
        left = self.task.count - results.done
        self.services.journal.emit(
            ev.RowsMapped,
            self.id,
            noun=self.task.noun,
            total=self.task.count,
            done=results.done,
            failed=results.failed,
            rate=rate,
            seconds_left=left / rate if rate else None,
            counts=results.counts,
        )

    @property
    def summary(self) -> str:
        """How much is done, in words."""
        noun = self.task.noun
        return f"{self.results.done:,} of {units.amount(self.task.count, noun)} are done"
