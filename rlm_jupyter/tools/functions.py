"""Functions of the notebook as tools: shown as signature and docstring, sent into agents' kernels.

They run there, in the agent's own process: what a tool needs (modules, data in its closure) travels with it.
"""

from __future__ import annotations

import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError, ContextError
from rlm_jupyter.values.store import Buffer

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOC_CHARS = 600


@dataclass
class Tool:
    """One function that agents may call.

    Attributes:
        name: under which it is called.
        text: signature and docstring, as the model is shown it.
        buffer: the function itself, encoded.
    """

    name: str
    text: str
    buffer: Buffer


def read_tools(functions: Iterable[Callable[..., Any]]) -> dict[str, Tool]:
    """Make tools of functions.

    Raises:
        ConfigError: one is no function with a name, or two have the same name.
        ContextError: one cannot leave the notebook's process, with the reason.
    """
    tools: dict[str, Tool] = {}
    for function in functions:
        name = getattr(function, "__name__", "")
        if not callable(function) or not name.isidentifier():
            raise ConfigError(f"The tool {function!r:.80} is no function with a name: give a `def`.")
        if name in tools:
            raise ConfigError(f"Two tools are named `{name}`: rename one.")
        with _by_value(function):
            try:
                buffer = Buffer.of(function)
            except ContextError as error:
                raise ContextError(f"The tool `{name}` cannot go to an agent's kernel: {error}") from None
        tools[name] = Tool(name, _text(name, function), buffer)
    return tools


def _text(name: str, function: Callable[..., Any]) -> str:
    try:
        signature = str(inspect.signature(function))
    except (TypeError, ValueError):
        signature = "(...)"
    doc = inspect.cleandoc(function.__doc__ or "").strip()[:_DOC_CHARS]
    indented = "\n".join(f"    {line}" for line in doc.splitlines())
    kind = "async def" if inspect.iscoroutinefunction(function) else "def"
    return f"{kind} {name}{signature}" + (f"\n{indented}" if indented else "")


@contextmanager
def _by_value(function: Callable[..., Any]) -> Iterator[None]:
    """Send a function of the user's own module as code: an agent's kernel cannot import that module."""
    import cloudpickle

    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if (
        module is None
        or not _is_users(module)
        or module.__name__ in cloudpickle.list_registry_pickle_by_value()
    ):
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _is_users(module: ModuleType) -> bool:
    """Whether a module is neither the standard library's nor an installed package's, nor the notebook itself."""
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__" or file is None:
        return False
    path = Path(file).resolve()
    installed = {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not any(path.is_relative_to(Path(place).resolve()) for place in installed)
