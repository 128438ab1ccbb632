"""The hint at an error of an agent's cell: what is known of its variables is gathered here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.engine.error_hints.failure import Failure
from rlm_jupyter.engine.error_hints.hints import hint
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.channels.tracebacks import failing_lines

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.kernels.cell_result import CellResult


def tell_hint(agent: Agent, code: str, result: CellResult) -> str | None:
    """Returns the hint at a cell's error, which the tree and the log are told too; None if there is none.

    Args:
        agent: whose cell it was.
        code: of the cell.
        result: of the cell, without secrets.
    """
    if result.status != "error" or agent.value is not None:
        return None
    variables = dict(agent.services.journal.state.agents[agent.id].variables)
    if agent.data is not None:
        # Of the data more is known than its kernel tells, but the code may have bound its name to something else.
        variables = dict.fromkeys(agent.data_names[:1], agent.data.description) | variables
    text = hint(
        Failure(
            result.error_name,
            result.error_value,
            code,
            failing_lines(result.traceback),
            variables,
            agent.data_names,
        )
    )
    if text is None:
        return None
    text = agent.services.redact(f"Hint: {text}")
    agent.services.journal.emit(ev.Notice, agent.id, text=text)
    return text
