"""The tree of a run after each of its events: folded from its first n events, from the nearest checkpoint on.

A checkpoint shares with those before it whatever did not change between them: before an event is folded in, what it
changes is copied, and nothing else. So a run of 100,000 events has checkpoints that take little more than its tree.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agent_state import AgentState, TurnState
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
        self._fork = _Fork(self._checkpoints[0][1])
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
            self._position, self._fork = start, _Fork(state)
        while self._position < position:
            self._fork.apply(self.events[self._position])
            self._position += 1
            self._keep()
        return self._fork.state

    def _keep(self) -> None:
        """Makes a checkpoint of the state, if there is none near before it."""
        last = self._checkpoints[-1][0]
        if self._position - last >= max(_NEAREST, last // _SHARE):
            self._checkpoints.append((self._position, self._fork.state))
            self._fork = _Fork(self._fork.state)


class _Fork:
    """A tree that goes on from another one, which stays as it is."""

    def __init__(self, base: TreeState) -> None:
        self.state = replace(
            base,
            limits=dict(base.limits),
            notices=list(base.notices),
            agents=dict(base.agents),
            completions=dict(base.completions),
        )
        self._own: dict[int, object] = {}
        """What was copied for this tree, by its identity; held, so that no other object can have the same one."""

    def apply(self, event: ev.AnyEvent) -> None:
        """Folds an event in, after what it changes was copied."""
        if isinstance(event, ev.AgentStarted):
            self._agent(event.parent)
        elif (agent := self._agent(event.agent)) is not None:
            self._parts(agent, event)
        self.state.apply(event)

    def _parts(self, agent: AgentState, event: ev.AnyEvent) -> None:
        match event:
            case ev.AgentFinished():
                self._agent(agent.parent)
            case ev.ReplyDelta() | ev.ReplyFinished() | ev.ReplyFailed():
                self._call(agent, event.call)
            case ev.CodeStarted() if agent.turns:
                self._turn(agent, len(agent.turns) - 1)
            case ev.CodeOutput() | ev.CodeFinished():
                self._cell(agent, event.cell)
            case ev.ToolCalled():
                agent.tools = {name: replace(tool) for name, tool in agent.tools.items()}
                for at in range(len(agent.turns) - 1, -1, -1):
                    if agent.turns[at].turn == event.turn:
                        self._turn(agent, at)
                        break
            case _:
                pass

    def _agent(self, id_: str | None) -> AgentState | None:
        known = self.state.agents.get(id_ or "")
        if known is None or id(known) in self._own:
            return known
        copied = replace(
            known,
            turns=list(known.turns),
            calls=list(known.calls),
            tools=dict(known.tools),
            variables=dict(known.variables),
            notices=list(known.notices),
            children=list(known.children),
            held=dict(known.held),
            held_text=dict(known.held_text),
        )
        self._own[id(copied)] = copied
        self.state.agents[known.id] = copied
        return copied

    def _turn(self, agent: AgentState, at: int) -> TurnState:
        known = agent.turns[at]
        if id(known) in self._own:
            return known
        copied = replace(known, cells=list(known.cells), tool_calls=list(known.tool_calls))
        self._own[id(copied)] = copied
        agent.turns[at] = copied
        return copied

    def _call(self, agent: AgentState, number: int) -> None:
        owner, known = self.state.completions.get(number, ("", None))
        if known is None or owner != agent.id or id(known) in self._own:
            return
        copied = replace(known)
        self._own[id(copied)] = copied
        self.state.completions[number] = (owner, copied)
        for at in range(len(agent.turns) - 1, -1, -1):
            if agent.turns[at].call is known:
                self._turn(agent, at).call = copied
                return
        for at in range(len(agent.calls) - 1, -1, -1):
            if agent.calls[at] is known:
                agent.calls[at] = copied
                return

    def _cell(self, agent: AgentState, number: int) -> None:
        for at in range(len(agent.turns) - 1, -1, -1):
            cells = agent.turns[at].cells
            for place in range(len(cells) - 1, -1, -1):
                if cells[place].cell == number:
                    self._turn(agent, at).cells[place] = replace(cells[place])
                    return
        if agent.look is not None and agent.look.cell == number:
            agent.look = replace(agent.look)
