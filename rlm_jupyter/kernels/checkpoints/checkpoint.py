"""A checkpoint of a kernel: a frozen fork of it, of which kernels are made that have its variables."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import KernelStartError, RLMError
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.kernels.launch import directory_uses
from rlm_jupyter.kernels.launch.environment import MATPLOTLIB

if TYPE_CHECKING:
    from rlm_jupyter.kernels.bridge.socket_bridge import Bridge
    from rlm_jupyter.kernels.launch.kernel_process import KernelProcess, Launch
    from rlm_jupyter.kernels.launch.supervisor_client import ForkClient

TAKE_SECONDS = 30.0
THAW_SECONDS = 20.0
_LARGEST_ANSWER = 4096
_OWN_FILES = frozenset({MATPLOTLIB, "profile_default"})
"""What a kernel's working directory has that its code did not write; hidden files are caches."""


class CheckpointRefusedError(RLMError):
    """A kernel cannot be copied by a fork as it is. The message tells why."""


class KernelCheckpoint:
    """A frozen fork of a kernel. Belongs to the engine's event loop.

    Args:
        pid: of the fork.
        link: our end of the socket over which it is asked for kernels.
        launch: how the kernel was started that it was forked from.

    Attributes:
        pid: its process id.
        launch: as given.
        begin_memory: bytes that the kernel had before it did anything, which do not count to its limit.
    """

    def __init__(self, pid: int, link: socket.socket, launch: Launch) -> None:
        self.pid, self.launch = pid, launch
        self._link: socket.socket | None = link
        self.begin_memory = 0
        self._silent = False  # it owes an answer, which would be taken for that to the next order
        self._asking = asyncio.Lock()
        directory_uses.use(launch.box_directory)

    @property
    def server(self) -> ForkClient:
        """The fork server, or the template of it, whose child it is."""
        assert self.launch.supervisor is not None
        return self.launch.supervisor

    def suits(self, launch: Launch) -> bool:
        """Returns whether a kernel that is to be started so may be made of it: it keeps the box and the environment."""
        return all(
            getattr(self.launch, name) == getattr(launch, name)
            for name in ("kernelspec", "sandbox", "env", "limits")
        )

    @property
    def alive(self) -> bool:
        """Whether it can be asked for kernels, as far as is known."""
        return self._link is not None and not self._silent and self.server.alive

    async def fork(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """Have it make a kernel of itself; return the kernel's process id.

        Args:
            order: `env`, `cwd`, `ip`, `key` and `ports`; see `guest/checkpoint/frozen.py`.
            descriptors: of the bridge, of a log and of listening sockets; they stay the caller's.

        Raises:
            KernelStartError: it is gone, or does not answer.
        """
        copies = [os.dup(number) for number in descriptors]
        work = asyncio.get_running_loop().create_task(self._fork(order, copies))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:  # an answer that nobody has read would be taken for the next one's
            work.add_done_callback(self._discard)
            raise

    def _discard(self, work: asyncio.Task[int]) -> None:
        if not work.cancelled() and work.exception() is None:
            self.server.ask("kill", pid=work.result())

    async def _fork(self, order: Mapping[str, Any], descriptors: list[int]) -> int:
        with ExitStack() as ours:
            for number in descriptors:
                ours.callback(os.close, number)
            return await self._ask_adopted(json.dumps(dict(order)).encode(), descriptors)

    async def _ask_adopted(self, data: bytes, descriptors: list[int]) -> int:
        async with self._asking:
            if self._link is None:
                raise KernelStartError("The checkpoint of the kernel was ended.")
            if self._silent:
                raise KernelStartError("The checkpoint of the kernel did not answer before.")
            await asyncio.wrap_future(self.server.ask("spare"))
            pid = 0
            try:
                pid = await in_thread(_ask, self._link, data, descriptors)
            except (OSError, ValueError, TypeError, KeyError) as error:
                self._silent = True
                raise KernelStartError(f"The checkpoint of the kernel does not answer ({error}).") from error
            finally:
                adopted = asyncio.wrap_future(self.server.ask("adopt", pid=pid))
                if not pid:
                    await asyncio.gather(adopted, return_exceptions=True)
            return await adopted

    async def end(self) -> None:
        """End the process; kernels that were made of it stay."""
        if self._link is None:
            return
        link, self._link = self._link, None
        link.close()
        with suppress(KernelStartError):
            await asyncio.wrap_future(self.server.ask("kill", pid=self.pid))
        self.server.forget(self.pid)
        await directory_uses.release(self.launch.box_directory)


def _ask(link: socket.socket, data: bytes, descriptors: list[int]) -> int:
    """Send an order and wait for the answer, on a worker thread.

    Raises:
        OSError, ValueError, TypeError, KeyError: it is gone, silent, or answers what cannot be understood.
    """
    link.settimeout(THAW_SECONDS)
    socket.send_fds(link, [data], descriptors)
    answer = link.recv(_LARGEST_ANSWER)
    if not answer:
        raise OSError("it has ended")
    pid = json.loads(answer)["pid"]
    if type(pid) is not int or pid <= 0:
        raise ValueError("it could not make a process")
    return pid


async def take_checkpoint(process: KernelProcess, bridge: Bridge) -> KernelCheckpoint:
    """Fork a checkpoint of a kernel of which no cell runs.

    Args:
        process: the kernel's.
        bridge: to it.

    Raises:
        CheckpointRefusedError: this kernel cannot be copied; the message tells why.
    """
    launch = process.launch
    _check_kind(launch)
    if await in_thread(_has_written, launch):
        raise CheckpointRefusedError("it has files in its working directory, which a copy would share")
    link, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with other:
            pid = await _fork(process, bridge, other)
    except BaseException:
        link.close()
        raise
    return KernelCheckpoint(pid, link, launch)


async def _fork(process: KernelProcess, bridge: Bridge, other: socket.socket) -> int:
    server, pid = process.launch.supervisor, 0
    assert server is not None
    try:
        await asyncio.wrap_future(server.ask("spare"))
        try:
            answer, _ = await bridge.request(
                "checkpoint", {}, (os.dup(other.fileno()),), timeout=TAKE_SECONDS
            )
            found = answer.get("pid") if isinstance(answer, dict) else None
            pid = found if type(found) is int and found > 0 else 0
        finally:
            adopted = asyncio.wrap_future(server.ask("adopt", pid=pid, of=process.pid))
            if not pid:
                await asyncio.gather(adopted, return_exceptions=True)
        return await adopted
    except BridgeError as error:
        what = (
            f"it has {error.message}" if error.kind == "rejected" else f"it does not answer ({error.message})"
        )
        raise CheckpointRefusedError(what) from None
    except KernelStartError as error:
        raise CheckpointRefusedError(f"its fork was lost ({error})") from None


def _check_kind(launch: Launch) -> None:
    if launch.kernelspec is not None:
        raise CheckpointRefusedError(f"it is of the kernelspec `{launch.kernelspec}`, and not a fork of ours")
    if launch.sandbox == "bwrap":
        raise CheckpointRefusedError("it runs in bubblewrap, which keeps its processes apart")
    if not launch.forks:
        raise CheckpointRefusedError("kernels are not forked on this system")
    if launch.limits.get("net"):
        raise CheckpointRefusedError("it may reach hosts, and a copy would share its connections")


def _has_written(launch: Launch) -> bool:
    try:
        names = [entry.name for entry in os.scandir(launch.scratch)]
    except OSError:
        return True
    return any(name not in _OWN_FILES and not name.startswith((".", launch.BRANCH)) for name in names)
