"""From `RLM.start` to the arrival of the first request, in a process that has asked before."""

from __future__ import annotations

import time

from benchmarks.parts import Figure, asked
from benchmarks.server import Server

SAMPLES = 9


def measure() -> list[Figure]:
    """Measure by the clock that both processes share."""
    samples = []
    with Server() as server:
        for number in range(SAMPLES + 1):
            server.script({"root": ["FINAL(1)"]})
            began = time.monotonic()
            with asked(server):
                first = server.seen()["arrived"][0]
            if number:
                samples.append(1000 * (first - began))
    return [Figure("warm: call to first request", samples, [], 60.0, "ms")]
