"""Values and what is said of them: descriptions, a codec that runs no code, buffers that are shared."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_GUEST_MODULES = (
    "container",
    "pickling",
    "scalars",
    "arrays",
    "arrow",
    "columns",
    "frames",
    "encoder",
    "decoder",
    "codec",
    "preview",
    "rendering",
    "tables",
    "describe",
)
"""The files that travel into kernels, in the order in which they import each other."""


@cache
def _sources() -> tuple[tuple[str, str], ...]:
    room = files(__name__)
    return tuple(
        (f"_rlm_{name}", room.joinpath(f"{name}.py").read_text(encoding="utf-8")) for name in _GUEST_MODULES
    )


def guest_sources() -> dict[str, str]:
    """Give the modules that a kernel needs to encode, decode and describe values.

    Returns:
        Module name (``api``, …) to source, in the order in which the modules must be created. They
        import the standard library and each other only; numpy, pandas, pyarrow and polars are used where they
        are loaded.
    """
    return dict(_sources())
