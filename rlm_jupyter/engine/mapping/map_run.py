"""`MapRun`: a run of `rlm.map`, which gives a table and may wait for the user's consent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.mapping.map_loop import MapLoop
from rlm_jupyter.engine.mapping.map_results import MapResults
from rlm_jupyter.engine.mapping.map_task import MapTask
from rlm_jupyter.engine.mapping.table_run import TableRun
from rlm_jupyter.errors import ConfigError

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.engine.run.conductor import Conductor
    from rlm_jupyter.engine.run.engine_thread import EngineThread


class MapRun(TableRun):
    """One question for each row of a table, or for each group.

    `value` is the table, also before the end: then rows that are not done have the error "not done". After the
    sample, it waits until `next()` or `resume()`, unless it was started with `confirm=False`.
    """

    def __init__(self, conductor: Conductor, root: AgentSpec, engine: EngineThread, **options: Any) -> None:
        super().__init__(conductor, root, engine, **options)
        assert isinstance(root.mapping, MapTask)
        self._task = root.mapping

    def pull_value(self, *, trust: bool = False) -> Any:
        """Returns the table so far; before the first request, one in which nothing is done."""
        table = super().pull_value(trust=trust)
        return MapResults(self._task).table() if table is None else table

    @property
    def _loop(self) -> MapLoop | None:
        root = self.root
        return root if isinstance(root, MapLoop) else None

    @property
    def function_source(self) -> str | None:
        """Python that defines a function `f(row)` which does the same, if the model wrote one after the sample."""
        with self.lock:
            root = self.tree.agents.get("0")
            return root.mapping.function if root is not None and root.mapping is not None else None

    def use_function(self) -> None:
        """Let the function that the model wrote do the rest, for nothing; instead of `next()`.

        Raises:
            ConfigError: there is none that agrees with the sample, or the run does not wait.
        """

        async def accept() -> bool:
            loop = self._loop
            if loop is None or loop.function is None or not loop.function.offered:
                return False
            loop.accepted = True
            if not self._conductor.gate.next("0"):
                loop.accepted = False
            return loop.accepted

        if not self._engine.call(accept(), self):
            raise ConfigError(
                "There is no function that could do the rest, or the run does not wait for you: `run.tree` and "
                "`run.function_source` tell. `use_function=True` asks for it from the beginning."
            )
