"""The values that a variable had one after another, told apart: each has a name of its own, such as `rows#2`.

A cell that binds a name anew ends what was true of it before: whom it shared objects with, which functions it held.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from rlm_jupyter.answer_code.scopes import SCOPES, free_names, loads, names_in

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.statements import Unit

_MARK = "#"
_IN_TEXT = re.compile(r"@([A-Za-z_]\w*)")
_Node = TypeVar("_Node", bound=ast.AST)


class Versions:
    """Statements of an agent with a name for each value of a variable.

    Only a statement that binds a name in any case begins a new one. Names that functions and generators use when they
    are called, and names in texts, stay as they are: which value they mean is known only when the code runs.

    Args:
        units: statements, in the order in which they ran.

    Attributes:
        nodes: the statements with these names.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self._fixed = _fixed([unit.node for unit in units])
        self._current: dict[str, str] = {}
        self._count: dict[str, int] = {}
        self._before: dict[int, dict[str, str]] = {}
        self.nodes: list[ast.stmt] = [self._of(unit) for unit in units]

    def at(self, unit: Unit | None, node: _Node) -> _Node:
        """Returns an expression as it was before a statement; None: after all of them."""
        current = self._current if unit is None else self._before[id(unit)]
        return _renamed(node, current)

    def all_of(self, names: Iterable[str]) -> set[str]:
        """Returns the names of all values that variables had."""
        found = set(names)
        return found | {
            f"{name}{_MARK}{number}" for name in found for number in range(1, self._count.get(name, 0) + 1)
        }

    def _of(self, unit: Unit) -> ast.stmt:
        self._before[id(unit)] = before = self._current
        node = unit.node
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        bound = {name for target in targets for name in names_in(target)} - self._fixed
        if unit.raised or not bound or loads(targets) & bound:
            return _renamed(node, before)
        after = {**before, **{name: self._next(name) for name in bound}}
        self._current = after
        made = copy.copy(node)
        for name in ("value", "annotation"):
            if (part := getattr(node, name, None)) is not None:
                setattr(made, name, _renamed(part, before))
        if isinstance(made, ast.Assign):
            made.targets = [_renamed(target, after) for target in targets]
        elif isinstance(made, ast.AnnAssign):
            made.target = _renamed(made.target, after)
        return made

    def _next(self, name: str) -> str:
        self._count[name] = self._count.get(name, 0) + 1
        return f"{name}{_MARK}{self._count[name]}"


def plain(name: str) -> str:
    """Returns the name of the variable."""
    return name.partition(_MARK)[0]


def is_first(name: str) -> bool:
    """Returns whether a name stands for what a variable was before any statement bound it."""
    return _MARK not in name


def _fixed(nodes: list[ast.stmt]) -> set[str]:
    """Returns the names whose value in a piece of code is known only when it runs."""
    found: set[str] = set()
    for node in (one for statement in nodes for one in ast.walk(statement)):
        if isinstance(node, SCOPES):
            found |= free_names(node) | ({node.name} if not isinstance(node, ast.Lambda) else set())
        elif isinstance(node, ast.GeneratorExp):
            found |= free_names(node) - loads([node.generators[0].iter])
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            found |= set(node.names)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(_IN_TEXT.findall(node.value))
    return found


def _renamed(node: _Node, names: dict[str, str]) -> _Node:
    """Returns a copy of code that uses other names."""
    made = copy.deepcopy(node)
    for one in ast.walk(made):
        if isinstance(one, ast.Name):
            one.id = names.get(one.id, one.id)
    return made
