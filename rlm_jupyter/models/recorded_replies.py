"""The replies that a log holds, as one run asks for them again: of agents by turn, of plain completions by prompt."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from rlm_jupyter.errors import (
    ConfigError,
    ContextTooLongError,
    EmptyReplyError,
    ModelError,
    NotRecordedError,
)
from rlm_jupyter.models.base import Completion, CompletionRequest, Usage, text_of
from rlm_jupyter.models.passing_lines import without_passing_lines
from rlm_jupyter.security.redactor import MARK
from rlm_jupyter.text.sanitize import one_line

if TYPE_CHECKING:
    from rlm_jupyter.events.agent_state import AgentState, CallState
    from rlm_jupyter.events.tree_state import TreeState

_SHOWN: Final = 160
"""Characters of a line that a message of a departure quotes."""
_LISTED: Final = 20
_MOST_DEPARTURES: Final = 1000
_OF_TURNS: Final = ("turn", "summary", "plan", "plain")
"""Purposes of completions that stand in an agent's own order; the others are found by what they ask alone."""

_EMPTY: Final = "empty"
_TOO_LONG: Final = "too long"

Chat = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Departure:
    """Where a replayed run was not asked, or did not ask, what the log has.

    Attributes:
        agent: whose request it is.
        turn: the agent's turn.
        text: what differs, in a sentence.
    """

    agent: str
    turn: int
    text: str

    def __str__(self) -> str:
        return f"Agent `{self.agent}`, turn {self.turn}: {self.text}"


@dataclass
class _Agent:
    """What is left of one agent of the log."""

    id: str
    parent: str | None
    first: str
    turns: deque[CallState]
    count: int
    others: deque[CallState]
    taken: bool = False


@dataclass
class RecordedReplies:
    """What is left of a log's replies in one run. Lives on the engine's loop.

    Attributes:
        tree: of the log.
        strict: whether the first departure is refused.
        departures: where this run departed so far, the first thousand.
    """

    tree: TreeState
    strict: bool = False
    departures: list[Departure] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._agents = {agent.id: _recorded(agent) for agent in self.tree.agents.values()}
        self._live: dict[str, _Agent] = {}
        self._refusal: str | None = None
        self._asked: defaultdict[str, int] = defaultdict(int)
        self._plain: defaultdict[str, deque[tuple[str, CallState]]] = defaultdict(deque)
        for agent in self.tree.agents.values():
            for call in agent.calls:
                if call.purpose not in _OF_TURNS:
                    self._plain[_key(call.messages)].append((agent.id, call))

    @property
    def left(self) -> int:
        """How many replies of the log were not asked for."""
        of_agents = sum(len(agent.turns) + len(agent.others) for agent in self._agents.values())
        return of_agents + sum(map(len, self._plain.values()))

    def answer(self, request: CompletionRequest) -> Completion:
        """Returns the reply to a request, and takes it.

        Raises:
            NotRecordedError: the log holds none, or `strict` is true and the prompt is another one.
            ModelError: the log says that there was no reply, and why.
        """
        if self._refusal is not None and request.code_block:  # agents' code may have caught it
            raise NotRecordedError(self._refusal)
        chat = [{"role": str(one["role"]), "content": text_of(one)} for one in request.messages]
        call = self._turn(request.agent, chat) if request.code_block else self._other(request.agent, chat)
        if call.status == "done" and MARK not in call.text:
            return _completion(call)
        turn = self._asked[request.agent]
        if MARK in call.text:
            raise self._refused(
                request.agent,
                turn,
                "the reply in the log held a secret, which the log does not have. Replace it in a copy of the log",
            )
        if call.status == "running" or call.error == "stopped":
            raise self._refused(
                request.agent, turn, "the log ends, or its run was stopped, before this request had a reply"
            )
        raise call_error(call)

    # ---- turns

    def _turn(self, agent_id: str, chat: Chat) -> CallState:
        self._asked[agent_id] += 1
        turn = self._asked[agent_id]
        agent = self._live.get(agent_id) or self._begin(agent_id, chat)
        if not agent.turns:
            earlier = next((f" {one}" for one in self.departures if one.agent == agent_id), "")
            had = f"it has {agent.count} turn{'s' * (agent.count != 1)} of agent `{agent.id}`"
            raise self._refused(agent_id, turn, f"the log has no such turn: {had}.{earlier}")
        call = agent.turns.popleft()
        now = [] if call.start > len(chat) else chat[call.start :]
        self._compare(agent_id, turn, call.messages, now)
        return call

    def _begin(self, agent_id: str, chat: Chat) -> _Agent:
        """Find the log's agent that a new one is: with the same parent and the same prompt, or else the same id."""
        above = agent_id.rpartition(".")[0] or None
        parent = self._live[above].id if above in self._live else above
        near = [one for one in self._agents.values() if not one.taken and one.parent == parent]
        key = _key(chat)
        same = [one for one in near if one.first == key]
        found = next((one for one in same if one.id == agent_id), same[0] if same else None)
        found = found or next((one for one in near if one.id == agent_id), None)
        if found is None:
            known = ", ".join(f"`{one.id}`" for one in list(self._agents.values())[:_LISTED])
            raise self._refused(
                agent_id, 1, f"the log has no agent with this prompt, nor one of this id. It has: {known}"
            )
        found.taken = True
        self._live[agent_id] = found
        return found

    # ---- other completions

    def _other(self, agent_id: str, chat: Chat) -> CallState:
        known = self._live.get(agent_id) or self._agents.get(agent_id)
        waiting = self._plain.get(_key(chat))
        if waiting:
            place = next((n for n, (owner, _) in enumerate(waiting) if known and owner == known.id), 0)
            call = waiting[place][1]
            del waiting[place]
            return call
        turn = self._asked[agent_id]
        if known is not None and known.others:
            call = known.others[0]
            next_turn = known.turns[0].turn if known.turns else None
            if (
                call.purpose == "plain" or call.turn == next_turn
            ):  # notes on old turns, and plans, are asked before the next one
                known.others.popleft()
                self._compare(
                    agent_id, turn, call.messages, [] if call.start > len(chat) else chat[call.start :]
                )
                return call
        nearest = next(
            (call for calls in self._plain.values() for owner, call in calls if known and owner == known.id),
            None,
        )
        what = (
            "" if nearest is None else f". The next one of that agent: {_difference(nearest.messages, chat)}"
        )
        raise self._refused(agent_id, turn, f"the log has no plain completion with this prompt{what}")

    # ---- departures

    def _compare(self, agent: str, turn: int, recorded: Chat, now: Chat) -> None:
        if _key(recorded) == _key(now) or any(MARK in message["content"] for message in recorded):
            return
        text = f"the prompt differs: {_difference(recorded, now)}"
        if self.strict:
            raise self._refused(agent, turn, text)
        self._note(Departure(agent, turn, f"{text}."))

    def _refused(self, agent: str, turn: int, text: str) -> NotRecordedError:
        departure = Departure(agent, turn, text)
        self._note(departure)
        message = (
            f"The replay of run `{self.tree.run}` departs from its log. {departure}. Record the run anew if this is "
            "meant."
        )
        self._refusal = self._refusal or message
        return NotRecordedError(message)

    def _note(self, departure: Departure) -> None:
        if len(self.departures) < _MOST_DEPARTURES:
            self.departures.append(departure)


def check_replayable(tree: TreeState) -> None:
    """Refuse a log that holds no reply.

    Raises:
        ConfigError: there is none.
    """
    calls = (call for agent in tree.agents.values() for call in (*_turn_calls(agent), *agent.calls))
    if not any(call.status == "done" for call in calls):
        raise ConfigError(
            f"The log of run `{tree.run}` holds no reply of a model: there is nothing to be replayed."
        )


def call_error(call: CallState) -> ModelError:
    """Returns the error of a request that had no reply, as far as the log tells its kind."""
    return _KINDS.get(call.finish_reason, ModelError)(call.error or "There was no reply.")


_KINDS: Final[Mapping[str, type[ModelError]]] = {_EMPTY: EmptyReplyError, _TOO_LONG: ContextTooLongError}
"""By what `_recorded` found of a failed turn, from what came after it."""


def _recorded(agent: AgentState) -> _Agent:
    calls = _turn_calls(agent)
    turns = []
    for call, after in pairwise([*calls, None]):
        assert call is not None
        if call.status == "failed" and after is not None:
            # The agent went on: it was told that there was no text; or its chat was made shorter, with its own notes
            # at its head; or it was sent again without pictures.
            folded = bool(after.messages) and after.messages[0]["role"] == "assistant"
            if after.turn == call.turn and not folded:
                continue
            call = replace(call, finish_reason=_TOO_LONG if folded else _EMPTY)  # noqa: PLW2901 - a copy: the tree stays
        turns.append(call)
    others = deque(call for call in agent.calls if call.purpose in ("summary", "plan", "plain"))
    first = _key(calls[0].messages) if calls else ""
    return _Agent(agent.id, agent.parent, first, deque(turns), len(turns), others)


def _turn_calls(agent: AgentState) -> list[CallState]:
    return [turn.call for turn in agent.turns]


def _completion(call: CallState) -> Completion:
    # Of a log that somebody made they may be below zero, which would give back what other models have spent.
    sent, said, cached = (max(0, one) for one in (call.input_tokens, call.output_tokens, call.cached_tokens))
    known = sent or said
    usage = Usage(sent, said, cached, estimated=call.estimated)
    return Completion(
        call.text,
        usage if known else None,
        cost=0.0,
        model=call.model,
        finish_reason=call.finish_reason or "stop",
    )


def _said(message: Mapping[str, str]) -> str:
    content = message["content"]
    return without_passing_lines(content) if message["role"] == "user" else content


def _key(messages: Chat) -> str:
    said = json.dumps([[one["role"], _said(one)] for one in messages])
    return hashlib.sha256(said.encode()).hexdigest()


def _difference(recorded: Chat, now: Chat) -> str:
    """Returns the first line that differs between two chats."""
    for number in range(max(len(recorded), len(now))):
        was = _said(recorded[number]) if number < len(recorded) else ""
        is_now = _said(now[number]) if number < len(now) else ""
        if was == is_now:
            continue
        lines, others = was.splitlines(), is_now.splitlines()
        place = next(
            (n for n, (a, b) in enumerate(zip(lines, others, strict=False)) if a != b),
            min(len(lines), len(others)),
        )
        return f"the log has {_quoted(lines, place)}, this run has {_quoted(others, place)}"
    return "their roles differ"


def _quoted(lines: list[str], place: int) -> str:
    return f"`{one_line(lines[place], _SHOWN)}`" if place < len(lines) else "nothing more"
