"""Functions of the notebook as tools: shown as signature and docstring, called from agents' code.

They run in the agent's kernel: what a tool needs (modules of the user's own, data in its closure) travels with
it. Those marked by `host_tool` stay in the notebook; only their signature travels.
"""

from __future__ import annotations

import keyword
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from rlm_jupyter.errors import ConfigError, ContextError
from rlm_jupyter.guest.reserved_names import RESERVED
from rlm_jupyter.tools.function_source import NoSourceError, source_form
from rlm_jupyter.tools.host_tools import HostOptions, host_options
from rlm_jupyter.tools.signatures import portable_signature, render, text_of
from rlm_jupyter.tools.sub_tools import is_sub_tool
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from collections.abc import Iterator

Form = Literal["code", "source", "host"]
"""How a tool travels: pickled with its code; as source; or as a signature, and calls come back to the notebook."""

_LONGEST_NAME = 200


@dataclass
class Tool:
    """One function that agents may call.

    Attributes:
        name: under which it is called.
        text: signature and docstring, as the model is shown it.
        forms: how it travels; the kernel takes the first that it can use.
        function: what a host tool calls; None for the others, which run in the agent's kernel.
        options: of a host tool.
        sub_only: whether all sub-agents have it, and the root does not.
    """

    name: str
    text: str
    forms: dict[Form, Buffer]
    function: Callable[..., Any] | None = None
    options: HostOptions | None = None
    sub_only: bool = False


def read_tools(functions: Iterable[Any], *, data: Iterable[str] = ()) -> dict[str, Tool]:
    """Make tools of functions.

    Args:
        functions: of the notebook.
        data: names that the agents' data has.

    Raises:
        ConfigError: one is not a function with a usable name, or two have the same name.
        ContextError: one cannot leave the notebook's process, with the reason.
    """
    if isinstance(functions, str) or not isinstance(functions, Iterable):
        raise ConfigError("`tools` takes a list of functions: `tools=[f]`.")
    tools: dict[str, Tool] = {}
    taken = set(data)
    for function in functions:
        name = getattr(function, "__name__", "")
        if not callable(function) or not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigError(f"The tool {function!r:.80} is not a function with a name: give a `def`.")
        if name in tools:
            raise ConfigError(f"Two tools are named `{name}`: rename one.")
        if name in RESERVED or name in taken:
            what = "the data's name" if name in taken else "a word of agents' code"
            raise ConfigError(f"A tool cannot be named `{name}`, which is {what}: rename the function.")
        options = host_options(function)
        if options is not None:
            # A call blocks or is awaited as the agent's code needs it, whatever the function is here.
            text = text_of(name, function, awaited=False)
            tools[name] = Tool(
                name,
                text,
                {"host": Buffer.encode(portable_signature(function), allow_pickle=False)},
                function,
                options,
            )
        else:
            tools[name] = Tool(name, text_of(name, function), travelling_forms(name, function))
        tools[name].sub_only = is_sub_tool(function)
    return tools


def tool_from_agent(name: object, signature: object, doc: object, *, awaited: bool, code: Buffer) -> Tool:
    """Make a tool of a function that an agent wrote and hands to a sub-agent; it is never decoded here.

    Raises:
        ConfigError: it has no usable name.
    """
    usable = isinstance(name, str) and len(name) <= _LONGEST_NAME and name.isidentifier()
    if not isinstance(name, str) or not usable or keyword.iskeyword(name) or name in RESERVED:
        raise ConfigError(
            f"A function cannot be handed down as `{str(name)[:60]}`: give a `def` with a name of its own."
        )
    return Tool(name, render(name, str(signature), str(doc), awaited=awaited), {"code": code})


def travelling_forms(name: str, function: Callable[..., Any]) -> dict[Form, Buffer]:
    """Encode a function, in all forms that it has.

    Args:
        name: in messages.
        function: of the notebook.

    Raises:
        ContextError: it has none.
    """
    forms: dict[Form, Buffer] = {}
    trouble: Exception | None = None
    with _users_modules_by_value():
        try:
            forms["code"] = Buffer.encode(function, name=name)
        except ContextError as error:
            trouble = error
    try:
        forms["source"] = Buffer.encode(source_form(function, is_users), allow_pickle=False)
    except (NoSourceError, ContextError) as error:
        if trouble is not None:
            raise ContextError(
                f"The tool `{name}` cannot go to an agent's kernel: {trouble} As source it cannot go either: "
                f"{error}. If it must stay in the notebook, mark it with `@rlm_jupyter.host_tool`."
            ) from None
    return forms


@contextmanager
def _users_modules_by_value() -> Iterator[None]:
    """Send what is of the user's own modules as code: an agent's kernel cannot import them."""
    import cloudpickle

    known = cloudpickle.list_registry_pickle_by_value()
    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            # cloudpickle looks modules up by their own name
            if getattr(module, "__name__", None) == name and name not in known and _is_users_module(module):
                cloudpickle.register_pickle_by_value(module)
                stack.callback(cloudpickle.unregister_pickle_by_value, module)
        yield


def is_users(thing: object) -> bool:
    """Whether a thing is of the notebook or of a module of the user's own."""
    if isinstance(thing, ModuleType):
        return _is_users_module(thing)
    name = getattr(thing, "__module__", None)
    module = sys.modules.get(name) if isinstance(name, str) else None
    return name == "__main__" or (module is not None and _is_users_module(module))


def _is_users_module(module: ModuleType) -> bool:
    """Whether a module is neither the standard library's nor an installed package's, nor the notebook itself."""
    file, name = getattr(module, "__file__", None), module.__name__
    if (
        not isinstance(file, str)
        or name == "__main__"
        or name.partition(".")[0] == __name__.partition(".")[0]
    ):
        return False
    return not file.startswith(_installed()) and not {"site-packages", "dist-packages"} & set(
        Path(file).parts
    )


@cache
def _installed() -> tuple[str, ...]:
    """Returns the directories of the standard library and of packages, with a separator at their ends."""
    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found |= {str(Path(place).resolve()) for place in found}
    return tuple(f"{place}{os.sep}" for place in sorted(found))


def sub_tools_prompt(tools: Mapping[str, Tool]) -> str | None:
    """Returns tools of sub-agents as the root is told of them; None if there are none."""
    return f"Sub-agents have these, and you do not:\n{tools_prompt(tools)}" if tools else None


def tools_prompt(tools: Mapping[str, Tool]) -> str | None:
    """Returns tools as the model is shown them; None if there are none."""
    return "\n".join(tool.text for tool in tools.values()) or None
