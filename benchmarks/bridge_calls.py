"""A call from a cell to the engine and back, without what the engine does with it."""

from __future__ import annotations

import asyncio

from benchmarks.kernel_parts import KernelRequest, answer, pool
from benchmarks.parts import RUNS, Figure
from rlm_jupyter.kernels.pool import KernelPool

CALLS = 2000
CODE = f"""\
import time
budget()
times = []
for _ in range({CALLS}):
    began = time.perf_counter()
    budget()
    times.append(time.perf_counter() - began)
sorted(times)[{CALLS} // 2] * 1000"""


def measure() -> list[Figure]:
    """Measure the socket; its floor is the same over Jupyter's control channel, as kernels elsewhere have it."""
    return [Figure("a call from a cell and back", *asyncio.run(_measure()), 0.1, "ms", 0.143)]


async def _measure() -> tuple[list[float], list[float]]:
    async with pool() as forks:
        ours = await _calls(forks)
    control = KernelPool(ready=0, bridge="control")
    try:
        return ours, await _calls(control)
    finally:
        await control.close()


async def _calls(pool: KernelPool) -> list[float]:
    made = await pool.start(KernelRequest(run="run", agent="0"), answer)
    return [float((await made.execute(CODE, seconds=60)).output) for _ in range(RUNS)]
