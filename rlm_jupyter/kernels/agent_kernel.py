"""One agent's kernel: it executes cells, and always comes back, with a fresh process where it must."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import KernelDiedError
from rlm_jupyter.kernels.cell_result import CellResult, CellStatus, OnOutput, Recorder
from rlm_jupyter.kernels.checkpoints.checkpoint import CheckpointRefusedError, take_checkpoint
from rlm_jupyter.kernels.checkpoints.kept_checkpoints import KeptCheckpoints
from rlm_jupyter.kernels.launch.kernel_process import KernelProcess, describe_exit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlm_jupyter.kernels.bridge.socket_bridge import BridgeHandler
    from rlm_jupyter.kernels.channels.zmq_channels import Request

__all__ = ["AgentKernel", "CellResult"]

GRACE_SECONDS = 2.0
"""How long an interrupted cell may take to end before its kernel is killed."""
_ENDED_SECONDS = 5.0
"""How long the end of a kernel may take to be noticed, whose cell was interrupted by the gateway."""
_TICK = 0.1
_TOLD_SECONDS = 1.0
"""How long a cell that has ended may take to tell of its variables; where its code has broken that, it never does."""


class AgentKernel:
    """A kernel for one agent. Made by `KernelPool.start`; belongs to the engine's event loop.

    Args:
        process: that runs.
        handler: serves the requests of the kernel's code.
        renew: starts a process for a fresh kernel in place of a dead one.
        dismiss: called once, when the kernel has been stopped.

    Attributes:
        bridge: to the process that runs now; another object after a restart.
        checkpoints: of the process that runs now; they end with it.
    """

    _begin_memory = 0
    """Bytes that do not count to the limit of memory."""

    def __init__(
        self,
        process: KernelProcess,
        handler: BridgeHandler,
        renew: Callable[[], Awaitable[KernelProcess]],
        dismiss: Callable[[AgentKernel], None],
    ) -> None:
        self._handler, self._renew, self._dismiss = handler, renew, dismiss
        self._lock = asyncio.Lock()
        self._stopping = False
        self._interrupted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._idle = asyncio.Event()
        self._idle.set()
        self._settling: set[asyncio.Task[Any]] = set()
        self.checkpoints = KeptCheckpoints()
        self._adopt(process)

    def _adopt(self, process: KernelProcess) -> None:
        self._process = process
        self._reports_variables: bool | None = None  # of its cells; None while nothing is known
        self.bridge = process.open_bridge(self._handler, lambda: self._bridge_lost(process))
        process.died.add_done_callback(lambda _: self._process_died(process))

    def _bridge_lost(self, process: KernelProcess) -> None:
        # The agent's code closed its end or broke the protocol: that kernel cannot be trusted any more.
        if not process.died.done():
            self._in_background(process.kill())

    def _process_died(self, process: KernelProcess) -> None:
        if process is self._process:
            self.bridge.close()

    def _in_background(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    # --------------------------------------------------------------------------------------------- facts

    @property
    def pid(self) -> int | None:
        """The process id; None where the kernel runs elsewhere."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return not self._stopping and not self._process.died.done()

    @property
    def confinement(self) -> dict[str, Any]:
        """What holds for it: `mode`, `holds` and `missing`; see `policy.confinement`."""
        return self._process.confinement

    # ----------------------------------------------------------------------------------------- executing

    async def execute(
        self, code: str, *, seconds: float | None = None, on_output: OnOutput | None = None
    ) -> CellResult:
        """Run one cell; cells of one kernel run one after the other.

        A cell that passes its time is interrupted, and after 2 s its kernel is replaced by a fresh one. A kernel
        that dies is replaced too; where it was dead before the cell, the cell does not run.

        Args:
            code: of the cell.
            seconds: how long it may work; time in which it waits for requests of its own does not count.
                None is no limit.
            on_output: called with stream and text while output arrives; what is long is cut there too.

        Returns:
            The result; `restarted` tells whether the variables are gone.

        Raises:
            KernelStartError: a fresh kernel was needed and did not start.
            KernelDiedError: the kernel was stopped by `stop`.
        """
        async with self._lock:
            if self._settling:
                await asyncio.wait(set(self._settling))
            recorder = Recorder(on_output)
            if not self.alive:
                return await self._replaced(recorder, "died")
            self._interrupted = asyncio.get_running_loop().create_future()
            self._idle.clear()
            if (fonts := self._process.launch.fonts) is not None:
                fonts.want_for(code)
            try:
                return await self._run(code, seconds, recorder)
            finally:
                self._idle.set()

    async def checkpoint(self, owner: str, turn: int, most: int) -> None:
        """Keep a copy of the kernel as it is after a turn, for branches; between cells.

        Args:
            owner: whose turn it was.
            turn: its number.
            most: how many are kept; the oldest end.

        Raises:
            CheckpointRefusedError: this kernel cannot be copied; the message tells why.
        """
        async with self._lock:
            if self._settling:
                await asyncio.wait(set(self._settling))
            if not self.alive:
                raise CheckpointRefusedError("it has ended")
            taken = await take_checkpoint(self._process, self.bridge)
            taken.begin_memory = self._begin_memory
            self.checkpoints.add(owner, turn, taken, most)

    async def _run(self, code: str, seconds: float | None, recorder: Recorder) -> CellResult:
        told = self.bridge.next_end()
        self.bridge.allow_requests()
        request = self._process.send(code, recorder.on_message)
        reply = request.reply
        try:
            why = await self._wait(reply, seconds)
            if why and not reply.done() and not self._process.died.done():
                await self._end_cell(request)
            if not reply.done() or self._process.died.done():  # it may have replied just before it was killed
                return await self._replaced(recorder, why or "died")
            await self._process.settled(request)
            ended = why is None and reply.result().get("ename") == "KeyboardInterrupt"
            if ended and not self._process.local:
                # A gateway that ends a kernel interrupts it first: its cell may still reply. Nobody ends a local
                # kernel that way, and a cell that raises this itself shall not wait.
                await asyncio.wait({self._process.died}, timeout=_ENDED_SECONDS)
                if self._process.died.done():
                    return await self._replaced(recorder, "died")
            if why is None:
                await self._wait_for_variables(told)
        except asyncio.CancelledError:
            # The one who waited is gone; the cell must not go on without him.
            if not reply.done():
                self._in_background(self._end_cell(request))
            raise
        content = reply.result()
        if content.get("status") == "ok":
            return recorder.result("ok", content)
        return recorder.result(why or "error", content)

    async def _wait_for_variables(self, told: asyncio.Future[None]) -> None:
        """Wait until the kernel has told of the cell's variables."""
        if not told.done() and self._reports_variables is not False:
            waiting: set[asyncio.Future[Any]] = {told, self._process.died}
            await asyncio.wait(waiting, timeout=_TOLD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        self._reports_variables = self._reports_variables or told.done()

    async def _wait(
        self, reply: asyncio.Future[Mapping[str, Any]], seconds: float | None
    ) -> CellStatus | None:
        """Wait for the reply, the death, an interrupt or the end of the time; tell which of the last two."""
        clock = asyncio.get_running_loop().time
        worked, last = 0.0, clock()
        interrupted = self._interrupted
        waiting: set[asyncio.Future[Any]] = {reply, self._process.died, interrupted}
        while True:
            tick = _TICK if seconds is None else max(0.005, min(_TICK, seconds - worked))
            done, _ = await asyncio.wait(
                waiting, timeout=None if seconds is None else tick, return_when=asyncio.FIRST_COMPLETED
            )
            if interrupted in done and reply not in done:
                return "interrupted"
            if done:
                return None
            now = clock()
            if not self.bridge.pending:
                worked += now - last
            last = now
            if seconds is not None and worked >= seconds:
                return "timeout"

    async def _end_cell(self, request: Request) -> None:
        """Interrupt the cell twice within the grace; then kill the kernel."""
        # Until the next cell: a thread of this one whose call was failed goes on and makes its next.
        self.bridge.block_requests("stopped", "The cell was interrupted.")
        for _ in range(2):
            await self._process.interrupt(request, GRACE_SECONDS / 2)
            if request.reply.done() or self._process.died.done():
                return
        await self._process.kill()

    async def _replaced(self, recorder: Recorder, status: CellStatus) -> CellResult:
        """Put a fresh kernel in the place of the dead one."""
        if self._was_stopped():
            raise KernelDiedError("The agent's kernel was stopped.")
        old = self._process
        await self.checkpoints.end()
        ended = describe_exit(old.died.result()) if old.died.done() else "it did not end"
        self.bridge.close()
        await old.close()
        process = await self._renew()
        if self._was_stopped():
            await process.close()
            raise KernelDiedError("The agent's kernel was stopped.")
        self._adopt(process)
        why = {
            "timeout": "The cell ran too long, did not stop when it was interrupted, and its kernel was killed.",
            "interrupted": "The cell did not stop when it was interrupted, and its kernel was killed.",
        }.get(status, f"The kernel died: {ended}.")
        return recorder.result(status, restarted=True, why=why)

    def _was_stopped(self) -> bool:
        return self._stopping

    # -------------------------------------------------------------------------------------------- ending

    async def interrupt(self) -> None:
        """Interrupt the running cell and wait until it has ended; nothing happens where none runs."""
        if not self._idle.is_set():
            if not self._interrupted.done():
                self._interrupted.set_result(None)
            await self._idle.wait()

    async def stop(self) -> None:
        """End the kernel and remove what it leaves; a cell that runs raises KernelDiedError."""
        if self._stopping:
            return
        self._stopping = True
        self.bridge.close()
        await self.checkpoints.end()
        await self._process.kill()
        await self._process.close()
        self._dismiss(self)
