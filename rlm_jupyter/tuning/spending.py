"""The runs of a tuning: asked one after the other, each with no more than is left of the budget."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlm_jupyter.conversation.conversation_budget import ConversationBudget, Spending
from rlm_jupyter.errors import ConfigError, LimitReachedError, RLMError
from rlm_jupyter.settings import Limits
from rlm_jupyter.values.describe.short_text import short

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.rlm import RLM


class OutOfBudgetError(LimitReachedError):
    """Nothing is left of the budget; what was found until then is returned."""


@dataclass
class Asker:
    """Asks questions under one budget.

    Attributes:
        budget: what all runs together may spend.
        spent: by them so far.
        runs: how many there were.
    """

    budget: ConversationBudget
    spent: Spending = field(default_factory=Spending)
    runs: int = 0

    def ask(self, rlm: RLM, question: str, context: Any, **options: Any) -> Run:
        """Ask, and wait for the run's end, whether it has an answer or not. The caller closes it.

        Raises:
            OutOfBudgetError: nothing was left, or the run ended because nothing was left.
        """
        try:
            limits = self.budget.left(rlm.limits, self.spent)
        except LimitReachedError as error:
            raise OutOfBudgetError("The budget is spent.", limit=error.limit) from None
        run = rlm.start(question, context, limits=limits, **options).wait_interruptibly()
        self.runs += 1
        with run.lock:
            self.spent = self.spent + Spending.of(run.tree)
        ended = run.error
        if isinstance(ended, LimitReachedError) and _is_of_budget(ended.limit, rlm.limits, limits):
            run.close()
            raise OutOfBudgetError("The budget is spent.", limit=ended.limit)
        return run


def _is_of_budget(name: str, own: Limits, given: Limits) -> bool:
    """Returns whether a limit was reached because little was left of the budget, and not a run's own limit."""
    return getattr(own, name, None) != getattr(given, name, None)


def read_budget(given: Limits | Mapping[str, object]) -> ConversationBudget:
    """Returns the budget of a tuning.

    Raises:
        ConfigError: it limits neither money, nor calls, nor tokens.
    """
    budget = ConversationBudget(given)
    if not any(budget.limits.get(name) is not None for name in ("cost", "calls", "tokens")):
        raise ConfigError("`budget` must limit `cost`, `calls` or `tokens`, as in `budget=Limits(cost=2.0)`.")
    return budget


def with_instructions(rlm: RLM, instructions: str | None) -> RLM:
    """Returns an `RLM` that is as another one but for its instructions; that one stays as it is."""
    made = copy.copy(rlm)
    made.settings = rlm.settings.model_copy(update={"instructions": instructions or None})
    made._wired, made._wiring_lock, made._made = None, threading.Lock(), []  # noqa: SLF001 - the models stay the other's
    return made


def value_of(run: Run) -> tuple[Any, str]:
    """Returns a run's answer, and what is shown of it; None if there is none that can be decoded safely."""
    try:
        value = run.value
    except RLMError as error:
        return None, f"(none: {error.message})"
    return value, short(value, 600) if run.error is None else f"(none: {run.error.message[:300]})"
