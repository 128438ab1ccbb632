"""A run as the value of a cell, or under `display(run)`: its tree, which goes on while the run does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.records.past_run import PastRun
    from rlm_jupyter.records.reader import Record
    from rlm_jupyter.views.view import View
    from rlm_jupyter.views.widget_replay import Kind

TICK = 0.1
"""Seconds between two looks at a run. An awaited cell needs it to be interrupted: SIGINT takes effect only
when the kernel's loop wakes (https://github.com/ipython/ipykernel/issues/881)."""
_RUN = ("rlm_jupyter.engine.run.run", "Run")  # by name: the engine is not imported before it is needed
_RECORD = ("rlm_jupyter.records.reader", "Record")


def install(shell: InteractiveShell, magics: MagicsState) -> None:
    """Let IPython show runs as trees, and logs that were read as replays."""
    _formatter(shell).for_type_by_name(*_RUN, _displayer(magics))
    _formatter(shell).for_type_by_name(*_RECORD, _record_displayer(magics))


def remove(shell: InteractiveShell) -> None:
    """Let IPython show runs as it shows other objects."""
    formatter = _formatter(shell)
    for shown in (_RUN, _RECORD):
        formatter.deferred_printers.pop(shown, None)
    for kind in list(formatter.type_printers):
        if (kind.__module__, kind.__name__) in (_RUN, _RECORD):
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


def _record_displayer(magics: MagicsState) -> Callable[[Record], None]:
    def display_record(record: Record) -> None:
        from rlm_jupyter.views.display import display_mode

        if display_mode(magics.shell) == "text" or record.path is None:
            raise NotImplementedError  # then IPython shows its `repr`
        show_record(record)

    return display_record


def show_record(record: Record) -> None:
    """Show a log that was read, with the controls of a replay."""
    from rlm_jupyter.records.replayed_run import ReplayedRun
    from rlm_jupyter.views.display import show

    path = record.path
    assert path is not None
    run = ReplayedRun(record, path)
    show(run, cell="background", find=lambda _id: ReplayedRun.of(path), replay="log").finish()


def show_replay(run: Run | PastRun) -> None:
    """Show a run of this process, with the controls of a replay; it may still go on."""
    from rlm_jupyter.records.past_run import PastRun
    from rlm_jupyter.rlm import find_run
    from rlm_jupyter.views.display import show

    kind: Kind = "log" if isinstance(run, PastRun) else "run"
    show(run, cell="background", find=find_run, replay=kind).finish()


async def keep_up(run: Run, view: View) -> None:
    """Keep a view up to date until its run has ended."""
    try:
        while not run.done:
            view.flush()
            await asyncio.sleep(TICK)
    finally:
        view.finish()
