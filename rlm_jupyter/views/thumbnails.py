"""Small pictures of the charts among an agent's variables: those that its cells have shown, found by their line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rlm_jupyter.values.charts.embedded import fitted

if TYPE_CHECKING:
    from rlm_jupyter.events.events import CellPicture
    from rlm_jupyter.events.tree_state import AgentState, TreeState
    from rlm_jupyter.views.card_protocol import CardPicture

MAX_CHARS = 2_600
"""Of one in base64."""
_WIDTH = 200


class Thumbnails:
    """The thumbnails of an agent.

    A description of a figure has no picture: kernels draw only what a cell shows. A variable whose line is that of a
    picture that a cell showed is taken for it, the newest one first; the root's value has its own.

    Args:
        state: the run.
        agent: whose variables and value they are.
    """

    def __init__(self, state: TreeState, agent: AgentState) -> None:
        self._shown: dict[str, CellPicture] = {}
        for turn in agent.turns:
            for cell in turn.cells:
                for picture in cell.pictures:
                    self._shown[picture.summary.strip().removeprefix("<").removesuffix(">")] = picture
        part = state.excerpt or {}
        is_one = agent.parent is None and part.get("kind") == "picture"
        self._value = state.pictures[0] if is_one and state.pictures else None

    def of(self, given: object, *, value: bool = False) -> CardPicture | None:
        """Returns the thumbnail of what a description is of; None if there is none.

        Args:
            given: the description, or anything that an agent's kernel sent in its place.
            value: whether it is of what the agent gave to FINAL.
        """
        summary = given.get("summary") if isinstance(given, Mapping) else None
        shown = self._shown.get(summary) if isinstance(summary, str) else None
        if value and self._value is not None:
            shown = self._value
        made = fitted(shown.png, MAX_CHARS, _WIDTH) if shown is not None else None
        return None if made is None else {"width": made.width, "height": made.height, "png": made.base64}
