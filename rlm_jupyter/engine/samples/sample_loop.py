"""The root of a sampled question: starts the samples, compares their answers, and takes one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent import kept_answers, kernel_setup
from rlm_jupyter.engine.agent.loop import AgentLoop
from rlm_jupyter.engine.budget.limit_errors import TURNS
from rlm_jupyter.engine.samples.compared_parts import Tolerance
from rlm_jupyter.engine.samples.differences import differences
from rlm_jupyter.engine.samples.text_judge import say_the_same
from rlm_jupyter.engine.samples.verification import Verdict, reconcile
from rlm_jupyter.engine.samples.votes import (
    MOST_ROWS,
    Votes,
    decoded,
    difference_rows,
    group_name,
    texts_alone,
)
from rlm_jupyter.errors import LimitReachedError, ModelError, RLMError
from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.values.store import Buffer

_OWN_LIMITS = (*TURNS, "depth", "agents")
"""Limits that one sample may reach and another one not."""


@dataclass
class SampleLoop(AgentLoop):
    """Answers a question by samples: agents with the same question and data, none of which knows of the others.

    It has no kernel and no chat of its own; its value is the answer of a sample, or of the agent that reconciled them.

    Attributes:
        answering: whose kernel and chat the answer came from.
    """

    answering: Agent | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.spec.samples is not None
        self.plan = self.spec.samples
        asked = self.plan.samples
        self._tolerance = Tolerance(asked.keys, asked.relative, asked.absolute)
        self._votes = Votes()
        self._answers: dict[int, Agent] = {}
        self._failures: dict[int, RLMError] = {}
        self._begun = 0
        self._ids: list[str] = []

    async def work(self) -> None:
        """Draw the samples and take an answer; it is then in `value`.

        Raises:
            RLMError: no sample gave an answer; the error is that of the first.
        """
        await kept_answers.begin(self)
        await kernel_setup.share_data(self)
        while (more := self._wanted()) > 0:
            await self._draw(range(self._begun + 1, self._begun + more + 1))
        if not self._answers:
            partial = next(filter(None, map(self.services.value_of, self._ids)), None)
            if partial is not None:
                self.value = await self.services.holdings.keep(partial.dup())
            raise next(
                (error for error in self._failures.values() if isinstance(error, LimitReachedError)),
                self._failures[min(self._failures)],
            )
        await self._settle()

    # ---- the samples

    def _wanted(self) -> int:
        """Returns how many more samples are to be drawn at once; 0 if no more can change the answer."""
        left = self.plan.samples.count - self._begun
        if left <= 0 or self._limit_reached():
            return 0
        if not self.plan.verify:
            return left
        most = self.plan.samples.count // 2 + 1
        return min(left, max(0, most - len(self._votes.largest)))

    def _limit_reached(self) -> bool:
        return any(
            isinstance(error, LimitReachedError) and error.limit not in _OWN_LIMITS
            for error in self._failures.values()
        )

    async def _draw(self, numbers: Iterable[int]) -> None:
        """Let samples answer at the same time, and compare what they gave in the order of their numbers."""
        specs = {number: self.services.next_child(self.id) for number in numbers}
        self._begun += len(specs)
        self._ids += specs.values()
        async with asyncio.TaskGroup() as group:
            for number, agent_id in specs.items():
                group.create_task(self._sample(number, agent_id))
        for number in specs:
            if (agent := self._answers.get(number)) is not None:
                value = await self.calls.work.run(decoded, _value(agent))
                await self._votes.add(number, value, self._same)

    async def _sample(self, number: int, agent_id: str) -> None:
        spec = replace(
            self.spec,
            id=agent_id,
            parent=self.id,
            depth=self.spec.depth + 1,
            levels_above=self.spec.levels_above + 1,
            sample=self.plan.first + number - 1,
            samples=None,
            name=f"sample {number}",
        )
        try:
            self._answers[number] = await self.services.run_agent(spec)
        except RLMError as error:
            self._failures[number] = error

    async def _same(self, one: Any, other: Any) -> bool:
        """Returns whether two answers are the same; texts are judged by a model if that was asked for."""
        found = await self.calls.work.run(partial(differences, one, other, self._tolerance))
        pairs = texts_alone(found)
        judge = self.plan.samples.judge
        if not found or not judge or pairs is None:
            return not found
        try:
            return await say_the_same(self, self.spec.question, pairs, judge)
        except (LimitReachedError, ModelError) as error:
            if isinstance(error, LimitReachedError):
                self.services.limit_seen(error)
            text = f"No model could judge whether texts say the same, so they count as different: {error.message}"
            self.services.journal.emit(ev.Notice, text=text)
            return False

    # ---- the answer

    async def _settle(self) -> None:
        """Take the answer of the largest group, or the one that a reconciling agent finds to be right."""
        chosen = self._votes.largest[0]
        table = await self._table(chosen)
        verdict, verifier = await self._verify(chosen, table)
        self.answering = self._answers[chosen]
        own: Buffer | None = None
        if verdict is not None and verifier is not None:
            own, self.answering = verdict.value, verifier
            if verdict.take:
                chosen = self._candidates(chosen)[verdict.take - 1][0]
                self.answering = self._answers[chosen]
        value = _value(self.answering).dup() if own is None else own
        self.value = await self.services.holdings.keep(value)
        self.services.journal.emit(
            ev.ValueReturned,
            self.id,
            description=self.value.description,
            bytes=self.value.size,
            place=self.value.place,
        )
        if own is not None:
            await self._compare_own(own, verdict)
        else:
            agreeing = next(group for group in self._votes.groups if chosen in group)
            heads, rows = await self._table(chosen)
            self._tell(len(agreeing), heads, rows, verdict)
        self._votes.values.clear()  # the run may be kept for long

    async def _table(self, chosen: int) -> tuple[list[str], list[list[str]]]:
        return await self.calls.work.run(self._votes.table, self._tolerance, chosen)

    def _candidates(self, chosen: int) -> list[list[int]]:
        """Returns the groups in the order in which the reconciling agent is given them."""
        return sorted(self._votes.groups, key=lambda group: (chosen not in group, group[0]))

    async def _verify(
        self, chosen: int, table: tuple[list[str], list[list[str]]]
    ) -> tuple[Verdict | None, Agent | None]:
        """Let an agent decide, where the samples differ and that was asked for; its failure is only told."""
        if not self.plan.verify or len(self._votes.groups) < 2 or self._limit_reached():  # noqa: PLR2004 - two differ
            return None, None
        try:
            return await reconcile(self, self._candidates(chosen), self._answers, table)
        except (RLMError, ValueError) as error:
            text = f"The samples could not be reconciled, so the answer is that of most of them: {error}"
            self.services.journal.emit(ev.Notice, text=text)
            return None, None

    async def _compare_own(self, own: Buffer, verdict: Verdict | None) -> None:
        """Compare an answer of the reconciling agent's own with those of the samples."""
        value = await self.calls.work.run(decoded, own)
        agreeing = [
            group for group in self._votes.groups if await self._same(value, self._votes.values[group[0]])
        ]
        named = {"verification": value}
        named |= {group_name(group): self._votes.values[group[0]] for group in self._votes.groups}
        rows = await self.calls.work.run(difference_rows, named, self._tolerance)
        self._tell(sum(map(len, agreeing)), ["where", *named], rows, verdict)

    def _tell(self, agreeing: int, heads: list[str], rows: list[list[str]], verdict: Verdict | None) -> None:
        assert self.answering is not None
        self.services.journal.emit(
            ev.SamplesCompared,
            self.id,
            asked=self.plan.samples.count,
            ran=self._begun,
            answered=len(self._answers),
            agreeing=agreeing,
            answering=self.answering.id,
            own=verdict is not None and not verdict.take,
            verified=verdict is not None,
            why=verdict.why if verdict is not None else "",
            check=verdict.check if verdict is not None else "",
            columns=tuple(heads),
            rows=tuple(tuple(row) for row in rows[:MOST_ROWS]) if len(heads) > 2 else (),  # noqa: PLR2004 - two groups
            more=max(0, len(rows) - MOST_ROWS),
        )

    def dismantle(self) -> None:
        """Let go of the samples too: the run that they belong to is gone."""
        super().dismantle()
        self._answers.clear()
        self._votes = Votes()
        self.answering = None


def _value(agent: Agent) -> Buffer:
    assert agent.value is not None
    return agent.value
