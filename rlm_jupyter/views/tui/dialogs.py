"""What the viewer lays over the screen: a question to be confirmed, and the help."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

if TYPE_CHECKING:
    from textual.app import ComposeResult

HELP = """\
Views     1  agents        2  timeline      3  answer and figures
          Tab  other pane  Enter  page      Esc  back       q  close
Page      t  turns         v  variables     m  messages that were sent
          J  next turn     K  previous turn
Tree      ↑ ↓  move        ← →  fold, unfold  c e  all of them
Timeline  i o  zoom        ← →  earlier, later

Replay    Space  play, pause                + -  faster, slower
          , .  event       [ ]  turn        { }  agent starts or ends
          <  beginning     >  end, live     f  follow what happens
Search    /  in all agents                  n N  next, previous place
Live run  s  stop agent    S  stop run      (both ask first)
          a  answer the question that an agent asks

Marks     ● running  ✓ done  ✗ failed  ■ stopped  ! ended by a limit
Lanes     ░ model    █ code  ─ waits for sub-agents or for a server
"""


class Confirmation(ModalScreen[bool]):
    """A question; `y` answers yes, all else no.

    Args:
        text: the question, as text.
        again: a key that says yes as well: the one that asked.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,escape,q,enter", "answer(False)", show=False),
    ]

    def __init__(self, text: str, *, again: str | None = None) -> None:
        super().__init__()
        self._text, self._again = text, again

    def compose(self) -> ComposeResult:
        """Make the box."""
        with Vertical(classes="box"):
            yield Static(self._text, markup=False)
            yield Static("\n y  yes      n  no", markup=False, classes="small")

    def on_mount(self) -> None:
        """Let the key that asked say yes."""
        if self._again is not None:
            self._bindings.bind(self._again, "answer(True)", show=False, priority=True)

    def action_answer(self, yes: bool) -> None:
        """Close with an answer."""
        self.dismiss(yes)


class Help(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "close", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Make the box."""
        with VerticalScroll(classes="box wide"):
            yield Static(HELP, markup=False)

    def action_close(self) -> None:
        """Close it."""
        self.dismiss(None)
