"""The skills that an agent's code loads: their texts are printed, their modules and functions are bound.

It travels into an agent's kernel as source: the standard library only. The sources come from the notebook as
data of the user's and run here alone.
"""

from __future__ import annotations

import importlib
import linecache
import sys
import types
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

from ..values.codec import api as codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .bridge.socket_link import Reply
    from .tool_functions import Tools


class LoadedSkill:
    """What `load_skill` returns.

    Attributes:
        name: of the skill.
        text: that was printed.
        functions: names that were bound.
    """

    def __init__(self, name: str, text: str, functions: list[str]) -> None:
        self.name, self.text, self.functions = name, text, functions

    def __repr__(self) -> str:
        return f"<skill {self.name}>"

    def _ipython_display_(self) -> None:
        """Show nothing: the text was printed."""

    def __await__(self) -> Any:
        yield from ()
        return self


class SkillModules:
    """A finder and loader of the modules of skills, whose sources are at hand; for `sys.meta_path`.

    Attributes:
        sources: of the modules, by name.
        bound: names that skills have bound in the agent's namespace.
    """

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}
        self.bound: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """Returns the spec of a module of a loaded skill; None for any other."""
        if name not in self.sources:
            return None
        return ModuleSpec(name, self, origin=self._file(name))  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to create the module."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the source of a module in it."""
        name, file = module.__name__, self._file(module.__name__)
        source = self.sources[name]
        module.__file__ = file
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - it runs in the box

    def load(self, sources: Mapping[str, str]) -> dict[str, types.ModuleType]:
        """Import modules, by name; they may import each other.

        Raises:
            ImportError: another module of such a name is imported already.
        """
        for name in sources:
            known = sys.modules.get(name)
            if known is not None and name not in self.sources:
                raise ImportError(
                    f"The module `{name}` of the skill has the name of one that is imported already."
                )
        self.sources |= sources
        if self not in sys.meta_path:
            sys.meta_path.append(self)
        found = {name: importlib.import_module(name) for name in sources}
        _travel_by_value(found.values())
        return found

    @staticmethod
    def _file(name: str) -> str:
        return f"<skill module {name}>"


def _travel_by_value(modules: Any) -> None:
    """Let functions and instances of these modules go to agents that have not loaded the skill, with their code."""
    try:
        import cloudpickle
    except ImportError:  # the kernel of another environment
        return
    for module in modules:
        cloudpickle.register_pickle_by_value(module)


def public_functions(module: types.ModuleType) -> dict[str, Any]:
    """Returns what a module offers: the names of its `__all__`, or else its own functions and classes."""
    listed = getattr(module, "__all__", None)
    if isinstance(listed, (list, tuple)):
        return {
            name: getattr(module, name) for name in listed if isinstance(name, str) and hasattr(module, name)
        }
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and isinstance(value, (types.FunctionType, type))
        and getattr(value, "__module__", None) == module.__name__
    }


def received(reply: Reply, modules: SkillModules, tools: Tools) -> tuple[str, dict[str, Any]]:
    """Returns the text of a skill, and what it binds, by name.

    Args:
        reply: of the engine: the skill as plain data; then the forms of its functions.
        modules: imports the skill's modules.
        tools: makes its functions.
    """
    about = codec.load(reply.fds[0], allow_pickle=False)
    bound: dict[str, Any] = {}
    for name, module in modules.load(about["modules"]).items():
        bound[name] = module
        bound |= public_functions(module)
    place = 1
    for one in about["functions"]:
        fds = reply.fds[place : place + len(one["forms"])]
        place += len(fds)
        bound[one["name"]] = tools.make(one["name"], one["forms"], fds, one["python"])
    return about["text"], bound
