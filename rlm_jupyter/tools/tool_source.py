"""A tool as source that stands by itself: what it imports, the values that it uses, its `def`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import RLMError
from rlm_jupyter.tools.function_source import NoSourceError, source_form
from rlm_jupyter.tools.functions import is_users

if TYPE_CHECKING:
    from rlm_jupyter.tools.functions import Tool

_MOST_VALUE = 20_000


def tool_source(tool: Tool) -> str:
    """Returns the source of a tool; a comment with the reason if there is none.

    Args:
        tool: that agents may call.
    """
    try:
        if tool.function is not None:
            form = source_form(tool.function, is_users)
        elif "source" in tool.forms:
            form = tool.forms["source"].load()
        else:
            return "# it uses what has no source that could stand by itself."
        return _text(form)
    except (NoSourceError, RLMError) as error:
        return f"# {error}."


def _text(form: dict[str, Any]) -> str:
    lines: list[str] = []
    for name, module in form["modules"].items():
        plain = name == module.partition(".")[0]
        lines.append(f"import {module}" if plain else f"import {module} as {name}")
    for name, (module, attribute) in form["names"].items():
        if module.partition(".")[0] == "rlm_jupyter":  # `@host_tool`, which is left out below
            continue
        lines.append(f"from {module} import {attribute}" + (f" as {name}" if attribute != name else ""))
    for name, value in form["values"].items():
        text = repr(value)
        try:
            known = len(text) <= _MOST_VALUE and ast.literal_eval(text) == value
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            known = False
        if not known:
            raise NoSourceError(f"it uses `{name}`, which is too large for code or no plain value")
        lines.append(f"{name} = {text}")
    return "\n".join([*lines, *map(_without_mark, form["sources"])])


def _without_mark(source: str) -> str:
    """Returns a function's source without `@host_tool` and `@sub_tool`, which are of this package."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.decorator_list = [
                one
                for one in node.decorator_list
                if not any(mark in ast.unparse(one) for mark in ("host_tool", "sub_tool"))
            ]
    return ast.unparse(tree)
