"""Which names a piece of Python reads from outside of itself, and which it binds. By the syntax tree alone."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from rlm_jupyter.text.syntax_trees import syntax_tree

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_MOST_CODE = 200_000
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def parse(code: str) -> ast.Module | None:
    """Parse a cell; None if it is not plain Python, or longer than can be."""
    if len(code) > _MOST_CODE:
        return None
    try:
        return parsed(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parsed(code: str) -> ast.Module:
    """Parse code.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it cannot be parsed.
    """
    return syntax_tree(code, "<cell>")


def names_in(target: ast.AST) -> set[str]:
    """Returns the names that an assignment's target binds."""
    return {
        node.id
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }


def parameters(function: Function) -> list[str]:
    """Returns the names of a function's parameters."""
    arguments = function.args
    found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    found += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    return [one.arg for one in found]


def own_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yields all nodes of a scope, but none of what runs in a scope of its own: functions, classes, comprehensions."""
    todo = list(body)
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, SCOPES):
            todo += evaluated(node)
        elif isinstance(node, COMPREHENSIONS):
            todo.append(node.generators[0].iter)
        else:
            todo += list(ast.iter_child_nodes(node))


def evaluated(scope: Function | ast.ClassDef) -> list[ast.expr]:
    """Returns what is evaluated where a function or a class is defined: decorators, defaults, annotations, bases."""
    if isinstance(scope, ast.ClassDef):
        return [*scope.decorator_list, *scope.bases, *(keyword.value for keyword in scope.keywords)]
    found = [*scope.args.defaults, *(default for default in scope.args.kw_defaults if default)]
    if isinstance(scope, ast.Lambda):
        return found
    noted = [one.annotation for one in ast.walk(scope.args) if isinstance(one, ast.arg)]
    return [*scope.decorator_list, *found, *(one for one in (*noted, scope.returns) if one is not None)]


def bound_in(body: Iterable[ast.AST]) -> set[str]:
    """Returns the names that a scope binds, by assignment, import, definition, loop, `with`, `except`, `match`."""
    found: set[str] = set()
    for node in own_nodes(body):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= import_names(node)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            found.add(node.rest)
        elif isinstance(node, COMPREHENSIONS):  # `:=` binds in the scope around it
            found |= {one.target.id for one in ast.walk(node) if isinstance(one, ast.NamedExpr)}
    return found


def import_names(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Returns the names that an import binds; `*` for all of a module."""
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    return {alias.asname or alias.name.partition(".")[0] for alias in node.names}


def is_star(node: ast.stmt) -> bool:
    """Returns whether a statement imports all names of a module."""
    return isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)


def is_future(node: ast.stmt) -> bool:
    """Returns whether a statement changes how Python reads what follows."""
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def free_names(scope: ast.AST) -> set[str]:
    """Returns the names that a function, a class or a comprehension reads from outside of it, when it runs."""
    own: set[str] = set()
    body: list[ast.AST]
    if isinstance(scope, COMPREHENSIONS):
        parts = [scope.key, scope.value] if isinstance(scope, ast.DictComp) else [scope.elt]
        body = [*parts, *(part for one in scope.generators for part in (one.iter, *one.ifs))]
        own = {name for one in scope.generators for name in names_in(one.target)}
    elif isinstance(scope, ast.Lambda):
        body, own = [scope.body], set(parameters(scope))
    elif isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
        body = list(scope.body)
        own = set(parameters(scope)) | bound_in(body)
    elif isinstance(scope, ast.ClassDef):
        body = list(scope.body)
        own = bound_in(body)
    else:
        body = [scope]
    outer = {
        name
        for node in own_nodes(body)
        if isinstance(node, (ast.Global, ast.Nonlocal))
        for name in node.names
    }
    return (loads(body) - (own - outer)) | outer


def loads(body: Iterable[ast.AST]) -> set[str]:
    """Returns all names that a scope reads, in the scopes within it too."""
    found: set[str] = set()
    for node in own_nodes(body):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (*SCOPES, *COMPREHENSIONS)):
            found |= free_names(node)
    return found
