"""Runs compared: one table for all of them, and two side by side with their turns matched; as text and as HTML."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.records.compare_html import page_of
from rlm_jupyter.records.compare_text import text_of
from rlm_jupyter.records.matching import AgentPair, match_agents, same_value, shown_value
from rlm_jupyter.records.reader import load

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.events.tree_state import TreeState

_MOST_RUNS = 50


class HasTree(Protocol):
    """A run, or the record of one."""

    @property
    def tree(self) -> TreeState:
        """Its tree."""


@dataclass(frozen=True)
class RunRow:
    """What one run cost, and what came of it.

    Attributes:
        run: its id.
        model: of its root.
        status: how it ended.
        agents: how many there were.
        turns: of all agents.
        calls: completions, those from the cache among them.
        cached: completions that cost nothing.
        tokens: that were sent and came.
        cost: USD; None if it is not known.
        seconds: from the start to the end.
        answer: what it is, in words; empty if there is none.
        question: verbatim.
    """

    run: str
    model: str
    status: str
    agents: int
    turns: int
    calls: int
    cached: int
    tokens: int
    cost: float | None
    seconds: float
    answer: str
    question: str


class Comparison:
    """Runs compared.

    Attributes:
        rows: one for each run, in their order.
        agents: of two runs, their agents matched; empty for more.
        left_out: how many agents were not compared, because there are too many.
        same_answer: whether all answers look the same, by what is told of them.
        differs_in: the parts of the runs' identities that are not the same; None if a log has none.
    """

    def __init__(self, trees: Sequence[TreeState]) -> None:
        self.rows = [_row(tree) for tree in trees]
        self.agents: list[AgentPair] = []
        self.left_out = 0
        if len(trees) == 2:  # noqa: PLR2004 - side by side
            self.agents, self.left_out = match_agents(*trees)
        self.same_answer = all(same_value(trees[0].value, tree.value) for tree in trees[1:])
        self.differs_in = _differing(trees)
        self._text = text_of(self)
        self._html: str | None = None

    def frame(self) -> pd.DataFrame:
        """Returns the table as a DataFrame.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise ConfigError("`frame` needs pandas: `pip install pandas`.") from None
        return pd.DataFrame([vars(row) for row in self.rows])

    def __str__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        if self._html is None:
            self._html = page_of(self)
        return self._html

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(self._text)

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(row.run for row in self.rows)}>"


def compare(*runs: HasTree | str | os.PathLike[str]) -> Comparison:
    """Compares runs: cost, tokens, time and answers in a table; of two runs, the agents and turns side by side.

    Args:
        runs: two or more: runs, records of some, or paths of logs.

    Raises:
        ConfigError: fewer than two, or too many.
        RunNotFoundError, LogError: a log that is not there, or cannot be read.
    """
    if not 2 <= len(runs) <= _MOST_RUNS:  # noqa: PLR2004 - one cannot be compared
        raise ConfigError(f"`compare` takes 2 to {_MOST_RUNS} runs, not {len(runs)}.")
    with contextlib.ExitStack() as locks:
        trees = []
        for run in runs:
            if isinstance(run, (str, os.PathLike)):
                trees.append(load(run).tree)
                continue
            if (lock := getattr(run, "lock", None)) is not None:
                locks.enter_context(lock)
            trees.append(run.tree)
        return Comparison(trees)


def _differing(trees: Sequence[TreeState]) -> list[str] | None:
    """Returns the parts of the identities that are not the same in all trees; None where one has no identity."""
    if not all(tree.identity_parts for tree in trees):
        return None
    names = dict.fromkeys(name for tree in trees for name in tree.identity_parts)
    return [name for name in names if len({tree.identity_parts.get(name) for tree in trees}) > 1]


def _row(tree: TreeState) -> RunRow:
    return RunRow(
        run=tree.run,
        model=tree.model,
        status=tree.status,
        agents=len(tree.agents),
        turns=sum(len(agent.turns) for agent in tree.agents.values()),
        calls=tree.calls,
        cached=tree.cached,
        tokens=tree.input_tokens + tree.output_tokens,
        cost=tree.cost,
        seconds=tree.elapsed,
        answer=shown_value(tree.value),
        question=tree.question,
    )
