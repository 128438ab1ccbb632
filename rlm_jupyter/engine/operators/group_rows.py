"""Rows sorted into groups that the model names: labels from a sample, then one of these for each row."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rlm_jupyter.engine.mapping.item_answers import Unusable
from rlm_jupyter.engine.mapping.item_schema import ERROR, ItemSchema
from rlm_jupyter.engine.mapping.packing import item_tokens
from rlm_jupyter.engine.operators.table_operator import Asking, Batch, Plan, TableOperator, listed
from rlm_jupyter.errors import AgentFailedError, ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.engine.mapping.item_answers import Outcome
    from rlm_jupyter.engine.mapping.packing import PackLimits

OTHER = "other"
LABEL = "label"
_LEAST_LABELS = 2
_MOST_LABELS = 50
_MOST_CHARS = 60
_SAMPLE = 80
_SCHEMA = {
    "type": "object",
    "properties": {
        "labels": {"type": "array", "items": {"type": "string"}, "examples": [["late delivery", "damage"]]}
    },
    "required": ["labels"],
}


@dataclass
class GroupRows(TableOperator):
    """A label for each row; see `RLM.group`.

    Attributes:
        k: how many labels at most.
        labels: given by the user; None: named by the model.
    """

    verb: ClassVar[str] = "group"
    k: int = 8
    labels: Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_count("k", self.k)
        if not _LEAST_LABELS <= self.k <= _MOST_LABELS:
            raise ConfigError(f"`k` cannot be {self.k}: give from {_LEAST_LABELS} to {_MOST_LABELS} groups.")
        self._named: list[str] = []
        self._outcomes: list[Outcome | None] = [None] * len(self.rows)
        if self.labels is not None:
            try:
                self._named = _checked_labels(list(self.labels), _MOST_LABELS)
            except ValueError as error:
                raise ConfigError(f"`labels` cannot be used: {error}") from None

    @property
    def prompt(self) -> str:
        """What is asked about each row."""
        return f"Which label fits this row by: {self.question} (`{OTHER}` if none does)"

    def _sample(self, limits: PackLimits) -> list[int]:
        count = min(_SAMPLE, len(self.rows))
        chosen = random.Random(0).sample(range(len(self.rows)), count)  # noqa: S311 - the same each time
        room = limits.prompt_tokens
        sample: list[int] = []
        for place in chosen:
            room -= item_tokens(self.texts[place])
            if room < 0 and sample:
                break
            sample.append(place)
        return sample

    def _labels_batch(self, limits: PackLimits) -> Batch:
        def check(_: int, answer: dict[str, Any]) -> None:
            _checked_labels(answer["labels"], self.k)

        return Batch(
            f"The item has a sample of the rows of a table, which are to be sorted into groups by: {self.question}\n"
            f"Name the groups: `labels` has from 2 to {self.k} short names that do not overlap and together cover "
            "most rows.",
            ItemSchema(_SCHEMA),
            [listed("rows", [self.texts[place] for place in self._sample(limits)])],
            reply_tokens=20 + 8 * self.k,
            check=check,
        )

    def _rows_batch(self, labels: Sequence[str]) -> Batch:
        choices = [*labels, *([OTHER] if OTHER not in labels else [])]
        return Batch(self.prompt, ItemSchema({LABEL: choices}), self.texts, done=self._outcomes.__setitem__)

    def plan(self, limits: PackLimits) -> Plan:
        """Returns what will be sent: one request for labels, if there are none, then all rows."""
        plan = Plan("row")
        if not self._named:
            plan.add(self._labels_batch(limits), limits)
            plan.items -= 1
        plan.add(self._rows_batch(self._named or [f"label {n}" for n in range(self.k)]), limits)
        return plan

    async def work(self, asking: Asking) -> None:
        """Let labels be named, then choose one for each row."""
        if not self._named:
            ((outcome,),) = await asking.ask([self._labels_batch(asking.limits)])
            if isinstance(outcome, Unusable):
                raise AgentFailedError(
                    f"The model named no groups that can be used: {outcome.reason} Name them yourself: `labels=[...]`."
                )
            self._named = _checked_labels(outcome["labels"], self.k)
            shown = ", ".join(f"`{label}`" for label in self._named)
            asking.tell(f"Groups: {shown}.")
        await asking.ask([self._rows_batch(self._named)])

    def table(self) -> pd.DataFrame:
        """Returns a label for each row, and `error`, with the index of the table."""
        import pandas as pd

        labels = [one[LABEL] if isinstance(one, dict) else None for one in self._outcomes]
        errors = [
            "not done" if one is None else one.reason if isinstance(one, Unusable) else None
            for one in self._outcomes
        ]
        kinds = list(dict.fromkeys([*self._named, OTHER]))
        table = pd.DataFrame(
            {
                LABEL: pd.Categorical(labels, categories=kinds),
                ERROR: pd.array(errors, dtype="string"),
            },
            index=self.rows.index,
        )
        table.attrs["labels"] = list(self._named)
        return table


def _checked_labels(labels: Sequence[Any], most: int) -> list[str]:
    """Returns labels without spaces around them.

    Raises:
        ValueError: they are no different short names.
    """
    if len(labels) > most or not all(isinstance(one, str) for one in labels):
        raise ValueError(f"a list of at most {most} names was asked for.")
    names = [" ".join(one.split()) for one in labels]
    if len({name.casefold() for name in names}) < max(_LEAST_LABELS, len(names)):
        raise ValueError("at least two different names are needed, and none of them twice.")
    if not all(0 < len(name) <= _MOST_CHARS for name in names):
        raise ValueError(f"a name has from 1 to {_MOST_CHARS} characters.")
    return names
