"""Kernels that are kept ready, and kernels that share a run's data."""

import asyncio
import os

import psutil
import pytest
from kernel_parts import Answers, alive, gone, opened, shown, started

from rlm_jupyter.kernels import pool as pools
from rlm_jupyter.kernels import prestarted
from rlm_jupyter.kernels.launch import supervisor_client
from rlm_jupyter.kernels.pool import KernelRequest
from rlm_jupyter.values.store import Buffer


async def filled(pool, number=2):
    async with asyncio.timeout(60):
        while len(pool._ready._stock) < number:
            await asyncio.sleep(0.01)
    return [process.pid for process in pool._ready._stock]


@pytest.mark.parametrize("launch", ["auto", "stock"])
async def test_the_next_kernel_is_there_before_it_is_asked_for(launch):
    async with opened(launch=launch, ready=2) as pool:
        assert pool._ready._stock == []
        async with started(pool) as first:
            waiting = await filled(pool)
            assert first.pid not in waiting
            async with started(pool, run="another") as second:
                assert second.pid == waiting[0]
                assert await shown(second, "llm_query('ask')") == "'reply to ask'"
                assert second.confinement["mode"] == first.confinement["mode"]
                assert (await filled(pool))[0] == waiting[1]
    assert await asyncio.to_thread(gone, *waiting) == []


async def test_a_ready_kernel_that_died_is_passed_over():
    async with opened(ready=2) as pool, started(pool):
        first, second = await filled(pool)
        died = pool._ready._stock[0].died
        os.kill(first, 9)
        await asyncio.wait({died}, timeout=60)  # the process is gone before its end is noticed
        async with started(pool) as kernel:
            assert kernel.pid == second


async def test_ready_kernels_are_of_the_kind_asked_for_last():
    async with opened(ready=1) as pool, started(pool):
        (boxed,) = await filled(pool, 1)
        async with started(pool, sandbox="none", env={"A": "b"}) as kernel:
            assert kernel.pid != boxed
            (unboxed,) = await filled(pool, 1)
            assert await asyncio.to_thread(gone, boxed) == []
        async with started(pool, sandbox="none", env={"A": "b"}) as kernel:
            assert kernel.pid == unboxed
            assert await shown(kernel, "import os; os.environ['A']") == "'b'"


async def test_ready_kernels_go_with_the_last_run():
    async with opened(ready=2) as pool:
        await pool.open_run("one")
        await pool.open_run("two")
        await pool.start(KernelRequest(run="one", agent="0"), Answers())
        waiting = await filled(pool)
        await pool.close_run("one")
        assert all(map(alive, waiting))
        await pool.close_run("two")
        assert await asyncio.to_thread(gone, *waiting) == []
        assert [path.name for path in pool._base.path.iterdir() if path.name[0] in "kr"] == []


async def settled(pool, number):
    """Wait until as many kernels are ready, and see that no more come."""
    pids = await filled(pool, number)
    await asyncio.sleep(2 * prestarted.PAUSE)
    assert len(pool._ready._stock) == number
    return pids


async def batch(pool, number):
    """Ask for kernels at once."""
    return await asyncio.gather(
        *[pool.start(KernelRequest(run="run", agent=str(n)), Answers()) for n in range(number)]
    )


async def test_as_many_are_kept_ready_as_were_asked_for_at_once_until_nobody_asks_for_a_while(monkeypatch):
    monkeypatch.setattr(prestarted, "CALM", 3.0)
    monkeypatch.setattr(pools, "MOST_READY", 16)
    async with opened(ready=1) as pool:
        kernels = await batch(pool, 4)
        waiting = await filled(pool, 4)
        assert {kernel.pid for kernel in await batch(pool, 3)} == set(waiting[:3])
        waiting = await filled(pool, 4)
        assert await asyncio.to_thread(gone, *waiting[1:]) == []
        assert [process.pid for process in pool._ready._stock] == waiting[:1]
        assert all(kernel.alive for kernel in kernels)
        async with started(pool):
            await settled(pool, 1)


@pytest.mark.parametrize(
    ("limit", "value", "kept"),
    [
        ("MOST_READY", 2, 2),
        ("available_memory", lambda: 3 * pools.READY_SHARE * pools.READY_BYTES, 3),
        ("available_memory", lambda: 0, 1),
        ("raise_open_files", lambda: 7, 3),
    ],
)
async def test_no_more_are_kept_ready_than_there_is_room_for(monkeypatch, limit, value, kept):
    monkeypatch.setattr(pools, "MOST_READY", 16)
    monkeypatch.setattr(pools, limit, value)
    async with opened(ready=1) as pool:
        await batch(pool, 4)
        await settled(pool, kept)


async def test_where_kernels_are_not_forked_no_more_are_kept_ready_after_a_batch(monkeypatch):
    monkeypatch.setattr(pools, "MOST_READY", 16)
    async with opened(ready=1, launch="stock") as pool:
        await batch(pool, 2)
        await settled(pool, 1)


FOX = "The quick brown fox. "
TIMES = 10_000_000
"""Together 210 MB, which every kernel would else decode for itself."""


async def given(pool, buffer, number=3):
    """Start kernels that get a value as `context`."""
    kernels = [await pool.start(KernelRequest(run="run", agent=str(i)), Answers()) for i in range(number)]
    for kernel in kernels:
        await kernel.bridge.request(
            "load", {"names": ["context"], "item_names": None}, (buffer.dup().detach(),)
        )
    return kernels


async def test_kernels_of_a_run_share_its_data_without_a_copy():
    with Buffer.encode(FOX * TIMES) as buffer:
        async with opened(ready=1) as pool:
            await pool.open_run("run")
            assert await pool.share("run", buffer.fd)
            assert not await pool.share("run", buffer.fd)  # once
            kernels = await given(pool, buffer)
            for kernel in kernels:
                assert await shown(kernel, "len(context), context[-5:]") == f"({len(FOX) * TIMES}, 'fox. ')"
                assert psutil.Process(kernel.pid).memory_full_info().uss < 60 << 20
            template = pool._templates["run"]
            report = template.ready.result()
            assert report["threads"] == 1
            await pool.close_run("run")
            assert await asyncio.to_thread(gone, report["pid"]) == []


async def test_what_one_kernel_does_to_shared_data_no_other_sees():
    with Buffer.encode({"rows": [1, 2, 3]}) as buffer:
        async with opened() as pool:
            await pool.share("run", buffer.fd)
            one, two = await given(pool, buffer, 2)
            await shown(one, "context['rows'].append(4)")
            assert await shown(two, "context['rows']") == "[1, 2, 3]"
            assert (await one.execute("import os; os._exit(1)", seconds=60)).status == "died"
            await one.bridge.request(
                "load", {"names": ["context"], "item_names": None}, (buffer.dup().detach(),)
            )
            assert await shown(one, "context['rows']") == "[1, 2, 3]"


async def test_another_value_is_not_mistaken_for_the_shared_one():
    with Buffer.encode([1]) as buffer, Buffer.encode([1]) as other:
        async with opened() as pool:
            await pool.share("run", buffer.fd)
            (kernel,) = await given(pool, buffer, 1)
            await kernel.bridge.request(
                "load", {"names": ["second"], "item_names": None}, (other.dup().detach(),)
            )
            assert await shown(kernel, "context is second, context == second") == "(False, True)"


async def test_a_kernel_of_another_run_sees_nothing_of_the_data():
    with Buffer.encode(["planted"]) as buffer:
        async with opened() as pool:
            await pool.share("run", buffer.fd)
            async with started(pool, run="other") as kernel:
                code = "import gc; any(type(o) is list and o == ['plan' + 'ted'] for o in gc.get_objects())"
                assert await shown(kernel, code) == "False"
                assert (
                    await shown(kernel, "import sys; sys.modules['_rlm.guest.preloaded_data']._held") == "[]"
                )


async def test_data_that_starts_a_thread_is_copied_instead_and_that_is_told():
    import polars as pl

    told = []
    with Buffer.encode(pl.DataFrame({"a": [1, 2]})) as buffer:
        async with opened(notice=told.append) as pool:
            assert not await pool.share("run", buffer.fd)
            (kernel,) = await given(pool, buffer, 1)
            assert await shown(kernel, "int(context['a'].sum())") == "3"
    assert "started a thread" in told[0]


async def test_a_template_that_is_killed_takes_its_kernels_along_and_the_next_do_without():
    with Buffer.encode([1, 2]) as buffer:
        async with opened() as pool:
            await pool.share("run", buffer.fd)
            (kernel,) = await given(pool, buffer, 1)
            child = int(
                await shown(
                    kernel,
                    "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True).pid",
                )
            )
            pid = kernel.pid
            os.kill(pool._templates["run"].ready.result()["pid"], 9)
            assert await asyncio.to_thread(gone, pid, child) == []
            assert (await kernel.execute("1", seconds=60)).status == "died"
            await kernel.bridge.request(
                "load", {"names": ["context"], "item_names": None}, (buffer.dup().detach(),)
            )
            assert await shown(kernel, "context") == "[1, 2]"


async def test_without_forks_nothing_is_shared(monkeypatch):
    monkeypatch.setattr(supervisor_client, "possible", lambda: False)
    with Buffer.encode([1]) as buffer:
        async with opened() as pool:
            assert not await pool.share("run", buffer.fd)
            (kernel,) = await given(pool, buffer, 1)
            assert await shown(kernel, "context") == "[1]"
