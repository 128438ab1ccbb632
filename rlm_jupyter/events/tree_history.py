"""The tree of a run after each of its events: folded from its first n events, from the nearest checkpoint on.

A checkpoint shares with those before it whatever did not change between them: before an event is folded in, what it
changes is copied, and nothing else. So a run of 100,000 events has checkpoints that take little more than its tree.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_copy import BranchedTree
from rlm_jupyter.events.tree_state import TreeState

_NEAREST = 256
"""Events between two checkpoints at least; more as a run grows, so that what they hold grows no faster than it."""

_SHARE = 64


class TreeHistory:
    """A run's events, and its tree after any number of them.

    Args:
        events: the run's events in their order.
    """

    def __init__(self, events: Sequence[ev.AnyEvent]) -> None:
        self.events: list[ev.AnyEvent] = []
        self._checkpoints: list[tuple[int, TreeState]] = [(0, TreeState())]
        self._branch = BranchedTree(self._checkpoints[0][1])
        self._position = 0
        self.extend(events)

    def __len__(self) -> int:
        return len(self.events)

    def extend(self, events: Iterable[ev.AnyEvent]) -> None:
        """Takes in events that came since. Their numbers must grow, or all are numbered anew.

        By its number, it is seen whether an agent changed between two positions. A log that somebody made may have
        any numbers.
        """
        last = self.events[-1].seq if self.events else 0
        for event in events:
            numbered = event if event.seq > last else event.model_copy(update={"seq": last + 1})
            self.events.append(numbered)
            last = numbered.seq

    def at(self, position: int) -> TreeState:
        """Returns the state after the first `position` events; it is valid until the next call.

        Args:
            position: clipped to what there is; 0 is before the first event.
        """
        position = min(max(position, 0), len(self.events))
        nearest = bisect_right(self._checkpoints, position, key=lambda each: each[0]) - 1
        start, state = self._checkpoints[nearest]
        if not start <= self._position <= position:
            self._position, self._branch = start, BranchedTree(state)
        while self._position < position:
            self._branch.apply(self.events[self._position])
            self._position += 1
            self._keep()
        return self._branch.state

    def _keep(self) -> None:
        """Makes a checkpoint of the state, if there is none near before it."""
        last = self._checkpoints[-1][0]
        if self._position - last >= max(_NEAREST, last // _SHARE):
            self._checkpoints.append((self._position, self._branch.state))
            self._branch = BranchedTree(self._branch.state)
