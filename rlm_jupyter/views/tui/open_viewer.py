"""Opens the viewer for a log, or for a run that goes on; says first what is missing for it."""

from __future__ import annotations

import gc
import importlib.metadata
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.views.find_agent import find_agent

if TYPE_CHECKING:
    from rlm_jupyter.events import events as ev
    from rlm_jupyter.events.tree_state import TreeState
    from rlm_jupyter.views.tui.shown_run import LiveRun, ShownRun


_OLDEST = (8, 2, 6)
"""The first version of textual with themes that leave a terminal its own colours, as in pyproject.toml."""


def check_terminal() -> None:
    """Check that the viewer can open; cheap, and before anything is paid for.

    Raises:
        ConfigError: `textual` is not installed, or too old, or this is no terminal.
    """
    try:
        version = importlib.metadata.version("textual")
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(
            "`--tui` needs `textual`, which is not installed: `pip install 'rlm_jupyter[tui]'`."
        ) from None
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise ConfigError(
            f"`--tui` needs `textual` {oldest} or newer, and {version} is installed: "
            "`pip install -U 'rlm_jupyter[tui]'`."
        )
    # It is drawn on stderr, so that stdout can be piped on.
    for stream, name in ((sys.__stdin__, "stdin"), (sys.__stderr__, "stderr")):
        if stream is None or not stream.isatty():
            raise ConfigError(f"`--tui` needs a terminal, and `{name}` is none: leave `--tui` out.")


def view_log(
    events: Sequence[ev.AnyEvent], tree: TreeState, *, note: str = "", agent: str | None = None
) -> None:
    """Show a log until the user closes it.

    Args:
        events: of the log.
        tree: what they were folded into.
        note: what must be said of the log, such as that it is torn.
        agent: the agent whose page is shown first; None is the root.

    Raises:
        AgentNotFoundError: the run has no such agent.
        RLMError: the viewer failed.
    """
    from rlm_jupyter.views.tui.shown_run import ShownRun

    if agent is not None:
        find_agent(tree, agent)
    gc.freeze()  # a large log: it stays until the end, and is not to be searched for garbage
    _open(ShownRun(events, tree, note=note), agent)


def view_run(run: LiveRun) -> None:
    """Show a run while it goes on, and after its end, until the user closes the viewer.

    Raises:
        RLMError: the viewer failed; the run goes on.
    """
    from rlm_jupyter.views.tui.shown_run import ShownRun

    _open(ShownRun([], None, live=run))


def _open(shown: ShownRun, agent: str | None = None) -> None:
    from rlm_jupyter.views.tui.viewer import Viewer

    app = Viewer(shown, agent or "")
    app.run()
    error = app._exception  # noqa: SLF001 - textual tells it to its own tests only
    if error is not None:
        raise RLMError(
            f"The viewer failed: {type(error).__name__}: {one_line(str(error), 300)}. This is a bug: please report it; "
            "without `--tui` the same is printed as text."
        )
