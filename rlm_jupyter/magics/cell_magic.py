"""`%%rlm`: starts a run, waits for it in the form that the frontend can bear, and hands its answer over."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import MissingKeyError, RLMError, RunStoppedError
from rlm_jupyter.magics.chat_cell import read
from rlm_jupyter.magics.notebook_lookup import models_hint
from rlm_jupyter.magics.run_display import TICK, keep_up
from rlm_jupyter.magics.several_models import conclude_all, tasks_of
from rlm_jupyter.magics.task import Task
from rlm_jupyter.magics.user_present import attended, who_answers
from rlm_jupyter.magics.value_display import on_card_only, show_no_more

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.views.display import Cell
    from rlm_jupyter.views.view import View

GRACE = 2.0
"""Seconds that an interrupted cell waits for its agents to end."""


Reader = Callable[["MagicsState", str, str], Task]
"""Reads the line and the body of a cell."""


def ask(magics: MagicsState, line: str, body: str, read: Reader = read) -> Any:
    """Run a cell and block until it has its answer (or give the run at once, where that was asked for)."""
    task = read(magics, line, body)
    if task.estimate:
        return _show_estimate(magics, task)
    if several := tasks_of(magics, task):
        runs: dict[str, Run] = {}
        for name, one in several:
            runs[name] = run = start(magics, one)
            _raise_if(run, interrupted=_wait(run, _show(magics, run, "blocking")))
        return conclude_all(magics, task, runs)
    returns = task.background or _needs_clicks(task)
    with attended(magics.shell, "background" if returns else "blocking"):
        if task.dry_run:
            return _dry_run(task)
        run = start(magics, task)
    return show_to_end(magics, task, run)


def show_to_end(magics: MagicsState, task: Task, run: Run) -> Any:
    """Show a run that was started, block until it has ended, and give its answer (or the run, if it is not waited for).

    Args:
        magics: of the notebook.
        task: how it was asked.
        run: which was started.
    """
    if task.background or _needs_clicks(task):  # none arrives here while the cell blocks
        return follow(magics, task, run)
    interrupted = _wait(run, _show(magics, run, "blocking"))
    return _answer(magics, task, run, interrupted=interrupted)


async def ask_awaited(magics: MagicsState, line: str, body: str, read: Reader = read) -> Any:
    """Run a cell and await its answer; clicks arrive meanwhile."""
    task = read(magics, line, body)
    if task.estimate:
        return _show_estimate(magics, task)
    if several := tasks_of(magics, task):
        runs: dict[str, Run] = {}
        for name, one in several:
            runs[name] = run = start(magics, one)
            _raise_if(run, interrupted=await _wait_awaiting(run, _show(magics, run, "awaited")))
        return conclude_all(magics, task, runs)
    returns = task.background or (_needs_clicks(task) and not _can_click(magics.shell))
    with attended(magics.shell, "background" if returns else "awaited"):
        if task.dry_run:
            return _dry_run(task)
        run = start(magics, task)
    if returns:
        return follow(magics, task, run)
    interrupted = await _wait_awaiting(run, _show(magics, run, "awaited"))
    return _answer(magics, task, run, interrupted=interrupted)


def _answer(magics: MagicsState, task: Task, run: Run, *, interrupted: bool) -> Any:
    """Return the cell's value; what its card shows whole is not printed once more."""
    value = conclude(magics.shell, task, run, interrupted=interrupted)
    if value is not None and on_card_only(magics, run):
        show_no_more(magics.shell, value)
    return value


def start(magics: MagicsState, task: Task) -> Run:
    """Start a task's run.

    Raises:
        RLMError: a setting, key, schema or context that cannot work; nothing was started.
    """
    from rlm_jupyter.rlm import RLM
    from rlm_jupyter.views.display import display_mode

    display_mode(magics.shell)  # raises for a mode that does not exist, before anything costs money
    try:
        rlm = RLM(**task.settings)
    except MissingKeyError as error:
        wrong = next((m for m in _models(task) if isinstance(m, str) and f"`{m}`" in error.message), None)
        raise MissingKeyError(error.message + models_hint(magics.shell, wrong)) from None
    run = task.begin(rlm)
    magics.runs.add(run)
    return run


def _models(task: Task) -> tuple[Any, Any]:
    return task.settings.get("model"), task.settings.get("sub_model")


def conclude(shell: InteractiveShell, task: Task, run: Run, *, interrupted: bool = False) -> Any:
    """Store a run's answer under its name and give it.

    A partial answer is stored too, before the error is raised, so that nothing is lost.

    Raises:
        RunStoppedError: the cell was interrupted.
        RLMError: why there is no whole answer; or the answer has no form that is safe to decode.
    """
    value = None
    with contextlib.suppress(RLMError) if run.error or not run.done else contextlib.nullcontext():
        value = run.value
    if task.out and (value is not None or (run.done and not run.error)):
        shell.user_ns[task.out] = value
    run.raise_for_error()
    _raise_if(run, interrupted=interrupted)
    return value


def _raise_if(run: Run, *, interrupted: bool) -> None:
    if interrupted:
        what = "it had just ended" if run.done else "its agents are still ending"
        raise RunStoppedError(
            f"Run `{run.id}` was interrupted; {what}. `%rlm tree` shows it, and what it has can be pulled.",
            run=run,
        )


def _show(magics: MagicsState, run: Run, cell: Cell) -> View:
    from rlm_jupyter.rlm import find_run
    from rlm_jupyter.views.display import show

    face = magics.faces.get(run)
    try:
        return (
            show(run, cell=cell, find=find_run)
            if face is None
            else show(face, cell=cell, find=lambda _: face)
        )
    except BaseException:
        run.stop()
        raise


def _needs_clicks(task: Task) -> bool:
    """Returns whether a run waits for its user: for Next, or for replies that are written in the tree."""
    return task.waits or any(
        getattr(model, "asks_person", False) and not getattr(model, "in_terminal", False)
        for model in _models(task)
    )


def _can_click(shell: InteractiveShell) -> bool:
    """Returns whether the user can press Next, or Send, while the cell awaits."""
    return who_answers(shell, "awaited") == "tree"


def _wait(run: Run, view: View) -> bool:
    """Block until a run has ended; tell whether it was interrupted."""
    try:
        while not run.done:
            view.flush()
            _pause(run, TICK)
    except KeyboardInterrupt:
        run.stop()
        with contextlib.suppress(KeyboardInterrupt):
            _pause(run, GRACE)
        return True
    except BaseException:
        run.stop()
        raise
    finally:
        view.finish()
    return False


def _pause(run: Run, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        run.wait(seconds)


async def _wait_awaiting(run: Run, view: View) -> bool:
    """Await a run's end; tell whether it was interrupted."""
    try:
        while not run.done:
            view.flush()
            await asyncio.sleep(TICK)
    except asyncio.CancelledError:  # what ipykernel makes of an interrupt
        run.stop()
        with contextlib.suppress(asyncio.CancelledError, TimeoutError):
            await asyncio.wait_for(run, GRACE)
        return True
    except BaseException:
        run.stop()
        raise
    finally:
        view.finish()
    return False


def follow(magics: MagicsState, task: Task, run: Run) -> Run:
    """Go on without the cell: keep the view up to date, and hand the answer over at the end."""
    if task.waits:
        print(task.how_to_go_on)  # noqa: T201
    elif _needs_clicks(task):
        print("You are the model: write each reply in the tree, or by `answer(text)` of the model.")  # noqa: T201
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # terminal IPython: no loop between two cells, and no view that could be kept
        threading.Thread(target=_hand_over_later, args=(magics.shell, task, run), daemon=True).start()
        return run
    magics.shown = (run.id, magics.shell.execution_count)
    following = loop.create_task(_follow_awaiting(magics.shell, task, run, _show(magics, run, "background")))
    magics.following.add(following)
    following.add_done_callback(magics.following.discard)
    return run


async def _follow_awaiting(shell: InteractiveShell, task: Task, run: Run, view: View) -> None:
    await keep_up(run, view)
    with contextlib.suppress(RLMError):  # the view shows it, and the run carries it
        conclude(shell, task, run)


def _hand_over_later(shell: InteractiveShell, task: Task, run: Run) -> None:
    run.wait()
    with contextlib.suppress(RLMError):
        conclude(shell, task, run)


def _show_estimate(magics: MagicsState, task: Task) -> None:
    print(task.estimated(magics.shell))  # noqa: T201 - it is the cell's output


def _dry_run(task: Task) -> None:
    print(task.preview())  # noqa: T201 - it is the cell's output
