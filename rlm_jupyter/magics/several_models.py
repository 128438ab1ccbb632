"""`%%rlm -m a,b`: the same question asked of several models, one after the other, each under limits of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from rlm_jupyter.magics.notebook_lookup import model_of

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.magics.magics_state import MagicsState
    from rlm_jupyter.magics.task import Task

_MOST_MODELS = 8


def tasks_of(magics: MagicsState, task: Task) -> list[tuple[str, Task]]:
    """Returns the models' names with a task for each; nothing for a task of one model.

    Raises:
        UsageError: a name is empty or comes twice, or the line has an option that only one run can have.
    """
    given = task.settings["model"]
    if not isinstance(given, str) or "," not in given:
        return []
    names = [name.strip() for name in given.split(",")]
    if not all(names) or len(set(names)) != len(names) or len(names) > _MOST_MODELS:
        raise UsageError(
            f"`-m {given}` takes up to {_MOST_MODELS} different models, with commas and no spaces."
        )
    refused = {"--bg": task.background, "--step": task.step, "--dry-run": task.dry_run}
    refused["--continue"] = task.continues is not None
    wrong = [option for option, is_given in refused.items() if is_given]
    if wrong:
        raise UsageError(f"`{wrong[0]}` goes with one model only, and `-m {given}` names {len(names)}.")
    return [(name, _with_model(magics, task, name)) for name in names]


def _with_model(magics: MagicsState, task: Task, name: str) -> Task:
    return replace(task, out=None, settings={**task.settings, "model": model_of(magics.shell, name)})


def conclude_all(magics: MagicsState, task: Task, runs: dict[str, Run]) -> dict[str, Any]:
    """Show the runs beside each other; store and return their answers by the models' names.

    An answer that is not there, or has no form that is safe to decode, is None.

    Raises:
        RLMError: no run has an answer; it is the error of the first one.
    """
    from IPython.display import display

    from rlm_jupyter.records.compare import compare

    answers = dict(_answers(runs))
    display(compare(*runs.values()))  # type: ignore[no-untyped-call]
    if task.out:
        magics.shell.user_ns[task.out] = answers
    if all(run.error is not None for run in runs.values()):
        next(iter(runs.values())).raise_for_error()
    return answers


def _answers(runs: dict[str, Run]) -> Iterator[tuple[str, Any]]:
    from rlm_jupyter.errors import RLMError

    for name, run in runs.items():
        try:
            yield name, run.value
        except RLMError:
            yield name, None
