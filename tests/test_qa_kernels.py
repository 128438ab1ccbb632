"""Kernels as a user meets them: the first run of a process fails."""

import asyncio
import contextlib

import pytest
from kernel_parts import opened, shown, started

from rlm_jupyter.errors import KernelStartError, ModelError
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.rlm import RLM, stop_all

ANSWERS = ScriptedModel(lambda _messages: "```repl\nFINAL(sum(context))\n```")


def test_after_a_first_run_that_failed_at_once_the_next_one_works():
    stop_all()  # no kernels of this process are up

    async def refuse(_messages):
        await asyncio.sleep(0.1)  # the kernels' supervisor is just being started
        raise ModelError("The key was refused.")

    refused = RLM(model=ScriptedModel(refuse), log_dir=None).start("Q", [1])
    assert isinstance(refused.wait(30).error, ModelError)
    assert RLM(model=ANSWERS, log_dir=None).run("Q", [1, 2]).value == 3


@pytest.mark.parametrize("seconds", [0, 0.05, 0.2])
async def test_a_start_that_is_cancelled_leaves_the_pool_to_the_others(seconds):
    async with opened() as pool:
        first = asyncio.create_task(started(pool).__aenter__())
        await asyncio.sleep(seconds)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        async with started(pool) as kernel:
            assert await shown(kernel, "1 + 1") == "2"


async def test_a_pool_may_be_closed_while_it_opens():
    async with opened() as pool:
        start = asyncio.create_task(started(pool).__aenter__())
        await asyncio.sleep(0.05)
        await pool.close()
        with pytest.raises(KernelStartError, match="closed"):
            await start
    assert pool._base is None
