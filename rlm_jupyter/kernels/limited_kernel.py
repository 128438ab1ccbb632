"""An agent's kernel that is ended when it uses up more than it may, and says why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rlm_jupyter.kernels.agent_kernel import AgentKernel
from rlm_jupyter.kernels.confinement import process_usage
from rlm_jupyter.system import available_memory, machine_memory
from rlm_jupyter.text.shorten import CutText
from rlm_jupyter.text.units import short_size

if TYPE_CHECKING:
    from rlm_jupyter.kernels.bridge.socket_bridge import BridgeHandler
    from rlm_jupyter.kernels.cell_result import CellResult, CellStatus, OnOutput
    from rlm_jupyter.kernels.confinement.process_usage import Usage
    from rlm_jupyter.kernels.launch.kernel_process import KernelProcess

LIMIT = "LimitExceeded"
"""`error_name` of a cell that was ended for it."""
SPARE_DISK = 16 << 20
"""Bytes above the limit: the file that was just refused is still there, and code may remove it."""
_SPARE_MEMORY = 20
"""Checkpoints end when less than this part of the machine's memory is left: a twentieth."""
_ANY = 1_000_000


class BoundedKernel(AgentKernel):
    """A kernel with an allowance; `Watch` measures it, and this judges.

    Args:
        process, handler, renew, dismiss: as of `AgentKernel`.
        tell: called with a sentence when the kernel was ended.

    Attributes:
        limits: of the process that runs; see `policy.limits_of`.
        directories: what it may write to.
    """

    def __init__(
        self,
        process: KernelProcess,
        handler: BridgeHandler,
        renew: Callable[[], Awaitable[KernelProcess]],
        dismiss: Callable[[AgentKernel], None],
        tell: Callable[[str], None],
    ) -> None:
        self._tell = tell
        self._why = ""
        super().__init__(process, handler, renew, dismiss)

    def _adopt(self, process: KernelProcess) -> None:
        self.limits: dict[str, Any] = process.launch.limits if process.local else {}
        scratch = self.limits.get("scratch")
        self.directories = [str(process.launch.scratch), *([scratch] if scratch else [])]
        self._over = False
        self._begin_cpu: float | None = None
        self._begin_disk: int | None = None if scratch else 0
        watched = process.pid is not None and process_usage.possible() and bool(self.limits)
        copied = process.launch.checkpoint
        if copied is not None:  # what the first kernel had made counts on
            self._begin_memory = copied.begin_memory
        else:
            self._begin_memory = (
                process_usage.measure(process.pid, _ANY).memory if watched and process.pid else 0
            )
        super()._adopt(process)

    @property
    def busy(self) -> bool:
        """Whether a cell runs."""
        return not self._idle.is_set()

    @property
    def watched(self) -> bool:
        """Whether there is something to measure."""
        limited = any(self.limits.get(name) for name in ("memory", "processes", "disk", "cell_cpu"))
        return limited and self.alive and not self._over and self.pid is not None

    @property
    def most_processes(self) -> int:
        """How many processes are worth counting."""
        return int(self.limits.get("processes") or _ANY)

    async def execute(
        self, code: str, *, seconds: float | None = None, on_output: OnOutput | None = None
    ) -> CellResult:
        """Run one cell; see `AgentKernel.execute`. One that passed a limit has the error `LimitExceeded`."""
        self._begin_cpu = None
        result = await super().execute(code, seconds=seconds, on_output=on_output)
        why, self._why = self._why, ""
        if not why or result.status == "ok":
            return result
        status: CellStatus = "died" if result.restarted else "timeout"
        return replace(result, status=status, error_name=LIMIT, error_value=why, frames=CutText())

    def judge(self, used: Usage, disk: int | None) -> None:
        """End the cell or the kernel, if that is too much.

        Args:
            used: by the process and what it started.
            disk: bytes of `directories`; None where they were not looked at.
        """
        limits, added = self.limits, used.memory - self._begin_memory
        if limits.get("processes") and used.processes > limits["processes"]:
            self._end("processes", f"had more than {limits['processes']:,} processes", "Start fewer at once")
        elif limits.get("memory") and added > limits["memory"]:
            text = f"used {short_size(added)} of memory besides its data, of {short_size(limits['memory'])}"
            self._end("memory", text, "Work on less data at once")
        elif disk is not None and limits.get("disk") and self._written(disk) > limits["disk"] + SPARE_DISK:
            text = f"wrote {short_size(self._written(disk))} to disk, of {short_size(limits['disk'])}"
            self._end("disk", text, "Write less, or keep it in variables")
        elif limits.get("cell_cpu") and self.busy:
            self._judge_cpu(used.cpu, float(limits["cell_cpu"]))

    def judge_checkpoints(self, held: int, restless: Sequence[int] = ()) -> None:
        """End the oldest checkpoint if all hold more than the kernel itself may; all, if the machine's memory runs out.

        Args:
            held: bytes that they hold beside the kernel.
            restless: process ids of those that do anything but wait; they end too.
        """
        self.checkpoints.end_these(restless)
        if available_memory() < machine_memory() // _SPARE_MEMORY:
            count, why = len(self.checkpoints.pids), "this machine has little memory left"
        elif held > int(self.limits.get("memory") or machine_memory()):
            count, why = 1, "they held more than the limit `memory` of the sandbox"
        else:
            return
        self.checkpoints.end_oldest(count)
        self._tell(f"Of the checkpoints of the kernel, the oldest {count} were ended: {why}.")

    def needs_exact_memory(self, used: Usage) -> bool:
        """Whether it looks like too much, which may be pages that are counted twice."""
        limit = int(self.limits.get("memory") or 0)
        return limit > 0 and used.processes > 1 and used.memory - self._begin_memory > limit

    def _written(self, disk: int) -> int:
        if self._begin_disk is None:  # what the user's own directory held before is not the agent's
            self._begin_disk = disk
        return disk - self._begin_disk

    def _judge_cpu(self, cpu: float, limit: float) -> None:
        if self._begin_cpu is None:
            self._begin_cpu = cpu
        elif cpu - self._begin_cpu > limit:
            self._begin_cpu = None
            self._why = self._tell_over(
                "cpu_seconds",
                f"A cell used more than {limit:g} s of processor time",
                "Work on less data at once",
            )
            self._in_background(self.interrupt())

    def _end(self, limit: str, what: str, instead: str) -> None:
        self._over = True
        self._why = self._tell_over(limit, f"The kernel {what}, and was ended", instead)
        self._in_background(self._process.kill())

    def _tell_over(self, limit: str, what: str, instead: str) -> str:
        self._tell(
            f"{what}. That is the limit `{limit}` of the sandbox: raise it (`Sandbox({limit}=...)`), or ask less."
        )
        return f"{what} (the sandbox's limit `{limit}`). {instead}."
