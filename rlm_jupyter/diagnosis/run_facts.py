"""What a diagnosis reads: the tree of a run, and what of its events no tree keeps, in one pass over them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agent_state import AgentState, CallState, CellState, TurnState
from rlm_jupyter.events.tree_state import TreeState


@dataclass
class RunFacts:
    """A run as its events tell it.

    Attributes:
        tree: after the last event.
        rejected: of each agent, the turns in which an answer was sent back, with the reasons.
        replaced: of each agent, how often its kernel was replaced.
        waits: seconds that were waited, by reason, and how often.
    """

    tree: TreeState
    rejected: defaultdict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    replaced: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    waits: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, events: Iterable[ev.AnyEvent]) -> RunFacts:
        """Fold the events of a run."""
        facts = cls(TreeState())
        begun: dict[tuple[str, str], float] = {}
        for event in events:
            facts.tree.apply(event)
            match event:
                case ev.ValueRejected():
                    facts.rejected[event.agent].append((facts.turn_of(event.agent), event.reason))
                case ev.Notice(text=ev.KERNEL_REPLACED):
                    facts.replaced[event.agent] += 1
                case ev.Waiting() if event.call is not None and event.seconds:
                    facts.waits[event.reason].append(event.seconds)  # how long is told when it begins
                case ev.Waiting() if event.call is None and event.seconds != 0:
                    begun[event.agent, event.reason] = event.time
                case ev.Waiting() if event.call is None:
                    since = begun.pop((event.agent, event.reason), event.time)
                    facts.waits[event.reason].append(max(0.0, event.time - since))
        return facts

    def turn_of(self, agent: str) -> int:
        """Returns the newest turn of an agent; 0 before its first."""
        state = self.tree.agents.get(agent)
        return state.turns[-1].turn if state is not None and state.turns else 0

    def agents(self) -> Iterator[AgentState]:
        """Yields the agents in the order in which they started."""
        yield from self.tree.agents.values()

    def cells(self) -> Iterator[tuple[AgentState, TurnState, CellState]]:
        """Yields all cells, each with its agent and its turn."""
        for agent in self.agents():
            for turn in agent.turns:
                for cell in turn.cells:
                    yield agent, turn, cell

    def calls(self) -> Iterator[tuple[AgentState, CallState]]:
        """Yields all completions, each with its agent."""
        for agent in self.agents():
            for turn in agent.turns:
                yield agent, turn.call
            for call in agent.calls:
                yield agent, call
