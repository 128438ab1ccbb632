"""The parts of an answer that a display writes down (`FINAL({"total": a, "late": b})`), and what each rests on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlm_jupyter.answer_code import vocabulary as words
from rlm_jupyter.answer_code.effects import Scan
from rlm_jupyter.answer_code.scopes import bound_in, is_future, is_star, loads
from rlm_jupyter.answer_code.steps import Step

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.slicing import AgentSlice
    from rlm_jupyter.answer_code.statements import Unit

Key = str | int | float | bool | None
"""Of a dict, a key; of a list or tuple, a place counted from 0."""


_MOST_WORK = 100_000
"""Parts times statements: where there are more, each part rests on the whole."""


@dataclass
class AnswerPart:
    """What a part of the answer rests on.

    Attributes:
        of_root: for each step of the root, whether it needs it.
        children: the ids of the sub-agents that these started.
    """

    of_root: list[bool]
    children: set[str]


def answer_parts(sliced: AgentSlice) -> dict[Key, AnswerPart]:
    """Returns the parts of an agent's answer by their keys; empty if the code does not tell them apart.

    Args:
        sliced: the slice of the agent.
    """
    if sliced.dynamic or sliced.final is None or sliced.returns is None:
        return {}
    display, before, end = sliced.returns, sliced.units, [sliced.final]
    if isinstance(display, ast.Name):
        named = _bound_by(display.id, sliced.units)
        if named is None:
            return {}
        at = sliced.units.index(named)
        display, before, end = named.node.value, sliced.units[:at], [named, sliced.final]  # type: ignore[attr-defined]
    parts: dict[Key, AnswerPart] = {}
    written = list(_written_parts(display))
    if len(written) * len(before) > _MOST_WORK:
        return {}
    for key, value in written:
        units, _ = sliced.exact.backward(before, value, end[0], set())
        asks = Scan.of(ast.Expr(value), sliced.facts).reads & words.WORDS
        asking = [*_asking(units), *(end[:1] if asks else [])]
        needed = {id(unit) for unit in (*units, *end)}
        of_root = [id(unit) in needed for unit in (*sliced.units, sliced.final)]
        parts[key] = AnswerPart(of_root, {child for unit in asking for child in unit.cell.children})
    return parts


def steps_of_part(steps: list[Step], part: AnswerPart, root: str) -> list[Step]:
    """Returns those steps of the code that a part rests on, with those of its sub-agents and all below them.

    Args:
        steps: of the code.
        part: of the answer.
        root: the id of the agent that gave it.
    """
    below = tuple(f"{child}." for child in part.children)
    own = iter(part.of_root)
    return [
        step for step in steps if (next(own) if step.agent == root else f"{step.agent}.".startswith(below))
    ]


def _asking(units: list[Unit]) -> list[Unit]:
    """Returns the statements that may start sub-agents; all of them if a class does it, in some method."""
    if any(isinstance(unit.node, ast.ClassDef) and loads([unit.node]) & words.WORDS for unit in units):
        return units
    return [unit for unit in units if unit.effects.reads & words.WORDS]


def _bound_by(name: str, units: list[Unit]) -> Unit | None:
    """Returns the statement that bound a name to a display, if nothing that is kept has touched it since."""
    last = next((unit for unit in reversed(units) if not (is_star(unit.node) or is_future(unit.node))), None)
    if last is None or last.raised or bound_in([last.node]) != {name}:
        return None
    node = last.node
    single = isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    return last if single or (isinstance(node, ast.AnnAssign) and node.value is not None) else None


def _written_parts(display: ast.expr) -> Iterator[tuple[Key, ast.expr]]:
    """Returns the keys and expressions of a display; none if a key is only known when it runs."""
    pairs: list[tuple[ast.expr | None, ast.expr]] = []
    if isinstance(display, ast.Dict):
        pairs = list(zip(display.keys, display.values, strict=True))
    elif isinstance(display, (ast.List, ast.Tuple)):
        stars = any(isinstance(one, ast.Starred) for one in display.elts)
        pairs = [] if stars else [(ast.Constant(at), one) for at, one in enumerate(display.elts)]
    elif isinstance(display, ast.Call) and isinstance(display.func, ast.Name) and display.func.id == "dict":
        given = [] if display.args else [(keyword.arg, keyword.value) for keyword in display.keywords]
        pairs = [(None if name is None else ast.Constant(name), value) for name, value in given]
    known = [
        (key.value, value)
        for key, value in pairs
        if isinstance(key, ast.Constant) and isinstance(key.value, (str, int, float, bool, type(None)))
    ]
    if len(known) == len(pairs):
        yield from known
