"""What of one run belongs to what of another: their agents, the turns of these, and the lines of the turns' code.

Logs may be anybody's: all that is compared is bounded in number and length, and what was left out is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice, zip_longest
from typing import Any, Literal, TypeVar

from rlm_jupyter.events.tree_state import AgentState, TreeState, TurnState

T = TypeVar("T")

Verdict = Literal["same", "changed", "left", "right"]
"""Of two that belong together, or of one that only the left or only the right run has."""

MOST_AGENTS = 200
MOST_TURNS = 100
"""Turns of one agent that are compared."""
_MOST_LINES = 200
_MOST_CHARS = 400
_DEEPEST = 50
_MOST_ITEMS = 10


@dataclass(frozen=True)
class LinePair:
    """A line of code on both sides; None where one side has none."""

    left: str | None
    right: str | None

    @property
    def verdict(self) -> Verdict:
        """Whether the lines are the same."""
        return _verdict(self.left, self.right, same=self.left == self.right)


@dataclass(frozen=True)
class TurnPair:
    """A turn on both sides; None where one side has none.

    Attributes:
        lines: of the code on both sides, if it differs.
        same_output: whether what the code printed is the same.
    """

    left: TurnState | None
    right: TurnState | None
    lines: tuple[LinePair, ...] = ()
    same_output: bool = True

    @property
    def verdict(self) -> Verdict:
        """Whether the code is the same."""
        same = self.left is not None and self.right is not None and code_of(self.left) == code_of(self.right)
        return _verdict(self.left, self.right, same=same)


@dataclass(frozen=True)
class AgentPair:
    """An agent on both sides; None where one side has none.

    Attributes:
        depth: below the root.
        turns: of both.
        left_out: turns that were not compared, because there are too many.
    """

    left: AgentState | None
    right: AgentState | None
    depth: int
    turns: tuple[TurnPair, ...]
    left_out: int = 0

    @property
    def answer_verdict(self) -> Verdict:
        """Whether both gave the same answer, by what is told of it."""
        one, other = (agent.value if agent is not None else None for agent in (self.left, self.right))
        return _verdict(self.left, self.right, same=same_value(one, other))

    @property
    def verdict(self) -> Verdict:
        """Whether both did the same: the same question, code and answer."""
        if self.left is None or self.right is None:
            return _verdict(self.left, self.right, same=False)
        same = (
            self.left.question == self.right.question
            and self.left.status == self.right.status
            and same_value(self.left.value, self.right.value)
            and all(pair.verdict == "same" for pair in self.turns)
        )
        return "same" if same else "changed"


def match_agents(left: TreeState, right: TreeState) -> tuple[list[AgentPair], int]:
    """Match the agents of two runs, the root first and each followed by its sub-agents.

    Args:
        left: one run.
        right: the other one.

    Returns:
        The pairs, and how many agents were left out, because there are too many.
    """
    pairs = list(islice(_pairs(left, right, left.agents.get("0"), right.agents.get("0"), 0), MOST_AGENTS))
    told = sum((pair.left is not None) + (pair.right is not None) for pair in pairs)
    return pairs, len(left.agents) + len(right.agents) - told


def same_value(left: dict[str, Any] | None, right: dict[str, Any] | None) -> bool:
    """Returns whether two values look the same, by what is told of them."""
    if left is None or right is None:
        return left is right
    return all(left.get(name) == right.get(name) for name in ("type", "summary", "shape", "preview", "items"))


def shown_value(description: dict[str, Any] | None) -> str:
    """Returns a value itself as far as its description has it, else what it is; empty for none."""
    if description is None:
        return ""
    preview, items = description.get("preview"), description.get("items")
    if isinstance(preview, str):
        return preview
    if isinstance(items, list) and items:
        parts = [str(item.get("summary", "")) for item in items[:_MOST_ITEMS] if isinstance(item, dict)]
        more = ", ..." if len(items) > _MOST_ITEMS or description.get("truncated") else ""
        return f"{str(description.get('type', ''))[:40]}: {', '.join(parts)}{more}"
    return str(description.get("summary", ""))


def code_of(turn: TurnState) -> str:
    """Returns the code of a turn, of all its cells; of a turn without any, the reply."""
    cells = [cell.code.rstrip() for cell in turn.cells]
    return "\n\n".join(cells) if cells else turn.call.text.strip()


def _pairs(
    left: TreeState, right: TreeState, one: AgentState | None, other: AgentState | None, depth: int
) -> Iterator[AgentPair]:
    if (one is None and other is None) or depth > _DEEPEST:
        return
    yield _agent_pair(one, other, depth)
    ours, theirs = _children(left, one), _children(right, other)
    for child, its in _match_children(ours, theirs):
        yield from _pairs(left, right, child, its, depth + 1)


def _children(tree: TreeState, agent: AgentState | None) -> list[AgentState]:
    names = agent.children[:MOST_AGENTS] if agent is not None else []
    return [tree.agents[name] for name in names if name in tree.agents]


def _match_children(
    ours: list[AgentState], theirs: list[AgentState]
) -> list[tuple[AgentState | None, AgentState | None]]:
    """Match sub-agents: those that were asked the same first, then the others in their order."""
    by_question: dict[str, list[AgentState]] = {}
    for agent in theirs:
        by_question.setdefault(agent.question, []).append(agent)
    partner: dict[str, AgentState] = {}
    for agent in ours:
        if known := by_question.get(agent.question):
            partner[agent.id] = known.pop(0)
    taken = {agent.id for agent in partner.values()}
    rest = iter([agent for agent in theirs if agent.id not in taken])
    for agent in ours:
        if agent.id not in partner and (following := next(rest, None)) is not None:
            partner[agent.id] = following
    return [(agent, partner.get(agent.id)) for agent in ours] + [(None, agent) for agent in rest]


def _agent_pair(one: AgentState | None, other: AgentState | None, depth: int) -> AgentPair:
    ours = one.turns if one is not None else []
    theirs = other.turns if other is not None else []
    turns = tuple(_match_turns(ours[:MOST_TURNS], theirs[:MOST_TURNS]))
    left_out = max(0, len(ours) - MOST_TURNS) + max(0, len(theirs) - MOST_TURNS)
    return AgentPair(one, other, depth, turns, left_out)


def _match_turns(ours: Sequence[TurnState], theirs: Sequence[TurnState]) -> Iterator[TurnPair]:
    """Match turns by their code: equal ones, and between these the others in their order."""
    for one, other in _aligned(
        ours, theirs, [code_of(turn) for turn in ours], [code_of(turn) for turn in theirs]
    ):
        if one is None or other is None:
            yield TurnPair(one, other)
            continue
        printed = [[cell.output for cell in turn.cells] for turn in (one, other)]
        lines = tuple(_match_lines(code_of(one), code_of(other)))
        yield TurnPair(one, other, lines, printed[0] == printed[1])


def _match_lines(one: str, other: str) -> list[LinePair]:
    if one == other:
        return []
    ours, theirs = _lines(one), _lines(other)
    return [LinePair(left, right) for left, right in _aligned(ours, theirs, ours, theirs)]


def _lines(code: str) -> list[str]:
    lines = code[: _MOST_LINES * _MOST_CHARS].split("\n")
    more = [f"... {len(lines) - _MOST_LINES:,} more lines"] if len(lines) > _MOST_LINES else []
    return [line[:_MOST_CHARS] for line in lines[:_MOST_LINES]] + more


def _aligned(
    ours: Sequence[T], theirs: Sequence[T], keys: Sequence[str], other_keys: Sequence[str]
) -> Iterator[tuple[T | None, T | None]]:
    for kind, a, b, c, d in SequenceMatcher(None, keys, other_keys, autojunk=False).get_opcodes():
        if kind in ("equal", "replace"):
            yield from zip_longest(ours[a:b], theirs[c:d])
        else:
            yield from ((one, None) for one in ours[a:b])
            yield from ((None, other) for other in theirs[c:d])


def _verdict(left: object, right: object, *, same: bool) -> Verdict:
    if left is None:
        return "right"
    if right is None:
        return "left"
    return "same" if same else "changed"
