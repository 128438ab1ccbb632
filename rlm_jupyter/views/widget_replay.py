"""The replay behind a widget: made when somebody goes back, and read again from the log where it was let go of."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.views import replay_protocol as protocol
from rlm_jupyter.views.replay import Replay

Kind = Literal["log", "run"]

_KEPT: deque[Replay] = deque(maxlen=3)
"""Widgets live as long as the notebook: only the histories that were used last stay in memory."""


class WidgetReplay:
    """The moment of a run that a widget shows.

    Args:
        events: the run's events so far; raises `RLMError` where they are gone.
        branches: the trees of its branches so far, by their ids.
        only: whether the run has no present to go back to: it is a log.
    """

    def __init__(
        self,
        events: Callable[[], Sequence[ev.AnyEvent]],
        branches: Callable[[], Mapping[str, TreeState]] = dict,
        *,
        only: bool = False,
    ) -> None:
        self._events = events
        self._branches = branches
        self._known: weakref.ref[Replay] | None = None
        self._position = 0
        self.only = only
        self.active = False

    @property
    def tree(self) -> TreeState:
        """The state at the moment that is shown, valid until the next call."""
        return self._replay().tree

    def seek(self, wanted: Mapping[str, Any], *, live: bool) -> protocol.Replay | None:
        """Go to another moment; return what a page is told of it, None if it is the present.

        Args:
            wanted: a `SeekCommand`.
            live: whether the run goes on.

        Raises:
            RLMError: there is no such place, or the events are gone.
        """
        names = ("position", "step", "place")
        if not self.only and all(wanted.get(name) is None for name in names):
            self.active = False
            return None
        replay = self._replay(newest=True)
        replay.seek(wanted)
        self._position, self.active = replay.position, True
        return replay.shown(live=live, only=self.only)

    def outline(self) -> protocol.Outline:
        """Returns what the slider needs."""
        return self._replay(newest=True).outline()

    def leave(self) -> None:
        """Show the present again."""
        self.active = False

    def count(self) -> int:
        """Returns how many events there are by now."""
        return len(self._events())

    def _replay(self, *, newest: bool = False) -> Replay:
        replay = self._known() if self._known is not None else None
        if replay is None:
            replay = Replay(self._events(), branches=self._branches())
            replay.position = self._position
            self._known = weakref.ref(replay)
        elif newest and not self.only:
            replay.history.extend(self._events()[len(replay.history) :])
        if replay in _KEPT:
            _KEPT.remove(replay)
        _KEPT.append(replay)
        return replay
