"""What happened in a run, counted: agents, completions, cells, and where the time went."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rlm_jupyter.text.sanitize import one_line

if TYPE_CHECKING:
    from rlm_jupyter.events.tree_state import CallState, TreeState

_PART = 8
_PARTS = 20
_PURPOSES = {
    "turn": "turns",
    "llm_query": "plain calls",
    "repair": "plain calls asked again for their schema",
    "fallback": "sub-agents as plain calls",
    "summary": "summaries of old turns",
    "plan": "plans",
}


def statistics(tree: TreeState) -> str:
    """Returns some lines of figures; hold the run's lock while it is live."""
    agents = tree.agents.values()
    turns = [turn for agent in agents for turn in agent.turns]
    cells = [cell for turn in turns for cell in turn.cells]
    calls = [*(turn.call for turn in turns), *(call for agent in agents for call in agent.calls)]
    waited = sum(call.seconds or 0.0 for call in calls)
    ran = sum(cell.seconds or 0.0 for cell in cells)
    lines = [
        f"Agents: {_counted(Counter(agent.status for agent in agents))}",
        f"Completions: {_counted(Counter(_PURPOSES.get(call.purpose, call.purpose) for call in calls))}",
        f"Of these: {_fates(calls)}",
        *_guesses(calls),
        f"Cells: {_counted(Counter(cell.status for cell in cells))}",
        *_identity(tree),
        f"Time: {waited:.1f} s of completions and {ran:.1f} s of cells, in {tree.elapsed:.1f} s of the run",
    ]
    return "\n".join(lines)


def _identity(tree: TreeState) -> list[str]:
    """Returns the run's identity, with the beginnings of those of its parts."""
    if not tree.identity:
        return []
    parts = ", ".join(
        f"{one_line(name, 20)} {one_line(part, _PART)}"
        for name, part in list(tree.identity_parts.items())[:_PARTS]
    )
    return [f"Identity: {one_line(tree.identity, 64)} ({parts})"]


def _fates(calls: list[CallState]) -> str:
    cached = sum(call.cached for call in calls)
    failed = sum(call.status == "failed" for call in calls)
    again = sum(max(0, call.attempts - 1) for call in calls)
    return f"{cached:,} from the cache, {failed:,} failed, {again:,} sent again"


def _guesses(calls: list[CallState]) -> list[str]:
    """Says of how many completions the tokens are not known."""
    number = sum(call.estimated for call in calls)
    return [f"Tokens: of {number:,} completions our estimate, as their provider told none"] if number else []


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in found.most_common()) or "none"
