"""Our `AsyncKernelManager`: a short `ipc` address, a shared context, no debugger, no history."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from rlm_jupyter.errors import KernelStartError

ARGV = ("-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False")


class Manager(AsyncKernelManager):
    """A kernel manager with a kernelspec of its own making."""

    own_spec: KernelSpec

    @property
    def kernel_spec(self) -> KernelSpec:
        """What to start."""
        return self.own_spec

    @property
    def is_local(self) -> bool:
        """Whether the kernel is a process of this machine that we start ourselves."""
        name = (self.own_spec.metadata.get("kernel_provisioner") or {}).get(
            "provisioner_name", "local-provisioner"
        )
        return bool(name in {"local-provisioner", "rlm-fork"})


def kernel_spec(name: str | None) -> KernelSpec:
    """Find a kernelspec; None is this Python's own ipykernel, installed as a spec or not.

    Raises:
        KernelStartError: there is none of that name; the message lists those there are.
    """
    if name is None:
        return KernelSpec(
            argv=[sys.executable, *ARGV], display_name="Python", language="python", interrupt_mode="signal"
        )
    specs = KernelSpecManager()
    try:
        return specs.get_kernel_spec(name)
    except NoSuchKernel:
        known = ", ".join(f"`{found}`" for found in sorted(specs.find_kernel_specs())) or "none"
        raise KernelStartError(
            f"There is no kernelspec `{name}`. Kernelspecs here: {known}. "
            "Install one with `python -m ipykernel install --user --name NAME`."
        ) from None


def make_manager(name: str | None, directory: Path, context: Any) -> Manager:
    """Make the manager of one kernel that will live in `directory`."""
    ipc = sys.platform != "win32"
    address = {"transport": "ipc", "ip": str(directory / "sockets" / "s")} if ipc else {"transport": "tcp"}
    manager = Manager(context=context, connection_file=str(directory / "c.json"), **address)
    manager.own_spec = kernel_spec(name)
    return manager
