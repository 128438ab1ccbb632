"""The tree of a run in the viewer: a row for each agent, with its spend and time where there is room."""

from __future__ import annotations

from rich.cells import cell_len

from rlm_jupyter.events.tree_state import AgentState
from rlm_jupyter.text import units as fmt
from rlm_jupyter.views.text_tree import doing
from rlm_jupyter.views.tui.agent_rows import Row
from rlm_jupyter.views.tui.rows_pane import Parts, RowsPane, named
from rlm_jupyter.views.tui.styles import style
from rlm_jupyter.views.tui.wrapping import fitted

_WIDE = 60
"""Cells from which on there is room for figures."""


class TreePane(RowsPane):
    """Draws the tree."""

    def parts(self, row: Row, agent: AgentState, width: int) -> Parts:
        """Returns the texts of an agent's row."""
        parts = named(row, agent)
        if width < _WIDE:
            return parts
        if agent.status == "running":
            parts.insert(3, (f" {doing(self.state, agent)}:", style("running")))
        told = f"  {fmt.money(agent.cost)} {_elapsed(agent):>8}"
        used = sum(cell_len(text) for text, _ in parts[:-1])
        room = max(0, width - used - len(told))
        text = fitted(parts[-1][0], room)
        return [*parts[:-1], (text + " " * (room - cell_len(text)), style("")), (told, style("small"))]


def _elapsed(agent: AgentState) -> str:
    return "" if agent.finished is None else fmt.duration(max(0.0, agent.finished - agent.started))
