"""The timeline of a run in the viewer: a lane for each agent, over a scale of seconds that can be zoomed."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType

from rlm_jupyter.events.tree_state import AgentState
from rlm_jupyter.text import units as fmt
from rlm_jupyter.views.tui.agent_rows import Row
from rlm_jupyter.views.tui.lane_cells import CODE, MODEL, WAIT, WORDS, lane
from rlm_jupyter.views.tui.rows_pane import Parts, RowsPane, named
from rlm_jupyter.views.tui.styles import style
from rlm_jupyter.views.tui.wrapping import fitted

_STYLES = {MODEL: "model", CODE: "code", WAIT: "wait"}
_CLOSEST = 0.001


class TimelinePane(RowsPane):
    """Draws the lanes.

    Attributes:
        whole: begin and end of the run, in seconds since the epoch.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "zoom(0.5)", show=False),
        Binding("o", "zoom(2.0)", show=False),
        Binding("left", "pan(-0.25)", show=False),
        Binding("right", "pan(0.25)", show=False),
    ]
    head = 1

    def __init__(self, *, id: str) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self.whole = (0.0, 1.0)
        self._zoom, self._middle = 1.0, 0.5
        self._key: object = None
        self._lanes: dict[str, tuple[object, str]] = {}

    def window(self) -> tuple[float, float]:
        """Returns the part of the time that is shown."""
        start, end = self.whole
        length = max(end - start, _CLOSEST)
        half = length * self._zoom / 2
        middle = start + length * self._middle
        return middle - half, middle + half

    def action_zoom(self, factor: float) -> None:
        """Show more or less of the time, about the middle of what is shown."""
        start, end = self.whole
        least = min(1.0, _CLOSEST / max(end - start, _CLOSEST))
        self._zoom = min(1.0, max(least, self._zoom * factor))
        self.action_pan(0.0)

    def action_pan(self, part: float) -> None:
        """Show an earlier or a later part of the time."""
        half = self._zoom / 2
        self._middle = min(max(self._middle + part * self._zoom, half), 1 - half)
        self.refresh()

    def _label(self, width: int) -> int:
        return min(30, max(12, width // 3))

    def head_parts(self, width: int) -> Parts:
        """Returns the scale."""
        label = self._label(width)
        start, end = (at - self.whole[0] for at in self.window())
        words = "  ".join(f"{mark} {word}" for mark, word in WORDS.items())
        first, last = fmt.duration(max(start, 0.0)), fmt.duration(end)
        room = max(0, width - label - len(first) - len(last) - 1)
        legend = words if len(words) + 2 <= room else ""
        scale = f"{first}{legend:^{room}}{last}"
        return [(fitted("Agents", label).ljust(label), style("small")), (scale, style("small"))]

    def parts(self, row: Row, agent: AgentState, width: int) -> Parts:
        """Returns the label and the lane of an agent."""
        label = self._label(width)
        parts, room = [], label - 1
        for text, look in named(row, agent):
            kept = fitted(text, room)
            parts.append((kept, look))
            room -= cell_len(kept)
        drawn = self._lane(agent, max(1, width - label - 1))
        return [*parts, (" " * (room + 1), style("")), *_colored(drawn)]

    def _lane(self, agent: AgentState, width: int) -> str:
        start, end = self.window()
        now = max(self.state.last, time.time() if self.live else 0.0)
        key = (start, end, width, agent.seq, id(agent), now if self.state.status == "running" else 0)
        known = self._lanes.get(agent.id)
        if known is None or known[0] != key:
            if len(self._lanes) > 1000:  # noqa: PLR2004 - some screens
                self._lanes.clear()
            known = self._lanes[agent.id] = (key, lane(self.state, agent, start, end, width, now))
        return known[1]

    live = False
    """Whether what goes on has lasted until now; else until the newest event."""


def _colored(drawn: str) -> Parts:
    """Splits a lane where its characters change."""
    parts: Parts = []
    begin = 0
    for at in range(1, len(drawn) + 1):
        if at == len(drawn) or drawn[at] != drawn[begin]:
            parts.append((drawn[begin:at], style(_STYLES.get(drawn[begin], ""))))
            begin = at
    return parts
