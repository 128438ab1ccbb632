"""Pause and step: a gate that each turn's code passes before it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from rlm_jupyter.events.journal import Journal


class Gate:
    """Lets code through; in step mode only when the user says Next, who may have edited it.

    Args:
        journal: where waiting is told.
        step: whether each cell waits for Next.
    """

    def __init__(self, journal: Journal, *, step: bool = False) -> None:
        self.step = step
        self._journal = journal
        self._waiting: dict[str, asyncio.Future[str | None]] = {}

    async def before(self, agent: str, cell: int, code: str) -> str:
        """Wait where the user wants that; give the code to run."""
        if not self.step:
            return code
        waiting: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting[agent] = waiting
        self._journal.emit(ev.StepPending, agent, cell=cell, code=code)
        try:
            edited = await waiting
        finally:
            self._waiting.pop(agent, None)
            self._journal.emit(ev.Waiting, agent, reason="step", seconds=0)
        return code if edited is None else edited

    async def confirm(self, agent: str, question: str) -> None:
        """Wait until the user says Next or Resume, whether or not cells wait.

        Args:
            agent: that waits.
            question: what is asked of the user.
        """
        waiting: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting[agent] = waiting
        self._journal.emit(ev.Waiting, agent, reason="step", seconds=None, text=question)
        try:
            await waiting
        finally:
            self._waiting.pop(agent, None)
            self._journal.emit(ev.Waiting, agent, reason="step", seconds=0)

    @property
    def waiting(self) -> list[str]:
        """Ids of the agents that wait for Next, the longest first."""
        return list(self._waiting)

    def next(self, agent: str | None = None, code: str | None = None) -> bool:
        """Let an agent's cell run (the longest waiting one for None), with `code` in its place; False for none."""
        for waiting in [agent] if agent is not None else self.waiting[:1]:
            future = self._waiting.get(waiting)
            if future is not None and not future.done():
                future.set_result(code)
                return True
        return False

    def pause(self) -> None:
        """Make each cell wait from now on."""
        self.step = True

    def resume(self) -> None:
        """Let all go on, and wait no more."""
        self.step = False
        for future in self._waiting.values():
            if not future.done():
                future.set_result(None)
