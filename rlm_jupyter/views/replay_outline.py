"""What the slider of a replay needs: how events lie in time, and what there is to see on the way; both bounded.

Long waits are shortened: where nothing happens for a minute, the replay goes on after a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from rlm_jupyter.events import events as ev
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.views.replay_protocol import Mark, MarkKind, Outline

LONGEST_GAP = 1.0
"""Seconds between two events in a replay at its plain speed, at most."""

_POINTS = 500
_STRETCHES = 120


def outline(events: Sequence[ev.AnyEvent]) -> Outline:
    """Returns the points in time and the marks of a run."""
    real = list(accumulate((event.time for event in events), max, initial=events[0].time if events else 0.0))
    played = [0.0, *accumulate(min(later - before, LONGEST_GAP) for before, later in pairwise(real))]
    every = max(1, -(-len(events) // _POINTS))
    chosen = sorted({*range(0, len(events) + 1, every), len(events)})
    start = real[0]
    return {
        "events": len(events),
        "points": [(at, round(played[at], 3), round(real[at] - start, 3)) for at in chosen],
        "marks": _marks(events, played),
    }


def _marks(events: Sequence[ev.AnyEvent], played: Sequence[float]) -> list[Mark]:
    """Returns the first mark of each kind in each stretch of the slider."""
    stretch = (played[-1] or 1.0) / _STRETCHES
    found: dict[tuple[int, MarkKind], Mark] = {}
    for position, event in enumerate(events, 1):
        kind = _kind(event)
        if kind is not None:
            where = (int(played[position] / stretch), kind)
            found.setdefault(where, (position, kind, one_line(event.agent, 40)))
    return list(found.values())


def _kind(event: ev.AnyEvent) -> MarkKind | None:
    match event:
        case ev.AgentStarted():
            return "agent"
        case ev.ValueReturned():
            return "value"
        case ev.AgentFinished(status="limit") | ev.RunFinished(status="limit"):
            return "limit"
        case ev.AgentFinished(status="failed") | ev.RunFinished(status="failed") | ev.ReplyFailed():
            return "error"
        case ev.CodeFinished(status=status) if status != "ok":
            return "error"
        case _:
            return None
