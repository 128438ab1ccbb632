"""The code that travels: the sources of the package `_rlm`, and the statement that makes it importable elsewhere.

This is the one way for our code into a process that does not have this package: forked kernels, stock kernels, kernels
of other environments and machines, and the fork server.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from rlm_jupyter.guest.importer import ROOT, pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

_FOR_KERNELS = ("guest", "values.codec", "values.describe", "values.files")
_FOR_FORK_SERVER = (*_FOR_KERNELS, "supervisor")


def kernel_sources() -> dict[str, str]:
    """Return the modules that an agent's kernel gets: full name below `_rlm` to source."""
    return dict(_sources(_FOR_KERNELS))


def fork_server_sources() -> dict[str, str]:
    """Return the modules that the fork server gets: those of kernels and its own."""
    return dict(_sources(_FOR_FORK_SERVER))


@cache
def importer_source() -> str:
    """Returns the source of what serves `_rlm` from sources: `guest/importer.py`."""
    return files("rlm_jupyter").joinpath("guest", "importer.py").read_text(encoding="utf-8")


def loading_code() -> str:
    """Write one statement that makes `_rlm` importable in a kernel that executes it, and leaves no name behind."""
    importer = importer_source() + "\nserve(packed)\n"
    names = f"{{'__builtins__': dict(vars(__import__('builtins'))), 'packed': {_packed_for_kernels()!r}}}"
    return f"exec({importer!r}, {names})"


def calling_code(module: str, function: str, *arguments: str) -> str:
    """Write an expression that calls a function of `_rlm` and binds no name.

    Args:
        module: its name below `_rlm`.
        function: of that module.
        arguments: expressions.
    """
    return f"__import__('{ROOT}.{module}', fromlist=['{function}']).{function}({', '.join(arguments)})"


def installing_code(fd: int | None) -> str:
    """Write the expression that starts the guest in an IPython kernel.

    Args:
        fd: the number of the inherited socket in the kernel's process; None to use the control channel.
    """
    return calling_code("guest.agent_side", "install", "get_ipython()", repr(fd))


@cache
def _packed_for_kernels() -> str:
    return pack(kernel_sources())


@cache
def _sources(packages: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = {ROOT: ""}
    for package in packages:
        place, name = files("rlm_jupyter"), ROOT
        for part in package.split("."):
            place, name = place.joinpath(part), f"{name}.{part}"
            found[name] = (
                ""  # `values` itself stays here; the others are overwritten with what is in their files
            )
        found.update(_below(place, name))
    return tuple(found.items())


def _below(place: Traversable, name: str) -> Iterator[tuple[str, str]]:
    for entry in sorted(place.iterdir(), key=lambda entry: entry.name):
        stem = entry.name.removesuffix(".py")
        if stem == "__init__":
            yield name, entry.read_text(encoding="utf-8")
        elif stem != entry.name:
            yield f"{name}.{stem}", entry.read_text(encoding="utf-8")
        elif entry.is_dir() and entry.name != "__pycache__":
            yield from _below(entry, f"{name}.{entry.name}")
