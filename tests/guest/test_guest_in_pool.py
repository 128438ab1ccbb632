"""The guest in the kernels that agents really get: forked where that works, boxed, with their output bounded."""

import os

import pytest

from rlm_jupyter.kernels.pool import KernelPool, KernelRequest


class Family:
    """A parent's and a child's kernel: what the parent asks, the child computes and answers."""

    def __init__(self, pool):
        self.pool = pool
        self.child = None
        self.value = None

    async def start(self, agent, handler):
        request = KernelRequest(run="family", agent=agent, kernelspec=None, sandbox="auto", env={})
        return await self.pool.start(request, handler)

    async def parent_asks(self, op, body, fds):
        if op == "llm_query":
            return body["prompt"].upper(), []
        if op == "rlm_query":
            self.child = await self.start("0.1", self.child_asks)
            await self.child.bridge.request("configure", {"leaf": True, "words": {}})
            await self.child.bridge.request("load", {"names": ["context"]}, [os.dup(fds[0])])
            result = await self.child.execute(body["prompt"], seconds=60)
            assert result.status == "ok", result.traceback
            return {}, [self.value]
        return {}, []

    async def child_asks(self, op, body, fds):
        if op == "final":
            self.value = os.dup(fds[0])
        return {}, []


@pytest.fixture
async def family():
    pool = KernelPool()
    await pool.open_run("family")
    family = Family(pool)
    yield family
    await pool.close_run("family")
    await pool.close()


async def test_a_frame_goes_to_a_sub_agent_and_one_comes_back(family):
    parent = await family.start("0", family.parent_asks)
    code = (
        "import pandas as pd\n"
        "orders = pd.DataFrame({'n': range(100_000)})\n"
        "found = rlm_query('FINAL(context[context.n % 2 == 0].assign(half=context.n // 2))', orders)\n"
        "found.loc[0, 'half'] = 7  # it may be written to\n"
        "print(type(found).__name__, found.shape, int(found.half.sum()))"
    )
    result = await parent.execute(code, seconds=60)
    assert (result.status, result.output) == ("ok", f"DataFrame (50000, 2) {sum(range(50_000)) + 7}\n")


async def test_what_is_told_at_the_end_of_a_cell_is_part_of_its_output(family):
    kernel = await family.start("0", family.parent_asks)
    result = await kernel.execute("import asyncio\nawait asyncio.sleep(0)\nc = llm_query('a')", seconds=60)
    assert result.output.startswith("llm_query(...) was not awaited, so it was cancelled")


async def test_an_interrupt_ends_an_awaited_call(family):
    kernel = await family.start("0", family.parent_asks)
    result = await kernel.execute("import asyncio\nawait asyncio.sleep(600)", seconds=0.2)
    assert result.status == "timeout"
    assert not result.restarted
    assert "A" in (await kernel.execute("print(await llm_query('a'))", seconds=60)).output
