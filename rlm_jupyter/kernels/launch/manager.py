"""Our `AsyncKernelManager`: a short `ipc` address, a shared context, no debugger, no history."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from traitlets import TraitError

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.channels.gateway import GatewayManager, is_gateway
from rlm_jupyter.kernels.confinement.policy import bubblewrap_program
from rlm_jupyter.kernels.launch.docker_provisioner import docker_spec, is_docker

ARGV = ("-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False")

OWN_PYTHON = ("python", f"python{sys.version_info[0]}", "python{}.{}".format(*sys.version_info[:2]))
PYTHONS = ("python", "python3", "ipython", "sage")
"""Languages of kernels that run Python."""


class Client(AsyncKernelClient):
    """A client with two channels, those of cells and of output; that of control is made when it is asked for.

    Each channel is a connection, which costs both processes time and descriptors.
    """

    def start_channels(
        self,
        shell: bool = True,
        iopub: bool = True,
        stdin: bool = False,
        hb: bool = False,
        control: bool = False,
    ) -> None:
        """Start channels; see jupyter_client, whose defaults are all of them."""
        super().start_channels(shell=shell, iopub=iopub, stdin=stdin, hb=hb, control=control)

    def stop_channels(self) -> None:
        """Stop the channels that there are; jupyter_client makes the others first."""
        for name in ("shell", "iopub", "stdin", "hb", "control"):
            channel = getattr(self, f"_{name}_channel")
            if channel is not None and channel.is_alive():
                channel.stop()


class Manager(AsyncKernelManager):
    """A kernel manager with a kernelspec of its own making."""

    client_factory = Client
    own_spec: KernelSpec
    _owner = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._owner = os.getpid()

    def __del__(self) -> None:
        # jupyter_client's removes the connection file and the sockets, which are the parent's in a fork of it.
        if os.getpid() == self._owner:
            super().__del__()

    async def _async_post_start_kernel(self, **options: Any) -> None:
        """Do what follows a start, without the connection for `shutdown_request`: it is made when it is needed."""
        assert self.provisioner is not None
        await self.provisioner.post_launch(**options)

    @property
    def kernel_spec(self) -> KernelSpec:
        """What to start."""
        return self.own_spec

    @property
    def is_local(self) -> bool:
        """Whether the kernel is a process of this machine that we start ourselves."""
        return _local(self.own_spec)


def kernel_spec(name: str | None) -> KernelSpec:
    """Find a kernelspec; None is this Python's own ipykernel, installed as a spec or not.

    Raises:
        KernelStartError: there is none of that name (the message lists those there are), or it cannot work.
    """
    if name is None:
        return KernelSpec(
            argv=[sys.executable, *ARGV], display_name="Python", language="python", interrupt_mode="signal"
        )
    if is_docker(name):
        return docker_spec(name)
    specs = KernelSpecManager()
    try:
        spec = specs.get_kernel_spec(name)
    except NoSuchKernel:
        known = ", ".join(f"`{found}`" for found in sorted(specs.find_kernel_specs())) or "none"
        raise KernelStartError(
            f"There is no kernelspec `{name}`. Kernelspecs here: {known}. "
            "Install one with `python -m ipykernel install --user --name NAME`."
        ) from None
    except (OSError, ValueError, TypeError, TraitError) as error:
        raise _unfit(name, f"has a `kernel.json` that cannot be read ({error})") from None
    return _fit(name, spec)


def _fit(name: str, spec: KernelSpec) -> KernelSpec:
    """Returns a kernelspec with the path of its program, as jupyter_client understands it; refuse what cannot work."""
    if spec.language and spec.language.lower() not in PYTHONS:
        raise _unfit(name, f"is for `{spec.language}`, and agents write Python")
    if not spec.argv:
        raise _unfit(name, "has no command to start")
    if not _local(spec):
        return spec
    # A spec says `python` for the Python that reads it: so jupyter_client takes it, and so must the sandbox.
    program = sys.executable if spec.argv[0] in OWN_PYTHON else shutil.which(spec.argv[0])
    if program is None:
        raise _unfit(name, f"starts `{spec.argv[0]}`, and there is no such program")
    spec.argv = [program, *spec.argv[1:]]
    return spec


def _unfit(name: str, why: str) -> KernelStartError:
    return KernelStartError(
        f"The kernelspec `{name}` {why}. `jupyter kernelspec list` shows where it is: correct it, or choose another."
    )


def _local(spec: KernelSpec) -> bool:
    provisioner = (spec.metadata.get("kernel_provisioner") or {}).get("provisioner_name", "local-provisioner")
    return provisioner in {"local-provisioner", "rlm-fork"}


def check_launch(name: str | None, sandbox: str) -> None:
    """Refuse a kernelspec or a sandbox that cannot work, before anything is started.

    Raises:
        KernelStartError: what is missing or wrong, and what to do.
    """
    local = True
    if is_gateway(name):
        local = GatewayManager(name).is_local
    elif name is not None:
        local = _local(kernel_spec(name))
    if sandbox == "bwrap" and not local:
        raise KernelStartError(
            f"The kernel `{name}` runs elsewhere, where the sandbox `bwrap` cannot hold it. Let its provisioner "
            "confine it (a container), and leave `sandbox` as it is by default."
        )
    if sandbox == "bwrap":
        bubblewrap_program()


def make_manager(name: str | None, directory: Path, context: Any) -> Manager | GatewayManager:
    """Make the manager of one kernel that will live in `directory`."""
    if is_gateway(name):
        return GatewayManager(name)
    spec = kernel_spec(name)
    ipc = sys.platform != "win32" and (_local(spec) or is_docker(name))
    address = {"transport": "ipc", "ip": str(directory / "sockets" / "s")} if ipc else {"transport": "tcp"}
    manager = Manager(context=context, connection_file=str(directory / "c.json"), **address)
    manager.own_spec = spec
    return manager
