"""One operating-system process of a kernel, with its channels: start, boot, messages, death."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from rlm_jupyter.errors import KernelDiedError, KernelStartError
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.kernels.bridge.control_bridge import ControlBridge
from rlm_jupyter.kernels.bridge.socket_bridge import HostBridge
from rlm_jupyter.kernels.channels.gateway import ENDED_ELSEWHERE, LOST_ELSEWHERE, GatewayManager, is_gateway
from rlm_jupyter.kernels.channels.zmq_channels import Channels, Request, Sink
from rlm_jupyter.kernels.confinement.policy import bubblewrap, confinement, policy_for
from rlm_jupyter.kernels.launch import directory_uses
from rlm_jupyter.kernels.launch.docker_provisioner import DockerProvisioner, image_of, refuse_limits
from rlm_jupyter.kernels.launch.environment import kernel_environment, remote_environment
from rlm_jupyter.kernels.launch.first_request import first_request, read_report, thawed_request
from rlm_jupyter.kernels.launch.font_list import FontList
from rlm_jupyter.kernels.launch.manager import check_launch, make_manager
from rlm_jupyter.supervisor.forked_kernel import BRIDGE_FD
from rlm_jupyter.system import processes_below

if TYPE_CHECKING:
    import zmq.asyncio

    from rlm_jupyter.kernels.bridge.socket_bridge import Bridge, BridgeHandler
    from rlm_jupyter.kernels.checkpoints.checkpoint import KernelCheckpoint
    from rlm_jupyter.kernels.launch.supervisor_client import ForkClient

START_SECONDS = 60.0
GATEWAY_SECONDS = 30.0
"""Longer than that: a gateway may take the whole minute before it says that it has started a kernel."""
KILL_SECONDS = 10.0
T = TypeVar("T")
BridgeKind = Literal["auto", "socket", "control"]


@dataclass
class Launch:
    """How a kernel is to be started.

    Attributes:
        directory: its own directory, made by `start` and removed by `close`.
        context: the zmq context that all kernels share.
        supervisor: or a template of it; None to start a stock kernel by `jupyter_client` alone.
        kernelspec: a name, or None for this Python.
        sandbox: `auto`, `none` or `bwrap`.
        env: variables that the user hands over.
        limits: of the box; see `policy_for`.
        bridge: `socket` passes a descriptor to the kernel, `control` uses the control channel; `auto` is the
            first where the kernel is a process of this machine.
        tell: called with a sentence where something of the kernel stays behind.
        execute: execute the kernel's program even where the supervisor could fork the kernel.
        fonts: the list of fonts that kernels of this Python share.
        checkpoint: of which the kernel is made, with its variables; None for a new kernel.
    """

    BRANCH: ClassVar[str] = "branch-"
    """How the names of the working directories begin of kernels that share a box with an earlier one."""

    directory: Path
    context: zmq.asyncio.Context
    supervisor: ForkClient | None
    kernelspec: str | None = None
    sandbox: str = "auto"
    env: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    bridge: BridgeKind = "auto"
    tell: Callable[[str], None] | None = None
    execute: bool = False
    fonts: FontList | None = None
    checkpoint: KernelCheckpoint | None = None

    @property
    def box_directory(self) -> Path:
        """The directory that its box allows: its own, or that of the kernel from which a checkpoint was taken."""
        return self.directory if self.checkpoint is None else self.checkpoint.launch.box_directory

    @property
    def scratch(self) -> Path:
        """Its working directory."""
        allowed = self.box_directory / "scratch"
        return allowed if self.checkpoint is None else allowed / f"{self.BRANCH}{self.directory.name}"

    @property
    def forks(self) -> bool:
        """Whether the kernel is a fork of its supervisor."""
        own = self.kernelspec is None and self.sandbox != "bwrap"
        return self.supervisor is not None and own and not self.execute


class KernelProcess:
    """A kernel that runs. Made by `start`; belongs to the event loop that started it.

    Attributes:
        died: resolves to the exit status when the process has ended.
        confinement: what holds for it.
    """

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.died: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.confinement: dict[str, Any] = {}
        self._link: socket.socket | None = None  # the host's end of the bridge, until `open_bridge` takes it
        self._tasks: list[asyncio.Task[None]] = []
        self._pidfd: int | None = None
        self._watched = False
        self._channels: Channels | None = None
        self._manager: Any = None
        self._forked = False
        self._policy: dict[str, Any] | None = None
        self._uses_directories = False

    # ------------------------------------------------------------------------------------------- starting

    @classmethod
    async def start(cls, launch: Launch, seconds: float | None = None) -> KernelProcess:
        """Start a kernel and wait until it takes cells.

        Args:
            launch: how.
            seconds: how long to wait; None is `START_SECONDS`.

        Raises:
            KernelStartError: with what the kernel wrote to stderr and what to try.
        """
        self = cls(launch)
        seconds = START_SECONDS if seconds is None else seconds
        try:
            async with asyncio.timeout(seconds + (GATEWAY_SECONDS if is_gateway(launch.kernelspec) else 0)):
                await self._start()
        except BaseException as error:
            detail = self._stderr()
            await finish(self.close())
            if isinstance(error, KernelStartError):
                raise
            if isinstance(error, TimeoutError):
                raise KernelStartError(
                    _advice(launch, f"did not answer within {seconds:.0f} s", detail)
                ) from None
            if isinstance(error, Exception):
                raise KernelStartError(_advice(launch, f"did not start: {error}", detail)) from error
            raise
        return self

    async def _start(self) -> None:
        launch = self.launch
        for directory in {launch.directory, launch.box_directory}:
            directory_uses.use(directory)
        self._uses_directories = True
        for directory in (launch.directory / "sockets", launch.scratch):
            directory.mkdir(mode=0o700, parents=True)
        if launch.fonts is not None:
            launch.fonts.copy_to(launch.scratch)
        manager = self._manager = make_manager(launch.kernelspec, launch.directory, launch.context)
        if isinstance(manager, GatewayManager) and launch.tell is not None:
            manager.tell = launch.tell
        if launch.bridge == "control" or not manager.is_local or sys.platform == "win32":
            number = await self._launch(None)
        else:
            self._link, other = socket.socketpair()
            with other:
                number = await self._launch(other)
        self._watch_death()
        self._channels = Channels(self._manager.client(context=launch.context), self._take_for_hostile)
        await self._boot(number, self._channels)

    async def _launch(self, other: socket.socket | None) -> int | None:
        """Start the process; return the number of the bridge's descriptor in it, if there is one."""
        launch, manager = self.launch, self._manager
        if not manager.is_local:
            check_launch(launch.kernelspec, launch.sandbox)
            if (image := image_of(manager.kernel_spec)) is not None:
                manager.provisioner = self._in_container(image)
            # What is written there is of the program that launches it from here.
            with (launch.directory / "stderr").open("wb") as stderr:
                await manager.start_kernel(
                    env=remote_environment(manager.kernel_spec.env),
                    cwd=str(launch.scratch),
                    stderr=stderr,
                )
            return None
        argv = list(manager.kernel_spec.argv)
        executable = None if launch.kernelspec is None else argv[0]
        policy = policy_for(launch.sandbox, launch.directory, executable, launch.limits)
        if launch.sandbox == "bwrap":
            manager.kernel_spec.argv = bubblewrap(launch.directory, argv, executable, launch.limits)
            manager.kernel_spec.interrupt_mode = "message"  # SIGINT to the group would end bubblewrap itself
        self._policy = policy
        options: dict[str, Any] = {
            "env": kernel_environment(launch.scratch, {**manager.kernel_spec.env, **launch.env}),
            "cwd": str(launch.scratch),
        }
        if launch.checkpoint is not None:
            return await self._thaw(launch.checkpoint, other, options)
        if launch.supervisor is not None:
            from rlm_jupyter.kernels.launch.fork_provisioner import ForkProvisioner

            provisioner = ForkProvisioner(
                kernel_id=launch.directory.name, kernel_spec=manager.kernel_spec, parent=manager
            )
            provisioner.supervisor, provisioner.bridge = launch.supervisor, other.fileno() if other else None
            provisioner.log = str(launch.directory / "stderr")
            provisioner.policy = None if launch.sandbox == "bwrap" else policy
            provisioner.execute = not launch.forks
            self._forked = launch.forks
            manager.provisioner = provisioner
            await manager.start_kernel(**options)
            return BRIDGE_FD if other else None
        with (launch.directory / "stderr").open("wb") as stderr:
            descriptors = {"pass_fds": (other.fileno(),)} if other else {}
            await manager.start_kernel(stderr=stderr, **descriptors, **options)
        return other.fileno() if other else None

    async def _thaw(
        self, checkpoint: KernelCheckpoint, other: socket.socket | None, options: dict[str, Any]
    ) -> int:
        """Start the process as a fork of a checkpoint."""
        from rlm_jupyter.kernels.checkpoints.thaw_provisioner import ThawProvisioner

        launch, manager = self.launch, self._manager
        provisioner = ThawProvisioner(
            kernel_id=launch.directory.name, kernel_spec=manager.kernel_spec, parent=manager
        )
        provisioner.checkpoint, provisioner.bridge = checkpoint, other.fileno() if other else None
        provisioner.log = str(launch.directory / "stderr")
        manager.provisioner = provisioner
        await manager.start_kernel(**options)
        return BRIDGE_FD

    def _in_container(self, image: str) -> DockerProvisioner:
        launch, manager = self.launch, self._manager
        refuse_limits(launch.limits)
        provisioner = DockerProvisioner(
            kernel_id=launch.directory.name, kernel_spec=manager.kernel_spec, parent=manager
        )
        provisioner.image, provisioner.directory, provisioner.limits = image, launch.directory, launch.limits
        return provisioner

    async def _boot(self, number: int | None, channels: Channels) -> None:
        """Run what must run before the first cell, and wait until output is heard."""
        launch = self.launch
        local = self._manager.is_local
        if launch.checkpoint is not None:
            code, expressions = thawed_request()
        else:
            code, expressions = first_request(
                number,
                forked=self._forked,
                policy=self._policy,
                parent=os.getpid() if local and launch.supervisor is None else None,
                directory=launch.directory,
                remote=None if local else launch.env,
            )
        content = await self.or_death(channels.send(code, silent=True, expressions=expressions).reply)
        report = read_report(content, launch.kernelspec)
        self.confinement = confinement(launch.sandbox, report, local=local, limits=launch.limits)
        await channels.wait_heard(self.died)
        await self.check_alive()

    def open_bridge(self, handler: BridgeHandler, on_close: Callable[[], None]) -> Bridge:
        """Make the line to the kernel; once for a process. It is closed before the process is."""
        if self._link is not None:
            link, self._link = self._link, None
            return HostBridge(link, handler, on_close)
        assert self._channels is not None
        return ControlBridge(self._channels.client, handler, on_close)

    @property
    def local(self) -> bool:
        """Whether it is a process of this machine."""
        return self._manager is not None and bool(self._manager.is_local)

    # --------------------------------------------------------------------------------------------- death

    @property
    def pid(self) -> int | None:
        """Its process id; None if it runs elsewhere."""
        provisioner = self._manager.provisioner if self._manager else None
        return getattr(provisioner, "pid", None)

    def _watch_death(self) -> None:
        if self._watched:
            return
        self._watched = True
        loop = asyncio.get_running_loop()
        provisioner = self._manager.provisioner
        if self.launch.supervisor is not None and hasattr(provisioner, "supervisor"):
            exited = provisioner.supervisor.exit_of(provisioner.pid)
            exited.add_done_callback(lambda done: _from_thread(loop, self._set_died, done.result()))
            return
        try:
            self._pidfd = os.pidfd_open(provisioner.pid)
        except (AttributeError, OSError, TypeError):
            self._tasks.append(loop.create_task(self._poll_death()))
        else:
            loop.add_reader(self._pidfd, self._pidfd_ready)

    def _pidfd_ready(self) -> None:
        self._close_pidfd()
        self._tasks.append(asyncio.get_running_loop().create_task(self._poll_death()))

    def _close_pidfd(self) -> None:
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    async def _poll_death(self) -> None:
        while (status := await self._manager.provisioner.poll()) is None:
            await asyncio.sleep(0.1)
        self._set_died(status)

    def _set_died(self, status: int) -> None:
        if not self.died.done():
            self.died.set_result(status)

    async def or_death(self, future: asyncio.Future[T]) -> T:
        """Wait for `future`, but not beyond the kernel's death.

        Raises:
            KernelDiedError: the kernel died first.
        """
        waiting: set[asyncio.Future[Any]] = {future, self.died}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if future.done() and future is not self.died:
            return future.result()
        raise KernelDiedError(f"the kernel died ({describe_exit(self.died.result())})")

    async def check_alive(self) -> None:
        """Raise KernelDiedError if the kernel has died."""
        if self.died.done():
            raise KernelDiedError(f"the kernel died ({describe_exit(self.died.result())})")

    def send(self, code: str, sink: Sink, *, silent: bool = False) -> Request:
        """Send a cell.

        Args:
            code: of the cell.
            sink: called with the type and content of each message of its output.
            silent: True for a cell of ours that is not counted.
        """
        assert self._channels is not None
        return self._channels.send(code, silent=silent, sink=sink)

    async def settled(self, request: Request) -> None:
        """Wait until the output of a cell that has replied is complete, a second at most."""
        if self._channels is not None:
            await self._channels.settled(request, self.died)

    def _take_for_hostile(self) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(self.kill()))

    def _stderr(self) -> str:
        with suppress(OSError):
            return (self.launch.directory / "stderr").read_text(errors="replace")[-2000:].strip()
        return ""

    # --------------------------------------------------------------------------------------------- ending

    async def interrupt(self, request: Request, seconds: float) -> None:
        """Interrupt a cell and wait for its reply, or the kernel's death.

        Args:
            request: of the cell.
            seconds: how long to wait.
        """
        if self.died.done() or self._channels is None:
            return
        waiting: set[asyncio.Future[Any]] = {request.reply, self.died}
        # Before the cell has begun, a kernel ignores SIGINT.
        await asyncio.wait(
            {*waiting, request.started}, timeout=seconds / 2, return_when=asyncio.FIRST_COMPLETED
        )
        if request.reply.done():
            return
        with suppress(ProcessLookupError, RuntimeError):
            await self._manager.interrupt_kernel()  # SIGINT, or a message where the kernelspec says so
        self._channels.probe(request)
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def kill(self) -> None:
        """Kill the kernel with its descendants; returns when it is gone."""
        if self._manager is None or self._manager.provisioner is None or self.died.done():
            return
        self._watch_death()  # a start that was cancelled came not so far
        with suppress(ProcessLookupError):
            # A kernel elsewhere clears up after itself, see `remote`; the supervisor knows all descendants.
            ours = self._manager.is_local and self.launch.supervisor is None
            rest = processes_below(self.pid) if ours and self.pid is not None else []
            await self._manager.provisioner.kill()
            for process in rest:
                with suppress(Exception):
                    process.kill()
        await asyncio.wait({self.died}, timeout=KILL_SECONDS)

    async def close(self) -> None:
        """Kill the kernel and leave nothing of it: no process, socket, file or directory."""
        if self._manager is not None and self._manager.has_kernel:
            await self.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._close_pidfd()
        if self._channels is not None:
            await self._channels.close()
            self._channels = None
        if self._manager is not None:
            with suppress(Exception):
                if self._manager.has_kernel:
                    await self._manager.provisioner.wait()
                await self._manager.cleanup_resources()
            self._manager = None
        if self._link is not None:
            self._link.close()
            self._link = None
        self._set_died(-9)
        if self.launch.checkpoint is not None:
            # Not `remove_directory`: it changes modes by path, and another kernel of this box, which may live, can put
            # a link in the place of what lies there. What stays for its modes goes with the box.
            await in_thread(shutil.rmtree, self.launch.scratch, ignore_errors=True)
        if self._uses_directories:
            self._uses_directories = False
            for directory in {self.launch.directory, self.launch.box_directory}:
                await directory_uses.release(directory)


async def finish(work: Coroutine[Any, Any, None]) -> None:
    """Do work to its end, also where the one who waits for it is cancelled meanwhile: what it ends must not stay."""
    task = asyncio.get_running_loop().create_task(work)
    _finishing.add(task)
    task.add_done_callback(_finishing.discard)
    await asyncio.shield(task)


_finishing: set[asyncio.Task[None]] = set()


def _from_thread(loop: asyncio.AbstractEventLoop, function: Callable[[int], None], status: int) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(function, status)


def describe_exit(status: int) -> str:
    """Put an exit status into words."""
    import signal

    if status == ENDED_ELSEWHERE:
        return "it ended where it runs, and its gateway does not tell how"
    if status == LOST_ELSEWHERE:
        return "its gateway broke off the connection to it again and again"
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
    known = {
        "SIGKILL": ", which is also how a machine without free memory ends it",
        "SIGSEGV": ", a crash in C code",
    }
    return name + known.get(name, "")


def _advice(launch: Launch, what: str, detail: str) -> str:
    kernel = f"`{launch.kernelspec}`" if launch.kernelspec else "of this Python"
    if is_gateway(launch.kernelspec):
        return f"An agent's kernel {kernel} {what}. The log of its gateway may say why."
    tries = (
        "Try `sandbox='none'` to see whether the sandbox is the cause"
        if launch.sandbox != "none"
        else ("Try `python -m ipykernel_launcher` in a terminal to see it fail")
    )
    written = f" It wrote: {detail}" if detail else ""
    return f"An agent's kernel {kernel} {what}. {tries}.{written}"
