"""What skills bind, as source that stands by itself, for the code behind an answer."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from rlm_jupyter.tools.tool_source import tool_source

if TYPE_CHECKING:
    from rlm_jupyter.tools.skills.skill import Skill


def skill_sources(skills: Mapping[str, Skill]) -> dict[str, str]:
    """Returns the source of each function and class that skills bind: a comment with the reason if there is none.

    Of a module it is the whole module, whose parts use each other.

    Args:
        skills: by name.
    """
    found: dict[str, str] = {}
    for skill in skills.values():
        for module, source in skill.modules.items():
            found.setdefault(module, f"# it is a module of the skill `{skill.name}`.")
            tree = ast.parse(source)
            other = next((name for name in _imported(tree) if name in skill.modules), None)
            reason = f"# its module imports `{other}`, which is another module of the skill `{skill.name}`."
            for name in _defined(tree, skill.modules):
                found.setdefault(name, source.strip() if other is None else reason)
        for name, tool in skill.tools.items():
            found.setdefault(name, tool_source(tool))
    return found


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.partition(".")[0]


def _defined(tree: ast.Module, modules: Collection[str]) -> list[str]:
    """Returns the names of a module's functions and classes."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in tree.body if isinstance(node, kinds) and node.name not in modules]
