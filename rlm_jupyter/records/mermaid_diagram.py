"""A run as a Mermaid diagram: its agents as a flowchart, as text that Markdown renderers and mermaid.live draw."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rlm_jupyter.text import units as fmt
from rlm_jupyter.text.sanitize import one_line

if TYPE_CHECKING:
    from rlm_jupyter.events.agent_state import AgentState
    from rlm_jupyter.events.tree_state import TreeState

MOST_AGENTS: Final = 200
"""Agents that are drawn; the others are counted. Mermaid draws 500 edges at most."""
_QUESTION: Final = 80
_VALUE: Final = 60
_NAME: Final = 40
_PLAIN: Final = frozenset(" .,:·-_=?!")
"""Characters besides letters and digits that mean nothing to Mermaid within quotes."""
_FORMULA: Final = re.compile(r"\$(?=\$)")
"""What stands between two pairs of dollars is a formula for Mermaid, once codes have become characters again."""
_WORDS: Final = ("style", "classDef")
"""Words behind which Mermaid takes a semicolon for the end of a line of its own, also within quotes: see
`encodeEntities` in https://github.com/mermaid-js/mermaid/blob/develop/packages/mermaid/src/utils.ts."""

_STYLES: Final = {
    "done": "fill:#e8f5e9,stroke:#2e7d32,color:#1b1b1b",
    "failed": "fill:#ffebee,stroke:#c62828,color:#1b1b1b",
    "limit": "fill:#fff8e1,stroke:#ef6c00,color:#1b1b1b",
    "stopped": "fill:#eceff1,stroke:#546e7a,color:#1b1b1b",
    "running": "fill:#e3f2fd,stroke:#1565c0,color:#1b1b1b",
}


def to_mermaid(tree: TreeState) -> str:
    """Returns a run as the text of a Mermaid flowchart: a box for each agent, an arrow to each of its sub-agents.

    Texts of models and data stand in quotes with all that Mermaid could read as syntax written as character codes.

    Args:
        tree: the run's state; hold the run's lock while it is live.
    """
    return "\n".join(_lines(tree)) + "\n"


def _lines(tree: TreeState) -> Iterator[str]:
    run = _label(tree.run, _NAME)
    yield "---"
    yield f'title: "RLM run {_in_yaml(tree.run)}"'
    yield "---"
    yield "flowchart TD"
    for status, style in _STYLES.items():
        yield f"    classDef {status} {style}"
    agents = list(tree.agents.values())[:MOST_AGENTS]
    boxes = {agent.id: f"agent{number}" for number, agent in enumerate(agents)}
    if not agents:
        yield f'    run["{run}: no agent began"]'
    for agent in agents:
        yield f'    {boxes[agent.id]}["{_text(tree, agent)}"]:::{_status(agent)}'
    for agent in agents:
        if agent.parent in boxes:
            yield f"    {boxes[agent.parent]} --> {boxes[agent.id]}"
    if (left := len(tree.agents) - len(agents)) > 0:
        yield f'    more["and {fmt.amount(left, "more agent")}"]'


def _text(tree: TreeState, agent: AgentState) -> str:
    """Returns what stands in the box of an agent: who it is, what it took, what it was asked and answered."""
    model = [] if agent.model == tree.model else [_label(agent.model, _NAME)]
    spent = [
        fmt.amount(len(agent.turns), "turn"),
        f"{fmt.count(agent.input_tokens + agent.output_tokens)} tokens",
        _label(fmt.money(agent.cost), _NAME),
        fmt.duration(max(0.0, (agent.finished or tree.finished or tree.last) - agent.started)),
    ]
    lines = [
        " · ".join([_label(agent.id, _NAME), agent.status, *model]),
        " · ".join(spent),
        _label(agent.name or agent.question, _QUESTION),
    ]
    if agent.value is not None:
        lines.append(f"= {_label(agent.value.get('summary', ''), _VALUE)}")
    return "<br/>".join(line for line in lines if line)


def _status(agent: AgentState) -> str:
    return agent.status if agent.status in _STYLES else "running"


def _label(text: object, limit: int) -> str:
    """Returns a text on one line, with a character code for all that could be syntax or markup."""
    coded = "".join(
        char if char.isalnum() or char in _PLAIN else f"#{ord(char)};"
        for char in _FORMULA.sub("$ ", one_line(text, limit))
    )
    for word in _WORDS:
        coded = coded.replace(word, f"#{ord(word[0])};{word[1:]}")
    return coded


def _in_yaml(text: object) -> str:
    """Returns a text for a quoted value of the head, in which no character codes are read."""
    return "".join(
        char for char in one_line(text, _NAME) if char.isascii() and (char.isalnum() or char in "-_")
    )
