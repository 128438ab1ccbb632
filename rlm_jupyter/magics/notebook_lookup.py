"""Looks up in the notebook what a magic's line names, and puts values back under the names it asks for."""

from __future__ import annotations

import ast
import builtins
import difflib
import keyword
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_SHOWN = 30
_SHELLS_OWN = ("get_ipython", "In", "Out", "exit", "quit")
BUILTIN_TYPES = ("bool", "bytes", "dict", "float", "int", "list", "set", "str", "tuple")
_SCHEMA_NODES = (
    ast.Expression,
    ast.Name,
    ast.Load,
    ast.Attribute,
    ast.Subscript,
    ast.Tuple,
    ast.List,
    ast.Constant,
    ast.BinOp,
    ast.BitOr,
)


def variables(shell: InteractiveShell) -> dict[str, Any]:
    """Returns the notebook's variables as its user sees them: no modules, no names of IPython's own."""
    hidden = shell.user_ns_hidden
    return {
        name: value
        for name, value in list(shell.user_ns.items())
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and not (name in hidden and hidden[name] is value)
    }


def is_data(value: object) -> bool:
    """Returns whether a variable is something to ask a question about, and not a function or a class."""
    return not isinstance(value, type) and not callable(value)


def missing(kind: str, name: str, known: Iterable[str], plural: str) -> UsageError:
    """Returns the error for a name that is not there: the close ones first, then what there is, in one line."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    lines = [f"There is no {kind} `{name}`."]
    if close:
        lines.append(f"Did you mean {' or '.join(f'`{n}`' for n in close)}?")
    if names:
        lines.append(f"{plural} are: {listed(names)}.")
    else:
        lines.append(f"There are no {plural.lower()} yet.")
    return UsageError(" ".join(lines))


def listed(names: Sequence[str]) -> str:
    """Write names in backticks, and how many more there are."""
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def variable(shell: InteractiveShell, name: str) -> Any:
    """Returns one variable of the notebook.

    Raises:
        UsageError: it does not exist.
    """
    if name not in shell.user_ns:
        known = [n for n, value in variables(shell).items() if is_data(value)]
        raise missing("variable", name, known, "Variables")
    return shell.user_ns[name]


def schema_of(shell: InteractiveShell, text: str) -> Any:
    """Returns the schema that `-s` names: a variable (a type, a `TypedDict`, a dict) or a built-in type.

    Types made of these, such as ``list[str]``, are fine too; nothing is called.

    Raises:
        UsageError: it is no such name.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        tree = None
    if tree is None or not all(isinstance(node, _SCHEMA_NODES) for node in ast.walk(tree)):
        raise UsageError(f"`-s` takes the name of a type, a `TypedDict` or a dict, not `{text}`.")
    known = {name: getattr(builtins, name) for name in BUILTIN_TYPES} | shell.user_ns
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in known:
            raise missing("schema", node.id, [*schemas(shell), *BUILTIN_TYPES], "Schemas")
    try:
        # Names, attributes and subscripts of the user's own objects: what the user could type in a cell.
        return eval(compile(tree, "<schema>", "eval"), {"__builtins__": {}}, known)  # noqa: S307
    except (AttributeError, TypeError, LookupError) as error:
        raise UsageError(f"The schema `{text}` cannot be: {error}.") from None


def schemas(shell: InteractiveShell) -> list[str]:
    """Returns the variables that may be a schema."""
    return [n for n, value in variables(shell).items() if isinstance(value, (type, dict, types.GenericAlias))]


def samples_of(shell: InteractiveShell, text: str) -> Any:
    """Returns what `--samples` asks for: a number, or the variable that holds `Samples(...)`.

    Raises:
        UsageError: it is neither.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    from rlm_jupyter.engine.samples.samples import Samples

    found = shell.user_ns.get(text)
    if not isinstance(found, Samples):
        known = [name for name, value in variables(shell).items() if isinstance(value, Samples)]
        held = f" Variables with `Samples(...)`: {listed(known)}." if known else ""
        raise UsageError(
            f"`--samples` takes a number, or a variable that holds `Samples(...)`, not `{text}`.{held}"
        )
    return found


def tools_of(
    shell: InteractiveShell, names: Sequence[str], noun: str = "tool"
) -> tuple[Callable[..., Any], ...]:
    """Returns the functions that `-t` names, or `--check`.

    Raises:
        UsageError: one does not exist or cannot be called.
    """
    found = []
    for name in names:
        value = shell.user_ns.get(name)
        if value is None:
            raise missing("function", name, functions(shell), "Functions")
        if not callable(value):
            raise UsageError(
                f"`{name}` is a `{type(value).__name__}` and no function, so it is not a {noun}."
            )
        found.append(value)
    return tuple(found)


def functions(shell: InteractiveShell) -> list[str]:
    """Returns the variables that may be a tool."""
    return [n for n, v in variables(shell).items() if callable(v) and not isinstance(v, type)]


def environment_of(names: Sequence[str]) -> dict[str, str]:
    """Returns the environment variables that `--env` names, with their values.

    Raises:
        UsageError: one is not set; or a value was given, which would stand in the notebook for all to read.
    """
    for name in names:
        if "=" in name:
            plain = name.partition("=")[0]
            raise UsageError(
                f"`--env` takes a name alone, so that no secret stands in the notebook: set `{plain}` in the "
                f"environment (`os.environ[{plain!r}] = ...`), then `--env {plain}`."
            )
        if name not in os.environ:
            # Close names alone: an environment is long, and the rest of it stands in no notebook.
            close = difflib.get_close_matches(name, list(os.environ), n=3)
            hint = f"Did you mean {' or '.join(f'`{n}`' for n in close)}?" if close else "Set it first."
            raise UsageError(f"The environment variable `{name}` is not set. {hint}")
    return {name: os.environ[name] for name in names}


def servers_of(shell: InteractiveShell, names: Sequence[str]) -> dict[str, Any]:
    """Returns the MCP servers of the dicts that `--mcp` names, merged.

    Raises:
        UsageError: one does not exist or is not a dict.
    """
    from rlm_jupyter.tools.mcp_pasted import unwrapped

    servers: dict[str, Any] = {}
    for name in names:
        value = shell.user_ns.get(name)
        if value is None:
            known = [n for n, v in variables(shell).items() if isinstance(v, Mapping)]
            raise missing("variable", name, known, "Dicts")
        if not isinstance(value, Mapping):
            raise UsageError(f"`--mcp` takes a dict of servers; `{name}` is a `{type(value).__name__}`.")
        servers.update(unwrapped(value))  # two lists of other clients may both be called `mcpServers`
    return servers


def model_of(shell: InteractiveShell, name: str | None) -> Any:
    """Returns the model that `-m` names: the variable, where it holds a model object, else the name itself."""
    value = shell.user_ns.get(name) if name is not None else None
    return value if is_model(value) else name


def models_hint(shell: InteractiveShell, name: object) -> str:
    """Returns what `-m` could have meant besides a provider's model: variables that hold a model object."""
    if not isinstance(name, str) or "/" in name:
        return ""
    wrong = (
        f" The variable `{name}` holds a `{type(shell.user_ns[name]).__name__}`."
        if name in shell.user_ns
        else ""
    )
    known = sorted(n for n, value in variables(shell).items() if is_model(value))
    return wrong + (f" Variables that hold a model: {listed(known)}." if known else "")


def is_model(value: object) -> bool:
    """Returns whether a value has the `ChatModel` protocol, without importing it."""
    return not isinstance(value, type) and hasattr(value, "complete") and hasattr(value, "scripted")


def out_name(name: str) -> str:
    """Check the name that `-o` gives.

    Raises:
        UsageError: it cannot be a variable.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"`-o` takes the name of a variable; `{name}` cannot be one.")
    if name in _SHELLS_OWN or name.startswith("__"):
        raise UsageError(
            f"`-o` would overwrite `{name}`, which the notebook needs itself: choose another name."
        )
    return name
