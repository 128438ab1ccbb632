"""Whether a figure is what was wanted: as a multiple of the floor, and of DSPy, of the same minutes."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from benchmarks.peers.figures import Figure

Samples = dict[str, dict[str, list[float]]]
"""Contender → name of a figure → its samples."""


@dataclass(frozen=True)
class Verdict:
    """What came of a figure.

    Attributes:
        floor: ours as a multiple of the floor; None: one of them was not measured.
        dspy: the same, of DSPy.
        told: `reached`, `missed` and of what, or why there is none.
    """

    floor: float | None
    dspy: float | None
    told: str


def verdict(figure: Figure, samples: Samples) -> Verdict:
    """Compare the medians of a figure; what was not measured is told, and not taken as reached."""
    floor = _ratio(figure, samples, "floor")
    dspy = _ratio(figure, samples, "dspy")
    goal = figure.goal
    if goal is None:
        return Verdict(floor, dspy, "")
    missed, unknown = [], []
    ours = _median(figure, samples, "ours")
    for name, other, times, least, below in (
        ("the floor", _median(figure, samples, "floor"), goal.floor, goal.least, False),
        ("DSPy", _median(figure, samples, "dspy"), goal.dspy, 0.0, goal.below),
    ):
        if ours is None or other is None:
            unknown.append(name)
        else:
            most = times * max(other, least)
            if ours > most or (below and ours >= most):
                missed.append(name)
    if missed:
        return Verdict(floor, dspy, f"missed ({' and '.join(missed)})")
    if unknown:
        return Verdict(floor, dspy, f"not known ({' and '.join(unknown)} not measured)")
    return Verdict(floor, dspy, "reached")


def wanted(figure: Figure) -> str:
    """Returns the wanted ratios as text."""
    goal = figure.goal
    if goal is None:
        return ""
    of_dspy = "below DSPy" if goal.below and goal.dspy == 1 else f"≤ {goal.dspy:.2g} x DSPy"
    least = f" (of {goal.least:g} {figure.unit} or more)" if goal.least else ""
    return f"≤ {goal.floor:.2g} x floor{least}, {of_dspy}"


def _median(figure: Figure, samples: Samples, contender: str) -> float | None:
    found = samples.get(contender, {}).get(figure.name)
    return statistics.median(found) if found else None


def _ratio(figure: Figure, samples: Samples, other: str) -> float | None:
    ours, others = (_median(figure, samples, name) for name in ("ours", other))
    return ours / others if ours is not None and others else None
