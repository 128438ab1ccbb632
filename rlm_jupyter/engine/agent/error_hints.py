"""The hint at an error of an agent's cell: what is known of its variables is gathered here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.redact_events import Cleaner
from rlm_jupyter.kernels.channels.tracebacks import failing_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.kernels.cell_result import CellResult

_OWN_FUNCTIONS = ("FINAL", "SHOW_VARS", "budget")
_QUERIES = ("llm_query", "llm_query_batched", "rlm_query", "rlm_query_batched")


def tell_hint(
    agent: Agent, code: str, result: CellResult, known: Callable[[str, str], str | None]
) -> str | None:
    """Returns the hint at a cell's error, which the tree and the log are told too; None if there is none.

    Args:
        agent: whose cell it was.
        code: of the cell.
        result: of the cell.
        known: returns a hint that comes before all others, by the name and the text of the exception.
    """
    if result.status != "error" or agent.value is not None:
        return None
    from rlm_jupyter.engine.error_hints.failure import Failure
    from rlm_jupyter.engine.error_hints.hints import hint

    journal = agent.services.journal
    # Secrets are taken out before anything is cut: a half of one is one too. What the tree knows has none.
    failure = Failure(
        result.error_name,
        journal.redact(result.error_value),
        journal.redact(code),
        failing_lines(journal.redact(result.traceback)),
        {**_described_data(agent), **journal.state.agents[agent.id].variables},
        agent.data_names,
        _OWN_FUNCTIONS + (_QUERIES if agent.services.settings.sub_calls else ()),
    )
    found = known(failure.name, failure.text) or hint(failure)
    if found is None:
        return None
    text = f"Hint: {found}"
    journal.emit(ev.Notice, agent.id, text=text)
    return text


def _described_data(agent: Agent) -> dict[str, Mapping[str, Any]]:
    """Returns the descriptions of the data by name; its kernel tells of it only once code has changed it."""
    if agent.data is None:
        return {}
    clean = Cleaner(agent.services.journal.redact).fields(
        ev.AgentStarted, agent.id, {"context": agent.data.description}
    )
    about: dict[str, Any] = clean["context"]
    new = agent.new_data
    names = new.names if new is not None else ("context", *agent.spec.names)
    items = about.get("items")
    parts = {
        item["key"]: item
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict) and item.get("key") in agent.data_names
    }
    return {**dict.fromkeys(names, about), **parts}
