"""A search in a run: where a text stands, and which of these places is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.views.tui.shown_run import ShownRun
from rlm_jupyter.views.tui.text_search import Hit, hits_in

_TOGETHER = 100
"""Agents that are looked through before keys are heard again."""
_MOST = 10_000


class Search:
    """What is searched for, and what was found.

    Args:
        query: the text, taken literally; case does not matter.
    """

    def __init__(self, query: str = "") -> None:
        self.query = query
        self._hits: list[Hit] = []
        self._at = 0
        self._done = False

    @property
    def hit(self) -> Hit | None:
        """The place that is shown."""
        return self._hits[self._at] if self._hits else None

    async def look(self, shown: ShownRun, agents: Sequence[str], start: str) -> None:
        """Look through a run.

        Args:
            shown: the run, at the moment that is searched.
            agents: the ids of its agents, in the order in which the places are gone through.
            start: the agent at which to begin.
        """
        state = shown.state
        for number, id_ in enumerate(agents):
            agent = state.agents.get(id_)
            if agent is not None and len(self._hits) < _MOST:
                with shown.lock:
                    found = list(hits_in(agent, self.query))
                if id_ == start:
                    self._at = len(self._hits)
                self._hits += found
            if number % _TOGETHER == _TOGETHER - 1:
                await asyncio.sleep(0)
        self._at = self._at if self._at < len(self._hits) else 0
        self._done = True

    def move(self, by: int) -> None:
        """Go to another place; after the last comes the first."""
        if self._hits:
            self._at = (self._at + by) % len(self._hits)

    def caption(self) -> str:
        """Returns what was found, in words."""
        if not self.query:
            return ""
        what = f"`{one_line(self.query, 30)}`"
        if not self._done:
            return f"Searching for {what} …"
        hit = self.hit
        if hit is None:
            return f"{what} was not found"
        where = f"agent {one_line(hit.agent, 30)}" + (f", turn {hit.turn}" if hit.turn else "")
        return f"{what} {self._at + 1:,} of {len(self._hits):,}: {where}"
