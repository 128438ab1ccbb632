"""A sub-agent builds a frame of 1 GiB, gives it to FINAL, and it is a variable of its parent."""

from __future__ import annotations

import asyncio
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kernel_parts import Stock
from benchmarks.parts import RUNS, Figure, asked
from benchmarks.server import Server

BUILD = "import numpy as np, pandas as pd\nframe = pd.DataFrame(np.ones((1 << 24, 8)))"
CODE = """\
import time
began = time.perf_counter()
frame = rlm_query("part")
took = time.perf_counter() - began
assert frame.shape == (1 << 24, 8) and frame.iat[-1, -1] == 1
frame.iloc[0, 0] = 2
FINAL(took)"""


def measure() -> list[Figure]:
    """Measure as the parent's code sees it; the floor is a stock kernel that writes a pickle, which is read."""
    samples = []
    with Server() as server:
        server.script({"root": [CODE], "part": [f"{BUILD}\nFINAL(frame)"]})
        for number in range(RUNS + 1):
            _touch()
            with asked(server) as run:
                if number:  # the first run of a process starts its kernels' server
                    samples.append(run.value)
    floors = [asyncio.run(_pickled()) for _ in range(2)]
    return [Figure("1 GiB frame: sub-agent to variable of its parent", samples, floors, 0.8, times=0.32)]


def _touch() -> None:
    """Use as much memory as will be used: a virtual machine's host is slow to give pages that it has taken back."""
    np.ones(4 << 27)


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)


async def _pickled() -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame")
        _touch()
        began = time.perf_counter()
        stock = await Stock.start()
        await stock.run(
            f"{BUILD}\nimport pickle\nwith open({str(path)!r}, 'wb') as file: pickle.dump(frame, file)"
        )
        assert (await asyncio.to_thread(_read, path)).shape == (1 << 24, 8)
        took = time.perf_counter() - began
        await stock.stop()
    return took
