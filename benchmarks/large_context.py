"""Large data as context: from the call to the first request, and the memory beyond the notebook's own."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.kernel_parts import MIB, used_memory
from benchmarks.parts import Figure, asked
from benchmarks.server import Server

RUNS = 3
CODE = "assert len(context)\nFINAL(1)"


def measure() -> list[Figure]:
    """Measure both kinds of data; memory is what all processes hold more at the end of the run than before it."""
    figures = []
    with Server() as server:
        server.script({"root": ["FINAL(1)"]})
        with asked(server):
            pass  # the first run of a process starts its kernels' server
        for name, value, size in (_frame(), _text()):
            took, grown = [], []
            for _ in range(RUNS):
                seconds, more = _once(server, value)
                took.append(seconds)
                grown.append(more)
            figures += [
                Figure(f"{name} as context: call to first request", took, [], 1.0),
                Figure(f"{name} as context: memory, of {size:.0f} MiB", grown, [], 1.2 * size, "MiB"),
            ]
    return figures


def _once(server: Server, value: Any) -> tuple[float, float]:
    server.script({"root": [CODE]})
    before, began = used_memory(), time.monotonic()
    with asked(server, value):
        return server.seen()["arrived"][0] - began, used_memory() - before


def _frame() -> tuple[str, Any, float]:
    import numpy as np
    import pandas as pd

    rows = 10_000_000
    frame = pd.DataFrame({f"n{column}": np.arange(rows) * (column + 0.5) for column in range(5)})
    frame["name"] = pd.Series(np.char.add("customer ", np.arange(1000).astype(str))[np.arange(rows) % 1000])
    return "10M-row frame", frame, float(frame.memory_usage(index=False, deep=True).sum()) / MIB


def _text() -> tuple[str, Any, float]:
    return "1 GB string", "The quick brown fox. " * (10**9 // 21), 10**9 / MIB
