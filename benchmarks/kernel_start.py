"""From the ask for a kernel to the reply to its first cell: forked, from the ready ones, and what the box adds."""

from __future__ import annotations

import asyncio
import statistics

from benchmarks.kernel_parts import Stock, kernel, pool, timed
from benchmarks.parts import Figure

ROUNDS = 10


def measure() -> list[Figure]:
    """Measure all kinds in turn, so that a busy moment strikes all of them."""
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    boxed, bare, stock = [], [], []
    async with pool() as forks:
        await (await kernel(forks)).stop()  # the first waits for the supervisor
        for _ in range(ROUNDS):
            for sandbox, samples in (("auto", boxed), ("none", bare)):
                took, made = await timed(kernel(forks, sandbox=sandbox))
                samples.append(took)
                await made.stop()
            took, other = await timed(Stock.start())
            stock.append(took)
            await other.stop()
    box = statistics.median(boxed) - statistics.median(bare)
    return [
        Figure("kernel: ask to first reply, forked", boxed, stock, 60.0, "ms", 0.166),
        Figure("kernel: ask to first reply, from the ready ones", await _ready(), stock, 20.0, "ms", 0.055),
        Figure("kernel: what the box adds (medians' difference)", [box], stock, 5.0, "ms", 0.014),
    ]


async def _ready() -> list[float]:
    samples = []
    async with pool(ready=2) as ahead:
        await kernel(ahead)
        for _ in range(ROUNDS):
            await asyncio.sleep(0.5)  # a turn of a model takes longer
            took, made = await timed(kernel(ahead))
            samples.append(took)
            await made.stop()
    return samples
