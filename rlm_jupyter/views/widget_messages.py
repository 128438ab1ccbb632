"""What the widget is told: the run's head line and a row for each agent, as a snapshot and numbered patches.

    {kind: "snapshot", seq, part, parts, run: {…}, agents: {id: row}}
    {kind: "patch", seq, run: {changed}, agents: {id: {changed fields; of a new agent its row}}}

A snapshot is what the patches up to its number have told; one that would pass the size limit comes in parts.
A row leaves out what has its default value (`protocol.AGENT_DEFAULTS`); a change names each field that changed.
Texts are clean and short; all of an agent is in `rlm_jupyter.views.agent_page`. Times are seconds since the
epoch, money is USD, None is "not known" (of money) or "still running" (of an agent's `elapsed`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rlm_jupyter.events.tree_state import AgentState, TreeState
from rlm_jupyter.text.sanitize import clean, one_line
from rlm_jupyter.views import protocol
from rlm_jupyter.views.answer_card import answer_card
from rlm_jupyter.views.branch_rows import branches_told
from rlm_jupyter.views.expected_spend import expected_line
from rlm_jupyter.views.json_numbers import count, finite, whole
from rlm_jupyter.views.mapped_rows import row_name
from rlm_jupyter.views.replay_protocol import Replay

MAX_BYTES = 64_000
"""Of one message: the server's relay and the browser stay responsive below."""

_TEXT = 2000
_NAME, _PROGRESS = 80, 200
_ENVELOPE = 200
_MAX_NOTICES = 12
_MOST_HIDDEN = 50
_PICO = 10**12
_MOST_USD = 1e12
_PENDING = 32_000
_SPANS = 48
_GONE_SHARE = 2
_MOST_OPTIONS = 8

Row = dict[str, Any]
"""Changed fields of a run or an agent: `Partial<Run>` or `Partial<Agent>` of the protocol."""


def summary(description: object) -> str | None:
    """Returns the one line that tells what a value is; None if there is no value."""
    if not isinstance(description, dict):
        return None
    return one_line(description.get("summary") or description.get("type") or "a value")


def json_size(value: object) -> int:
    """Bound the bytes of a value in a message from above."""
    return len(json.dumps(value))


def _pico(cost: float | None) -> int | None:
    """Money as whole pico-dollars, so that sums are exact in any order."""
    # A log that somebody made may have any number.
    return None if cost is None or not abs(cost) < _MOST_USD else round(cost * _PICO)


def _dollars(pico: int | None) -> float | None:
    return None if pico is None else pico / _PICO


def row(state: TreeState, agent: AgentState, cost_total: float | None) -> protocol.Agent:
    """Make an agent's row; `cost_total` is its spend and that of all below it."""
    return {
        "id": agent.id,
        "parent": agent.parent,
        "depth": count(agent.depth),
        "question": one_line(agent.question),
        "name": None
        if (name := row_name(agent)) is None
        else one_line(name, _NAME if agent.mapping is None else _PROGRESS),
        "status": agent.status,
        "activity": state.activity(agent),
        "wait": one_line(agent.wait_text, 300) or None,
        "model": one_line(agent.model, 80),
        "turns": len(agent.turns),
        "cells": agent.cells,
        "sub_calls": len(agent.calls),
        "tool_calls": sum(tool.calls for tool in agent.tools.values()),
        "input_tokens": count(agent.input_tokens),
        "output_tokens": count(agent.output_tokens),
        "cost": _dollars(_pico(agent.cost)),
        "cost_total": cost_total,
        "started": finite(agent.started),
        "elapsed": None if agent.finished is None else finite(round(agent.finished - agent.started, 3)),
        "value": summary(agent.value),
        "error": None if agent.error is None else clean(agent.error, _TEXT),
        "variables": len(agent.variables),
        "rev": count(agent.seq),
        "pending_code": pending_code(agent),
        "spans": _spans(agent),
        "branch": one_line(agent.branch, 80) or None,
    }


def _spans(agent: AgentState) -> list[protocol.Span] | None:
    """Returns when it waited for the model and when its code ran: [kind, start, end or None], the newest."""
    spans: list[protocol.Span] = []
    for turn in agent.turns[-_SPANS:]:
        steps: list[tuple[protocol.SpanKind, float, float | None]]
        steps = [("model", turn.call.started, turn.call.seconds)]
        steps += [("code", cell.started, cell.seconds) for cell in turn.cells]
        for kind, started, seconds in steps:
            end = agent.finished if seconds is None else started + seconds
            spans.append(
                (kind, finite(round(started, 3)) or 0.0, None if end is None else finite(round(end, 3)))
            )
    return spans[-_SPANS:] or None


def pending_code(agent: AgentState) -> str | None:
    """Returns the code that waits for `Next`, as it is shown and may be edited."""
    return None if agent.pending_code is None else clean(agent.pending_code, _PENDING)


def run_fields(
    state: TreeState,
    *,
    clicks: bool = True,
    notices: Sequence[str] = (),
    paused: bool = False,
    branches: bool = False,
) -> protocol.Run:
    """Make the run's head line.

    Args:
        state: the tree.
        clicks: whether clicks arrive while the cell runs.
        notices: what this view has to say, besides what the run says.
        paused: whether the user paused the run.
        branches: whether a branch can be started from it.
    """
    context = state.context or {}
    branched = [f"Branches: {told}"] if (told := branches_told(state)) is not None else []
    return {
        "id": state.run,
        "question": clean(state.question, _TEXT),
        "status": state.status,
        "model": one_line(state.model, 80),
        "sub_model": one_line(state.sub_model, 80),
        "scripted": state.scripted,
        "started": finite(state.started),
        "elapsed": finite(round(state.elapsed, 3)),
        "cost": _dollars(_pico(state.cost)),
        "cost_limit": finite(state.limits.get("cost")),
        "input_tokens": count(state.input_tokens),
        "output_tokens": count(state.output_tokens),
        "token_limit": whole(state.limits.get("tokens")),
        "calls": count(state.requests),
        "call_limit": whole(state.limits.get("calls")),
        "agents": state.own_agents,
        "depth": count(state.depth),
        "in_flight": state.in_flight,
        "context_bytes": whole(context.get("bytes")),
        "context_summary": summary(state.context),
        "seen_tokens": state.seen_chars // 4,
        "data_tokens": count(state.data_tokens),
        "exposure_limit": whole(state.limits.get("exposure")),
        "hidden": [one_line(label, 80) for label in state.hidden[:_MOST_HIDDEN]],
        "sandbox": one_line(state.sandbox, 200),
        "values": _values(state.held),
        "value": summary(state.value),
        "proof": _proof(state),
        "card": answer_card(state),
        "error": None if state.error is None else clean(state.error, _TEXT),
        "notices": [clean(text, 500) for text in [*notices, *state.notices, *branched][-_MAX_NOTICES:]],
        "expected": expected_line(state),
        "asked": _asked(state),
        "provenance": None if state.provenance is None else clean(state.provenance, 500),
        "clicks": clicks,
        "step": state.step,
        "paused": paused,
        "branches": branches,
        "saved": None,
        "replay": None,
    }


def _proof(state: TreeState) -> protocol.Proof | None:
    known = state.proof
    if known is None:
        return None
    return {
        "verdict": known["verdict"],
        "detail": one_line(known["detail"], 300),
        "recorded": known["recorded"],
    }


def _asked(state: TreeState) -> protocol.UserQuestion | None:
    asked = state.user_question
    if asked is None or state.status != "running":
        return None
    return {
        "agent": asked.agent,
        "number": asked.number,
        "question": clean(asked.question, _TEXT),
        "options": [one_line(option) for option in asked.options[:_MOST_OPTIONS]],
        "default": one_line(asked.default),
        "until": finite(asked.until),
    }


def _values(held: dict[str, int]) -> protocol.Places | None:
    """Returns the bytes of the run's values by place, without empty places; None if there are no values."""
    known: protocol.Places = {}
    for place in ("memory", "disk", "shared"):
        if held.get(place):
            known[place] = whole(held[place])
    if known and "limit" in held:
        known["limit"] = whole(held["limit"])
    return known or None


class Totals:
    """Each agent's spend with that of all below it, kept up as agents change; exact in any order."""

    def __init__(self) -> None:
        self._own: dict[str, int | None] = {}
        self._sum: dict[str, int] = {}
        self._unknown: dict[str, int] = {}

    @classmethod
    def of(cls, state: TreeState) -> Totals:
        """Take in a whole tree at once, in a time that does not depend on its depth."""
        made = cls()
        known = sum(len(agent.children) for agent in state.agents.values())
        if known < sum(agent.parent in state.agents for agent in state.agents.values()):
            for agent in state.agents.values():  # a damaged log: some agents began before their parents
                made.update(state, agent)
            return made
        for agent in reversed(state.agents.values()):  # all others are children of one that began before them
            own = made._own[agent.id] = _pico(agent.cost)
            below = _own_children(state, agent)
            made._sum[agent.id] = (own or 0) + sum(made._sum[child] for child in below)
            made._unknown[agent.id] = (own is None) + sum(made._unknown[child] for child in below)
        return made

    def update(self, state: TreeState, agent: AgentState) -> list[str]:
        """Take in an agent's own spend; give the ids of the agents whose total changed."""
        new, old = _pico(agent.cost), self._own.get(agent.id, 0)
        self._own[agent.id] = new
        if new == old:
            return []
        more = (new or 0) - (old or 0)
        unknown = (new is None) - (old is None)
        changed = list(_path(state, agent))
        for id_ in changed:
            self._sum[id_] = self._sum.get(id_, 0) + more
            self._unknown[id_] = self._unknown.get(id_, 0) + unknown
        return changed

    def get(self, agent_id: str) -> float | None:
        """Returns an agent's total in USD; None where a part of it is not known."""
        return None if self._unknown.get(agent_id) else self._sum.get(agent_id, 0) / _PICO


def _own_children(state: TreeState, agent: AgentState) -> Sequence[str]:
    """Returns the agents below one, without the branches there: what they spent is their own."""
    if not state.branches:
        return agent.children
    return [child for child in agent.children if state.agents[child].branch == agent.branch]


def _path(state: TreeState, agent: AgentState | None) -> Iterator[str]:
    """Walk from an agent up to the root of its run; ends also where a damaged log goes in a circle."""
    seen: set[str] = set()
    branch = agent.branch if agent is not None else ""
    while agent is not None and agent.id not in seen and agent.branch == branch:
        seen.add(agent.id)
        yield agent.id
        agent = state.agents.get(agent.parent or "")


def rows(state: TreeState) -> dict[str, protocol.Agent]:
    """Make all rows at once."""
    totals = Totals.of(state)
    return {id_: row(state, agent, totals.get(id_)) for id_, agent in state.agents.items()}


class Patcher:
    """Gives what a view has not been told yet, in messages of bounded size.

    What does not fit waits for the next message and is then as new as can be, so a slow browser gets fewer
    messages, never a queue of old ones. Hold the run's lock around each call.

    Attributes:
        seq: number of the last patch; of a snapshot, that of the patch before it.
        clicks: whether clicks arrive while the cell runs.
        notices: what this view has to say, besides what the run says.
        paused: whether the user paused the run.
        branches: whether a branch can be started from a turn of it.
        replay: the moment that is shown; None if it is the present.
    """

    def __init__(self, state: TreeState, *, clicks: bool = True, notices: Iterable[str] = ()) -> None:
        self.seq = 0
        self.clicks = clicks
        self.notices = list(notices)
        self.paused = self.branches = False
        self.replay: Replay | None = None
        self._state = state
        self._seen = -1
        self._over = False
        self._totals = Totals()
        self._said: tuple[object, ...] = ()
        self._run: protocol.Run | None = None
        self._rows: dict[str, protocol.Agent] = {}
        self._dirty: dict[str, None] = {}
        self._gone: list[str] = []
        self._withdrawn: dict[str, protocol.Agent] = {}
        """Rows of agents that have not begun at the moment that is shown. Pages keep them too: going back and forth in
        a run of thousands of agents, each is told once."""

    @property
    def state(self) -> TreeState:
        """The state of which it tells."""
        return self._state

    def show(self, state: TreeState, replay: Replay | None) -> None:
        """Tell of another state of the same run from now on: of another moment, or of the live one.

        Args:
            state: whose agents have another number (`seq`) wherever they differ from what was told.
            replay: which moment it is; None if it is the live state.
        """
        # From one moment of a replay to a later one it is as in a live run: what changed has a higher number.
        onward = self.replay is not None and replay is not None and state.seq >= self._seen and not self._gone
        onward = onward and not state.branches  # which are numbered by other logs
        self._state, self.replay, self._over = state, replay, False
        if not onward:
            self._scan_all()

    def snapshot(self, max_bytes: int = MAX_BYTES) -> list[protocol.SnapshotMessage]:
        """Returns all that was told so far, for a page that has missed it, in one message or more."""
        if self._run is None:
            self._scan()
            self._run = self._run_fields()
            self._take(None)
        self._withdrawn.clear()  # a page that takes this has never had them
        parts: list[dict[str, Row]] = [{}]
        room = max_bytes - _ENVELOPE - json_size(self._run)
        for id_, told in self._rows.items():
            short = without_defaults(told)
            needs = json_size({id_: short})
            if needs > room and parts[-1]:
                parts.append({})
                room = max_bytes - _ENVELOPE
            room -= needs
            parts[-1][id_] = short
        return [
            {
                "kind": "snapshot",
                "seq": self.seq,
                "parts": len(parts),
                "part": number,
                "run": {} if number else dict(self._run),
                "agents": agents,
            }
            for number, agents in enumerate(parts)
        ]

    def patch(self, max_bytes: int = MAX_BYTES) -> protocol.PatchMessage | None:
        """Returns the next patch; None if nothing changed."""
        said = self._to_say()
        if self._over:
            return None
        if self._state.seq == self._seen and not (self._dirty or self._gone) and said == self._said:
            return None
        self._said = said
        self._scan()
        fields = self._run_fields()
        told: Mapping[str, object] = self._run or {}
        run = {name: value for name, value in fields.items() if told.get(name, ...) != value}
        self._run = fields
        gone = self._withdraw(max_bytes // _GONE_SHARE)
        agents, back = self._take(max_bytes - _ENVELOPE - json_size(run) - json_size(gone))
        if not (run or agents or gone or back):
            return None
        self.seq += 1
        patch: protocol.PatchMessage = {"kind": "patch", "seq": self.seq, "run": run, "agents": agents}
        if gone:
            patch["gone"] = gone
        if back:
            patch["back"] = back
        return patch

    def _withdraw(self, room: int) -> list[str]:
        """Returns as many agents that have not begun as fit into `room` bytes, at least one if there is one."""
        taken: list[str] = []
        for id_ in self._gone:
            room -= json_size(id_) + 2
            if room < 0 and taken:
                break
            taken.append(id_)
            self._withdrawn[id_] = self._rows.pop(id_)
        del self._gone[: len(taken)]
        return taken

    def let_go(self) -> None:
        """Take the last state, and hold the tree no longer: its run is gone, and nothing changes any more."""
        self._scan()
        self._run = self._run_fields()
        self._take(None)
        self._said = self._to_say()
        self._over, self._state = True, TreeState(seq=self._seen)

    @property
    def pending(self) -> bool:
        """Whether there may be more to tell now."""
        return bool(self._dirty or self._gone) or self._state.seq != self._seen

    def _to_say(self) -> tuple[object, ...]:
        return (self.clicks, self.paused, self.branches, self.replay, *self.notices)

    def _run_fields(self) -> protocol.Run:
        fields = run_fields(
            self._state,
            clicks=self.clicks,
            notices=self.notices,
            paused=self.paused,
            branches=self.branches,
        )
        fields["replay"] = self.replay
        return fields

    def _scan(self) -> None:
        if self._state.seq == self._seen:
            return
        for agent in self._state.agents.values():
            if agent.seq > self._seen:
                self._dirty[agent.id] = None
                self._dirty.update(dict.fromkeys(self._totals.update(self._state, agent)))
        self._seen = self._state.seq

    def _scan_all(self) -> None:
        """Compare all rows with what was told: the state is another one."""
        agents = self._state.agents
        self._totals = Totals.of(self._state)
        self._gone = [id_ for id_ in self._rows if id_ not in agents]
        self._dirty = {
            id_: None
            for id_, agent in agents.items()
            if (told := self._rows.get(id_)) is None
            or told["rev"] != agent.seq
            or told["cost_total"] != self._totals.get(id_)
        }
        self._seen = self._state.seq

    def _take(self, room: int | None) -> tuple[dict[str, Row], list[str]]:
        """Describes as many changed agents as fit into `room` bytes, at least one; and names those that begin again."""
        taken: dict[str, Row] = {}
        back: list[str] = []
        for id_ in list(self._dirty):
            agent, total = self._state.agents[id_], self._totals.get(id_)
            told = self._rows.get(id_)
            returns = told is None and id_ in self._withdrawn
            known = self._withdrawn[id_] if returns else told
            same = known is not None and (known["rev"], known["cost_total"]) == (agent.seq, total)
            new = known if known is not None and same else row(self._state, agent, total)
            change = {} if same else _change(known, new)
            if room is not None:
                room -= json_size({id_: change}) * bool(change) + (json_size(id_) + 2) * returns
                if room < 0 and (taken or back):
                    break
            del self._dirty[id_]
            self._rows[id_] = new
            if returns:
                back.append(id_)
                del self._withdrawn[id_]
            if change:
                taken[id_] = change
        return taken, back


def _change(old: protocol.Agent | None, new: protocol.Agent) -> Row:
    if old is None:
        return without_defaults(new)
    before: Mapping[str, object] = old
    return {name: value for name, value in new.items() if value != before[name]}


def without_defaults(full: protocol.Agent) -> Row:
    """Returns a row without the fields that have their default."""
    defaults: Mapping[str, object] = protocol.AGENT_DEFAULTS
    return {
        name: value for name, value in full.items() if name in protocol.ALWAYS_SENT or value != defaults[name]
    }
