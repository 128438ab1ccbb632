"""`TableRun`: a run that makes a table by many requests, and may wait for the user's consent after the first ones."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.mapping.table_loop import TableLoop
from rlm_jupyter.engine.run.run import Run

if TYPE_CHECKING:
    import pandas as pd

_TICK = 0.05


class TableRun(Run):
    """A run whose `value` is a table, also before its end."""

    @property
    def waits(self) -> bool:
        """Whether it waits for the user's consent."""
        return not self.done and bool(self._conductor.gate.waiting)

    def table(self) -> pd.DataFrame:
        """Block until all is done, or the run waits for consent, and return the table.

        Raises:
            RunStoppedError: interrupted.
            RLMError: why not all is done; the error's `.run.value` is the table so far.
        """
        try:
            while not self.done and not self.waits:
                with contextlib.suppress(TimeoutError):
                    self.wait(_TICK)
        except KeyboardInterrupt:
            self.stop()
            self.wait_interruptibly()
        table: pd.DataFrame = self._table()
        return table

    async def atable(self) -> pd.DataFrame:
        """Await the table; see `table`."""
        try:
            while not self.done and not self.waits:
                await asyncio.sleep(_TICK)
        except BaseException:
            with contextlib.suppress(Exception):
                self.stop()
            raise
        table: pd.DataFrame = self._table()
        return table

    def _table(self) -> Any:
        if self.waits:
            warnings.warn(self._not_all_done(), stacklevel=3)
        else:
            self.raise_for_error()
        return self.value

    def _not_all_done(self) -> str:
        loop = self.root
        with self.lock:
            root = self.tree.agents.get("0")
            asked = root.wait_text if root is not None else ""
        done = f"{loop.summary}. " if isinstance(loop, TableLoop) else ""
        return (
            f"{done}The others: {asked} `confirm=False` does all without asking; what is done is not paid for again. "
            "Or go on with `rlm_jupyter.rlm.last_run().next()`."
        )
