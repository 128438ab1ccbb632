"""A Jupyter kernel provisioner whose kernels are forked by the supervisor, registered as `rlm-fork`."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from rlm_jupyter.kernels.launch.environment import BaseDirectory, clean_environment
from rlm_jupyter.kernels.launch.guest_bundle import fork_server_sources
from rlm_jupyter.kernels.launch.supervisor_client import ForkClient, Supervisor

if TYPE_CHECKING:
    from jupyter_client.connect import KernelConnectionInfo

_shared: Supervisor | None = None
_shared_lock = threading.Lock()


def shared_supervisor() -> Supervisor:
    """Returns the supervisor for kernels whose kernelspec names `rlm-fork`; started when first asked for.

    Raises:
        KernelStartError: it does not start.
    """
    global _shared  # noqa: PLW0603 - one to a process, like the process it supervises for
    with _shared_lock:
        if _shared is None or not _shared.alive:
            _shared = Supervisor(BaseDirectory().path, fork_server_sources())
        return _shared


class ForkProvisioner(LocalProvisioner):
    """Starts kernels through a `Supervisor` instead of `subprocess`.

    A command that runs this Python's ipykernel is forked; any other is executed under the same supervision.

    Attributes:
        supervisor: or a template of it; None for a supervisor that is shared by the process.
        policy: of the box; None for none.
        log: the file for the kernel's stderr until it runs.
        bridge: the descriptor of the kernel's end of the bridge, or None.
        execute: True to execute the command even where it could be forked.
    """

    supervisor: ForkClient | None = None
    policy: dict[str, Any] | None = None
    log: str | None = None
    bridge: int | None = None
    execute = False

    @property
    def has_process(self) -> bool:
        """Whether a kernel was launched and not yet waited for."""
        return self.process is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Let no variable of this process through but the allowed ones."""
        kwargs.setdefault("env", clean_environment())
        return dict(await super().pre_launch(**kwargs))

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Ask the supervisor for the kernel; returns its connection information.

        Raises:
            KernelStartError: the supervisor cannot start it.
        """
        if self.supervisor is None:
            self.supervisor = shared_supervisor()
        await asyncio.wrap_future(self.supervisor.ready)
        forkable = not self.execute and "ipykernel_launcher" in cmd and "-f" in cmd
        self.cwd = str(kwargs.get("cwd") or os.getcwd())  # noqa: PTH109 - LocalProvisioner's attribute is a str
        pid = await asyncio.wrap_future(
            self.supervisor.ask(
                "fork" if forkable else "exec",
                [] if self.bridge is None else [self.bridge],
                argv=cmd[cmd.index("-f") :] if forkable else cmd,
                env=kwargs["env"],
                cwd=self.cwd,
                log=self.log,
                policy=self.policy,
            )
        )
        self.pid = self.pgid = pid
        self.process = self  # type: ignore[assignment]  # LocalProvisioner asks only whether there is one
        return self.connection_info

    async def poll(self) -> int | None:
        """The exit status, or None while the kernel lives."""
        if self.process is None or self.supervisor is None or self.pid is None:
            return 0
        exited = self.supervisor.exit_of(self.pid)
        return exited.result() if exited.done() else None

    async def wait(self) -> int | None:
        """Wait for the kernel's end; returns its exit status."""
        if self.process is None or self.supervisor is None or self.pid is None:
            return 0
        status = await asyncio.shield(asyncio.wrap_future(self.supervisor.exit_of(self.pid)))
        self.supervisor.forget(self.pid)
        self.process = None
        return int(status)

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel's process group."""
        if self.pgid is not None and await self.poll() is None:
            os.killpg(self.pgid, signum)

    async def kill(self, restart: bool = False) -> None:  # noqa: ARG002 - the base class' signature
        """Kill the kernel with all its descendants, those of other sessions included."""
        if self.supervisor is not None and await self.poll() is None:
            self.supervisor.ask("kill", pid=self.pid)

    async def terminate(self, restart: bool = False) -> None:  # noqa: ARG002 - the base class' signature
        """Ask the kernel's process group to end."""
        try:
            await self.send_signal(signal.SIGTERM)
        except ProcessLookupError:
            return
