"""`rlm_jupyter.view(run)`: the tree of a run as a widget that keeps itself up to date, for places without magics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlm_jupyter.conversation.conversation import Chat
from rlm_jupyter.engine.run.run import Run
from rlm_jupyter.registry import find_run
from rlm_jupyter.views.main_thread import MainThread

if TYPE_CHECKING:
    from rlm_jupyter.views.widget import RunWidget
    from rlm_jupyter.views.widget_commands import RunFace


def view(run: RunFace | Chat, namespace: dict[str, Any] | None = None) -> RunWidget:
    """Returns the tree of a run as a widget (an anywidget): the last expression of a cell shows it.

    It shows what happens as long as the loop of the thread that calls this runs, as in Jupyter and in marimo; without
    a loop, what has happened until now.

    Usage:
        >>> run = rlm.start("Which supplier explains the rise in refunds?", context=orders)
        >>> rlm_jupyter.view(run)

    Args:
        run: a run; or a conversation, whose tree goes on with each question.
        namespace: where the button Pull puts variables; None: it is refused.
    """
    from rlm_jupyter.views.widget import RunWidget

    main = MainThread()
    shown = run.growing_view if isinstance(run, Chat) else run
    # A run is found again in this process, or in its log; the tree of a conversation is nowhere else.
    find = find_run if isinstance(shown, Run) else lambda _id: shown
    widget = RunWidget(shown, namespace=namespace, main=main, find=find)
    shown.subscribe(_Waking(widget, main).wake)
    return widget


class _Waking:
    """Lets a widget tell what is new soon after it happened, without a cell that waits."""

    def __init__(self, widget: RunWidget, main: MainThread) -> None:
        self._widget = widget
        self._main = main
        self._awake = False

    def wake(self, _event: object) -> None:
        """Take note of an event, on the engine's thread."""
        if not self._awake and self._main.has_loop:
            self._awake = True
            self._main.later(self._widget.due, self._catch_up)

    def _catch_up(self) -> None:
        self._awake = False
        self._widget.flush()
        self._widget.pump()
