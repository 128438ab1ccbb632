"""Checkpoints of a kernel that holds a table of 1 GiB: what each takes of time and memory, and a kernel made of one."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from benchmarks.kernel_parts import answer, kernel, pool, timed
from benchmarks.parts import Figure
from rlm_jupyter.kernels.pool import KernelRequest

CHECKPOINTS, BRANCHES = 10, 5
MAKE = """
import numpy as np, pandas as pd
frame = pd.DataFrame(np.random.default_rng(1).random((1 << 24, 8)), columns=list("abcdefgh"))
"""
CHANGE = "frame.iloc[{0} * 1000:{0} * 1000 + 1000, 0] = {0}; made = list(range(10_000))"


def measure() -> list[Figure]:
    """Measure with a small change of the table between two checkpoints."""
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    taken, thawed, cells = [], [], []
    async with pool() as forks:
        first = await kernel(forks)
        result = await first.execute(MAKE)
        assert result.status == "ok", result
        before, worked = _memory([first.pid]), 0.0
        for number in range(CHECKPOINTS):
            cells.append((await timed(first.execute(CHANGE.format(number))))[0])
            begun = _cpu(first.pid)
            taken.append((await timed(first.checkpoint("agent", number, CHECKPOINTS)))[0])
            worked += _cpu(first.pid) - begun
        held = _memory([first.pid, *first.checkpoints.pids]) - before
        for number in range(BRANCHES):
            found = first.checkpoints.newest("agent", number)
            assert found is not None
            request = KernelRequest(run=f"branch {number}", agent="0")
            took, made = await timed(forks.thaw(found[1], request, answer))
            thawed.append(took)
            assert (await made.execute("print(len(frame))")).output.strip() == str(1 << 24)
            await made.stop()
        await first.stop()
    return [
        Figure("checkpoint: of a kernel with 1 GiB", taken, [], 30.0, "ms"),
        Figure(
            "checkpoint: the same, processor time of the kernel",
            [1000 * worked / CHECKPOINTS],
            [],
            30.0,
            "ms",
        ),
        Figure("checkpoint: memory of each of 10", [held / CHECKPOINTS / (1 << 20)], [], 50.0, "MiB"),
        Figure("checkpoint: a kernel made of one", thawed, [], 150.0, "ms"),
        Figure("checkpoint: the cell after one (copies what it changes)", cells, [], 100.0, "ms"),
    ]


def _memory(pids: list[int | None]) -> int:
    """Bytes that processes hold together: pages that they share once, and their page tables."""
    total = 0
    for pid in pids:
        for file, name in (("smaps_rollup", "Pss:"), ("status", "VmPTE:")):
            text = Path(f"/proc/{pid}/{file}").read_text()
            total += int(text.split(name, 1)[1].split(None, 1)[0]) << 10
    return total


def _cpu(pid: int | None) -> float:
    """Seconds of processor time of a process and of the children that it has waited for: on a busy machine, no more."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
