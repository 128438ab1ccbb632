"""200 plain sub-calls of 200 ms in one batch, at default settings."""

from __future__ import annotations

import asyncio
import time

from benchmarks.parts import RUNS, Figure, asked, client, plain_call, several
from benchmarks.server import Server

WIDTH, LATENCY = 200, 0.2

CODE = f"""\
import time
began = time.perf_counter()
parts = llm_query_batched([f"prompt {{n}}" for n in range({WIDTH})])
took = time.perf_counter() - began
assert parts == ["ok"] * {WIDTH}
FINAL(took)"""


def measure() -> list[Figure]:
    """Measure the batch as the agent's code sees it, each with new connections."""
    with Server() as server:
        server.script({"root": [CODE]}, latency=LATENCY)

        async def floor() -> float:
            async with client(server) as plain:
                await plain_call(plain, "first")  # the engine's root has asked before, too
                began = time.perf_counter()
                await asyncio.gather(*[plain_call(plain, f"prompt {n}") for n in range(WIDTH)])
                return time.perf_counter() - began

        floors = asyncio.run(several(floor))
        samples = []
        for _ in range(RUNS):
            with asked(server) as run:
                samples.append(run.value)
    return [
        Figure(f"{WIDTH} sub-calls of {LATENCY * 1000:.0f} ms in one batch", samples, floors, 0.40, times=1.5)
    ]
