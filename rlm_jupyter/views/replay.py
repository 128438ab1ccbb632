"""A replay: which moment of a run is shown, and how one gets to another."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_history import TreeHistory
from rlm_jupyter.events.tree_state import AgentState, TreeState
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.views import replay_protocol as protocol
from rlm_jupyter.views.branch_rows import with_branches
from rlm_jupyter.views.json_numbers import finite
from rlm_jupyter.views.replay_caption import caption, flow
from rlm_jupyter.views.replay_outline import outline

_PLACE = re.compile(r"\s*agent\s+([\w.]{1,200})\s*(?:,\s*turn\s+(\d{1,9}))?\s*", re.IGNORECASE | re.ASCII)
_EVENT = re.compile(r"\s*(?:event\s+)?(\d{1,9})\s*", re.IGNORECASE | re.ASCII)
_LONGEST = 240
_NEAR = 200
"""Events, on either side, among which the other sub-agents of a batch are looked for."""


class Replay:
    """A run at any moment of it.

    Args:
        events: the run's events in their order.
        reduce: what is taken out of each state before it is shown.
        branches: the trees of the run's branches at their ends, as far as they are known: what happens in a branch is
            in its own log, so a replay has it when it ended.

    Attributes:
        history: the states.
        position: how many events have happened; all of them at first.
    """

    def __init__(
        self,
        events: Sequence[ev.AnyEvent],
        reduce: Callable[[TreeState], TreeState] | None = None,
        branches: Mapping[str, TreeState] | None = None,
    ) -> None:
        self.history = TreeHistory(events)
        self.position = len(self.history)
        self._reduce = reduce
        self._branches = branches or {}
        self._stops: dict[str, list[int]] = {"turn": [], "agent": []}
        self._counted = 0

    @property
    def tree(self) -> TreeState:
        """The state at the position; it is valid until the next move."""
        state = self.history.at(self.position)
        if ended := [id_ for id_, branch in state.branches.items() if branch.finished is not None]:
            known = {id_: self._branches[id_] for id_ in ended if id_ in self._branches}
            state = replace(state, branch_trees=known)
        return with_branches(state if self._reduce is None else self._reduce(state))

    def outline(self) -> protocol.Outline:
        """Returns what the slider needs."""
        return outline(self.history.events)

    def seek(self, wanted: Mapping[str, Any]) -> None:
        """Go where a page asks for (`SeekCommand`).

        Raises:
            ConfigError: it names a place that the run does not have.
        """
        start = wanted.get("position")
        if isinstance(start, bool) or not isinstance(start, (int, float)) or start != start:  # noqa: PLR0124 - NaN
            start = self.position
        start = int(min(max(start, 0), len(self.history)))
        place, step = wanted.get("place"), wanted.get("step")
        if place is not None:
            start = self.find(str(place)[:_LONGEST])
        elif step is not None:
            start = self._step(str(step), start, back=bool(wanted.get("back")))
        self.position = start

    def find(self, place: str) -> int:
        """Returns the position of a place such as `agent 0.3, turn 2`, `agent 0.3` or `event 120`.

        Raises:
            ConfigError: the run has no such place, or it is named otherwise.
        """
        if found := _EVENT.fullmatch(place):
            return min(int(found[1]), len(self.history))
        if found := _PLACE.fullmatch(place):
            id_, turn = found[1], int(found[2] or 0)
            for position, event in enumerate(self.history.events, 1):
                if event.agent == id_ and _is_place(event, turn):
                    return position
            raise ConfigError(
                f"The run has no `{one_line(place, 80)}`: step to an agent or a turn to see those it has."
            )
        raise ConfigError(
            f"`{one_line(place, 80)}` is not a place: write `agent 0.3, turn 2`, or `event 120`."
        )

    def shown(self, *, live: bool = False, only: bool = True) -> protocol.Replay:
        """Returns what a page is told of the moment.

        Args:
            live: whether the run goes on meanwhile.
            only: whether there is no present of the run to go back to.
        """
        state = self.tree
        event = self.history.events[self.position - 1] if self.position else None
        agent = state.agents.get(event.agent) if event is not None else None
        told = agent or next(iter(state.agents.values()), None)
        return {
            "position": self.position,
            "events": len(self.history),
            "seconds": finite(round(state.elapsed, 3)) or 0.0,
            "caption": caption(state, event, batch=self._batch(event)),
            "agent": None if agent is None else agent.id,
            "place": _place(agent, self.position),
            "live": live,
            "only": only,
            "flow": None if told is None else flow(state, told),
        }

    def places(self) -> list[tuple[int, str, int]]:
        """Returns all places that have a name: position, agent, turn (0 for its start)."""
        return [
            (position, event.agent, event.turn if isinstance(event, ev.PromptSent) else 0)
            for position, event in enumerate(self.history.events, 1)
            if _is_place(event, 0) or (isinstance(event, ev.PromptSent) and event.purpose == "turn")
        ]

    def _step(self, kind: str, start: int, *, back: bool) -> int:
        """Returns the next stop of a kind behind a position, or before it; the end where there is none."""
        if kind == "event":
            return max(start - 1, 0) if back else min(start + 1, len(self.history))
        stops = self._stops_of(kind)
        if back:
            at = bisect_left(stops, start) - 1
            return stops[at] if at >= 0 else 0
        at = bisect_right(stops, start)
        return stops[at] if at < len(stops) else len(self.history)

    def _stops_of(self, kind: str) -> list[int]:
        if kind not in self._stops:
            raise ConfigError(f"There is no step to `{one_line(kind, 40)}`: use `event`, `turn` or `agent`.")
        for position in range(self._counted + 1, len(self.history) + 1):
            event = self.history.events[position - 1]
            if isinstance(event, ev.AgentStarted):
                self._stops["agent"].append(position)
            elif isinstance(event, ev.PromptSent) and event.purpose == "turn":
                self._stops["turn"].append(position)
        self._counted = len(self.history)
        return self._stops[kind]

    def _batch(self, event: ev.AnyEvent | None) -> int:
        """Returns how many sub-agents were asked at once with one that starts: its parent did nothing between."""
        if not isinstance(event, ev.AgentStarted) or event.parent is None:
            return 1
        events, here = self.history.events, self.position - 1
        before = events[max(0, here - _NEAR) : here][::-1]
        return 1 + _asked(before, event.parent) + _asked(events[here + 1 : here + _NEAR], event.parent)


def _asked(events: Sequence[ev.AnyEvent], parent: str) -> int:
    """Counts the sub-agents that start until their parent does something else."""
    number = 0
    for event in events:
        if event.agent == parent:
            break
        number += isinstance(event, ev.AgentStarted) and event.parent == parent
    return number


def _is_place(event: ev.AnyEvent, turn: int) -> bool:
    if turn == 0:
        return isinstance(event, ev.AgentStarted)
    return isinstance(event, ev.PromptSent) and event.purpose == "turn" and event.turn == turn


def _place(agent: AgentState | None, position: int) -> str:
    if agent is None:
        return f"event {position}"
    name = one_line(agent.id, 40)
    return f"agent {name}, turn {agent.turns[-1].turn}" if agent.turns else f"agent {name}"
