"""The rows that fit a question best: groups of rows are ranked, the best of each are ranked again, and so on.

A row among the best k of the table is among the best k of any group that it is in, so that nothing is lost if each
group keeps its best k. Groups have at least twice as many rows where these fit, so that each round halves the table:
all rounds together show each row about twice.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from rlm_jupyter.engine.mapping.item_answers import Unusable
from rlm_jupyter.engine.mapping.item_schema import ItemSchema
from rlm_jupyter.engine.mapping.packing import item_tokens
from rlm_jupyter.engine.operators.table_operator import (
    MOST_LABELS,
    Asking,
    Batch,
    Plan,
    TableOperator,
    check_numbers,
    number_list,
    numbered,
)
from rlm_jupyter.errors import AgentFailedError, ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.engine.mapping.item_answers import Outcome
    from rlm_jupyter.engine.mapping.packing import PackLimits

MOST_K = 50
"""Longer lists are not ranked well by any model."""
_LEAST_GROUP = 10
_NUMBER_TOKENS = 4
_TRIES = 2
"""Comparisons without an answer, after which a row is left out: one of the others of its group may be the cause."""


@dataclass
class Tournament:
    """Finds the best rows of some by comparisons.

    Attributes:
        texts: of all rows, each a line of JSON.
        question: by which they are compared.
        k: how many are wanted.
        best: the rows found, the best one first, by position.
        left_out: rows of which no comparison could be used.
    """

    texts: Sequence[str]
    question: str
    k: int
    best: list[int] = field(default_factory=list)
    left_out: list[int] = field(default_factory=list)
    _failures: Counter[int] = field(default_factory=Counter)

    @property
    def prompt(self) -> str:
        """What is asked about each group of rows."""
        return self._prompt(self.k)

    def _prompt(self, wanted: int) -> str:
        return (
            f"Each item is a group of rows, which are numbered within it. Compare the rows of a group by this "
            f"question: {self.question}\n"
            f"Rank them: `best` has the numbers of the {wanted} rows of the group that fit it best, the best one first."
        )

    def check_size(self, positions: Sequence[int], most_tokens: int) -> None:
        """Refuse rows that are too large to be compared.

        Raises:
            ConfigError: the largest of them do not fit one prompt together.
        """
        sizes = sorted((item_tokens(self.texts[position]) for position in positions), reverse=True)
        if sum(sizes[: self.k + 1]) > most_tokens:
            raise ConfigError(
                f"{self.k + 1} rows are compared at once, and the longest ones have about "
                f"{sum(sizes[: self.k + 1]):,} tokens together, of which {most_tokens:,} fit. Show fewer `columns`, "
                "or ask for fewer rows (`k`)."
            )

    def groups(self, positions: Sequence[int], limits: PackLimits) -> list[list[int]]:
        """Divide rows into groups that fit a prompt; each has more rows than are wanted, except for the last."""
        most = max(2 * self.k, _LEAST_GROUP)
        groups: list[list[int]] = []
        room = 0
        for position in positions:
            size = item_tokens(self.texts[position])
            full = groups and len(groups[-1]) > self.k and (len(groups[-1]) >= most or size > room)
            if not groups or full:
                groups.append([])
                room = limits.prompt_tokens
            groups[-1].append(position)
            room -= size
        return groups

    def batch(self, groups: Sequence[Sequence[int]], wanted: int) -> Batch:
        """Returns the comparisons of groups, of which so many rows are wanted."""

        def check(place: int, answer: dict[str, Any]) -> None:
            check_numbers(answer["best"], len(groups[place]), wanted)

        return Batch(
            self._prompt(wanted),
            ItemSchema(number_list("best", list(range(min(3, wanted), 0, -1)))),
            [numbered([self.texts[position] for position in group]) for group in groups],
            reply_tokens=12 + _NUMBER_TOKENS * wanted,
            check=check,
        )

    def add_to(self, plan: Plan, positions: Sequence[int], limits: PackLimits) -> None:
        """Count the comparisons, as if the first rows of each group were the best ones."""
        left = list(positions)
        while True:
            groups = self.groups(left, limits)
            compared = [group for group in groups if len(group) > self.k]
            if len(groups) == 1:
                plan.add(self.batch(groups, min(self.k, len(left))), limits)
                return
            plan.add(self.batch(compared, self.k), limits)
            left = [position for group in groups for position in group[: self.k]]

    async def play(self, positions: Sequence[int], asking: Asking) -> None:
        """Compare rows until the best ones are known; they are then in `best`.

        Raises:
            AgentFailedError: no comparison of the last rows could be used.
            LimitReachedError, ModelError: as `Asking.ask`.
        """
        shuffle, left, round_number = random.Random(0), list(positions), 0  # noqa: S311 - the same each time
        while True:
            round_number += 1
            shuffle.shuffle(left)  # rows that stand together may be alike
            groups = await asking.compute(self.groups, left, asking.limits)
            if len(groups) == 1:
                reason = await self._last(groups[0], asking)
                if reason is None:
                    return
                left = [position for position in left if self._failures[position] < _TRIES]
                if not left:
                    raise AgentFailedError(f"No comparison of the last rows could be used: {reason}")
                continue
            asking.tell(f"Round {round_number}: {len(left):,} rows in {len(groups):,} groups.")
            left = await self._round(groups, asking)
            if not left:  # no group is left then, and there would be no last one
                raise AgentFailedError("No comparison of the rows could be used: the model gave no ranking.")

    async def _round(self, groups: Sequence[list[int]], asking: Asking) -> list[int]:
        compared = [group for group in groups if len(group) > self.k]
        left = [position for group in groups if len(group) <= self.k for position in group]
        (outcomes,) = await asking.ask([await asking.compute(self.batch, compared, self.k)])
        for group, outcome in zip(compared, outcomes, strict=True):
            left += self._kept(group, outcome)
        return left

    async def _last(self, group: list[int], asking: Asking) -> str | None:
        """Rank the last group. Returns why that could not be done; None if it could."""
        ((outcome,),) = await asking.ask([self.batch([group], min(self.k, len(group)))])
        kept = self._kept(group, outcome)
        if isinstance(outcome, Unusable):
            return outcome.reason
        self.best = kept
        return None

    def _kept(self, group: list[int], outcome: Outcome) -> list[int]:
        if not isinstance(outcome, Unusable):
            return [group[number - 1] for number in outcome["best"]]
        self._failures.update(group)
        self.left_out += [position for position in group if self._failures[position] >= _TRIES]
        return [position for position in group if self._failures[position] < _TRIES]


def best_rows(rows: pd.DataFrame, tournament: Tournament) -> pd.DataFrame:
    """Returns the rows found, the best one first; `attrs` say which could not be compared."""
    table = rows.iloc[tournament.best].copy()
    labels: Iterable[Any] = (rows.index[position] for position in tournament.left_out)
    table.attrs = {**rows.attrs, "failed": list(islice(labels, MOST_LABELS))}
    return table


@dataclass
class TopRows(TableOperator):
    """The rows that fit a question best; see `RLM.top`.

    Attributes:
        k: how many.
    """

    verb: ClassVar[str] = "top"
    k: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        check_k(self.k)
        self._tournament = Tournament(self.texts, self.question, self.k)

    @property
    def prompt(self) -> str:
        """What is asked about each group of rows."""
        return self._tournament.prompt

    def plan(self, limits: PackLimits) -> Plan:
        """Returns what all rounds will send."""
        plan = Plan("comparison")
        self._tournament.add_to(plan, range(len(self.rows)), limits)
        return plan

    async def work(self, asking: Asking) -> None:
        """Compare rows until the best ones are known."""
        positions = range(len(self.rows))
        self._tournament.check_size(positions, asking.most_tokens)
        await self._tournament.play(positions, asking)

    def table(self) -> pd.DataFrame:
        """Returns the rows found, the best one first; none before the end."""
        return best_rows(self.rows, self._tournament)


def check_k(k: object) -> None:
    """Refuse a number of rows that cannot be ranked.

    Raises:
        ConfigError: it is no whole number from 1 to 50.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST_K:
        raise ConfigError(f"`k` cannot be `{k!r:.40}`: give a whole number from 1 to {MOST_K}.")
