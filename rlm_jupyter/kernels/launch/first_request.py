"""The first request to a kernel: the modules that travel as source, the bridge, the prelude."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.channels.tracebacks import clean_traceback

# Each module gets builtins of its own, so that an agent that overwrites `len` breaks only its own code.
_LOADER = """
import builtins, sys, types
for name, source in sources.items():
    if name not in sys.modules:
        module = sys.modules[name] = types.ModuleType(name)
        module.__dict__["__builtins__"] = dict(vars(builtins))
        exec(compile(source, f"<{name}>", "exec"), module.__dict__)
"""


@dataclass(frozen=True)
class Guest:
    """What speaks over the bridge inside a kernel.

    Attributes:
        sources: name to source of the modules it consists of.
        code: given the bridge's descriptor (None where there is none, to use the control channel) and the modules
            to make there (None: all of them), the code that installs it.
    """

    sources: Mapping[str, str]
    code: Callable[[int | None, Mapping[str, str] | None], str]

    @classmethod
    def standard(cls) -> Guest:
        """The words of agents: `llm_query`, `FINAL` and the others."""
        from rlm_jupyter.kernels.launch.guest_bundle import boot_code, guest_sources

        return cls(guest_sources(), boot_code)


def own_sources() -> dict[str, str]:
    """Name to source of the modules of this part that every kernel gets."""
    names = ("whole", "sandbox", "quotas", "semaphores", "processes", "streams", "outlet", "descriptors")
    return _sources(*names, "exits", "logs", "prelude")


def supervisor_sources() -> dict[str, str]:
    """Name to source of the modules of this part that the supervisor gets."""
    return {**own_sources(), **_sources("child", "direct", "template")}


def _sources(*names: str) -> dict[str, str]:
    here = Path(__file__).parent
    return {f"_rlm_{name}": (here / f"{name}.py").read_text(encoding="utf-8") for name in names}


def loading_code(sources: Mapping[str, str]) -> str:
    """Write one statement that makes these modules in a kernel and leaves no name behind."""
    return f"exec({_LOADER!r}, {{'sources': {dict(sources)!r}}})"


def first_request(
    guest: Guest,
    number: int | None,
    *,
    forked: bool,
    policy: Mapping[str, Any] | None,
    parent: int | None,
    directory: Path,
    remote: Mapping[str, str] | None = None,
) -> tuple[str, dict[str, str]]:
    """Write the code of the first request and the expression whose value is the report.

    Args:
        guest: what is installed there.
        number: the bridge's descriptor in the kernel; None for the control channel.
        forked: whether the supervisor made the modules already.
        policy: of the box.
        parent: a process with which the kernel is to die; None where the supervisor sees to it.
        directory: the kernel's own, on this machine.
        remote: None for a kernel of this machine; else the variables that the user hands over to it.
    """
    options = {"policy": dict(policy) if policy else None, "parent": parent}
    lines = [] if forked else [loading_code(own_sources())]
    if remote is not None:
        lines += [
            loading_code(_sources("leftovers", "remote")),
            f"__import__('_rlm.guest.remote_setup').settle({dict(remote)!r})",
        ]
    elif parent is not None:
        lines += [
            loading_code(_sources("leftovers")),
            f"__import__('_rlm.guest.private_directory').clear_up_after({str(directory)!r})",
        ]
    lines.append(guest.code(number, {} if forked else None))
    return "\n".join(lines), {
        "report": f"__import__('_rlm.guest.ipykernel_hooks.prepare').prepare(get_ipython(), {options!r})"
    }


def read_report(content: Mapping[str, Any], kernelspec: str | None) -> dict[str, Any]:
    """Read the answer to the first request.

    Raises:
        KernelStartError: the code failed: no IPython kernel, or one too old.
    """
    found = (content.get("user_expressions") or {}).get("report") or {}
    failed = next((part for part in (content, found) if part.get("status") == "error"), None)
    if failed is None and found.get("status") == "ok":
        return dict(json.loads(ast.literal_eval(found["data"]["text/plain"])))
    name = f"`{kernelspec}`" if kernelspec else "of this Python"
    trace = clean_traceback((failed or {}).get("traceback") or ())
    raise KernelStartError(
        f"The kernel {name} started but could not be prepared. It must be an IPython kernel of Python 3.11 or "
        f"newer. {trace}".strip()
    )
