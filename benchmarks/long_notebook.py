"""A long notebook: 200 questions with answers of 50 MB, each with a client of its own, run and answer dropped."""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil

from benchmarks.parts import Figure, model
from benchmarks.server import Server
from rlm_jupyter import RLM, Limits

QUESTIONS: Final = 200
MEGABYTES: Final = 50
_SETTLE_SECONDS: Final = 2.0
ANSWERS: Final = {
    "array": f"import numpy as np\nFINAL(np.ones({MEGABYTES} << 17))",
    "text": f"FINAL('x' * ({MEGABYTES} << 20))",
}


def measure() -> list[Figure]:
    """Measure what is left of the questions, once the first has started all that is started once."""
    figures = []
    for kind, code in ANSWERS.items():
        with Server() as server, tempfile.TemporaryDirectory() as logs:
            server.script({"root": [code]})
            _ask(server, Path(logs), 1)
            before = _left()
            _ask(server, Path(logs), QUESTIONS)
            memory, files = (after - first for after, first in zip(_left(), before, strict=True))
            what = f"{QUESTIONS} questions, {kind}s of {MEGABYTES} MB"
            figures += [
                Figure(f"{what}: memory", [memory], [], 300, "MB"),
                Figure(f"{what}: descriptors", [files], [], 10, ""),
            ]
    return figures


def _left() -> tuple[float, float]:
    """Return the memory in MB and the descriptors, once kernels that end in the background have ended."""
    time.sleep(_SETTLE_SECONDS)
    return memory_held(), float(descriptors())


def _ask(server: Server, logs: Path, number: int) -> None:
    for _ in range(number):
        rlm = RLM(model=model(server), limits=Limits(cost=None), log_dir=logs, cache=False)
        run = rlm.run("root")
        assert len(run.value) > MEGABYTES << 16
        del rlm, run


def memory_held() -> float:
    """Return the MB of this process, its children and all shared memory; pages that several share count once."""
    ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
    held = sum(_kilobytes(Path(f"/proc/{one.pid}/smaps_rollup"), "Pss_Anon") for one in ours)
    return (held + _kilobytes(Path("/proc/meminfo"), "Shmem")) / 1024


def _kilobytes(path: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", _read(path), re.MULTILINE)
    return int(found[1]) if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has just ended
        return ""


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone
