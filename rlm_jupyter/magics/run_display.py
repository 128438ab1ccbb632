"""A run as the value of a cell, or under `display(run)`: its tree, which goes on while the run does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.views.view import View

TICK = 0.1
"""Seconds between two looks at a run. An awaited cell needs it to be interrupted: SIGINT takes effect only
when the kernel's loop wakes (https://github.com/ipython/ipykernel/issues/881)."""
_RUN = ("rlm_jupyter.engine.run.run", "Run")  # by name: the engine is not imported before it is needed


def install(shell: InteractiveShell, magics: MagicsState) -> None:
    """Let IPython show runs as trees."""
    _formatter(shell).for_type_by_name(*_RUN, _displayer(magics))


def remove(shell: InteractiveShell) -> None:
    """Let IPython show runs as it shows other objects."""
    formatter = _formatter(shell)
    formatter.deferred_printers.pop(_RUN, None)
    for kind in list(formatter.type_printers):
        if (kind.__module__, kind.__name__) == _RUN:
            formatter.type_printers.pop(kind)


def _formatter(shell: InteractiveShell) -> Any:
    formatter: Any = shell.display_formatter
    return formatter.ipython_display_formatter


def _displayer(magics: MagicsState) -> Callable[[Run], None]:
    def display_run(run: Run) -> None:
        from rlm_jupyter.views.display import display_mode, show

        cell = (run.id, magics.shell.execution_count)
        if display_mode(magics.shell) == "text" or magics.shown == cell:
            raise NotImplementedError  # then IPython shows its `repr`
        view = show(run, cell="background")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            view.finish()
            return
        following = loop.create_task(keep_up(run, view))
        magics.following.add(following)
        following.add_done_callback(magics.following.discard)

    return display_run


async def keep_up(run: Run, view: View) -> None:
    """Keep a view up to date until its run has ended."""
    try:
        while not run.done:
            view.flush()
            await asyncio.sleep(TICK)
    finally:
        view.finish()
