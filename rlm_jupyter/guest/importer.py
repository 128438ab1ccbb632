"""Serves the package `_rlm` from sources in memory, so that its modules import each other as they do in their files.

`rlm_jupyter.guest.agent_api` here is `_rlm.guest.agent_api` in an agent's kernel and in the fork server. This file is
sent there in front of the sources and executed; nothing imports it.
"""

import base64
import builtins
import json
import sys
import zlib
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

ROOT = "_rlm"


class SourceImporter:
    """A finder and loader of modules whose sources are at hand; for `sys.meta_path`.

    Each module gets builtins of its own, as they were when the sources arrived: an agent that overwrites `len`
    breaks only its own code.

    Args:
        sources: full module name to source. A name that others begin with is a package.
        compiled: returns the byte-code of a module's source where it is at hand; else None.
    """

    def __init__(
        self, sources: Mapping[str, str], compiled: Callable[[str, str], CodeType | None] | None = None
    ) -> None:
        self._sources = dict(sources)
        self._compiled = compiled
        self._packages = {name.rpartition(".")[0] for name in sources}
        self._builtins = dict(vars(builtins))

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """Return the spec of a module of the package; None for any other, which the next finder is asked for."""
        if name not in self._sources:
            return None
        return ModuleSpec(name, self, is_package=name in self._packages)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to create the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the source of a module in it."""
        name = module.__name__
        module.__dict__["__builtins__"] = dict(self._builtins)
        source = self._sources[name]
        code = self._compiled(name, source) if self._compiled is not None else None
        if code is None:
            code = compile(source, f"<{name}>", "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - our own module, as source


def serve(packed: str) -> None:
    """Let `_rlm` be imported in this process; does nothing if it can be already.

    Args:
        packed: the sources, as `pack` makes it.
    """
    if not any(type(finder).__name__ == SourceImporter.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, SourceImporter(unpack(packed)))


def pack(sources: Mapping[str, str]) -> str:
    """Encode sources as short text of ASCII letters that needs no escaping in code or JSON."""
    return base64.b64encode(zlib.compress(json.dumps(dict(sources)).encode())).decode()


def unpack(packed: str) -> dict[str, str]:
    """Decode what `pack` made."""
    return dict(json.loads(zlib.decompress(base64.b64decode(packed))))
