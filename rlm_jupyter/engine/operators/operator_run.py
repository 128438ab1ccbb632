"""`OperatorRun`: a run of an operator, such as `rlm.top`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.mapping.table_run import TableRun
from rlm_jupyter.engine.operators.table_operator import TableOperator

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.engine.run.conductor import Conductor
    from rlm_jupyter.engine.run.engine_thread import EngineThread


class OperatorRun(TableRun):
    """A question about a table as a whole. `value` is its answer, before the end what is known of it.

    After the first request it waits until `next()` or `resume()` if many follow, unless it was started with
    `confirm=False`.
    """

    def __init__(self, conductor: Conductor, root: AgentSpec, engine: EngineThread, **options: Any) -> None:
        super().__init__(conductor, root, engine, **options)
        assert isinstance(root.mapping, TableOperator)
        self._operator = root.mapping

    def pull_value(self, *, trust: bool = False) -> Any:
        """Returns the table so far."""
        table = super().pull_value(trust=trust)
        return self._operator.table() if table is None else table
