"""What the figures of kernels share: our pool, a stock kernel with pandas beside it, and memory."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from rlm_jupyter.kernels.pool import KernelPool, KernelRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rlm_jupyter.kernels.agent_kernel import AgentKernel

MIB = 1 << 20
REQUEST = KernelRequest(run="run", agent="0")


async def answer(*_: Any) -> tuple[Any, list[int]]:
    """Answer every call of a kernel at once."""
    return {}, []


@asynccontextmanager
async def pool(ready: int = 0) -> AsyncIterator[KernelPool]:
    """Yields a pool whose supervisor runs."""
    made = KernelPool(ready=ready)
    try:
        await made.open_run("run")
        yield made
    finally:
        await made.close()


async def kernel(of: KernelPool, **options: Any) -> AgentKernel:
    """Start one of ours and let it answer a cell."""
    made = await of.start(KernelRequest(run="run", agent="0", **options), answer)
    result = await made.execute("1", seconds=60)
    assert result.output == "1\n", result
    return made


async def timed(work: Any) -> tuple[float, Any]:
    """Returns milliseconds and result of an awaitable."""
    began = time.perf_counter()
    result = await work
    return 1000 * (time.perf_counter() - began), result


class Stock:
    """A kernel as jupyter_client starts it, which imports pandas. Not by `wait_for_ready`, which waits for more."""

    @classmethod
    async def start(cls) -> Stock:
        self = cls()
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.manager = AsyncKernelManager()
        self.manager._kernel_spec = KernelSpec(argv=argv, display_name="Stock", language="python")
        await self.manager.start_kernel(stderr=asyncio.subprocess.DEVNULL)
        self.client = self.manager.client()
        self.client.start_channels()
        await self.run("import numpy, pandas")
        return self

    @property
    def pid(self) -> int:
        """Of its process."""
        return int(self.manager.provisioner.pid)

    async def run(self, code: str) -> None:
        """Execute a cell that must succeed."""
        sent = self.client.execute(code, silent=True)
        while True:
            reply = await self.client.get_shell_msg(timeout=120)
            if reply["parent_header"].get("msg_id") == sent:
                break
        assert reply["content"]["status"] == "ok", reply["content"]

    async def stop(self) -> None:
        """End it."""
        self.client.stop_channels()
        await self.manager.shutdown_kernel(now=True)


def own_memory(pid: int) -> float:
    """Returns the MiB that would be free without that process (USS)."""
    import psutil

    return float(psutil.Process(pid).memory_full_info().uss) / MIB


def used_memory() -> float:
    """Returns the MiB that this process and its descendants hold: their own pages, and all memory files.

    A page that several map is divided among them, so a kernel that is forked while they are read takes its part
    of a gigabyte out of the sum: it is read again until nobody came or went meanwhile.
    """
    import psutil

    me = psutil.Process()
    while True:
        processes = {me, *me.children(recursive=True)}
        total = _kilobytes("/proc/meminfo", "Shmem:")
        for process in processes:
            with suppress(OSError):  # it has just ended
                total += _kilobytes(f"/proc/{process.pid}/smaps_rollup", "Pss_Anon:")
        time.sleep(0.2)
        if processes == {me, *me.children(recursive=True)}:
            return total / 1024


def _kilobytes(path: str, name: str) -> int:
    lines = Path(path).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
