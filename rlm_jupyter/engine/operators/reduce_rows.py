"""One answer from many rows: parts of the rows are answered for, and these answers are combined, level by level."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from rlm_jupyter.engine.mapping.item_answers import Unusable
from rlm_jupyter.engine.mapping.item_schema import ANSWER, ERROR, ItemSchema
from rlm_jupyter.engine.mapping.item_text import item_text
from rlm_jupyter.engine.mapping.map_task import column_names, grouped_rows
from rlm_jupyter.engine.mapping.packing import item_tokens
from rlm_jupyter.engine.operators.table_operator import Asking, Batch, Plan, TableOperator, listed
from rlm_jupyter.text.shorten import cut_middle
from rlm_jupyter.text.units import amount

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.engine.mapping.packing import PackLimits

ROWS = "rows"
_ANSWER_TOKENS = 300
_WORDS = 150
_LEAST_PARTS = 2
_LONGEST = 8_000
"""Characters of a partial answer that are combined: far more than was asked for, which no model has to keep to."""
_SHORTEST = 200


@dataclass
class _Group:
    """The rows of one answer, and what is known of it.

    Attributes:
        rows: by position.
        parts: answers for parts of them that are not combined yet.
        lost: parts for which there is no answer.
        reason: why.
    """

    rows: Sequence[int]
    parts: list[str] = field(default_factory=list)
    lost: int = 0
    reason: str = ""
    answer: str | None = None


@dataclass
class ReduceRows(TableOperator):
    """One answer from all rows, or from those of each group; see `RLM.reduce`.

    Attributes:
        by: a column, or several; None: all rows are one group.
    """

    verb: ClassVar[str] = "reduce"
    by: Hashable | Sequence[Hashable] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        import pandas as pd

        self._index: pd.Index = pd.RangeIndex(1)
        groups: Sequence[Sequence[int]] = [range(len(self.rows))]
        if self.by is not None:
            self._index, groups = grouped_rows(self.rows, column_names(self.rows, self.by, "by"))
        self._groups = [_Group(rows) for rows in groups]
        self._schema = ItemSchema()

    @property
    def prompt(self) -> str:
        """What is asked about the rows."""
        return (
            f"{self.question}\nEach item has rows of a table, all or a part of them. Answer from all of its rows, in "
            f"at most {_WORDS} words, with the numbers that a later reader needs to combine it with other parts."
        )

    @property
    def _combining(self) -> str:
        return (
            f"{self.question}\nEach item has partial answers to that, made from different rows of one table. Combine "
            f"them into one answer, in at most {_WORDS} words; do not mention that there were parts."
        )

    def _row_parts(self, group: _Group, limits: PackLimits) -> list[list[str]]:
        return _parts([self.texts[place] for place in group.rows], limits.prompt_tokens, 1)

    def _batch(self, question: str, name: str, parts: Sequence[Sequence[str]]) -> Batch:
        return Batch(
            question, self._schema, [listed(name, one) for one in parts], reply_tokens=_ANSWER_TOKENS
        )

    def plan(self, limits: PackLimits) -> Plan:
        """Returns what all levels will send, answers being as long as was asked for."""
        plan = Plan("part")
        parts = [self._row_parts(group, limits) for group in self._groups]
        plan.add(self._batch(self.prompt, ROWS, [one for group in parts for one in group]), limits)
        answer = item_text("x" * (4 * _ANSWER_TOKENS))
        counts = [len(group) for group in parts]
        while any(count > 1 for count in counts):
            levels = [
                _parts([answer] * count, limits.prompt_tokens, _LEAST_PARTS) if count > 1 else []
                for count in counts
            ]
            plan.add(
                self._batch(self._combining, "partial_answers", [one for level in levels for one in level]),
                limits,
            )
            counts = [len(level) or count for level, count in zip(levels, counts, strict=True)]
        return plan

    async def work(self, asking: Asking) -> None:
        """Answer for parts of the rows, then combine until there is one answer for each group."""
        limits = asking.limits
        first = await asking.compute(
            lambda: [(group, part) for group in self._groups for part in self._row_parts(group, limits)]
        )
        asking.tell(f"Level 1: {amount(len(self.rows), 'row')} in {amount(len(first), 'part')}.")
        await self._level(asking, self.prompt, ROWS, first)
        level = 1
        while True:
            for group in self._groups:
                if len(group.parts) == 1 and group.answer is None:
                    group.answer = group.parts.pop()
            waiting: list[tuple[_Group, list[str]]] = []
            for group in self._groups:
                texts, group.parts = [_partial(one, asking.limits) for one in group.parts], []
                waiting += [
                    (group, part) for part in _parts(texts, asking.limits.prompt_tokens, _LEAST_PARTS)
                ]
            if not waiting:
                return
            level += 1
            asking.tell(f"Level {level}: {amount(len(waiting), 'part')}.")
            await self._level(asking, self._combining, "partial_answers", waiting)

    async def _level(
        self, asking: Asking, question: str, name: str, parts: Sequence[tuple[_Group, Sequence[str]]]
    ) -> None:
        (outcomes,) = await asking.ask([self._batch(question, name, [part for _, part in parts])])
        for (group, _), outcome in zip(parts, outcomes, strict=True):
            if isinstance(outcome, Unusable):
                group.lost += 1
                group.reason = outcome.reason
            else:
                group.parts.append(outcome[ANSWER])

    def table(self) -> pd.DataFrame:
        """Returns the answer, how many rows it is made of, and `error`, for each group."""
        import pandas as pd

        return pd.DataFrame(
            {
                ANSWER: pd.array([group.answer for group in self._groups], dtype="string"),
                ROWS: [len(group.rows) for group in self._groups],
                ERROR: pd.array([_error(group) for group in self._groups], dtype="string"),
            },
            index=self._index,
        )


def _error(group: _Group) -> str | None:
    if group.lost:
        return f"For {amount(group.lost, 'part')} of the rows there was no answer: {group.reason}"
    return None if group.answer is not None else "not done"


def _partial(answer: str, limits: PackLimits) -> str:
    """Returns a partial answer as an item, so long at most that two of them fit a prompt."""
    most = max(_SHORTEST, min(_LONGEST, 2 * limits.prompt_tokens))
    return item_text(str(cut_middle(answer, most)))


def _parts(texts: Sequence[str], tokens: int, least: int) -> list[list[str]]:
    """Divide texts into parts that fit a prompt, of at least so many, except for the last one."""
    parts: list[list[str]] = []
    room = 0
    for text in texts:
        size = item_tokens(text)
        if not parts or (size > room and len(parts[-1]) >= least):
            parts.append([])
            room = tokens
        parts[-1].append(text)
        room -= size
    return parts
