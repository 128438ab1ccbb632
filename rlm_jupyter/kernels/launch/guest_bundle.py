"""What is sent into a kernel so that the guest lives there: modules as source, and the code that starts it."""

from __future__ import annotations

import base64
import json
import zlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from rlm_jupyter import values

if TYPE_CHECKING:
    from collections.abc import Mapping

_GUEST_MODULES = (
    "wire",
    "whole",
    "link",
    "packets",
    "control_link",
    "callers",
    "calls",
    "nest",
    "schemas",
    "fallback",
    "variables",
    "tools",
    "servers",
    "words",
    "network",
    "guest",
)
# Each module gets builtins of its own, so that an agent that overwrites `len` breaks only its own code.
_BOOT = """\
def _rlm_boot(fd, packed):
    import base64, builtins, json, sys, types, zlib
    for name, source in json.loads(zlib.decompress(base64.b64decode(packed))).items():
        if name not in sys.modules:
            module = sys.modules[name] = types.ModuleType(name)
            module.__dict__["__builtins__"] = dict(vars(builtins))
            exec(compile(source, f"<{{name}}>", "exec", dont_inherit=True), module.__dict__)
    sys.modules["_rlm.guest.agent_side"].install(get_ipython(), fd)
try:
    _rlm_boot({fd}, "{packed}")
finally:
    del _rlm_boot
"""


def guest_sources() -> dict[str, str]:
    """Give the modules that travel into a kernel: name to source, in the order in which they are made."""
    room = files("rlm_jupyter.kernels")
    ours = {
        f"_rlm_{name}": room.joinpath(f"{name}.py").read_text(encoding="utf-8") for name in _GUEST_MODULES
    }
    return values.guest_sources() | ours


def boot_code(fd: int | None, sources: Mapping[str, str] | None = None) -> str:
    """Write the code that, run silently in a Python kernel, starts the guest.

    Args:
        fd: the number of the inherited socket in the kernel's process; None to use the control channel.
        sources: modules to make where the kernel has not got them; `guest_sources()` if None. Empty for a
            kernel that is known to have them.
    """
    packed = _packed() if sources is None else _pack(sources)
    return _BOOT.format(fd=fd, packed=packed)


def _pack(sources: Mapping[str, str]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(dict(sources)).encode())).decode()


@cache
def _packed() -> str:
    return _pack(guest_sources())
