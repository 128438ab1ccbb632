"""The rows that a query is about: found by words, also by those that the model names, then ranked by the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from rlm_jupyter.engine.mapping.item_answers import Unusable
from rlm_jupyter.engine.mapping.item_schema import ItemSchema
from rlm_jupyter.engine.mapping.item_text import item_text
from rlm_jupyter.engine.operators.table_operator import Asking, Batch, Plan, TableOperator
from rlm_jupyter.engine.operators.top_rows import Tournament, best_rows, check_k
from rlm_jupyter.engine.operators.word_ranking import rank, words_of
from rlm_jupyter.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.engine.mapping.packing import PackLimits

_CANDIDATES = 5
"""Rows that the model ranks, for each one that is wanted."""
_LEAST_CANDIDATES = 40
_MOST_WORDS = 40
_MOST_CHARS = 60
_SCHEMA = {
    "type": "object",
    "properties": {
        "words": {"type": "array", "items": {"type": "string"}, "examples": [["refund", "money back"]]}
    },
    "required": ["words"],
}


@dataclass
class SearchRows(TableOperator):
    """The rows that a query is about, the best one first; see `RLM.search`.

    Attributes:
        k: how many.
        candidates: rows that are found by words and ranked by the model; None: five for each, at least 40.
    """

    verb: ClassVar[str] = "search"
    k: int = 10
    candidates: int | None = None
    words: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_k(self.k)
        if self.candidates is not None:
            self._check_count("candidates", self.candidates)
            if self.candidates < self.k:
                raise ConfigError(f"`candidates` is {self.candidates}, fewer than the {self.k} rows of `k`.")
        self._most = min(len(self.rows), self.candidates or max(_LEAST_CANDIDATES, _CANDIDATES * self.k))
        self._ranked: list[int] = []
        self._tournament = Tournament(self.texts, f"Which row is most about: {self.question}", self.k)

    @property
    def prompt(self) -> str:
        """What is asked about each group of rows."""
        return self._tournament.prompt

    def _words_batch(self) -> Batch:
        def check(_: int, answer: dict[str, Any]) -> None:
            found = answer["words"]
            if len(found) > _MOST_WORDS or any(len(word) > _MOST_CHARS for word in found):
                raise ValueError(
                    f"At most {_MOST_WORDS} words were asked for, each of at most {_MOST_CHARS} letters."
                )

        return Batch(
            "The item is a query for a search by words in a table. Which words and synonyms may the rows have that it "
            f"is about? `words` has at most {_MOST_WORDS // 2}, in the languages that the query may be asked in.",
            ItemSchema(_SCHEMA),
            [item_text({"query": self.question, "columns": [str(name) for name in self.frame.columns]})],
            check=check,
        )

    @property
    def _takes_all(self) -> bool:
        return self._most >= len(self.rows)

    def plan(self, limits: PackLimits) -> Plan:
        """Returns what will be sent: one request for words, then comparisons of the candidates."""
        plan = Plan("comparison")
        if not self._takes_all:
            plan.add(self._words_batch(), limits)
        self._tournament.add_to(plan, range(self._most), limits)
        return plan

    async def work(self, asking: Asking) -> None:
        """Find candidates by words, and compare these."""
        self._ranked = list(range(len(self.rows)))
        if not self._takes_all:
            ((outcome,),) = await asking.ask([self._words_batch()])
            if not isinstance(outcome, Unusable):
                self.words = list(outcome["words"])
            query = words_of(" ".join([self.question, *self.words]))
            found = await asking.compute(lambda: rank(self._cell_texts(), query))
            self._ranked = [place for place, _ in found[: self._most]]
            asking.tell(
                f"{len(found):,} of {len(self.rows):,} rows have a word of the query or one like it; "
                f"the best {len(self._ranked):,} are compared."
            )
        if self._ranked:
            self._tournament.check_size(self._ranked, asking.most_tokens)
            await self._tournament.play(self._ranked, asking)

    def _cell_texts(self) -> list[str]:
        """Returns the values of each row, without the names of the columns, which all rows have."""
        columns = [self.frame.iloc[:, place].tolist() for place in range(self.frame.shape[1])]
        return [" ".join(str(value) for value in row) for row in zip(*columns, strict=True)]

    def table(self) -> pd.DataFrame:
        """Returns the rows found, the best one first; none before the end."""
        table = best_rows(self.rows, self._tournament)
        table.attrs.update(candidates=len(self._ranked), words=list(self.words))
        return table
