"""What a running run is expected to cost and take, in a line for the head of its tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from rlm_jupyter.text import units
from rlm_jupyter.text.sanitize import one_line

if TYPE_CHECKING:
    from rlm_jupyter.events.events import RunEstimated
    from rlm_jupyter.events.tree_state import EstimateState, TreeState

_WORDS: dict[str, Callable[[float], str]] = {
    "cost": units.money,
    "tokens": lambda number: f"{units.count(_two_digits(number))} tokens",
    "seconds": units.duration,
}


def expected_line(state: TreeState) -> str | None:
    """Returns what a run is expected to take, as long as it goes on; None if that is not known.

    Args:
        state: the tree; hold the run's lock while it is live.
    """
    event = state.estimate
    if event is None or state.status != "running":
        return None
    names: tuple[Literal["cost", "tokens", "seconds"], ...] = ("cost", "tokens", "seconds")
    told = [expected(event, name) for name in names if getattr(event, name) is not None]
    if not told:
        return None
    return (
        f"Expected: {' · '.join(told)} ({one_line(event.why, 200) or units.amount(event.runs, 'run alike')})"
    )


def expected(event: RunEstimated | EstimateState, name: Literal["cost", "tokens", "seconds"]) -> str:
    """Returns one figure in words: `about $0.012, 9 of 10 up to $0.030`."""
    pair = getattr(event, name)
    if pair is None:
        return "an amount that is not known"
    low, high = (_WORDS[name](one) for one in pair)
    return f"about {low}" if low == high else f"about {low}, 9 of 10 up to {high}"


def _two_digits(number: float) -> int:
    whole = round(number)
    digits = max(0, len(str(abs(whole))) - 2)
    return int(round(whole, -digits))
