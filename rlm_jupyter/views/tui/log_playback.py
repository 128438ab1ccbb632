"""A run at any of its moments: the tree after its first n events, and a clock that plays them.

A position is a number of events: 0 is before the first one, `len(events)` after the last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_copy import copy_tree
from rlm_jupyter.events.tree_state import TreeState

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 100.0)
_CHECKPOINTS = 4
_NEAR = 500
"""Events before a position that was sought backwards, at which a checkpoint is kept: steps back come in series."""
_LONGEST_GAP = 1.5
"""Seconds of a run in which nothing happens that are played; longer ones are as long as these."""


class Playback:
    """The tree of a run at a position that moves.

    Args:
        events: of the run, in their order.
        final: the tree after all of them, if it is there already.

    Attributes:
        state: the tree at `position`. Only read it: it is folded on when the position moves.
        position: how many of the events are folded into it.
    """

    def __init__(self, events: Sequence[ev.AnyEvent], final: TreeState | None = None) -> None:
        self._events = events
        self._final = final
        self._checkpoints: dict[int, TreeState] = {}
        self.state = TreeState() if final is None else final
        self.position = 0 if final is None else len(events)

    def __len__(self) -> int:
        return len(self._events)

    @property
    def event(self) -> ev.AnyEvent | None:
        """The event that happened last; None before the first."""
        return self._events[self.position - 1] if self.position else None

    def grow(self, events: Sequence[ev.AnyEvent]) -> None:
        """Take the events of a run that goes on: those that were there, and more behind them."""
        self._events, self._final = events, None

    def seek(self, position: int) -> None:
        """Move to a position; one outside of the run is its beginning or its end."""
        position = min(max(position, 0), len(self._events))
        if position == len(self._events) and self._final is not None:
            self.state, self.position = self._final, position
            return
        if position < self.position or self.state is self._final:
            self._go_back(position)
        self._fold(position)

    def _go_back(self, position: int) -> None:
        """Start from the nearest checkpoint, and leave one shortly before the position."""
        nearest = max((at for at in self._checkpoints if at <= position), default=0)
        known = self._checkpoints.pop(nearest, None)
        if known is not None:
            self._checkpoints[nearest] = known  # the newest used is the last to be dropped
        self.state = TreeState() if known is None else copy_tree(known)
        self.position = nearest
        if position - nearest > 2 * _NEAR:
            self._fold(position - _NEAR)
            self._checkpoints[self.position] = copy_tree(self.state)
            while len(self._checkpoints) > _CHECKPOINTS:
                del self._checkpoints[next(iter(self._checkpoints))]

    def _fold(self, position: int) -> None:
        for event in self._events[self.position : position]:
            with contextlib.suppress(Exception):  # makes no sense, in a log that somebody made or changed
                self.state.apply(event)
        self.position = position

    def next_of(self, kinds: tuple[type[ev.Event], ...]) -> int:
        """Returns the position after the next event of these kinds; the end if there is none."""
        for at in range(self.position, len(self._events)):
            if _is_step(self._events[at], kinds):
                return at + 1
        return len(self._events)

    def previous_of(self, kinds: tuple[type[ev.Event], ...]) -> int:
        """Returns the position after the last event of these kinds before this one; the beginning if there is none."""
        for at in range(self.position - 2, -1, -1):
            if _is_step(self._events[at], kinds):
                return at + 1
        return 0


TURNS = (ev.PromptSent, ev.RunFinished)
"""The kinds of events at which a turn begins, or the last one is over."""
AGENTS = (ev.AgentStarted, ev.AgentFinished, ev.RunFinished)
"""The kinds of events at which an agent starts or ends."""


def _is_step(event: ev.AnyEvent, kinds: tuple[type[ev.Event], ...]) -> bool:
    if isinstance(event, ev.PromptSent) and event.purpose != "turn":
        return False
    return isinstance(event, kinds)


class Clock:
    """Plays a run: says how far it has come when time passes.

    Attributes:
        playing: whether time passes.
        speed: seconds of the run in one second, one of `SPEEDS`.
    """

    def __init__(self) -> None:
        self.playing = False
        self.speed = 1.0
        self._waited = 0.0

    def change_speed(self, by: int) -> None:
        """Choose another of `SPEEDS`, that many places up or down."""
        at = SPEEDS.index(self.speed) + by
        self.speed = SPEEDS[min(max(at, 0), len(SPEEDS) - 1)]

    def start(self) -> None:
        """Let time pass from now on."""
        self.playing, self._waited = True, 0.0

    def advance(self, events: Sequence[ev.AnyEvent], position: int, seconds: float) -> int:
        """Returns the position to which it has come `seconds` later."""
        left = self._waited + seconds * self.speed
        while position < len(events):
            gap = events[position].time - events[position - 1].time if position else 0.0
            gap = min(max(gap, 0.0), _LONGEST_GAP)
            if left < gap:
                break
            left -= gap
            position += 1
        self._waited = left
        self.playing = position < len(events)
        return position
