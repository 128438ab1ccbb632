"""The tools that an agent was handed, and the functions that it hands on.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

import builtins
import inspect
import sys
from typing import TYPE_CHECKING, Any

from ..values.codec import api as codec
from .bridge.socket_link import error_of
from .pending_calls import Work, deliver, settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .bridge.socket_link import Line, Reply
    from .caller_kind import Cell

MAX_FUNCTIONS = 32
"""Functions of an agent's own that go with one call."""

_FUTURE_ANNOTATIONS = 0x1000000  # `__future__.annotations.compiler_flag`


class _Shown:
    """Stands for a default value that did not travel; it is shown as it is there."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class HostTool:
    """A function that runs in the notebook's process. Here it looks and is called like any function."""

    def __init__(self, tools: Tools, name: str, about: dict[str, Any]) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = about.get("doc") or None
        self.__module__ = "__main__"
        parameters = about.get("parameters")
        if parameters is not None:
            returns = about.get("returns")
            self.__signature__ = inspect.Signature(
                [_parameter(one) for one in parameters],
                return_annotation=inspect.Signature.empty if returns is None else _Shown(returns),
            )
        self._tools = tools

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call it in the notebook."""
        signature = getattr(self, "__signature__", None)
        if signature is not None:
            try:
                signature.bind(*args, **named)
            except TypeError as error:
                raise TypeError(f"{self.__name__}{signature}: {error}") from None
        return self._tools.call_host(self.__name__, args, named)

    def __reduce__(self) -> Any:
        return _tool_here, (self.__name__,)  # in another agent's kernel it is that agent's own, if it has it

    def __repr__(self) -> str:
        return f"<function {self.__name__}, which runs in the notebook>"


def _parameter(about: dict[str, Any]) -> inspect.Parameter:
    empty: Any = inspect.Parameter.empty
    default = about.get("default", empty)
    if "shown" in about:
        default = _Shown(about["shown"])
    annotation = about.get("annotation")
    if annotation is not None:
        annotation = _Shown(annotation)
    kind = list(inspect._ParameterKind)[about["kind"]]  # noqa: SLF001 - the only way back from its number
    return inspect.Parameter(
        about["name"], kind, default=default, annotation=empty if annotation is None else annotation
    )


class Tools:
    """What this agent was handed, by name.

    Args:
        cell: tells what kind of code calls.
        finish: turns a reply into its value.
    """

    current: Tools | None = None

    def __init__(self, cell: Cell, finish: Callable[[Reply], Any]) -> None:
        self.known: dict[str, Any] = {}
        self.link: Line | None = None
        self._cell, self._finish = cell, finish
        Tools.current = self

    def take(self, name: str, forms: Iterable[str], fds: list[int], python: Iterable[int]) -> Any:
        """Make the function that the engine hands over, of the first of its forms that can be used here.

        Args:
            name: under which it is called.
            forms: `code`, `source` or `host`, one for each descriptor.
            fds: the forms, encoded.
            python: version of the Python that wrote the code.
        """
        self.known[name] = made = self.make(name, forms, fds, python)
        return made

    def make(self, name: str, forms: Iterable[str], fds: list[int], python: Iterable[int]) -> Any:
        """Make a function as `take` does, and leave it to the caller."""
        trouble: Exception | None = None
        for form, fd in zip(forms, fds, strict=True):
            try:
                if form == "code" and tuple(python) != sys.version_info[:2]:
                    # bytecode of another version crashes the interpreter rather than fail
                    raise ValueError(f"it was made by Python {'.'.join(map(str, python))}")
                return self._make(name, form, fd)
            except Exception as error:
                trouble = trouble or error
        assert trouble is not None
        raise error_of("failed", f"{type(trouble).__name__}: {trouble}")

    def _make(self, name: str, form: str, fd: int) -> Any:
        loaded = codec.load(fd, allow_pickle=form == "code")
        if form == "host":
            return HostTool(self, name, loaded)
        return loaded if form == "code" else _from_source(loaded)

    def call_host(self, name: str, args: Any, named: dict[str, Any]) -> Any:
        """Call a function of the notebook; blocks, or gives something to await, as the caller needs it."""
        assert self.link is not None
        given = {
            "args": tuple(map(settled, args)),
            "named": {key: settled(one) for key, one in named.items()},
        }
        try:
            fd, _ = codec.dump(given, allow_pickle=False, name=name)
        except codec.Unencodable as error:
            text = f"Only plain data can go to `{name}`, which runs in the notebook: {error}"
            raise error_of("unencodable", text) from None
        work = Work(name, self._finish).start(self.link, "tool", {"name": name}, [fd])
        return deliver(work, self._cell)

    def pack(self, items: Any) -> tuple[list[Any], list[Any]]:
        """Returns what `tools=` of a call names: names of tools as they are, functions of the agent's own described.

        Returns:
            What is sent, and the functions that go with it, in the same order.
        """
        if isinstance(items, str) or callable(items):
            items = [items]
        sent: list[Any] = []
        functions: list[Any] = []
        for item in items or ():
            name = item if isinstance(item, str) else self._name_of(item)
            if isinstance(item, str) or (name in self.known and self.known[name] is item):
                sent.append(name)
                continue
            functions.append(item)
            sent.append({"name": name, **_described(item)})
        if len(functions) > MAX_FUNCTIONS:
            raise error_of(
                "failed",
                f"{len(functions)} functions are too many for one call; the most is {MAX_FUNCTIONS}.",
            )
        return sent, functions

    def _name_of(self, item: Any) -> str:
        name = getattr(item, "__name__", None)
        if not callable(item) or not isinstance(name, str) or not name.isidentifier():
            raise TypeError(
                f"`tools` takes names of tools and functions with a name (`def`), not `{type(item).__name__}`."
            )
        return name


def encode_function(function: Any) -> int:
    """Encode a function of the agent's own for another agent; the descriptor is the caller's."""
    try:
        return codec.dump(function, allow_pickle=True, name=function.__name__)[0]
    except codec.Unencodable as error:
        raise error_of(
            "unencodable", f"The function `{function.__name__}` cannot go along: {error}"
        ) from None


def _described(function: Any) -> dict[str, Any]:
    try:
        signature = str(inspect.signature(function))
    except (TypeError, ValueError):
        signature = "(...)"
    doc = inspect.getdoc(function)
    awaited = inspect.iscoroutinefunction(function)
    return {"signature": signature[:2000], "doc": str(doc or "")[:2000], "awaited": awaited}


def _from_source(form: dict[str, Any]) -> Any:
    """Define a function that came as source, with what it uses, in a namespace of its own."""
    import importlib

    space: dict[str, Any] = {"__builtins__": builtins, "__name__": "__main__", **form["values"]}
    for name, module in form["modules"].items():
        space[name] = importlib.import_module(module)
    for name, (module, attribute) in form["names"].items():
        space[name] = getattr(importlib.import_module(module), attribute)
    for source in form["sources"]:
        exec(compile(source, "<tool>", "exec", _FUTURE_ANNOTATIONS, dont_inherit=True), space)  # noqa: S102
    return space[form["name"]]


def _tool_here(name: str) -> Any:
    """Returns this kernel's tool of a name, for a function of another agent that calls it."""
    tools = Tools.current
    if tools is not None and name in tools.known:
        return tools.known[name]

    def missing(*_args: Any, **_named: Any) -> Any:
        raise error_of(
            "failed", f"This agent was not handed `{name}`: its parent must pass `tools=[{name!r}]`."
        )

    missing.__name__ = name
    return missing
