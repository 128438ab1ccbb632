"""All agents' kernels of this process: where they live, how many, and their end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.guest.private_directory import remove_directory
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.kernels.bridge.connection_broker import Broker, SandboxEvent
from rlm_jupyter.kernels.channels.gateway import end_late_kernels
from rlm_jupyter.kernels.confinement.policy import limits_of
from rlm_jupyter.kernels.confinement.watchdog import Watch
from rlm_jupyter.kernels.launch.environment import BaseDirectory
from rlm_jupyter.kernels.launch.font_list import FontList
from rlm_jupyter.kernels.launch.fork_check import ForkCheck
from rlm_jupyter.kernels.launch.guest_bundle import fork_server_sources
from rlm_jupyter.kernels.launch.kernel_process import BridgeKind, KernelProcess, Launch, finish
from rlm_jupyter.kernels.limited_kernel import BoundedKernel
from rlm_jupyter.kernels.prestarted import ReadyKernels
from rlm_jupyter.sandbox_settings import Sandbox
from rlm_jupyter.system import available_memory

if TYPE_CHECKING:
    import zmq.asyncio

    from rlm_jupyter.kernels.agent_kernel import AgentKernel
    from rlm_jupyter.kernels.bridge.socket_bridge import BridgeHandler
    from rlm_jupyter.kernels.checkpoints.checkpoint import KernelCheckpoint
    from rlm_jupyter.kernels.launch.early_start import EarlyStart
    from rlm_jupyter.kernels.launch.supervisor_client import Supervisor, Template

DESCRIPTORS_PER_KERNEL = 14
DESCRIPTORS_OF_OTHERS = 256
WANTED_DESCRIPTORS = 65_536
OPEN_MAX = 10_240
BOOTS = 4 * (os.cpu_count() or 1)
"""Kernels that start at once."""
MOST_READY = 2 * (os.cpu_count() or 1)
"""Kernels that are kept ready after a batch of sub-agents: each is memory that may not be needed."""
READY_BYTES = 16 << 20
"""What a forked kernel weighs that has done nothing yet."""
READY_SHARE = 20
"""Kernels that are kept ready after a batch take no more than this part of the memory that is left: a twentieth."""
LARGEST_MESSAGE = 1 << 20
"""Bytes; a kernel of ours cuts what is longer, so a longer one is forged and its sender disconnected."""
READY_SECONDS = 120.0
"""For the supervisor to import what kernels need; a network disk may be slow, but not for ever."""
OPENING_SECONDS = 5.0
"""How long a pool that is closed waits for what it was just making."""
QUEUED_MESSAGES = 2_000
"""Messages of one kernel that wait to be read; above it the kernel drops output, not this process memory."""


@dataclass(frozen=True)
class KernelRequest:
    """What kind of kernel an agent needs.

    Attributes:
        run: the run it belongs to.
        agent: whose kernel it is.
        kernelspec: a name, or None for this Python.
        sandbox: what its code may touch and use up; or its mode.
        env: variables that the user hands over by name.
        limits: of the box, over those of `sandbox`: see `policy_for`.
        tell: called with what happens to the box: see `SandboxEvent`.
    """

    run: str
    agent: str
    kernelspec: str | None = None
    sandbox: Sandbox | str = "auto"
    env: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    tell: Callable[[SandboxEvent], None] | None = None

    @property
    def box(self) -> Sandbox:
        """The sandbox, whichever way it was given."""
        return Sandbox.of(self.sandbox)


class KernelPool:
    """Starts and ends kernels. Belongs to one event loop, that of the engine.

    Args:
        bridge: how calls travel; see `Launch`.
        launch: `auto` forks where the system can; `stock` starts kernels by `jupyter_client` alone.
        guest: what speaks over the bridge inside kernels; None for the words of agents.
        notice: called with a sentence when something is not as it might be expected.
        ready: how many kernels are kept ready for the next sub-agents while a run is open.
        early: what may have started the supervisor before; None if nothing has.

    Attributes:
        standing: sentences on how kernels start here, other than might be expected; for every run of the pool.
    """

    def __init__(
        self,
        *,
        launch: Literal["auto", "stock"] = "auto",
        bridge: BridgeKind = "auto",
        notice: Callable[[str], None] | None = None,
        ready: int = 2,
        early: EarlyStart | None = None,
    ) -> None:
        self._launch = launch
        self._early = early
        self._bridge = bridge
        self._notice = notice or (lambda _: None)
        self.standing: list[str] = []
        self._check = ForkCheck(self._tell_standing)
        self._base: BaseDirectory | None = None
        self._fonts: FontList | None = None
        self._supervisor: Supervisor | None = None
        self._context: zmq.asyncio.Context | None = None
        self._opening: asyncio.Task[Path] | None = None
        self._boots = asyncio.Semaphore(BOOTS)
        self._room = raise_open_files()
        self._places = asyncio.Semaphore(self._room)
        self._numbers = count(1)
        self._kernels: dict[str, set[BoundedKernel]] = {}
        self._watch = Watch(lambda: chain.from_iterable(self._kernels.values()))
        self._directories: dict[str, Path] = {}
        self._templates: dict[str, Template] = {}
        self._starting: Counter[str] = Counter()
        self._ended: set[str] = set()  # runs that were closed while a kernel of theirs started
        self._ready = ReadyKernels(ready, lambda: bool(self._starting), self._most_ready)
        self._closed = False

    # ------------------------------------------------------------------------------------------ kernels

    @property
    def forks(self) -> bool:
        """Whether kernels of this Python are forked here, as far as is known."""
        return self._launch == "auto" and self._check.works is not False

    async def start(self, request: KernelRequest, handler: BridgeHandler) -> AgentKernel:
        """Start a kernel for an agent; waits while as many live as the limit of open files allows.

        Args:
            request: what kind.
            handler: serves what its code asks over the bridge.

        Raises:
            KernelStartError: it did not start; the message tells why and what to try.
        """
        if self._places.locked():
            self._notice(
                "More kernels are needed than the limit of open files allows (`ulimit -n`): some wait."
            )
        async with self._place(request.run):
            width = self._starting.total()
            process = self._ready.take(self._kind(request)) or await self._process(request)
            kernel = await self._adopt(process, request, handler)
        self._watch.begin()
        if process.local:
            self._ready.fill(self._kind(request), lambda: self._process(request), width)
        return kernel

    async def _adopt(
        self, process: KernelProcess, request: KernelRequest, handler: BridgeHandler
    ) -> BoundedKernel:
        """Put a process into the hands of its run; close it if the run was closed while it started."""
        try:
            return self._adopted(process, request, handler)
        except BaseException:
            await finish(process.close())
            raise

    def _adopted(
        self, process: KernelProcess, request: KernelRequest, handler: BridgeHandler
    ) -> BoundedKernel:
        self._refuse_when_closed()
        if request.run in self._ended:
            raise KernelStartError(f"Run `{request.run}` was closed while this kernel started.")
        tell = request.tell or (lambda _: None)
        broker = Broker(process.confinement.get("net") or (), tell)
        kernel = BoundedKernel(
            process,
            broker.wrap(handler),
            lambda: self._process(request),
            self._dismiss,
            lambda text: tell(SandboxEvent(text)),
        )
        self._kernels.setdefault(request.run, set()).add(kernel)
        return kernel

    @asynccontextmanager
    async def _place(self, run: str) -> AsyncIterator[None]:
        """Take one of the places for a kernel of a run that starts; it is free again if that fails."""
        await self._places.acquire()
        self._starting[run] += 1
        try:
            yield
        except BaseException:
            self._places.release()
            raise
        finally:
            self._starting[run] -= 1
            if not self._starting[run]:
                del self._starting[run]
                self._ended.discard(run)

    async def thaw(
        self, checkpoint: KernelCheckpoint, request: KernelRequest, handler: BridgeHandler
    ) -> AgentKernel:
        """Make a kernel of a checkpoint for an agent; see `start`. If it dies, a new kernel takes its place.

        Args:
            checkpoint: that lives.
            request: what kind of kernel the checkpoint was taken from.
            handler: serves what its code asks over the bridge.

        Raises:
            KernelStartError: the checkpoint is gone, or the kernel did not start.
        """
        async with self._place(request.run), self._boots:
            if not checkpoint.alive:
                raise KernelStartError("The checkpoint was ended.")
            launch = self._launch_of(request, await self._open())
            if not checkpoint.suits(launch):
                raise KernelStartError("Its sandbox or its environment is not that of this run.")
            self._share_template(checkpoint, request.run)
            process = await KernelProcess.start(
                replace(launch, supervisor=checkpoint.server, checkpoint=checkpoint)
            )
            kernel = await self._adopt(process, request, handler)
        self._watch.begin()
        return kernel

    def _share_template(self, checkpoint: KernelCheckpoint, run: str) -> None:
        """Let the process that holds the data live as long as this run, if the checkpoint is a fork of one."""
        for template in self._templates.values():
            if template is checkpoint.server:
                self._templates[run] = template
                return

    def _most_ready(self) -> int:
        """Returns how many kernels may be kept ready after a batch: few, since each is memory that nobody uses."""
        if not self.forks:
            return 0
        places = self._room - sum(map(len, self._kernels.values()))
        return min(MOST_READY, available_memory() // READY_SHARE // READY_BYTES, places)

    def _kind(self, request: KernelRequest) -> Hashable:
        """Returns apart what makes kernels different: any of one kind can serve any request of it."""
        shared = request.run if request.run in self._templates else None
        parts = (request.env.items(), request.limits.items())
        return shared, request.kernelspec, request.box, *(tuple(sorted(part)) for part in parts)

    async def _process(self, request: KernelRequest) -> KernelProcess:
        async with self._boots:
            while True:
                base = await self._open()
                launch = self._launch_of(request, base)
                try:
                    return await self._check.start(launch, self._supervisor)
                except KernelStartError:
                    if launch.supervisor is None or launch.supervisor.alive or self._closed:
                        raise
                    # The supervisor was killed while this kernel started: another one serves the next try.

    def _launch_of(self, request: KernelRequest, base: Path) -> Launch:
        assert self._context is not None
        box = request.box
        template = self._templates.get(request.run)
        forked = template is not None and template.alive and self._check.works is not False
        forked = forked and request.kernelspec is None
        return Launch(
            directory=base / f"k{next(self._numbers)}",
            context=self._context,
            supervisor=template if forked and box.mode != "bwrap" else self._supervisor,
            kernelspec=request.kernelspec,
            sandbox=box.mode,
            env=dict(request.env),
            limits={**limits_of(box), **request.limits},
            bridge=self._bridge,
            tell=lambda text: request.tell(SandboxEvent(text)) if request.tell else self._notice(text),
            fonts=self._font_list(base) if request.kernelspec is None else None,
        )

    def _font_list(self, base: Path) -> FontList:
        if self._fonts is None:
            self._fonts = FontList(base / "fonts")
        return self._fonts

    def _dismiss(self, kernel: AgentKernel) -> None:
        for kernels in self._kernels.values():
            kernels.discard(kernel)
        self._places.release()

    # --------------------------------------------------------------------------------------------- runs

    async def open_run(self, run: str) -> Path:
        """Returns the run's private directory (mode 0700), which lives until `close_run`."""
        base = await self._open()
        if run not in self._directories:
            directory = base / f"r{next(self._numbers)}"
            directory.mkdir(mode=0o700)
            self._directories[run] = directory
        return self._directories[run]

    async def share(
        self, run: str, fd: int, token: int | None = None, text: str | bytes | None = None
    ) -> bool:
        """Let kernels of a run that start from now on see a value without a copy.

        A process loads it once, and the run's kernels are forked from that. Afterwards `load` with a descriptor
        of the same file binds the value that is there. Without this, `load` decodes it in each kernel, which
        for tables maps the same memory anyway; large texts, lists and dicts are copied.

        Args:
            run: whose kernels.
            fd: of the encoded value, which must be the notebook's own: it is decoded with pickle. It stays the
                caller's.
            token: a descriptor of the file that stands for the value in `load` afterwards; None for `fd` itself.
            text: the value itself, where it is bytes or ASCII text: it goes over as it is, and `fd` is not read.

        Returns:
            False where kernels cannot be forked, or the value cannot be held that way.
        """
        await self._open()
        if self._supervisor is None or run in self._templates or self._check.works is False:
            return False
        try:
            template = self._supervisor.template(fd, token, text)
            await asyncio.wrap_future(template.ready)
        except KernelStartError as error:
            self._notice(f"The data is copied into each kernel: {error}")
            return False
        self._templates[run] = template
        return True

    def move(self, kernel: AgentKernel, run: str, to: str) -> None:
        """Let a kernel belong to another run: it ends with that one."""
        for bounded in [one for one in self._kernels.get(run, ()) if one is kernel]:
            self._kernels[run].discard(bounded)
            self._kernels.setdefault(to, set()).add(bounded)

    async def close_run(self, run: str) -> None:
        """End all kernels of a run and remove its directory; those that are starting end when they have."""
        if run in self._starting:
            self._ended.add(run)
        kernels = self._kernels.pop(run, set())
        await asyncio.gather(*(kernel.stop() for kernel in list(kernels)), return_exceptions=True)
        directory = self._directories.pop(run, None)
        if run in self._templates or not (self._kernels or self._directories):
            await self._ready.close()
        template = self._templates.pop(run, None)
        if template is not None and not any(one is template for one in self._templates.values()):
            await in_thread(template.close)
        if directory is not None:
            await in_thread(remove_directory, directory)

    async def close(self) -> None:
        """End everything: kernels, supervisor, directories, sockets."""
        self._closed = True
        if self._opening is not None:
            await asyncio.wait({self._opening}, timeout=OPENING_SECONDS)
        for run in {*self._kernels, *self._directories, *self._templates}:
            await self.close_run(run)
        await self._ready.close()
        await end_late_kernels()
        await self._watch.close()
        if self._fonts is not None:
            self._fonts.close()
        if self._supervisor is not None:
            await in_thread(self._supervisor.close)
            self._supervisor = None
        if self._base is not None:
            await in_thread(self._base.remove)
            self._base = None
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None

    # ------------------------------------------------------------------------------------------ opening

    async def _open(self) -> Path:
        """Make what all kernels share, once, and again where the supervisor was killed."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open_shared())
            self._opening.add_done_callback(_see)
        # An agent that is stopped or fails meanwhile takes nothing away from the others.
        try:
            return await asyncio.shield(self._opening)
        except (OSError, RuntimeError) as error:
            raise KernelStartError(
                f"There is no room for agents' kernels: {error}. Close what is not needed (`run.close()`), or raise "
                "the limits of this process (`ulimit -n`, `ulimit -u`)."
            ) from error

    async def _open_shared(self) -> Path:
        self._refuse_when_closed()
        if self._context is None:
            self._context = _make_context()
        if self._supervisor is not None and not self._supervisor.alive:
            await self._lose_supervisor()
        if self._supervisor is None and self._launch == "auto":
            await self._start_supervisor()
        directory = await self._directory()
        self._refuse_when_closed()
        return directory

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise KernelStartError("The kernels of this process were closed.")

    async def _directory(self) -> Path:
        if self._base is None:
            self._base = await in_thread(BaseDirectory)
        return self._base.path

    async def _lose_supervisor(self) -> None:
        """Forget a supervisor that has ended, and the directory that went with it."""
        if self._supervisor is not None:
            await in_thread(self._supervisor.close)
            self._supervisor = None
        if self._base is not None:
            await in_thread(self._base.remove)
            self._base = None
        self._directories.clear()
        self._templates.clear()
        self._ready.drop()

    async def _start_supervisor(self) -> None:
        from rlm_jupyter.kernels.launch.supervisor_client import MODULES, Supervisor, possible

        if not possible():
            self._launch = "stock"
            return
        modules = list(MODULES)
        sources = fork_server_sources()
        while True:
            if not await self._take_early():
                self._supervisor = Supervisor(await self._directory(), sources, modules)
            assert self._supervisor is not None
            try:
                async with asyncio.timeout(READY_SECONDS):
                    report = await asyncio.wrap_future(self._supervisor.ready)
                if report.get("unable"):
                    self._check.fails(str(report["unable"]))
                return
            except TimeoutError:
                await self._lose_supervisor()
                self._launch = "stock"
                self._tell_standing(
                    f"The supervisor of agents' kernels was not ready within {READY_SECONDS:.0f} s. Kernels start in "
                    "the ordinary way, which is slower."
                )
                return
            except KernelStartError as error:
                await self._lose_supervisor()
                module = getattr(error, "module", "")
                if module not in modules:
                    self._launch = "stock"
                    self._tell_standing(f"{error} Kernels start in the ordinary way, which is slower.")
                    return
                modules.remove(module)
                self._tell_standing(f"{error} It is imported in each kernel instead.")

    async def _take_early(self) -> bool:
        """Take the supervisor that was started before this pool had to, if there is one."""
        early, self._early = self._early, None
        started = await in_thread(early.take) if early is not None and self._base is None else None
        if started is None:
            return False
        self._base, self._supervisor = started.base, started.supervisor
        return True

    def _tell_standing(self, sentence: str) -> None:
        if sentence not in self.standing:
            self.standing.append(sentence)
            self._notice(sentence)


def _see(task: asyncio.Task[Path]) -> None:
    """Take note of how a task ended: nobody may be waiting for it any more, and asyncio would complain."""
    task.cancelled() or task.exception()


def _make_context() -> Any:
    import zmq
    import zmq.asyncio

    try:
        context = zmq.asyncio.Context()
    except zmq.ZMQError as error:
        raise OSError(error.errno, str(error)) from error
    with suppress(zmq.ZMQError):
        context.set(zmq.MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT))
    # A socket that a kernel has not bound yet is tried again soon: the default of 100 ms is twice the time
    # that a forked kernel needs to start.
    context.setsockopt(zmq.RECONNECT_IVL, 5)
    context.setsockopt(zmq.RCVHWM, QUEUED_MESSAGES)
    context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
    context.setsockopt(zmq.LINGER, 0)
    return context


def raise_open_files() -> int:
    """Raise this process' soft limit of open files where it may; return how many kernels fit."""
    if sys.platform == "win32":
        return 500
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says that there is no hard limit, and refuses more than its `OPEN_MAX` (its manual page of setrlimit).
    for most in (WANTED_DESCRIPTORS, OPEN_MAX):
        wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                soft = wanted
    available = WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    return max(1, (available - DESCRIPTORS_OF_OTHERS) // DESCRIPTORS_PER_KERNEL)
