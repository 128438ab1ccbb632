"""A page of lines that scrolls: wrapped to its width, drawn row by row, with what was searched for marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from rlm_jupyter.views.tui.styles import style
from rlm_jupyter.views.tui.wrapping import Line, wrapped

_Row = tuple[str, str]


class LinePane(ScrollView, can_focus=True):
    """Shows lines; text of models is never parsed for markup, as each row is drawn as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("J", "turn(1)", "next turn", show=False),
        Binding("K", "turn(-1)", "previous turn", show=False),
    ]

    def __init__(self, *, id: str) -> None:  # noqa: A002 - textual's name
        super().__init__(id=id)
        self._lines: Sequence[Line] = ()
        self._rows: list[_Row] = []
        self._turns: dict[int, int] = {}
        self._width = 0
        self._query = ""

    @property
    def at_end(self) -> bool:
        """Whether the last row is on the screen."""
        return self.scroll_offset.y >= self.max_scroll_y

    def show(self, lines: Sequence[Line], *, query: str = "") -> None:
        """Replace the lines; the place to which it is scrolled stays."""
        self._lines, self._query = lines, query.lower()
        self._wrap()

    def _wrap(self) -> None:
        self._width = max(10, self.scrollable_content_region.width)
        self._rows, self._turns = [], {}
        for line in self._lines:
            if line.turn:
                self._turns.setdefault(line.turn, len(self._rows))
            self._rows += [(row, line.style) for row in wrapped(line, self._width)]
        self.virtual_size = Size(self._width, len(self._rows))
        self.refresh()

    def on_resize(self) -> None:
        """Wrap again."""
        if self.scrollable_content_region.width != self._width:
            self._wrap()

    def scroll_to_turn(self, turn: int) -> None:
        """Show a turn at the top; inside of it the first row that has what is searched for."""
        start = self._turns.get(turn, 0)
        end = min((row for row in self._turns.values() if row > start), default=len(self._rows))
        found = (at for at in range(start, end) if self._query and self._query in self._rows[at][0].lower())
        at = next(found, start)
        height = self.scrollable_content_region.height
        self.scroll_to(y=start if at - start < height - 1 else at - 2, animate=False)

    def action_turn(self, by: int) -> None:
        """Go to the heading of the next turn, or of the one before."""
        here = self.scroll_offset.y
        rows = sorted(self._turns.values())
        found = [row for row in rows if (row > here if by > 0 else row < here)]
        if found:
            self.scroll_to(y=found[0] if by > 0 else found[-1], animate=False)

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        at = y + self.scroll_offset.y
        if at >= len(self._rows):
            return Strip.blank(self.size.width)
        text, name = self._rows[at]
        return Strip(self._marked(text, name)).adjust_cell_length(self.size.width)

    def _marked(self, text: str, name: str) -> list[Segment]:
        lower = text.lower()
        if not self._query or self._query not in lower or len(lower) != len(text):
            return [Segment(text, style(name))]
        made: list[Segment] = []
        at = 0
        while (found := lower.find(self._query, at)) >= 0:
            end = found + len(self._query)
            made += [Segment(text[at:found], style(name)), Segment(text[found:end], style("found"))]
            at = end
        return [*made, Segment(text[at:], style(name))]
