"""A run as a notebook or as a script: each agent's code in order, with what it showed. Made from the tree.

What a model or data wrote stays data: prose becomes block quotes of plain text, and code that a notebook would
run is the agents' own. The notebook is for reading; to run it again, the data must be there under its names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rlm_jupyter.events.agreement import agreement_text
from rlm_jupyter.models.openai.chat_replies import clean_text
from rlm_jupyter.values.charts.embedded import checked

if TYPE_CHECKING:
    from rlm_jupyter.events.tree_state import AgentState, CellState, TreeState, TurnState

_LINE_END = re.compile(r"\r\n|\r|\n")
_NO_ID = re.compile(r"[^0-9A-Za-z.-]")


def to_notebook(tree: TreeState) -> dict[str, Any]:
    """Returns the run as a notebook (nbformat 4.5): a section for each agent, a cell for each of its cells."""
    cells: list[dict[str, Any]] = [_markdown(_head(tree))]
    for agent in _in_order(tree):
        cells.append(_markdown(_section(agent)))
        cells += [_code(agent.look)] if agent.look is not None else []
        for turn in agent.turns:
            if prose := _prose(turn):
                cells.append(_markdown(prose))
            cells += [_code(cell) for cell in turn.cells]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"language_info": {"name": "python"}, "rlm_jupyter": {"run": tree.run}},
        "cells": cells,
    }


def to_script(tree: TreeState) -> str:
    """Returns the run as a Python script of `# %%` cells: headings and prose are comments."""
    parts = ["# %% [markdown]\n" + _commented(_head(tree))]
    for agent in _in_order(tree):
        parts.append("# %% [markdown]\n" + _commented(_section(agent)))
        parts += [f"# %%\n{agent.look.code}"] if agent.look is not None else []
        for turn in agent.turns:
            if prose := _prose(turn):
                parts.append("# %% [markdown]\n" + _commented(prose))
            parts += [f"# %%\n{cell.code}" for cell in turn.cells]
    return clean_text("\n\n".join(parts) + "\n")


def _in_order(tree: TreeState, agent_id: str = "0") -> Iterator[AgentState]:
    """Yields the agents as one reads the tree: a parent, then its children with theirs."""
    todo = [agent_id] if agent_id in tree.agents else []
    while todo:
        agent = tree.agents[todo.pop()]
        yield agent
        todo += reversed(agent.children)


def _head(tree: TreeState) -> str:
    cost = "?" if tree.cost is None else f"{tree.cost:.4f}"
    tokens = tree.input_tokens + tree.output_tokens
    lines = [
        f"# Run {_id(tree.run)}",
        _quoted(tree.question),
        f"{tree.status} · {len(tree.agents)} agents · {tree.calls} calls · {tokens:,} tokens · {cost} USD · model",
        _quoted(tree.model),
    ]
    if tree.agreement is not None:
        lines.append(f"Samples: {agreement_text(tree.agreement)}")
    if tree.provenance:
        lines.append(_quoted(tree.provenance))
    return "\n\n".join(lines)


def _section(agent: AgentState) -> str:
    level = "#" * min(6, 2 + agent.depth)
    parts = [f"{level} Agent {_id(agent.id)} · {agent.status}", _quoted(agent.question)]
    if agent.error:
        parts.append(_quoted(agent.error))
    return "\n\n".join(parts)


def _prose(turn: TurnState) -> str:
    """What the model said besides its code; empty if it said only code."""
    text = turn.call.text
    for cell in turn.cells:
        text = text.replace(cell.code, "")
    lines = [line for line in lines_of(text) if not line.strip().startswith(("```", "~~~"))]
    said = "\n".join(lines).strip()
    return _quoted(said) if said else ""


def lines_of(text: str) -> list[str]:
    """Cut a text where Markdown and Python end a line, and not at the other characters that `splitlines` knows."""
    return _LINE_END.split(text)


def _id(text: str) -> str:
    """Return an id as the engine makes them; a log that somebody made may have any text in its place."""
    return _NO_ID.sub("_", text[:80])


def _quoted(text: str) -> str:
    """Put text that a model or data wrote in an indented block, where Markdown has no meaning."""
    return "\n".join(f"    {line}" for line in lines_of(text))


def _commented(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in lines_of(text))


def _markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": clean_text(text)}


def _code(cell: CellState) -> dict[str, Any]:
    outputs: list[dict[str, Any]] = []
    if cell.output:
        outputs.append({"output_type": "stream", "name": "stdout", "text": clean_text(cell.output)})
    outputs += [
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"image/png": png, "text/plain": clean_text(shown.summary)},
        }
        for shown in cell.pictures
        if (png := checked(shown.png))
    ]
    return {
        "cell_type": "code",
        "metadata": {},
        "execution_count": cell.cell,
        "source": clean_text(cell.code),
        "outputs": outputs,
    }
