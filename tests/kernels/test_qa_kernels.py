"""Kernels as a user meets them: the first run of a process fails, and kernelspecs that are wrong."""

import asyncio
import contextlib
import gc
import json
import sys

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
    assert isinstance(refused.wait(60).error, ModelError)
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


async def test_a_pool_that_is_closed_while_it_opens_for_nobody_is_silent(caplog):
    async with opened() as pool:
        start = asyncio.create_task(started(pool).__aenter__())
        await asyncio.sleep(0.05)
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await start
        await pool.close()
        pool._opening = None
    gc.collect()
    assert "never retrieved" not in caplog.text


@pytest.fixture
def kernelspec(tmp_path, monkeypatch):
    """Install a kernelspec; give its name."""

    def install(argv, language="python", text=None):
        place = tmp_path / "kernels" / "special"
        place.mkdir(parents=True)
        spec = {"argv": argv, "display_name": "Special", "language": language}
        (place / "kernel.json").write_text(text or json.dumps(spec))
        return "special"

    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    return install


ORDINARY = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]


@pytest.mark.parametrize("sandbox", ["auto", "none"])
def test_the_kernelspec_that_ipykernel_installs_names_its_python_without_a_path(kernelspec, sandbox):
    name = kernelspec(["python", *ORDINARY])
    with RLM(model=ANSWERS, log_dir=None, kernel=name, sandbox=sandbox).run("Q", [1, 2]) as run:
        assert run.value == 3


@pytest.mark.parametrize(
    ("argv", "language", "text", "parts"),
    [
        (["/no/such/python", *ORDINARY], "python", None, ["`special`", "`/no/such/python`"]),
        ([], "python", None, ["`special`", "no command"]),
        ([sys.executable, *ORDINARY], "R", None, ["`special`", "`R`", "Python"]),
        ([], "python", "{nope", ["`special`", "kernel.json"]),
        ([], "python", "[]", ["`special`", "kernel.json"]),
    ],
    ids=["no program", "no command", "another language", "no JSON", "no spec"],
)
def test_a_kernelspec_that_cannot_work_is_refused_before_anything_is_asked(
    kernelspec, argv, language, text, parts
):
    model = ScriptedModel(["```repl\nFINAL(1)\n```"])
    with pytest.raises(KernelStartError) as caught:
        RLM(model=model, log_dir=None, kernel=kernelspec(argv, language, text)).start("Q", [1])
    assert model.requests == []
    for part in [*parts, "jupyter kernelspec list"]:
        assert part in str(caught.value)


def test_an_unknown_kernelspec_is_refused_before_anything_is_asked():
    model = ScriptedModel(["```repl\nFINAL(1)\n```"])
    with pytest.raises(KernelStartError, match="no kernelspec `nosuch`"):
        RLM(model=model, log_dir=None, kernel="nosuch").start("Q", [1])
    assert model.requests == []
