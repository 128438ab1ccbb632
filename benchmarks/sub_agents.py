"""20 sub-agents of two turns each at once, 50 ms latency, each in a kernel of its own."""

from __future__ import annotations

import asyncio
import time

from benchmarks.parts import RUNS, Figure, asked, client, plain_call, several
from benchmarks.server import Server

WIDTH, LATENCY = 20, 0.05

CODE = f"""\
import time
began = time.perf_counter()
parts = rlm_query_batched(["part"] * {WIDTH}, contexts=list(range({WIDTH})))
took = time.perf_counter() - began
assert parts == list(range({WIDTH}))
FINAL(took)"""


def measure() -> list[Figure]:
    """Measure the batch as the parent's code sees it."""
    with Server() as server:
        server.script({"root": [CODE], "part": ["print(context)", "FINAL(context)"]}, latency=LATENCY)

        async def floor() -> float:
            async with client(server) as plain:
                await plain_call(plain, "first")
                began = time.perf_counter()
                await asyncio.gather(*[_two(plain, n) for n in range(WIDTH)])
                return time.perf_counter() - began

        floors = asyncio.run(several(floor))
        samples = []
        for number in range(RUNS + 1):
            with asked(server) as run:
                if number:  # the first run of a process starts its kernels' server
                    samples.append(run.value)
    return [
        Figure(
            f"{WIDTH} sub-agents of 2 turns at {LATENCY * 1000:.0f} ms, at once",
            samples,
            floors,
            0.7,
            times=6.4,
        )
    ]


async def _two(plain, number: int) -> None:  # type: ignore[no-untyped-def]
    await plain_call(plain, f"first {number}")
    await plain_call(plain, f"second {number}")
