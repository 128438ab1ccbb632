"""A Jupyter kernel provisioner whose kernels are made of a checkpoint."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rlm_jupyter.kernels.launch.fork_provisioner import ForkProvisioner

if TYPE_CHECKING:
    from jupyter_client.connect import KernelConnectionInfo

    from rlm_jupyter.kernels.checkpoints.checkpoint import KernelCheckpoint

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
_WAITING = 16


class ThawProvisioner(ForkProvisioner):
    """Starts a kernel by a fork of a checkpoint.

    The kernel's box, which the copy has too, allows to make no sockets: those that listen are made here.

    Attributes:
        checkpoint: of which the kernel is made.
    """

    checkpoint: KernelCheckpoint

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:  # noqa: ARG002
        """Ask the checkpoint for the kernel; returns its connection information.

        Raises:
            KernelStartError: it is gone.
        """
        self.supervisor = self.checkpoint.server
        self.cwd = str(kwargs["cwd"])
        info: Any = self.connection_info
        ports = {channel: int(info[f"{channel}_port"]) for channel in CHANNELS}
        key = info["key"]
        order = {
            "env": {name: text for name, text in kwargs["env"].items() if text.startswith(self.cwd)},
            "cwd": self.cwd,
            "ip": info["ip"],
            "key": key.decode() if isinstance(key, bytes) else key,
            "ports": ports,
        }
        assert self.bridge is not None
        with ExitStack() as ours:
            log = os.open(
                self.log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            ours.callback(os.close, log)
            listeners = [ours.enter_context(_listen(f"{info['ip']}-{port}")) for port in ports.values()]
            numbers = [self.bridge, log, *(one.fileno() for one in listeners)]
            self.pid = self.pgid = await self.checkpoint.fork(order, numbers)
        self.process = self  # type: ignore[assignment]  # LocalProvisioner asks only whether there is one
        return self.connection_info


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        listener.listen(_WAITING)
    except OSError:
        listener.close()
        raise
    return listener
