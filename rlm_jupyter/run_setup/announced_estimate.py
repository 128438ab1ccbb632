"""What a run that has begun is expected to cost and take, told in the head of its tree as soon as it is known."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from rlm_jupyter.estimates.run_estimate import FEW_RUNS, estimate
from rlm_jupyter.estimates.run_figures import figures_of_description, words_of
from rlm_jupyter.estimates.similar_runs import Asked, Spread
from rlm_jupyter.events.events import RunEstimated
from rlm_jupyter.run_setup.question_estimate import runs_logged

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.events.journal import Journal
    from rlm_jupyter.models.base import ChatModel, Price
    from rlm_jupyter.settings import Limits, Settings

_DELAY_SECONDS = 0.5
_SECONDS = 2.0
"""How long logs are read; those that were not read in it are read with the next run."""


def announce_estimate(
    journal: Journal,
    spec: AgentSpec,
    sub_model: ChatModel,
    settings: Settings,
    limits: Limits,
    price: Callable[[], Price | None],
    on_engine: Callable[[Callable[[], None]], object],
) -> None:
    """Estimate a run on a thread of its own, and tell it if there are enough runs alike and it still goes on.

    Args:
        journal: of the run.
        spec: of its root.
        sub_model: of sub-agents and plain completions.
        settings: of the run.
        limits: what it may spend.
        price: returns that of its models; None if it is not known. It may be slow: tables of prices are read.
        on_engine: calls a function on the engine's thread.
    """
    directory = settings.log_dir
    if directory is None or spec.model.scripted or not directory.expanduser().is_dir():
        return
    kind, size = figures_of_description(spec.context.description if spec.context is not None else None)
    asked = Asked(
        spec.model.name, sub_model.name, kind, size, words_of(spec.question), mapped=spec.mapping is not None
    )

    def work() -> None:
        made = estimate(asked, runs_logged(settings, seconds=_SECONDS), limits, price())
        if made.runs < FEW_RUNS:
            return

        def tell() -> None:
            if journal.state.status == "running":
                journal.emit(
                    RunEstimated,
                    runs=made.runs,
                    cost=_pair(made.cost),
                    tokens=_pair(made.tokens),
                    seconds=_pair(made.seconds),
                    why=made.why,
                )

        on_engine(tell)

    # Not at once: to read logs would keep the run from starting.
    timer = threading.Timer(_DELAY_SECONDS, work)
    timer.name, timer.daemon = "rlm-estimate", True
    timer.start()


def _pair(spread: Spread | None) -> tuple[float, float] | None:
    return None if spread is None else (spread.p50, spread.p90)
