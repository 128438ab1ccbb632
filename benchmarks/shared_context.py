"""A root context of 1 GB that twenty kernels of a run see: what each of them weighs more than one without it."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.kernel_parts import kernel, own_memory, pool
from benchmarks.parts import Figure
from rlm_jupyter.values.store import Buffer

NUMBER = 20
LOOK = "assert len(context)"


def measure() -> list[Figure]:
    """Measure by USS, for a text and for a frame."""
    import numpy as np
    import pandas as pd

    values = {
        "string": "The quick brown fox. " * (10**9 // 21),
        "frame": pd.DataFrame(np.ones((10**9 // 64, 8))),
    }
    return [
        Figure(
            f"1 GB {name} seen by {NUMBER} kernels: their memory",
            [asyncio.run(_more(value))],
            [],
            50.0,
            "MiB",
        )
        for name, value in values.items()
    ]


async def _more(value: Any) -> float:
    async with pool() as forks:
        without = [await kernel(forks) for _ in range(NUMBER)]
        plain = sum(own_memory(made.pid) for made in without)
    with Buffer.encode(value) as buffer:
        async with pool() as forks:
            assert await forks.share("run", buffer.fd)
            seeing = [await kernel(forks) for _ in range(NUMBER)]
            for made in seeing:
                body = {"names": ["context"], "item_names": None}
                await made.bridge.request("load", body, (buffer.dup().detach(),))
                assert (await made.execute(LOOK, seconds=60)).status == "ok"
            return sum(own_memory(made.pid) for made in seeing) - plain
