"""The first request to a kernel: the code that travels, the bridge, and what is prepared there."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.channels.tracebacks import clean_traceback
from rlm_jupyter.kernels.launch.guest_bundle import calling_code, installing_code, loading_code


def first_request(
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
        number: the bridge's descriptor in the kernel; None for the control channel.
        forked: whether the supervisor imported the modules already.
        policy: of the box.
        parent: a process with which the kernel is to die; None where the supervisor sees to it.
        directory: the kernel's own, on this machine.
        remote: None for a kernel of this machine; else the variables that the user hands over to it.
    """
    options = {"policy": dict(policy) if policy else None, "parent": parent}
    lines = [] if forked else [loading_code()]
    if remote is not None:
        lines.append(calling_code("guest.remote_setup", "settle", repr(dict(remote))))
    elif parent is not None:
        lines.append(calling_code("guest.private_directory", "clear_up_after", repr(str(directory))))
    lines.append(installing_code(number))
    report = calling_code("guest.ipykernel_hooks.prepare", "prepare", "get_ipython()", repr(options))
    return "\n".join(lines), {"report": report}


def thawed_request() -> tuple[str, dict[str, str]]:
    """Write the first request to a kernel that was made of a checkpoint: all is there, and it reports."""
    return "", {"report": calling_code("guest.checkpoint.thawed", "report")}


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
