"""How fast a model's server is now, compared with earlier: a local model is slower while the machine is busy."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from rlm_jupyter.estimates.run_figures import RunFigures

_NEAR: Final = 9
"""Runs next to a moment by whose median the pace of that moment is known."""
_TOKENS_OF_A_REQUEST: Final = 200
_READ_TOKENS_OF_A_WRITTEN_ONE: Final = 12
"""What a run takes grows with these. Measured with a small model on a processor; others differ less than loads do."""


def paces_of(runs: Sequence[RunFigures], at: float) -> dict[str, float]:
    """Returns, by the id of a run, by how much the model's server is slower at a moment than when that run ran.

    A moment is as slow as the runs next to it were, compared with other runs of the same questions. Of questions that
    were asked once, nobody knows whether they took long because they are hard or because the machine was busy.

    Args:
        runs: of one model.
        at: seconds since the epoch; infinite: now.
    """
    groups: defaultdict[tuple[int, ...], list[RunFigures]] = defaultdict(list)
    for run in runs:
        if run.seconds > 0:
            groups[run.words].append(run)
    slowness: list[tuple[float, float]] = []
    for group in groups.values():
        if len(group) > 1:
            usual = _median([_pace(run) for run in group])
            slowness += [(run.started, _pace(run) - usual) for run in group]
    slowness.sort()
    times, values = [time for time, _ in slowness], [value for _, value in slowness]
    now = _near(times, values, at)
    return {run.run: math.exp(now - _near(times, values, run.started)) for run in runs}


def _pace(run: RunFigures) -> float:
    """Returns the logarithm of the seconds that each unit of a run's work took."""
    written = _READ_TOKENS_OF_A_WRITTEN_ONE * run.output_tokens
    return math.log(run.seconds / (run.input_tokens + written + _TOKENS_OF_A_REQUEST))


def _near(times: Sequence[float], values: Sequence[float], at: float) -> float:
    """Returns the median of the values next to a moment; 0 if there are none."""
    low = high = bisect_left(times, at)
    while high - low < min(_NEAR, len(times)):
        before = at - times[low - 1] if low > 0 else math.inf
        after = times[high] - at if high < len(times) else math.inf
        if low > 0 and (high == len(times) or before <= after):
            low -= 1
        else:
            high += 1
    return _median(values[low:high]) if high > low else 0.0


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
