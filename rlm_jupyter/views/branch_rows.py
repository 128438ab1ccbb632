"""A run's tree with its branches in it: below the agent that a branch leaves, a row for it, and its own agents below.

A branch is a run of its own: its root is agent `0` there, and `0~1` below agent `0` here, its sub-agent `0.2` is
`0~1.2`. What it spent is its own, and in no figure of the run that it leaves. Of a branch that only a log tells of,
there is one row, which names the log of the branch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from rlm_jupyter.events.tree_state import AgentState, BranchState, TreeState
from rlm_jupyter.text import units as fmt
from rlm_jupyter.text.sanitize import one_line

MOST = 20
"""Branches of one run with a row."""

DEEPEST = 4
"""Branches of branches that are drawn."""

_MOST_AGENTS = 5000
"""Of all branches together."""

_OWN = re.compile(r"0(?=[.~]|$)")
CHANGED = {"code": "with other code", "observation": "with another observation"}


def with_branches(state: TreeState, *, level: int = 0) -> TreeState:
    """Returns a tree with its branches as agents, each with its `branch`; of a run without any the tree itself.

    Args:
        state: the tree; hold the run's lock while it is live.
        level: how many branches it is below the run that is drawn.
    """
    if not state.branches or any(agent.branch in state.branches for agent in state.agents.values()):
        return state
    agents = dict(state.agents)
    for branch in list(state.branches.values())[:MOST]:
        home = agents.get(branch.agent) or next(iter(agents.values()), None)
        if home is None or len(agents) - len(state.agents) >= _MOST_AGENTS:
            break
        row = _free_row(home.id, agents)
        tree = state.branch_trees.get(branch.run)
        below = {} if tree is None or level >= DEEPEST else _agents_of(tree, branch, row, home, level)
        if row not in below:
            below = {row: _bare_row(branch, row, home)}
        agents.update(below)
        # Before its sub-agents: of many of these, the last ones are only counted.
        own = [child for child in home.children if agents[child].branch == home.branch]
        branched = [child for child in home.children if agents[child].branch != home.branch]
        agents[home.id] = replace(home, children=[*branched, row, *own])
    return replace(state, agents=agents)


class BranchedView:
    """The tree of a run that is drawn again and again: made anew where it changed."""

    def __init__(self) -> None:
        self._key: tuple[str, int] | None = None
        self._made: TreeState | None = None

    def of(self, state: TreeState) -> TreeState:
        """Returns a tree with its branches, as `with_branches`; hold the run's lock."""
        if not state.branches:
            return state
        if self._made is None or self._key != (state.run, state.seq):
            self._key, self._made = (state.run, state.seq), with_branches(state)
        return self._made

    def let_go(self) -> None:
        """Hold no tree any longer."""
        self._made = None


def branches_told(state: TreeState) -> str | None:
    """Returns in a line how many branches a run has, and what is spent with them; None if it has none."""
    if not state.branches:
        return None
    own = _spent(state)
    total = None if own is None or state.cost is None else own + state.cost
    more = len(state.branches) - MOST
    unseen = f"; {more:,} of them have no row" if more > 0 else ""
    beside = f"not in the figures of this run; with branches {fmt.money(total)}"
    return f"{len(state.branches)}, {fmt.money(own)}, {beside}{unseen}"


def branches_of_turn(state: TreeState, agent: AgentState) -> Mapping[int, list[tuple[str, str]]]:
    """Returns the branches of an agent by the number of the turn that they leave: the id and the title of each row."""
    found: dict[int, list[tuple[str, str]]] = {}
    for id_ in agent.children:
        child = state.agents.get(id_)
        if child is not None and child.branch != agent.branch and child.branch in state.branches:
            branch = state.branches[child.branch]
            found.setdefault(branch.turn, []).append((id_, title(branch)))
    return found


def title(branch: BranchState) -> str:
    """Returns the name of a branch's row: `branch: turn 2, with other code`."""
    return f"branch: turn {branch.turn}, {CHANGED[branch.change]}"


def _spent(state: TreeState, level: int = 0) -> float | None:
    """Returns what the branches of a run have spent, with their branches; None if a part of it is not known."""
    total = 0.0
    for branch in state.branches.values():
        tree = state.branch_trees.get(branch.run)
        cost = branch.cost if tree is None else tree.cost
        below = _spent(tree, level + 1) if tree is not None and level < DEEPEST else 0.0
        if cost is None or below is None:
            return None
        total += cost + below
    return total


def _free_row(home: str, agents: Mapping[str, AgentState]) -> str:
    number = 1
    while f"{home}~{number}" in agents:
        number += 1
    return f"{home}~{number}"


def _agents_of(
    tree: TreeState, branch: BranchState, row: str, home: AgentState, level: int
) -> dict[str, AgentState]:
    """Returns the agents of a branch as they are called below its row."""
    made: dict[str, AgentState] = {}
    for agent in list(with_branches(tree, level=level + 1).agents.values())[:_MOST_AGENTS]:
        if not _OWN.match(agent.id):
            continue
        id_ = _OWN.sub(row, agent.id, count=1)
        parent = home.id if agent.parent is None else _OWN.sub(row, agent.parent, count=1)
        made[id_] = replace(
            agent,
            id=id_,
            parent=parent,
            depth=home.depth + 1 + agent.depth,
            children=[_OWN.sub(row, child, count=1) for child in agent.children],
            branch=agent.branch or branch.run,
            seq=branch.seq + agent.seq,
        )
    for agent in made.values():
        agent.children = [child for child in agent.children if child in made]
    if (root := made.get(row)) is not None:
        root.name, root.notices = title(branch), [*root.notices, _told(branch)]
    return made


def _bare_row(branch: BranchState, row: str, home: AgentState) -> AgentState:
    where = f": see its log `{one_line(branch.log, 80)}`" if branch.log else ""
    more = f" with {fmt.amount(branch.agents, 'agent')}" if branch.agents else ""
    return AgentState(
        id=row,
        parent=home.id,
        depth=home.depth + 1,
        question=f"{title(branch)}{more}{where}",
        name=f"{title(branch)}{f' → {one_line(branch.log, 80)}' if branch.log else ''}",
        model=home.model,
        started=branch.started,
        status=branch.status,
        finished=branch.finished,
        input_tokens=branch.input_tokens,
        output_tokens=branch.output_tokens,
        cost=branch.cost,
        value=branch.value,
        error=branch.error,
        notices=[_told(branch)],
        branch=branch.run,
        seq=branch.seq + (branch.finished is not None),
    )


def _told(branch: BranchState) -> str:
    log = f", log `{one_line(branch.log, 80)}`" if branch.log else ""
    return (
        f"This is run `{one_line(branch.run, 60)}`{log}, which leaves this one at turn {branch.turn} of agent "
        f"`{one_line(branch.agent, 40)}`. What it spent is its own."
    )
