"""Fifty kernels at once: how long it takes until all have answered, and what each further one weighs."""

from __future__ import annotations

import asyncio
import statistics

from benchmarks.kernel_parts import Stock, kernel, own_memory, pool, timed
from benchmarks.parts import Figure

NUMBER, RUNS, STOCK = 50, 3, 10


def measure() -> list[Figure]:
    """Measure; of stock kernels fewer, and their time is taken five times: fifty of them need 4 GB."""
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    took, weights = [], []
    for _ in range(RUNS):
        async with pool() as forks:
            await kernel(forks)
            milliseconds, kernels = await timed(asyncio.gather(*[kernel(forks) for _ in range(NUMBER)]))
            took.append(milliseconds / 1000)
            weights.append(statistics.median(own_memory(made.pid) for made in kernels))
    milliseconds, stock = await timed(asyncio.gather(*[Stock.start() for _ in range(STOCK)]))
    weight = statistics.median(own_memory(made.pid) for made in stock)
    await asyncio.gather(*[made.stop() for made in stock])
    return [
        Figure(f"{NUMBER} kernels at once", took, [milliseconds / 1000 * NUMBER / STOCK], 1.6, times=0.127),
        Figure("memory of a further kernel (USS)", weights, [weight], 25.0, "MiB"),
    ]
