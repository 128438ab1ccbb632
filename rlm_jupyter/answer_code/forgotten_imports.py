"""The imports that an agent's kernel added for names that its code forgot to import."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rlm_jupyter.guest import missing_imports

if TYPE_CHECKING:
    from rlm_jupyter.answer_code.slicing import AgentSlice


def missing_import(name: str, sliced: AgentSlice) -> str | None:
    """Returns the import that the agent's kernel added for a name that its code forgot to import."""
    if name in sliced.facts.bound or name not in {*missing_imports.MODULES, *missing_imports.OBJECTS}:
        return None
    nodes: list[ast.AST] = [unit.node for unit in sliced.units]
    nodes += [sliced.returns] if sliced.returns is not None else []
    attributes = {
        one.attr
        for node in nodes
        for one in ast.walk(node)
        if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id == name
    }
    if name not in missing_imports.OBJECTS:
        return missing_imports.MODULES[name] if attributes else None
    if name not in missing_imports.MODULES:
        return missing_imports.OBJECTS[name]
    found = missing_imports.statement_for(name, attributes)
    return found[0] if found is not None else None
