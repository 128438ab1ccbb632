"""What the tests of kernels share: a pool in every way that this machine has, and a handler that answers."""

import asyncio
import contextlib
import time
from pathlib import Path

from rlm_jupyter.kernels.pool import KernelPool, KernelRequest


class Answers:
    """A handler for the bridge: `llm_query` takes `prompt` seconds where that is a number."""

    def __init__(self):
        self.seen = []

    async def __call__(self, op, body, fds):
        self.seen.append(op)
        if op == "llm_query":
            with contextlib.suppress(ValueError):
                await asyncio.sleep(float(body["prompt"]))
            return f"reply to {body['prompt']}", []
        return {}, []


@contextlib.asynccontextmanager
async def opened(**options):
    """A pool that is closed again."""
    pool = KernelPool(**{"ready": 0, **options})
    try:
        yield pool
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def started(pool, *, run="run", **options):
    """A kernel that is stopped again."""
    answers = Answers()
    kernel = await pool.start(KernelRequest(run=run, agent="0", **options), answers)
    kernel.answers = answers
    try:
        yield kernel
    finally:
        await kernel.stop()


async def shown(kernel, code, seconds=30):
    """Run a cell that must succeed; give its output."""
    result = await kernel.execute(code, seconds=seconds)
    assert result.status == "ok", result
    return result.output.strip()


def alive(pid):
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def gone(*pids, within=60.0):
    """Wait until none of the processes lives; tell which do after that time."""
    end = time.monotonic() + within
    while time.monotonic() < end and any(map(alive, pids)):
        time.sleep(0.01)
    return [pid for pid in pids if alive(pid)]
