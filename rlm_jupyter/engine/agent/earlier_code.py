"""The code of earlier turns that made what newer code reads: a condition that it used holds for what comes after it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Final

_MOST_CHARS: Final = 50_000


@dataclass
class EarlierCode:
    """Of one agent: its code, and which of it is behind each of its variables."""

    _codes: list[str] = field(default_factory=list)
    _behind: dict[str, frozenset[int]] = field(default_factory=dict)

    def with_code(self, code: str, tree: ast.Module) -> str:
        """Returns code with the earlier code behind the variables that it reads, before it.

        Args:
            code: that ran.
            tree: of it.
        """
        parts: list[str] = []
        left = _MOST_CHARS - len(code)
        for number in sorted(self._read_by(tree), reverse=True):
            left -= len(self._codes[number])
            if left < 0:
                break
            parts.insert(0, self._codes[number])
        return "\n".join([*parts, code])

    def remember(self, code: str, tree: ast.Module) -> None:
        """Take note of the variables that code has bound or changed.

        Args:
            code: that ran.
            tree: of it.
        """
        behind = self._read_by(tree) | {len(self._codes)}
        self._codes.append(code)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._behind[node.id] = behind
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self._behind[node.name] = behind
            elif (
                isinstance(node, (ast.Subscript, ast.Attribute))
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
            ):  # `rows["month"] = ...`: the table is another than before
                self._behind[node.value.id] = behind

    def _read_by(self, tree: ast.Module) -> frozenset[int]:
        """Returns the numbers of the codes behind the variables that a tree reads."""
        names = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        return frozenset[int]().union(*(self._behind.get(name, frozenset()) for name in names))
