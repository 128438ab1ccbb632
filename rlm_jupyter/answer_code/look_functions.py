"""The functions that a first look binds in an agent's kernel, as plain source, for code that still calls them."""

from __future__ import annotations

import ast
import copy
import inspect
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import ModuleType

from rlm_jupyter.answer_code.scopes import bound_in, import_names, loads, parsed
from rlm_jupyter.guest import clean_tables, code_table, text_labels, text_lines, text_parts

_CLASSIFY = "classify"
_SOURCES: dict[ModuleType, tuple[str, ...]] = {
    text_lines: ("parse_lines", "other_lines", "find_lines"),
    clean_tables: ("clean_table", "join_tables"),
    code_table: ("parse_code",),
    text_labels: ("label_texts",),
    text_parts: ("grep", "chunks"),
}

_OF_SHORT = {"io": "import io", "json": "import json", "pd": "import pandas as pd", "re": "import re"}
"""Name to import of what the short functions use."""


@dataclass
class LookSource:
    """Source of what a first look binds.

    Attributes:
        imports: name to the line that imports it.
        parts: definitions, in the order in which they can run.
    """

    imports: dict[str, str] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)


def look_source(
    names: Collection[str], ask: str, imports: Mapping[str, str], short: Mapping[str, str]
) -> LookSource:
    """Returns the source of functions of a first look, with what they use and nothing else.

    Args:
        names: of the functions.
        ask: an expression that answers the prompt `prompt`, for `classify`.
        imports: name to import of the code that they stand in; those that it lacks are in the result.
        short: name to source of functions that do the same for the data of the run in a few lines.
    """
    made, taken = LookSource(), set[str]()
    clear = all(imports.get(name, line) == line for name, line in _OF_SHORT.items())
    own = [name for name in sorted(names) if clear and name in short]
    for name in own:
        made.parts.append(short[name])
        made.imports |= {
            used: line for used, line in _OF_SHORT.items() if re.search(rf"\b{used}\.", short[name])
        }
    wanted = {*names, "label_texts"} if _CLASSIFY in names else set(names)
    wanted -= set(own)
    for module, offered in _SOURCES.items():
        chosen = [name for name in offered if name in wanted]
        if not chosen:
            continue
        last = module.__name__.rpartition(".")[2]
        defined: list[ast.stmt] = []
        other: dict[str, str] = {}
        for node in _needed(parsed(inspect.getsource(module)), chosen):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                other |= _import(node, imports, f"_{last}", made.imports)
            else:
                defined.append(node)
        other |= {name: f"{name}_{last}" for name in bound_in(defined) & taken}
        made.parts.append(_unparsed([_Renamed(other).visit(node) for node in defined]))
        taken |= bound_in(defined)
    if _CLASSIFY in names:
        made.parts.append(
            f"def {_CLASSIFY}(texts, labels):\n"
            f"    return label_texts(texts, labels, lambda prompts: [{ask} for prompt in prompts])"
        )
    return made


def _import(
    node: ast.Import | ast.ImportFrom, known: Mapping[str, str], ending: str, into: dict[str, str]
) -> dict[str, str]:
    """Note an import, under another name where the code means something else by it; return the names so changed."""
    other: dict[str, str] = {}
    for alias in node.names:
        one = copy.copy(node)
        one.names = [alias]
        name, line = next(iter(import_names(one))), ast.unparse(one)
        if known.get(name, line) != line:
            other[name] = f"{name}{ending}"
            one.names = [ast.alias(alias.name, other[name])]
            name, line = other[name], ast.unparse(one)
        into[name] = line
    return other


def _needed(tree: ast.Module, names: list[str]) -> list[ast.stmt]:
    """Returns the statements of a module that these names need, without annotations and docstrings."""
    body = [_Bare().visit(node) for node in tree.body]
    binders = {name: node for node in body for name in bound_in([node])}
    todo, kept = list(names), set[str]()
    while todo:
        name = todo.pop()
        if name in kept or name not in binders:
            continue
        kept.add(name)
        todo += sorted(loads([binders[name]]))
    chosen: list[ast.stmt] = []
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            node.names = [
                alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) in kept
            ]
            if node.names:
                chosen.append(node)
        elif bound_in([node]) & kept:
            chosen.append(node)
    return chosen


class _Bare(ast.NodeTransformer):
    """Leaves out annotations and docstrings, which only readers of the package need."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return ast.copy_location(ast.Assign([node.target], node.value), node)


class _Renamed(ast.NodeTransformer):
    """Gives names another spelling, where two modules have the same."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._names.get(node.name, node.name)
        return self.generic_visit(node)


def _unparsed(body: list[ast.stmt]) -> str:
    return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))
