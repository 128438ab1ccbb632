"""A run in a terminal: redrawn in place where rich is installed, else a line when an agent starts or ends."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rlm_jupyter.views import text_tree
from rlm_jupyter.views.answer_card import answer_card
from rlm_jupyter.views.view import View

if TYPE_CHECKING:
    from rich.live import Live

    from rlm_jupyter.views.widget_commands import RunFace

_REDRAW_SECONDS = 0.25
_MAX_LINES = 60
_SUMMARY_SECONDS = 10.0


def terminal_view(run: RunFace) -> View:
    """Returns the best view that standard output can show."""
    if sys.stdout is not None and sys.stdout.isatty():
        try:
            return RichView(run)
        except ImportError:
            pass
    return PlainView(run)


class PlainView(View):
    """Lines that only ever grow: readable in logs and pipes.

    A run of many agents must not flood: after 60 lines there is one summary every ten seconds. The whole tree
    comes at the end.
    """

    def __init__(self, run: RunFace) -> None:
        self._run = run
        self._known: dict[str, str] = {}
        self._lines = 0
        self._seq = -1
        self._summary = time.monotonic()

    def flush(self) -> None:
        """Print a line for each agent that started or ended."""
        with self._run.lock:
            lines = self._news()
        for line in lines:
            print(line, flush=True)  # noqa: T201  it is the view's purpose

    def _news(self) -> list[str]:
        tree = self._run.tree
        if tree.seq == self._seq:
            return []
        self._seq = tree.seq
        if self._lines >= _MAX_LINES:
            now = time.monotonic()
            if now - self._summary < _SUMMARY_SECONDS:
                return []
            self._summary = now
            return [text_tree.summary_line(tree, time.time())]
        lines = []
        for agent in tree.agents.values():
            if self._known.get(agent.id) != agent.status:
                self._known[agent.id] = agent.status
                lines.append("  " * agent.depth + text_tree.agent_line(tree, agent))
        lines = lines[: _MAX_LINES - self._lines]
        self._lines += len(lines)
        return lines

    def finish(self) -> None:
        """Print the whole tree."""
        with self._run.lock:
            drawn = text_tree.tree(self._run.tree)
        print(drawn, flush=True)  # noqa: T201  it is the view's purpose


class RichView(View):
    """The tree redrawn in place.

    Raises:
        ImportError: rich is not installed.
    """

    def __init__(self, run: RunFace) -> None:
        from rich.console import Console
        from rich.live import Live

        self._run = run
        self._console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=False)
        self._live: Live | None = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self._drawn = float("-inf")

    def flush(self) -> None:
        """Redraw the tree, if it is time; of one that is too high, its end."""
        now = time.monotonic()
        if self._live is None or now - self._drawn < _REDRAW_SECONDS:
            return
        self._drawn = now
        if self._is_typed_at():
            self._live.stop()
            return
        self._live.start()
        with self._run.lock:
            lines = text_tree.tree(self._run.tree, at=time.time()).splitlines()
        from rich.text import Text

        height = max(3, self._console.height - 2)
        if len(lines) > height:
            lines = [lines[0], "…", *lines[2 - height :]]
        self._live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)

    def _is_typed_at(self) -> bool:
        """Returns whether somebody types a model's reply or an answer, which what is redrawn would write over."""
        tree = self._run.tree
        with self._run.lock:
            doing = map(tree.activity, tree.agents.values())
            return tree.user_question is not None or "reply" in doing

    def finish(self) -> None:
        """Leave the whole tree in the terminal."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        from rlm_jupyter.views.rich_card import rich_card

        with self._run.lock:
            card = answer_card(self._run.tree, picture_chars=0)
            drawn = text_tree.tree(self._run.tree, with_card=False)
        if card is not None:
            self._console.print(rich_card(card))
        print(drawn, flush=True)  # noqa: T201  it is the view's purpose
