"""The moments of a run in a saved page: what changes from each to the next, since no kernel folds them there.

All of it is bounded: at most `MAX_MOMENTS` moments, in a longer run several events each; and so many bytes. An agent
whose page did not fit has it up to some moment, and at the end of the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agent_state import AgentState
from rlm_jupyter.events.levels import Level
from rlm_jupyter.events.tree_levels import reduced
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.views.agent_page import detail, prompt
from rlm_jupyter.views.json_delta import delta
from rlm_jupyter.views.replay import Replay
from rlm_jupyter.views.widget_messages import Patcher

MAX_MOMENTS = 2000
MAX_BYTES = 6_000_000
"""Of all changes; a browser reads as much in a moment."""

_MAX_WORK = 2_000_000
"""Rows that are compared for all moments together: of many agents there are fewer moments."""
_FEWEST = 100
_ROWS_SHARE = 0.5
_PAGE_BYTES = 48_000
_MAX_PLACES = 20_000
_ALL = 10**9


def saved_replay(
    events: Sequence[ev.AnyEvent],
    level: Level,
    *,
    max_bytes: int = MAX_BYTES,
    branches: Mapping[str, TreeState] | None = None,
) -> dict[str, Any] | None:
    """Returns what the replay of a saved page needs; None if there is nothing to step through.

    Args:
        events: the run's events in their order.
        level: how much of the run is in the file.
        max_bytes: of all changes.
        branches: the trees of the run's branches, as far as they are known.
    """
    if not events:
        return None
    replay = Replay(events, _Reducer(level), branches)
    agents = len(replay.tree.agents)
    most = max(_FEWEST, min(MAX_MOMENTS, _MAX_WORK // max(agents, 1)))
    room = int(max_bytes * _ROWS_SHARE)
    while True:
        pages = _Pages(max_bytes - room, prompts=level == "all")
        frames = _frames(replay, positions(len(events), most), pages)
        needs = len(json.dumps(frames))
        if needs <= room or most <= _FEWEST:
            break
        # Fewer moments over all of the run, not all moments of a part of it.
        most = max(_FEWEST, min(most // 2, len(frames) * room // needs))
    return {
        "outline": replay.outline(),
        "places": replay.places()[:_MAX_PLACES],
        "frames": frames,
        "details": pages.details,
        "prompts": pages.prompts,
        "until": pages.until,
    }


def positions(events: int, most: int) -> list[int]:
    """Chooses the moments: all, or as many as are allowed, evenly, with the first and the last."""
    every = max(1, -(-events // (most - 1)))
    return sorted({*range(0, events + 1, every), events})


def _frames(replay: Replay, chosen: list[int], pages: _Pages) -> list[dict[str, Any]]:
    """Returns the changes of the tree from moment to moment: rows like the messages of a live run."""
    frames: list[dict[str, Any]] = []
    patcher: Patcher | None = None
    for position in chosen:
        replay.seek({"position": position})
        tree = replay.tree
        if patcher is None:
            patcher = Patcher(tree)
        patcher.show(tree, replay.shown(only=True))
        if position == chosen[0]:
            first = patcher.snapshot(_ALL)[0]
            change = {"run": first["run"], "agents": first["agents"]}
        else:
            patch = patcher.patch(_ALL)
            change = {} if patch is None else {"run": patch["run"], "agents": patch["agents"]}
        pages.take(position, tree)
        frames.append({"at": position, **change})
    return frames


class _Reducer:
    """Takes out of each state what the level does not allow; of an agent only where it changed."""

    def __init__(self, level: Level) -> None:
        self._level = level
        self._known: dict[str, AgentState] = {}

    def __call__(self, state: TreeState) -> TreeState:
        if self._level == "all":
            return state
        changed = {
            id_: agent
            for id_, agent in state.agents.items()
            if (known := self._known.get(id_)) is None or known.seq != agent.seq
        }
        made = reduced(replace(state, agents=changed), self._level)
        self._known.update(made.agents)
        return replace(made, agents={id_: self._known[id_] for id_ in state.agents})


class _Pages:
    """The changes of agents' pages and prompts; what one does not need is left for those after it."""

    def __init__(self, room: int, *, prompts: bool) -> None:
        self.details: dict[str, list[tuple[int, Any]]] = {}
        self.prompts: dict[str, list[tuple[int, Any]]] = {}
        self.until: dict[str, int] = {}
        """Agents whose page is not in the file from this moment on."""
        self._room = room
        self._with_prompts = prompts
        self._last: dict[tuple[str, str], Any] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    def take(self, position: int, tree: TreeState) -> None:
        """Take in the pages that changed."""
        for id_, agent in tree.agents.items():
            known = self._seen.get(id_, (-1, -1))
            if known[0] == agent.seq or id_ in self.until:
                continue
            if self._room < 0:
                self.until[id_] = position
                continue
            turns = len(agent.turns)
            self._add(self.details, "detail", id_, position, detail(tree, id_, max_bytes=_PAGE_BYTES))
            if self._with_prompts and turns != known[1]:
                self._add(self.prompts, "prompt", id_, position, prompt(tree, id_, max_bytes=_PAGE_BYTES))
            self._seen[id_] = (agent.seq, turns)

    def _add(
        self, into: dict[str, list[tuple[int, Any]]], kind: str, id_: str, position: int, made: Any
    ) -> None:
        change = delta(self._last.get((kind, id_)), made)
        if change is None:
            return
        self._last[kind, id_] = made
        self._room -= len(json.dumps(change)) + 20
        into.setdefault(id_, []).append((position, change))
