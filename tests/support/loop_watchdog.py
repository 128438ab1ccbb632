"""Tells whether the engine's loop stood still, and whether the machine was the reason."""

import asyncio
import subprocess
import sys
import time

from rlm_jupyter.engine.run.engine_thread import engine

MOST = 0.2
"""Seconds for which the loop may stand still while this process computes."""
MOST_STILL = 2.0
"""Seconds for which it may stand still and do nothing, where a process beside it had its turn."""
_BEAT = 0.02
_CONTROL = """
import sys, threading, time
worst, done = 0.0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
print("ready", flush=True)
while not done.is_set():
    began = time.monotonic(); time.sleep(0.02); worst = max(worst, time.monotonic() - began)
print(worst)
"""


class Watchdog:
    """Looks at the engine's loop while a block runs.

    A loop that stands still because the machine is busy is not a fault. So one stall counts where this very process
    computed through it (something held the interpreter), and another, of whatever kind (something blocked), where a
    process beside this one had its turn all the time.

    Attributes:
        computing: the most seconds of this process's own work that the loop waited for.
        still: the most seconds that the loop stood still.
        control: the most seconds that the process beside it had to wait.
    """

    def __init__(self):
        self.computing = self.still = self.control = 0.0

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CONTROL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._process.stdout.readline()
        self._ending = False
        self._watch = engine().submit(self._look())
        return self

    def __exit__(self, kind, *_):
        self._ending = True
        self._watch.result(60)
        self.control = float(self._process.communicate("")[0])
        if kind is None:
            assert self.computing < MOST, f"the loop stood still for {self.computing:.2f} s of work"
            assert self.still < MOST_STILL + 10 * self.control, f"the loop stood still for {self.still:.2f} s"

    async def _look(self):
        while not self._ending:
            began, worked = time.monotonic(), time.process_time()
            await asyncio.sleep(_BEAT)
            gap = time.monotonic() - began - _BEAT
            self.still = max(self.still, gap)
            self.computing = max(self.computing, min(gap, time.process_time() - worked))
