"""Instructions that were tried, with their scores, and which of them are worth going on with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """Instructions, and what they scored.

    Attributes:
        instructions: the text; empty for none.
        scores: on each example that is learnt from, in order.
        parent: the number of the candidate that it was made of; None for the first.
    """

    instructions: str
    scores: tuple[float, ...]
    parent: int | None = None

    @property
    def mean(self) -> float:
        """The mean of its scores."""
        return sum(self.scores) / len(self.scores) if self.scores else 0.0


def pareto_front(candidates: Sequence[Candidate]) -> dict[int, int]:
    """Returns the candidates that are the best on some example: number → on how many.

    Candidates that are best on different examples have different strengths; to go on with the best on average alone
    would lose them. One that another equals or beats on every example, and beats on one, is left out.
    """
    front: dict[int, int] = {}
    kept = [
        number
        for number, one in enumerate(candidates)
        if not any(_dominates(other, one) for other in candidates if other is not one)
    ]
    for place in range(len(candidates[0].scores) if candidates else 0):
        best = max(candidates[number].scores[place] for number in kept)
        for number in kept:
            if candidates[number].scores[place] == best:
                front[number] = front.get(number, 0) + 1
    return front


def choose_parent(candidates: Sequence[Candidate], chance: random.Random) -> int:
    """Returns the number of a candidate of the front, the likelier the more examples it is the best on."""
    front = pareto_front(candidates)
    return chance.choices(list(front), weights=list(front.values()))[0]


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """Returns the best on average; of equal ones the shortest."""
    return max(candidates, key=lambda one: (one.mean, -len(one.instructions)))


def _dominates(one: Candidate, other: Candidate) -> bool:
    pairs = list(zip(one.scores, other.scores, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)
