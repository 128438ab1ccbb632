"""A notebook's process for tests: starts kernels that misbehave, prints what there is, and waits to be killed."""
# No other work waits in these loops, and paths are strings as agents use them.
# ruff: noqa: RUF006, T201

import asyncio
import json
import os
import signal
import sys

from kernel_parts import Answers

from rlm_jupyter.kernels.pool import KernelPool, KernelRequest

SETUP = """
import os, subprocess, sys
children = [
    subprocess.Popen(["sleep", "600"]),
    subprocess.Popen(["sleep", "600"], start_new_session=True),
    subprocess.Popen([sys.executable, "-c", "import signal, time\\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\\ntime.sleep(600)"], start_new_session=True),
]
print(json.dumps([os.getpid(), *(c.pid for c in children)]))
""".replace("import os", "import json, os")
CELLS = [
    "while True: pass",
    "sum(range(10**14))",
    "import signal\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
    "import asyncio; await asyncio.sleep(600)",
    "llm_query('600')",
]


async def main(launch, sandbox):
    pool = KernelPool(launch=launch)
    directory = await pool.open_run("run")
    pids = []
    for cell in CELLS:
        kernel = await pool.start(KernelRequest(run="run", agent="0", sandbox=sandbox), Answers())
        pids += json.loads((await kernel.execute(SETUP, seconds=120)).output)
        asyncio.ensure_future(kernel.execute(cell, seconds=None))
    forked = os.fork() if "forked" in sys.argv else None  # a child of the notebook keeps its sockets open
    if forked == 0:
        signal.pause()
    supervisor = pool._supervisor.pid if pool._supervisor else None
    await asyncio.sleep(0.3)
    print(
        json.dumps(
            {"kernels": pids, "supervisor": supervisor, "base": str(directory.parent), "forked": forked}
        ),
        flush=True,
    )
    if "end" in sys.argv:
        return  # as a notebook that is shut down and closes nothing
    await asyncio.sleep(600)


asyncio.run(main(sys.argv[1], sys.argv[2]))
