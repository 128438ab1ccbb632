"""A run at any of its moments: the tree after its first n events, and a clock that plays them.

A position is a number of events: 0 is before the first one, `len(events)` after the last.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_copy import BranchedTree
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.values.codec.collection_pause import no_collection

SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 100.0)
_EVERY = 2000
"""Events from one checkpoint to the next: about as many as can be folded between two pictures on the screen."""
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
        self._checkpoints = [TreeState()]
        """After 0, `_EVERY`, twice as many, … events."""
        self._branch = BranchedTree(self._checkpoints[0])
        self.state = self._branch.state if final is None else final
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
        with no_collection():
            is_near = self.position <= position < self.position + _EVERY
            if not is_near or self.state is not self._branch.state:
                at = position // _EVERY
                while len(self._checkpoints) <= at:
                    self._add_checkpoint()
                self._branch = BranchedTree(self._checkpoints[at])
                self.position = at * _EVERY
            self._fold(self._branch, self.position, position)
        self.state, self.position = self._branch.state, position

    def prepare(self) -> None:
        """Do a part of the work that a move back would have to do; a moment's, for when nothing else is to be done."""
        if len(self._checkpoints) <= len(self._events) // _EVERY:
            with no_collection():
                self._add_checkpoint()

    def _add_checkpoint(self) -> None:
        branch = BranchedTree(self._checkpoints[-1])
        start = (len(self._checkpoints) - 1) * _EVERY
        self._fold(branch, start, start + _EVERY)
        self._checkpoints.append(branch.state)

    def _fold(self, branch: BranchedTree, start: int, end: int) -> None:
        for event in self._events[start:end]:
            with contextlib.suppress(Exception):  # makes no sense, in a log that somebody made or changed
                branch.apply(event)

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
