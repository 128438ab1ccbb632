"""Processes left 50 ms after the notebook's SIGKILL: kernels that spin, are in C, are deaf, and what they detached.

The supervisor is not counted: when the last of them is dead, it still removes their files.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from benchmarks.parts import RUNS, Figure
from benchmarks.server import ROOT

WAIT = 0.05


def measure() -> list[Figure]:
    """Count; the floor is the same without our supervisor, as jupyter_client starts kernels."""
    return [
        Figure(
            "processes left 50 ms after the notebook's SIGKILL, of 20",
            [_left("auto") for _ in range(RUNS)],
            [_left("stock") for _ in range(2)],
            0,
            "processes",
        )
    ]


def _left(launch: str) -> float:
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from kernel_parts import alive

    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")])
    command = [sys.executable, str(ROOT / "tests" / "support" / "kernel_host.py"), launch, "auto"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        facts = json.loads(host.stdout.readline())
        host.kill()
        time.sleep(WAIT)
        left = [pid for pid in facts["kernels"] if alive(pid)]
    time.sleep(1)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)
