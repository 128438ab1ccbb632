"""Shows a run where it was asked: a live widget, static HTML or text; and leaves a static tree behind.

view = show(run)
while not run.done: view.flush(); …      # on the notebook's main thread, about ten times a second
view.finish()
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Literal

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.text.sanitize import head_tail
from rlm_jupyter.views import text_tree
from rlm_jupyter.views.main_thread import MainThread
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.view import View
from rlm_jupyter.views.widget_commands import RunFace
from rlm_jupyter.views.widget_replay import Kind

Mode = Literal["widget", "html", "text"]
Cell = Literal["awaited", "blocking", "background"]
"""How the cell waits that shows the run: awaiting, blocking its thread, or not at all."""

VARIABLE = "RLM_JUPYTER_DISPLAY"
NO_CLICKS = (
    "Clicks arrive after the cell has ended: to end it sooner use Interrupt, or start runs with `--bg`."
)

_CLICKS_SINCE = (7, 4)
_HTML_SECONDS = 1.0
_PLAIN_AGENTS = 100
_PLAIN_CHARS = 20_000


def show(
    run: RunFace,
    *,
    namespace: dict[str, Any] | None = None,
    cell: Cell = "awaited",
    find: Callable[[str], RunFace] | None = None,
    replay: Kind | None = None,
) -> View:
    """Show a run, now and until `finish`.

    Args:
        run: the run; what stays of the view does not keep it in memory.
        namespace: where pulled values go; None: the notebook's variables.
        cell: how the caller waits for the run.
        find: finds the run again by its id once nobody holds it any more.
        replay: set if it is shown to be stepped through: a `log`, or a `run` of this process.

    Raises:
        ConfigError: `RLM_JUPYTER_DISPLAY` is none of `auto`, `widget`, `html`, `text`.
    """
    shell = _shell()
    mode = display_mode(shell)
    if namespace is None and shell is not None:
        namespace = shell.user_ns
    if mode == "widget":
        return WidgetView(run, namespace, cell, find, replay=replay)
    if mode == "html":
        return HtmlView(run)
    from rlm_jupyter.views.terminal import terminal_view

    return terminal_view(run)


def display_mode(shell: Any = None) -> Mode:
    """Returns how runs are shown here: as `RLM_JUPYTER_DISPLAY` says, else by what the place can do.

    Raises:
        ConfigError: the variable holds no mode.
    """
    wanted = os.environ.get(VARIABLE, "").strip().lower() or "auto"
    match wanted:
        case "widget" | "html" | "text":
            return wanted
        case "auto":
            if getattr(shell, "kernel", None) is None:
                return "text"
            return "widget" if _has_comm() else "html"
    raise ConfigError(f"`{VARIABLE}` cannot be `{wanted}`: use `auto`, `widget`, `html` or `text`.")


def _shell() -> Any:
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def _has_comm() -> bool:
    """Returns whether this kernel can talk with widgets, and whether ours is built."""
    try:
        import comm

        from rlm_jupyter.views import widget  # noqa: F401  reads the bundle
    except (ImportError, OSError):
        return False
    # A kernel puts its own function in the place of one that sends nothing.
    return comm.create_comm is not getattr(comm, "_create_comm", None)


def clicks_arrive(cell: Cell) -> bool:
    """Returns whether a widget's clicks reach this kernel before the cell has ended.

    They do in an awaited cell from ipykernel 7.4 on (https://github.com/ipython/ipykernel/pull/1565), and
    where no cell waits.
    """
    if cell != "awaited":
        return cell == "background"
    try:
        from ipykernel._version import version_info
    except ImportError:
        return True  # another kernel; nothing is known against it
    return tuple(version_info[:2]) >= _CLICKS_SINCE


class StaticTree:
    """The output that stays in the notebook: reserved at once, filled at the end.

    Reserved at once, because it must follow the widget's own output directly: the page's style sheet finds the
    one by the other. The widget hides it while it lives.
    """

    def __init__(self, run: RunFace, *, after_widget: bool = False) -> None:
        from IPython.display import display

        self._run = run
        self._after_widget = after_widget
        self._handle: Any = display(self._bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def update(self) -> None:
        """Show the tree as it is now."""
        self._handle.update(self._bundle(), raw=True)

    def _bundle(self) -> dict[str, str]:
        with self._run.lock:
            tree = self._run.tree
            return {
                "text/html": static_html(tree, after_widget=self._after_widget),
                "text/plain": head_tail(text_tree.tree(tree, max_agents=_PLAIN_AGENTS), _PLAIN_CHARS),
            }


class WidgetView(View):
    """The live widget, with the static tree behind it."""

    def __init__(
        self,
        run: RunFace,
        namespace: dict[str, Any] | None,
        cell: Cell,
        find: Callable[[str], RunFace] | None = None,
        *,
        replay: Kind | None = None,
    ) -> None:
        from IPython.display import display

        from rlm_jupyter.views.widget import RunWidget

        clicks = clicks_arrive(cell)
        notices = () if clicks else (NO_CLICKS,)
        self._run, self._main = run, MainThread()
        self.widget = RunWidget(
            run,
            namespace=namespace,
            main=self._main,
            clicks=clicks,
            notices=notices,
            find=find,
            replay=replay,
        )
        display(self.widget)  # type: ignore[no-untyped-call]
        self._static = StaticTree(run, after_widget=True)
        self._awake = False
        self._finished = False
        self._ended = False
        # An event is told when it happens, not with the cell's next look: that is what makes the tree live.
        run.subscribe(self._wake)

    def flush(self) -> None:
        """Send the next patch, if it is time."""
        self.widget.flush()

    def finish(self) -> None:
        """Send the last patch, fill the static tree, and stay up to date by itself from now on."""
        self.widget.finish()
        self._finished = True
        self._fill()
        if not self._ended:
            self._wake(None)  # it may have ended just before

    def _fill(self) -> None:
        self._ended = self._run.tree.status != "running"
        self._static.update()

    def _wake(self, _event: object) -> None:
        """Note an event, also one after the end: a click's, or the end after an interrupt. On the engine's thread."""
        if not self._awake and self._main.has_loop:
            self._awake = True
            self._main.later(self.widget.due, self._catch_up)

    def _catch_up(self) -> None:
        self._awake = False
        self.widget.flush()
        self.widget.pump()
        if self._finished and not self._ended and self._run.tree.status != "running":
            self._fill()


class HtmlView(View):
    """The static tree, drawn anew every second: for places without widgets."""

    def __init__(self, run: RunFace) -> None:
        self._run = run
        self._tree = StaticTree(run)
        self._drawn = time.monotonic()
        self._seq = run.tree.seq

    def flush(self) -> None:
        """Draw the tree anew, if it changed and a second has passed."""
        now = time.monotonic()
        if now - self._drawn >= _HTML_SECONDS and self._run.tree.seq != self._seq:
            self._drawn, self._seq = now, self._run.tree.seq
            self._tree.update()

    def finish(self) -> None:
        """Draw the last tree."""
        self._tree.update()
