"""The harness `ours`: this package, with the objects themselves as data."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.quality.harness import Conditions, Outcome
from benchmarks.quality.task import Task
from rlm_jupyter import RLM, Limits, RLMError
from rlm_jupyter.errors import LimitReachedError

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run

_GRACE = 60.0
"""Seconds that a run may take to end, beyond its limit."""


class Ours:
    """Runs of `RLM`."""

    name = "ours"

    def prepare(self) -> None:
        """Nothing is needed."""

    def versions(self) -> dict[str, str]:
        """Returns the versions of this package and of Python."""
        return {"rlm_jupyter": version("rlm_jupyter"), "python": platform.python_version()}

    def run(self, task: Task, base_url: str, conditions: Conditions, folder: Path) -> Outcome:
        """Ask the question of a task."""
        # Samples are below a root of their own, so that sub-agents of theirs are one level deeper.
        several = conditions.samples > 1 or conditions.verify
        depth = 2 if several else 1
        limits = Limits(cost=None, calls_per_agent=conditions.turns, depth=depth, seconds=conditions.seconds)
        how: dict[str, Any] = (
            {"samples": max(conditions.samples, 2), "verify": conditions.verify} if several else {}
        )
        settings = {"temperature": 0.0, "completion_tokens": conditions.reply_tokens, **conditions.settings}
        try:
            rlm = RLM(
                model=conditions.model,
                base_url=base_url,
                api_key="none",
                limits=limits,
                cache=False,
                log_dir=folder / "runs",
                **settings,
            )
            run = rlm.start(task.question, context=task.data, **how)
        except RLMError as error:
            return Outcome(error=_told(error))
        with run:
            run.wait(conditions.seconds + _GRACE)
            if not run.done:
                run.stop()
                run.wait(_GRACE)
            return _outcome(run, conditions)


def _outcome(run: Run, conditions: Conditions) -> Outcome:
    root = run.tree.agents.get("0")
    turns = len(root.turns) if root is not None else 0
    error: RLMError | None = run.error
    answer = None
    if error is None:  # what there was when a limit was reached is not an answer
        try:
            answer = run.value
        except RLMError as refused:
            error = refused
    limited = isinstance(error, LimitReachedError) or (error is not None and turns >= conditions.turns)
    return Outcome(answer, None if error is None else _told(error), limited, turns, run.log_path)


def _told(error: RLMError) -> str:
    return f"{type(error).__name__}: {error}"[:500]
