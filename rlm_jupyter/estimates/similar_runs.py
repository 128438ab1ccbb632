"""Runs alike: how much each earlier run says of one that is asked now, and the spread of what they took."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rlm_jupyter.estimates.pace import paces_of
from rlm_jupyter.estimates.run_figures import RunFigures

_OTHER_WORDS: Final = 3.0
_OTHER_KIND: Final = 3.0
_OTHER_MODEL: Final = 2.5
_OTHER_SUB_MODEL: Final = 0.5
_OTHER_INSTRUCTIONS: Final = 1.5
_DOUBLE_SIZE: Final = 0.2
"""What makes two runs unlike: each of these divides the weight of one for the other by e; a difference in size by that
for each doubling."""
_HALF_AS_MUCH: Final = 10
"""Runs in between, after which a run counts half as much: what one asks changes."""
_HALF_OF_SAME: Final = 2
"""The same for runs of the same question with the same instructions. They hardly differ, unless something has changed
of which the log does not tell; then the newest are right."""
_OTHERS_TOGETHER: Final = 2.0
"""What all other runs may weigh together beside the nearest one of the same question: however many other questions were
asked, they do not outvote it."""
_FARTHEST: Final = 12.0
_LEAST_WEIGHT: Final = 0.005
"""Of the nearest run's weight: what is less alike does not count at all."""


@dataclass(frozen=True)
class Asked:
    """What is known of a run before it starts.

    Attributes:
        model, sub_model: their names.
        kind: of the data, as `kind_of` says it.
        bytes: of the data.
        words: of the question, as `words_of` gives them.
        mapped: whether it asks one question for each row.
        at: when it is asked, in seconds since the epoch; None: now.
    """

    model: str
    sub_model: str
    kind: str
    bytes: int
    words: tuple[int, ...]
    mapped: bool = False
    at: float | None = None

    @classmethod
    def of(cls, run: RunFigures) -> Asked:
        """Returns what was known of a run before it started."""
        return cls(run.model, run.sub_model, run.kind, run.bytes, run.words, run.mapped, run.started)


@dataclass(frozen=True)
class Spread:
    """What is to be expected: half of runs alike took at most `p50`, nine of ten at most `p90`."""

    p50: float
    p90: float


@dataclass(frozen=True)
class Alike:
    """Runs alike with their weights, the most alike first.

    Attributes:
        runs: each with its weight, from 0 to 1.
        same_model: whether all are of the model that is asked.
        same_question: how many asked the same question, with the same instructions.
        paces: by the id of a run, what its seconds are to be multiplied by because the model's server is faster or
            slower now than it was then.
    """

    runs: tuple[tuple[RunFigures, float], ...]
    same_model: bool
    same_question: int = 0
    paces: Mapping[str, float] = field(default_factory=dict)

    def seconds(self) -> Spread | None:
        """Returns the spread of the seconds at the pace of now; None if no run is of the same model."""
        if not self.same_model:
            return None
        return self.spread(lambda run: run.seconds * self.paces.get(run.run, 1.0))

    def spread(self, figure: Callable[[RunFigures], float | None]) -> Spread | None:
        """Returns the spread of a figure among them; None if none has it."""
        known = [(value, weight) for run, weight in self.runs if (value := figure(run)) is not None]
        if not known:
            return None
        half = weighted_quantile(known, 0.5)
        return Spread(half, max(half, weighted_quantile(known, _share_for(known, 0.9))))


def alike(asked: Asked, runs: Sequence[RunFigures]) -> Alike:
    """Returns the earlier runs that say something of this one: of the same model if there are such.

    Args:
        asked: what is asked now.
        runs: earlier runs, in any order.
    """
    usable = [run for run in runs if run.whole and not run.scripted and run.mapped == asked.mapped]
    own = [run for run in usable if run.model == asked.model]
    at = math.inf if asked.at is None else asked.at
    near = sorted(own or usable, key=lambda run: (abs(at - run.started), -run.started))
    told = _instructions(asked, near)
    same: list[tuple[RunFigures, float]] = []
    others: list[tuple[RunFigures, float]] = []
    for run in near:
        far = distance(asked, run) + _OTHER_INSTRUCTIONS * (run.instructions != told)
        if own and run.instructions == told and run.words == asked.words and run.kind == asked.kind:
            same.append((run, math.exp(-far) * 0.5 ** (len(same) / _HALF_OF_SAME)))
        else:
            others.append((run, math.exp(-far) * 0.5 ** (len(others) / _HALF_AS_MUCH)))
    if same and others:
        most = _OTHERS_TOGETHER * max(weight for _, weight in same)
        part = min(1.0, most / sum(weight for _, weight in others))
        others = [(run, weight * part) for run, weight in others]
    weighed = sorted([*same, *others], key=lambda one: one[1], reverse=True)
    least = weighed[0][1] * _LEAST_WEIGHT if weighed else 0.0
    kept = tuple(one for one in weighed if one[1] >= least)
    return Alike(kept, bool(own), len(same), paces_of(own, at))


def _instructions(asked: Asked, near: Sequence[RunFigures]) -> int:
    """Returns what a run asked now is told, most likely: what the nearest one in time of such data was."""
    return next((run.instructions for run in near if run.kind == asked.kind), 0)


def distance(asked: Asked, run: RunFigures) -> float:
    """Returns how unlike two runs are; 0 for the same question about the same data."""
    known, words = set(asked.words), set(run.words)
    together = len(known | words)
    far = _OTHER_WORDS * (1 - len(known & words) / together) if together else 0.0
    far += _OTHER_KIND * (asked.kind != run.kind)
    far += _OTHER_MODEL * (asked.model != run.model)
    far += _OTHER_SUB_MODEL * (asked.sub_model != run.sub_model)
    doublings = abs(math.log2((asked.bytes + 1000) / (run.bytes + 1000)))
    return min(_FARTHEST, far + _DOUBLE_SIZE * doublings)


def _share_for(values: Sequence[tuple[float, float]], wanted: float) -> float:
    """Returns the share of the weight below which the next value lies with a probability: more, the fewer there are.

    Of n values, the next one is as likely to lie above all of them as between any two.
    """
    total = sum(weight for _, weight in values)
    number = total * total / sum(weight * weight for _, weight in values)
    return min(1.0, wanted * (number + 1) / number)


def weighted_quantile(values: Sequence[tuple[float, float]], share: float) -> float:
    """Returns the value below which a share of the weight lies, between its neighbours on a scale of ratios.

    Args:
        values: each with its weight, above 0.
        share: from 0 to 1.
    """
    ordered = sorted(values)
    total = sum(weight for _, weight in ordered)
    below, places = 0.0, []
    for value, weight in ordered:
        places.append(((below + weight / 2) / total, value))
        below += weight
    before = places[0]
    for place in places:
        if place[0] >= share:
            return _between(before, place, share)
        before = place
    return before[1]


def _between(low: tuple[float, float], high: tuple[float, float], share: float) -> float:
    if high[0] <= low[0]:
        return high[1]
    part = (share - low[0]) / (high[0] - low[0])
    if low[1] == high[1]:
        return low[1]
    if low[1] > 0 and high[1] > 0:
        return math.exp(math.log(low[1]) * (1 - part) + math.log(high[1]) * part)
    return low[1] * (1 - part) + high[1] * part
