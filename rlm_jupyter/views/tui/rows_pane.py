"""A list of agents, a row each, with a cursor: what the tree and the timeline have in common."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from rlm_jupyter.events.tree_state import AgentState, TreeState
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.views.tui.agent_rows import Row
from rlm_jupyter.views.tui.styles import MARKS, style

if TYPE_CHECKING:
    from textual.events import Click

Parts = list[tuple[str, Style]]


class RowsPane(ScrollView, can_focus=True):
    """Draws only the rows that are on the screen, so that any number of agents will do.

    Attributes:
        head: rows above the agents that do not scroll.
        tree_lock: held while a row is read.
    """

    class Selected(Message):
        """The cursor is at another agent, by the user's hand."""

        def __init__(self, agent: str) -> None:
            super().__init__()
            self.agent = agent

    class Opened(Message):
        """The user wants to read the page of the agent at the cursor."""

    class Folded(Message):
        """What is below an agent is to be left out, or to be shown again; of all agents if it names none."""

        def __init__(self, agent: str | None, *, fold: bool) -> None:
            super().__init__()
            self.agent, self.fold = agent, fold

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move_page(-1)", show=False),
        Binding("pagedown", "move_page(1)", show=False),
        Binding("home", "move(-1000000000)", show=False),
        Binding("end", "move(1000000000)", show=False),
        Binding("left", "fold", show=False),
        Binding("right", "unfold", show=False),
        Binding("c", "fold_all(True)", show=False),
        Binding("e", "fold_all(False)", show=False),
        Binding("enter", "open", show=False),
    ]
    head = 0

    def __init__(self, *, id: str) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self.rows: Sequence[Row] = ()
        self.state = TreeState()
        self.selected = ""
        self.tree_lock: AbstractContextManager[Any] = nullcontext()
        self._places: dict[str, int] = {}

    def show(self, state: TreeState, rows: Sequence[Row], selected: str) -> None:
        """Show a tree's rows, with the cursor at an agent."""
        moved = selected != self.selected
        if rows is not self.rows:
            self._places = {row.id: at for at, row in enumerate(rows)}
        self.state, self.rows, self.selected = state, rows, selected
        self.virtual_size = Size(self.scrollable_content_region.width, len(rows) + self.head)
        if moved:
            self._reveal()
        self.refresh()

    @property
    def cursor(self) -> int:
        """The number of the row at the cursor."""
        return self._places.get(self.selected, 0)

    def _reveal(self) -> None:
        height = max(1, self.scrollable_content_region.height - self.head)
        top, at = self.scroll_offset.y, self.cursor
        if not top <= at < top + height:
            self.scroll_to(y=at if at < top else at - height + 1, animate=False, force=True)

    def on_resize(self) -> None:
        """Keep the cursor on the screen."""
        self._reveal()

    def _select(self, at: int) -> None:
        if self.rows:
            agent = self.rows[min(max(at, 0), len(self.rows) - 1)].id
            if agent != self.selected:
                self.post_message(self.Selected(agent))

    def action_move(self, by: int) -> None:
        """Move the cursor by that many rows."""
        self._select(self.cursor + by)

    def action_move_page(self, by: int) -> None:
        """Move the cursor by that many screens."""
        self._select(self.cursor + by * max(1, self.scrollable_content_region.height - self.head - 1))

    def action_fold(self) -> None:
        """Fold the agent at the cursor; one without open sub-agents: go to its parent."""
        row = self.rows[self.cursor] if self.rows else None
        if row is not None and row.folded is False:
            self.post_message(self.Folded(row.id, fold=True))
        elif row is not None:
            agent = self.state.agents.get(row.id)
            if agent is not None and agent.parent in self._places:
                self._select(self._places[agent.parent])

    def action_unfold(self) -> None:
        """Unfold the agent at the cursor; one that is open: go to its first sub-agent."""
        row = self.rows[self.cursor] if self.rows else None
        if row is not None and row.folded:
            self.post_message(self.Folded(row.id, fold=False))
        elif row is not None and row.folded is False:
            self._select(self.cursor + 1)

    def action_fold_all(self, fold: bool) -> None:
        """Fold or unfold all agents."""
        self.post_message(self.Folded(None, fold=fold))

    def action_open(self) -> None:
        """Read the page of the agent at the cursor."""
        self.post_message(self.Opened())

    def on_click(self, event: Click) -> None:
        """Move the cursor to the row, as the keys do."""
        self._select(event.y - self.head + self.scroll_offset.y)

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        width = self.size.width
        if y < self.head:
            return _strip(self.head_parts(width), width)
        at = y - self.head + self.scroll_offset.y
        if at >= len(self.rows):
            return Strip.blank(width)
        row = self.rows[at]
        with self.tree_lock:
            agent = self.state.agents.get(row.id)
            parts = [] if agent is None else self.parts(row, agent, width)
        if row.id == self.selected:  # in one style: reversed, each colour would be another background
            look = style("cursor" if self.has_focus else "selected")
            parts = [(text, look) for text, _ in parts]
        return _strip(parts, width)

    def head_parts(self, width: int) -> Parts:
        """Returns the texts of the row above the agents."""
        raise NotImplementedError

    def parts(self, row: Row, agent: AgentState, width: int) -> Parts:
        """Returns the texts of an agent's row."""
        raise NotImplementedError


def named(row: Row, agent: AgentState, *, title: bool = True) -> Parts:
    """Returns the beginning of an agent's row: its place in the tree, its state, its id and what it is asked."""
    fold = {None: "", True: "+ ", False: "- "}[row.folded]
    parts = [
        (row.lines + fold, style("small")),
        (f"{MARKS.get(agent.status, '?')} ", style(agent.status)),
        (one_line(agent.id, 40), style("title")),
    ]
    return [*parts, (f" {one_line(agent.name or agent.question, 200)}", style(""))] if title else parts


def _strip(parts: Parts, width: int) -> Strip:
    return Strip([Segment(text, look) for text, look in parts]).adjust_cell_length(width)
