"""A recorded run, as another run goes through it again: replies by agent and turn, answers of sub-agents.

A run that resumes or branches off begins with the same question and data in a new kernel. It runs the code of the
recorded replies again, in their order, and asks no model for them; sub-agents whose answer was kept are not run
again. Where the record ends, or where a branch leaves it, the models are asked.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.models.base import Completion, Usage, text_of
from rlm_jupyter.security.redactor import MARK
from rlm_jupyter.values.value_files import ValueKey

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.cell_history import Past
    from rlm_jupyter.engine.agent.spec import AgentSpec
    from rlm_jupyter.events import events as ev
    from rlm_jupyter.events.agent_state import AgentState, CallState, TurnState
    from rlm_jupyter.events.tree_state import TreeState
    from rlm_jupyter.models.base import Message
    from rlm_jupyter.values.buffer import Buffer

_LISTED = 10
_BY_TURN = ("turn", "summary", "plan")
"""Purposes of completions that stand in an agent's own order; the others are found by what they ask."""


@dataclass(frozen=True)
class Branch:
    """Where and how a run leaves a record.

    Attributes:
        agent: whose turn is changed.
        turn: its number.
        code: the code that is run in that turn instead; None to leave it.
        observation: what the model is told of that turn instead; None to leave it.
    """

    agent: str
    turn: int
    code: str | None = None
    observation: str | None = None

    def __str__(self) -> str:
        what = "other code" if self.code is not None else "another observation"
        return f"turn {self.turn} of agent `{self.agent}`, with {what}"


@dataclass
class RecordedAgent:
    """What is left to be taken from the record of one agent."""

    id: str
    parent: str | None
    question: str
    context: str
    done: bool
    replies: dict[str, deque[Completion]] = field(default_factory=lambda: defaultdict(deque))
    cells: dict[int, CellRecord] = field(default_factory=dict)
    variables: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    taken: bool = False


@dataclass(frozen=True)
class CellRecord:
    """A cell as it ran: its code, how it ended and what it printed."""

    code: str
    status: str
    output: str


class RecordedRun:
    """The record that a run goes through. Lives on the engine's loop.

    Args:
        tree: of the recorded run.
        values: returns a value that was kept of it, as an owner of its own; None if there is none. It may block.
        branch: where the run leaves the record; None for one that goes on where the record ends.

    Attributes:
        run: the id of the recorded run.
        user_answers: what its user was asked, with the answers.
        differing: agents of which a cell gave another output than recorded; told once for each.
        hide: puts tokens in the place of hidden values, as the log has them.

    Raises:
        ConfigError: there is no such turn, or it cannot be changed in that way.
    """

    def __init__(
        self, tree: TreeState, values: Callable[[ValueKey], Buffer | None], branch: Branch | None = None
    ) -> None:
        self.run = tree.run
        self.user_answers = tuple(tree.user_answers)
        self._context = tree.context
        self._tools = sorted({name for agent in tree.agents.values() for name in agent.tools})
        self.branch = branch
        self._values = values
        self.hide: Callable[[str], str] = str
        self._plain: defaultdict[str, deque[Completion]] = defaultdict(deque)
        self._agents: dict[str, RecordedAgent] = {}
        self._live: dict[str, RecordedAgent] = {}
        self.differing: set[str] = set()
        self._pasts: dict[str, Past | str] = {}
        kept = _Cut(tree, branch)
        self.ends = {agent.id: kept.end(agent) for agent in tree.agents.values() if kept.has(agent)}
        for agent in tree.agents.values():
            if kept.has(agent):
                self._agents[agent.id] = self._recorded(agent, kept)
            self._take_plain(agent, kept)

    def _recorded(self, agent: AgentState, kept: _Cut) -> RecordedAgent:
        whole = kept.is_whole(agent)
        made = RecordedAgent(
            agent.id,
            agent.parent,
            agent.question,
            _told(agent.context),
            done=whole and agent.status == "done",
            variables=dict(agent.variables) if whole else {},
        )
        for turn in kept.turns(agent):
            if turn.call.status != "done":
                continue
            if MARK in turn.call.text:  # it held a secret, which the log does not have: ask again from here
                made.done = False
                break
            if kept.is_changed(agent, turn):
                assert self.branch is not None
                text = turn.call.text if self.branch.code is None else f"```repl\n{self.branch.code}\n```"
                made.replies["turn"].append(_completion(turn.call, text))
                continue
            made.replies["turn"].append(_completion(turn.call))
            for cell in turn.cells:
                made.cells[cell.cell] = CellRecord(cell.code, cell.status, cell.output)
        for call in agent.calls:
            if call.purpose in _BY_TURN and call.status == "done" and kept.has_call(call):
                made.replies[call.purpose].append(_completion(call))
        return made

    def _take_plain(self, agent: AgentState, kept: _Cut) -> None:
        for call in agent.calls:
            if call.purpose not in _BY_TURN and call.status == "done" and kept.has_call(call):
                self._plain[_asked(call.purpose, call.messages)].append(_completion(call))

    def use_checkpoints(self, past: Callable[[str, int], Past | str]) -> None:
        """Take the kernels of the agents that are on the way to the changed turn from checkpoints, where there are any.

        Args:
            past: returns the record up to the newest checkpoint of an agent after no later turn, or why there is none.
        """
        for agent, end in self.ends.items():
            if end:
                self._pasts[agent] = past(agent, end)

    def past(self, agent: str) -> Past | str | None:
        """Return the record of a running agent up to a checkpoint, or why there is none; None if it wants none."""
        known = self._live.get(agent)
        return self._pasts.get(known.id) if known is not None else None

    def recorded_id(self, agent: str) -> str:
        """Return the id that a running agent has in the record."""
        known = self._live.get(agent)
        return known.id if known is not None else agent

    @property
    def told(self) -> str:
        """What the run says of itself at its beginning."""
        how = "The code of its replies runs again in a new kernel, and no model is asked for them"
        names = ", ".join(f"`{name:.60}`" for name in self._tools[:_LISTED])
        tools = f" What it called in the notebook or at a server is called again: {names}." if names else ""
        if self.branch is None:
            return f"This resumes run `{self.run}`. {how}.{tools}"
        if any(not isinstance(past, str) for past in self._pasts.values()):
            how = "It begins in a kernel made of a checkpoint of the other one, and no model is asked for the replies"
            tools = ""
        return f"This branches off run `{self.run}` at {self.branch}. {how} up to that turn.{tools}"

    def check_data(self, description: Mapping[str, Any] | None) -> None:
        """Refuse data that is not what the recorded run was asked about: its replies are about that.

        Raises:
            ConfigError: what there was, and what there is.
        """
        then, now = self._context or {}, description or {}
        if _shape(then) != _shape(now):
            was, given = (str(one.get("summary", "nothing"))[:100] for one in (then, now))
            raise ConfigError(
                f"The data is not what run `{self.run}` was asked about: that was {was}, this is {given}. Load it as "
                "it was, or ask anew."
            )

    # ---- what the run takes of it

    def begin(self, spec: AgentSpec) -> RecordedAgent | None:
        """Find the record of an agent that begins: the same question about the same data, asked by the same agent."""
        context = _told(spec.context.description if spec.context is not None else None)
        parent = self._live.get(spec.parent) if spec.parent is not None else None
        if spec.parent is not None and parent is None:
            return None
        found = [
            one
            for one in self._agents.values()
            if not one.taken
            and one.parent == (parent.id if parent is not None else None)
            and one.question in (spec.question, self.hide(spec.question))
            and (spec.parent is None or one.context in (context, self.hide(context)))
        ]
        if not found:
            return None
        made = next((one for one in found if one.id == spec.id), found[0])
        made.taken = True
        self._live[spec.id] = made
        return made

    def reply(self, agent: str, purpose: ev.Purpose, messages: Sequence[Message]) -> Completion | None:
        """Return the recorded reply to an agent's next request; None where a model is to be asked."""
        if purpose not in _BY_TURN:
            told = [{"role": str(one["role"]), "content": text_of(one)} for one in messages]
            waiting = self._plain.get(_asked(purpose, told))
        else:
            known = self._live.get(agent)
            waiting = known.replies.get(purpose) if known is not None else None
        return waiting.popleft() if waiting else None

    def has_reply(self, agent: str, purpose: ev.Purpose) -> bool:
        """Return whether there is still a recorded reply to an agent's request of a purpose."""
        known = self._live.get(agent)
        return known is not None and bool(known.replies.get(purpose))

    def code(self, agent: str, cell: int, code: str) -> str:
        """Return the code that ran in a cell, which the user may have changed in step mode."""
        known = self._live.get(agent)
        recorded = known.cells.get(cell) if known is not None else None
        return code if recorded is None else recorded.code

    def observation(self, agent: str, body: str) -> str:
        """Return what the model is told of a turn: another text where the branch says so, once."""
        branch, known = self.branch, self._live.get(agent)
        if branch is None or branch.observation is None or known is None or known.id != branch.agent:
            return body
        if known.replies["turn"]:
            return body
        self.branch = None
        return branch.observation

    def answer(self, agent: str) -> Buffer | None:
        """Return the answer that an agent gave, once none of its replies is left to be taken."""
        known = self._live.get(agent)
        if known is None or not known.done or known.replies["turn"]:
            return None
        return self._values(ValueKey("answer", known.id))

    def value(self, key: ValueKey) -> Buffer | None:
        """Return a value that was kept; it may block."""
        return self._values(key)

    def differs(self, agent: str, cell: int, status: str, output: str) -> bool:
        """Return whether a cell is the first of its agent that ended or printed otherwise than recorded."""
        known = self._live.get(agent)
        recorded = known.cells.get(cell) if known is not None else None
        if recorded is None or agent in self.differing or recorded.status == "running":
            return False
        if (recorded.status, recorded.output) == (status, output):
            return False
        self.differing.add(agent)
        return True


class _Cut:
    """What of a tree is taken: all of it, or what was there when the changed turn began."""

    def __init__(self, tree: TreeState, branch: Branch | None) -> None:
        self._branch = branch
        self._above: set[str] = set()
        self._time: float | None = None
        if branch is None:
            return
        turn = _turn_of(tree, branch)
        self._time = turn.call.started
        above: str | None = branch.agent
        while above is not None and above not in self._above:
            self._above.add(above)
            above = tree.agents[above].parent if above in tree.agents else None

    def has(self, agent: AgentState) -> bool:
        return self._time is None or agent.started <= self._time

    def has_call(self, call: CallState) -> bool:
        return self._time is None or call.started <= self._time

    def is_whole(self, agent: AgentState) -> bool:
        return agent.id not in self._above

    def end(self, agent: AgentState) -> int:
        """The last turn after which the kernel is as the branch needs it; 0 if there is none, or it is not needed."""
        if self._branch is None or self.is_whole(agent):
            return 0
        last = max((turn.turn for turn in self.turns(agent)), default=0)
        observed = self._branch.observation is not None and agent.id == self._branch.agent
        return last if observed else max(0, last - 1)

    def turns(self, agent: AgentState) -> list[TurnState]:
        if self.is_whole(agent):
            return agent.turns
        return [turn for turn in agent.turns if self.has_call(turn.call)]

    def is_changed(self, agent: AgentState, turn: TurnState) -> bool:
        branch = self._branch
        return branch is not None and (branch.agent, branch.turn) == (agent.id, turn.turn)


def _turn_of(tree: TreeState, branch: Branch) -> TurnState:
    """Returns the turn that is changed.

    Raises:
        ConfigError: there is none, or not both are given or neither, or there is nothing to observe.
    """
    agent = tree.agents.get(branch.agent)
    if agent is None:
        known = ", ".join(f"`{one}`" for one in list(tree.agents)[:20])
        raise ConfigError(f"Run `{tree.run}` has no agent `{branch.agent}`. It has: {known}.")
    turns = {turn.turn: turn for turn in agent.turns if turn.call.status == "done"}
    if branch.turn not in turns:
        raise ConfigError(
            f"Agent `{agent.id}` of run `{tree.run}` has no turn {branch.turn} with a reply. Its turns: "
            f"{', '.join(str(turn) for turn in list(turns)[:50]) or 'none'}."
        )
    if (branch.code is None) == (branch.observation is None):
        raise ConfigError("Say what is to be changed: either `code` or `observation`, and not both.")
    if branch.observation is not None and agent.status == "done" and branch.turn == max(turns):
        raise ConfigError(
            f"Turn {branch.turn} of agent `{agent.id}` gave the answer, and the model observed nothing after it: "
            "change its `code`, or an earlier turn."
        )
    return turns[branch.turn]


def _completion(call: CallState, text: str | None = None) -> Completion:
    usage = Usage(call.input_tokens, call.output_tokens) if call.input_tokens else None
    said = call.text if text is None else text
    return Completion(said, usage, model=call.model, finish_reason=call.finish_reason or "stop")


def _shape(description: Mapping[str, Any]) -> str:
    return json.dumps([description.get(name) for name in ("type", "summary", "shape")], default=str)


def _asked(purpose: str, messages: Sequence[Mapping[str, str]]) -> str:
    return json.dumps([purpose, [[one["role"], one["content"]] for one in messages]])


def _told(description: Mapping[str, Any] | None) -> str:
    """Returns what is told of data, without where it lies: the same for the same data, also out of a log."""
    known = {name: part for name, part in (description or {}).items() if name not in ("place", "turn")}
    return json.dumps(known, sort_keys=True, default=str)
