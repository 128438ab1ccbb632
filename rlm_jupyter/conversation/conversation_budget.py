"""What a conversation may spend in all: each question has its own limits, and never more than is left of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError, LimitReachedError
from rlm_jupyter.settings import Limits

if TYPE_CHECKING:
    from rlm_jupyter.events.tree_state import TreeState

SUMMED = ("cost", "calls", "tokens", "prompt_tokens", "completion_tokens", "agents", "seconds")
"""The limits that add up over questions."""


@dataclass
class Spending:
    """What the questions of a conversation have spent together; the fields are named as those of `Limits`."""

    cost: float = 0.0
    calls: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    agents: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, tree: TreeState) -> Spending:
        """Returns what a run has spent so far; money that is not known counts as none."""
        return cls(
            cost=tree.cost or 0.0,
            calls=tree.requests - tree.cached,
            tokens=tree.input_tokens + tree.output_tokens,
            prompt_tokens=tree.input_tokens,
            completion_tokens=tree.output_tokens,
            agents=len(tree.agents),
            seconds=tree.elapsed,
        )

    def __add__(self, other: Spending) -> Spending:
        return Spending(**{name: getattr(self, name) + getattr(other, name) for name in SUMMED})


class ConversationBudget:
    """The limits of a conversation as a whole.

    Args:
        limits: of those in `SUMMED`, the ones that are set; None sets none.

    Raises:
        ConfigError: a limit that is for each question by itself, or cannot have that value.
    """

    def __init__(self, limits: Limits | Mapping[str, object] | None) -> None:
        self.limits: dict[str, float | None] = {}
        given = Limits.of(limits)
        for name in given.model_fields_set:
            self.set_limit(name, getattr(given, name))

    def set_limit(self, name: str, value: float | None) -> None:
        """Change one limit; None is no limit.

        Raises:
            ConfigError: as above.
        """
        checked = getattr(Limits.of({name: value}), name)
        if name not in SUMMED:
            known = ", ".join(f"`{one}`" for one in SUMMED)
            raise ConfigError(
                f"The limit `{name}` is one of each question: give it to `RLM(limits=...)`. A conversation as a whole "
                f"has {known}."
            )
        self.limits[name] = checked

    def left(self, limits: Limits, spent: Spending) -> Limits:
        """Returns what the next question may spend: its own limits, or less.

        Args:
            limits: of a question.
            spent: by the conversation so far.

        Raises:
            LimitReachedError: nothing is left of a limit.
        """
        changes: dict[str, Any] = {}
        for name, most in self.limits.items():
            if most is None:
                continue
            rest = most - getattr(spent, name)
            if rest <= 0:
                raise LimitReachedError(
                    f"This conversation has spent its `{name}` of {most:g}: raise it "
                    f"(`chat.set_limit({name!r}, ...)`), or begin another.",
                    limit=name,
                )
            own = getattr(limits, name)
            changes[name] = rest if own is None or rest < own else own
        return limits.model_copy(update=changes)
