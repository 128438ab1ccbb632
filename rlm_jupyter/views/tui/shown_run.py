"""The run that a viewer shows: one from a log, or one that goes on; now, or at an earlier moment of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.text import units as fmt
from rlm_jupyter.views.tui.event_caption import caption
from rlm_jupyter.views.tui.log_playback import Clock, Playback


class LiveRun(Protocol):
    """A run that goes on, as the viewer needs it."""

    @property
    def id(self) -> str:
        """Names it."""

    @property
    def tree(self) -> TreeState:
        """The live state."""

    @property
    def events(self) -> list[ev.AnyEvent]:
        """All events so far."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held while the state changes."""

    @property
    def done(self) -> bool:
        """Whether it has ended."""

    def stop(self, agent: str | None = None) -> None:
        """End the run or a branch."""


class ShownRun:
    """What is shown, and at which moment.

    Args:
        events: of a log; of a live run they are asked for when somebody steps back.
        final: the tree after them.
        live: the run, if it goes on.
        note: what must be said of the log, such as that it is torn.

    Attributes:
        now: whether a live run is shown as it goes on.
        clock: plays it.
        lock: hold it to read `state`.
    """

    def __init__(
        self,
        events: Sequence[ev.AnyEvent],
        final: TreeState | None,
        *,
        live: LiveRun | None = None,
        note: str = "",
    ) -> None:
        self.live, self.note = live, note
        self.events = events
        self.now = live is not None
        self.clock = Clock()
        self.lock: AbstractContextManager[Any] = nullcontext() if live is None else live.lock
        self._playback = Playback(events, final)
        self._marks: tuple[int, list[int]] = (0, [])

    @property
    def state(self) -> TreeState:
        """The tree at the moment that is shown."""
        return self.live.tree if self.live is not None and self.now else self._playback.state

    @property
    def position(self) -> int:
        """How many events have happened at that moment."""
        return len(self.events) if self.now else self._playback.position

    @property
    def version(self) -> object:
        """Changes when the tree does."""
        return self.state.seq if self.now else (id(self.state), self._playback.position)

    @property
    def goes_on(self) -> bool:
        """Whether it is a live run that has not ended."""
        return self.live is not None and not self.live.done

    @property
    def at(self) -> float | None:
        """The time now, of a run that goes on and is shown so."""
        return time.time() if self.now and self.goes_on else None

    @property
    def event(self) -> ev.AnyEvent | None:
        """The event that happened last at that moment; None of a live one."""
        return None if self.now else self._playback.event

    @property
    def whole(self) -> tuple[float, float]:
        """Begin and end of the run, in seconds since the epoch."""
        if self.now:
            state = self.state
            return state.started, max(state.finished or 0.0, state.last, self.at or 0.0, state.started)
        start = self.events[0].time if self.events else 0.0
        return start, max(start, self.events[-1].time if self.events else 0.0)

    def _leave_now(self) -> None:
        """Take the events that a live run has had so far."""
        if self.live is None:
            return
        if self.now or self.goes_on:
            self.events = self.live.events
            self._playback.grow(self.events)
        if self.now:
            self.now = False
            self._playback.seek(len(self.events))

    def seek(self, position: int) -> None:
        """Show the run after that many events."""
        self._leave_now()
        self._playback.seek(position)

    def step(self, by: int) -> None:
        """Move by one event."""
        self._leave_now()
        self.seek(self._playback.position + by)

    def step_to(self, kinds: tuple[type[ev.Event], ...], by: int) -> None:
        """Move to the next event of some kinds, or to the last one before."""
        self._leave_now()
        self.seek(self._playback.next_of(kinds) if by > 0 else self._playback.previous_of(kinds))

    def to_end(self) -> None:
        """Show the newest: of a live run, now."""
        self.clock.playing = False
        if self.live is not None:
            self.now = True
        else:
            self.seek(len(self.events))

    def play(self) -> None:
        """Play on, or pause; from the beginning if it is at its end."""
        if self.clock.playing:
            self.clock.playing = False
            return
        self._leave_now()
        if self._playback.position >= len(self.events):
            self.seek(0)
        self.clock.start()

    def tick(self, seconds: float) -> bool:
        """Let time pass; returns whether the moment is another now."""
        if not self.clock.playing:
            if not self.now:
                self._playback.prepare()
            return False
        before = self._playback.position
        self._playback.seek(self.clock.advance(self.events, before, seconds))
        return self._playback.position != before or not self.clock.playing

    def caption(self) -> str:
        """Returns on one line what happens at the moment."""
        if self.now:
            return (
                "Live." if self.goes_on else "The run has ended. Press q to close; its value is then printed."
            )
        at_end = self._playback.position == len(self.events)
        told = caption(self._last() if at_end else self.event)
        return f"{self.note} · {told}" if self.note and at_end else told

    def _last(self) -> ev.AnyEvent | None:
        """Returns the event with which the run ended; what comes after it is a matter of housekeeping."""
        newest = reversed(self.events[-_AFTER_END:])
        return next((event for event in newest if isinstance(event, ev.RunFinished)), self.event)

    def bar(self, width: int) -> str:
        """Returns on one line where in the run the moment is; events that are failures are marked by `!`."""
        if self.now:
            return "● live   , one event back   Space replay" if self.goes_on else "■ ended   Space replay"
        at, of = self._playback.position, len(self.events)
        sign = "▶" if self.clock.playing else "‖"
        first = self.events[0].time if self.events else 0.0
        passed = 0.0 if self.event is None else self.event.time - first
        left = f"{sign} {self.clock.speed:g}x "
        right = f" {at:,}/{of:,} events · {fmt.duration(max(0.0, passed))}"
        room = width - len(left) - len(right) - 2
        if room < 5:  # noqa: PLR2004 - no bar says anything in less
            return (left + right)[:width]
        cells = ["━" if cell * of < at * room else "╌" for cell in range(room)]
        for place in self._failures():
            cells[min(room - 1, place * room // max(of, 1))] = "!"
        return f"{left}[{''.join(cells)}]{right}"

    def _failures(self) -> list[int]:
        known, places = self._marks
        for at in range(known, len(self.events)):
            event = self.events[at]
            if isinstance(event, ev.ReplyFailed) or getattr(event, "status", "ok") in _FAILURES:
                places.append(at)
        self._marks = (len(self.events), places)
        return places


_AFTER_END = 50
_FAILURES = {"failed", "error", "timeout", "died"}
