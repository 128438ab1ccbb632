"""A function as source and what it needs, for where its code cannot travel as such.

That is so where something that it names cannot be pickled though it is plain by itself, and where the agent's
kernel is another version of Python, which cannot read this one's bytecode.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import os
import textwrap
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

from rlm_jupyter.values.codec import api as codec


class NoSourceError(ValueError):
    """A function cannot be sent as source; the message says why."""


def source_form(function: Callable[..., Any], is_users: Callable[[object], bool]) -> dict[str, Any]:
    """Returns a function as plain data: its source, and the modules, names and values that it uses.

    Args:
        function: a `def` of a cell or a file.
        is_users: whether a thing is the user's own, so that an agent's kernel cannot import it.

    Returns:
        `name`; `sources` of the function and those it calls; `modules` name → module; `names` name → (module,
        attribute); `values` name → plain data.

    Raises:
        NoSourceError: it has no source, or uses what is neither importable nor plain data.
    """
    form: dict[str, Any] = {
        "name": function.__name__,
        "sources": [],
        "modules": {},
        "names": {},
        "values": {},
    }
    _collect(function, form, is_users, set())
    return form


def _collect(
    function: Callable[..., Any], form: dict[str, Any], is_users: Callable[[object], bool], seen: set[str]
) -> None:
    if not isinstance(function, FunctionType):
        raise NoSourceError("it is not a plain function")
    seen.add(function.__name__)
    tree = _definition(function)
    for name, value in _used(function, tree).items():
        if name in seen:
            continue
        if isinstance(value, ModuleType):
            if is_users(value):
                raise NoSourceError(f"it uses your own module `{value.__name__}`")
            form["modules"][name] = value.__name__
        elif not is_users(value) and (place := _importable(value)) is not None:
            form["names"][name] = place
        elif isinstance(value, FunctionType) and value.__name__ == name:
            _collect(value, form, is_users, seen)
        else:
            form["values"][name] = _plain(name, value)
    form["sources"].append(ast.unparse(tree))


def _definition(function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """Parse a function's source, without its annotations: they may name what the kernel does not have."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        raise NoSourceError("its source is not to be had") from None
    if not isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef)):
        raise NoSourceError("it is no `def`")
    if tree.name != function.__name__:  # what surrounds a lambda, or another one after a change of the file
        raise NoSourceError("its source is not to be had")
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return tree


def _used(function: FunctionType, tree: ast.AST) -> dict[str, object]:
    """Returns what the names in a function's source stand for, outside of it."""
    known = dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            known[name] = cell.cell_contents
        except ValueError:
            raise NoSourceError(f"its `{name}` is not bound yet") from None
    loaded = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    if any(isinstance(node, (ast.Nonlocal, ast.Global)) for node in ast.walk(tree)):
        raise NoSourceError("it changes variables outside of it")
    return {
        name: known[name]
        for name in sorted(loaded)
        if name in known and known[name] is not getattr(builtins, name, None)
    }


def _importable(value: Any) -> tuple[str, str] | None:
    """Returns the module and the name that a function or class is imported by."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not callable(value) or not isinstance(module, str) or not isinstance(name, str):
        return None
    return (module, name) if module != "__main__" and name.isidentifier() else None


def _plain(name: str, value: object) -> object:
    try:
        fd, _ = codec.dump(value, allow_pickle=False, name=name)
    except codec.Unencodable as error:
        raise NoSourceError(f"it uses `{name}`, which is not plain data ({error})") from None
    os.close(fd)
    return value
