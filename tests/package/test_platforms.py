"""rlm_jupyter on macOS and Windows, as far as that can be shown here; see `fake_platform`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_platform import PLATFORMS

HERE = Path(__file__).parents[1]


def on(platform, code):
    """Run code in a process that takes itself for one of that platform; give what it printed."""
    paths = os.pathsep.join([str(HERE.parent), str(HERE / "support")])
    begin = (
        f"import sys, os, signal, socket, select\nimport fake_platform\nfake_platform.pretend({platform!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", begin + code],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout


# What is executed by path, or loaded by that, only where the system has what it needs.
PROGRAMS = (
    "rlm_jupyter.supervisor.forkserver",
    "rlm_jupyter.guest.ipykernel_hooks.threadless_app",
    "rlm_jupyter.guest.ipykernel_hooks.prebuilt_app",
    "rlm_jupyter.tools.mcp_guard_process",
)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_module_can_be_imported(platform):
    package = HERE.parent / "rlm_jupyter"
    names = [".".join(path.relative_to(HERE.parent).with_suffix("").parts) for path in package.rglob("*.py")]
    names = sorted(name.removesuffix(".__init__") for name in names if name not in PROGRAMS)
    assert len(names) > 100
    code = f"import importlib, json\nfor name in {names!r}:\n    importlib.import_module(name)\nprint('all')"
    assert on(platform, code) == "all\n"


STORY = """
import asyncio, json, os, tempfile, time
import pandas as pd
from rlm_jupyter import RLM, Limits
from rlm_jupyter.kernels.launch import manager
from rlm_jupyter import registry as process
from scripts import by_question
if True:
    manager.ARGV = (fake_platform.__file__, "kernel", PLATFORM, *manager.ARGV[2:])
    script = {
        "root": [
            "print(type(context).__name__, len(context))",
            "parts = rlm_query_batched(['part'] * 2, [context.iloc[::2], context.iloc[1::2]])\\n"
            "kept = pd.concat(parts).sort_index() if (pd := __import__('pandas')) else None\\n"
            "said = llm_query('say'), llm_query_batched(['a', 'b'])\\nprint(said)\\n!echo shell",
            "import os; os._exit(3)",
            "print('fresh', len(context))",
            "FINAL({'sums': [float(rlm_query('part', context).double.sum())], 'text': 'täxt', 'raw': b'x' * 3_000_000})",
        ],
        "part": ["FINAL(context.assign(double=context.v * 2))"],
        "loop": ["while True: pass", "FINAL(len(context))"],
        "hang": ["answers = rlm_query_batched(['spin'] * 2, [1, 2])"],
        "spin": ["import time\\nwhile True: time.sleep(1)"],
    }
    frame = pd.DataFrame({"v": range(1000), "s": ["é"] * 1000})
    with tempfile.TemporaryDirectory() as logs:
        rlm = RLM(model=by_question(script), log_dir=logs, cache=False, limits=Limits(cell_seconds=60))
        with rlm.run("root", frame) as run:
            agents = {agent: row.status for agent, row in run.tree.agents.items()}
            pulled = run.agents["0.1"].pull("context")
            pd.testing.assert_frame_equal(pulled, frame.iloc[::2])
            ran = run.agents["0.1"].execute("int(context.v.sum())").output
            text = open(run.log_path, "rb").read()
            assert b"\\r\\n" not in text
            value = {**run.value, "raw": len(run.value["raw"])}
        # The others have long: pandas is loaded in some of their cells.
        short = RLM(model=by_question(script), log_dir=logs, cache=False, limits=Limits(cell_seconds=3))
        with short.run("loop", [1, 2]) as run:
            after_a_timeout = run.value, [event.status for event in run.events if event.kind == "code_finished"]
        with rlm.start("hang") as run:
            end = time.monotonic() + 60
            while sum(bool(row.turns) for row in run.tree.agents.values()) < 3 and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.5)
            run.stop()
            stopped = run.wait(60).status
    pool = process._pool
    modes = [pool._launch, pool._supervisor is None]
    print(json.dumps({"value": value, "agents": agents, "ran": ran, "stopped": stopped, "modes": modes,
                      "after_a_timeout": after_a_timeout}))
"""


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_doctor_says_what_does_not_hold(platform):
    code = (
        "from rlm_jupyter import diagnostics as doctor\nfrom rlm_jupyter.kernels.launch import manager\n"
        f"manager.ARGV = (fake_platform.__file__, 'kernel', {platform!r}, *manager.ARGV[2:])\n"
        "print(*doctor.kernels(None, 'auto'), sep='\\n')"
    )
    told = on(platform, code)
    for part in (
        "started one by one",
        "may outlive a notebook",
        "loads the data for itself",
        "kept from agents: nothing",
    ):
        assert part in told
    assert "Sandbox: missing: files" in told


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_whole_run_works_with_stock_kernels(platform):
    told = json.loads(on(platform, f"PLATFORM = {platform!r}\n{STORY}").splitlines()[-1])
    assert told["value"] == {"sums": [999000.0], "text": "täxt", "raw": 3_000_000}
    assert told["agents"] == dict.fromkeys(["0", "0.1", "0.2", "0.3"], "done")
    assert told["ran"] == "249500\n"
    assert told["after_a_timeout"] == [2, ["timeout", "ok"]]
    assert told["stopped"] == "stopped"
    assert told["modes"] == ["stock", True]


DRAWING = """
import tempfile
from PIL import Image
from rlm_jupyter import RLM
from scripts import by_question
cells = ["import matplotlib.pyplot as plt\\nfig, ax = plt.subplots()\\nax.plot([1, 2, 3])\\nplt.show()\\nprint(type(context))",
         "FINAL([fig, context])"]
with tempfile.TemporaryDirectory() as logs:
    run = RLM(model=by_question({"root": cells}), log_dir=logs, cache=False).start("root", Image.new("RGB", (4, 3))).wait(100)
    cell = run.tree.agents["0"].turns[0].cells[0]
    print(cell.output, len(cell.pictures), cell.pictures[0].width > 400, run.value)
    run.close()
"""


def test_charts_are_shown_and_returned_by_stock_kernels_too():
    told = on("darwin", DRAWING)
    assert "<line chart, 640 x 480 pixels, 3 points (matplotlib)>" in told
    assert "<class 'PIL.Image.Image'> 1 True [<Chart: line chart" in told
    assert "<PIL.Image.Image image mode=RGB size=4x3" in told


SHOWING = """
import tempfile
from PIL import Image
from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel

def reply(messages):
    if messages[0]["role"] != "system":
        return " ".join(f"{image.width}x{image.height}" for image in messages[0]["images"])
    cells = ["print(llm_query('q', images=context), llm_query_batched('q', images=context))", "FINAL(1)"]
    return f"```repl\\n{cells[len(messages) // 2 - 1]}\\n```"

with tempfile.TemporaryDirectory() as logs:
    images = [Image.new("RGB", (4, 3)), Image.new("L", (900, 700))]
    run = RLM(model=ScriptedModel(reply), log_dir=logs, cache=False).start("root", images).wait(100)
    print(run.status, run.tree.agents["0"].turns[0].cells[0].output)
    run.close()
"""


@pytest.mark.parametrize("platform", PLATFORMS)
def test_images_for_models_come_from_stock_kernels_too(platform):
    assert "done 4x3 900x700 ['4x3', '900x700']" in on(platform, f"PLATFORM = {platform!r}\n{SHOWING}")


CONVERSATION = """
import json
from chat_parts import talking
from rlm_jupyter import RLM
from rlm_jupyter.kernels.launch import manager
if True:
    manager.ARGV = (fake_platform.__file__, "kernel", PLATFORM, *manager.ARGV[2:])
    script = {
        "one": ["total = sum(orders)\\nFINAL(total)"],
        "stop": ["import time\\ntime.sleep(600)"],
        "two": ["FINAL([total, sum(more), [one['status'] for one in history]])"],
        "three": ["FINAL(['total' in globals(), sum(orders), sum(more)])"],
    }
    with RLM(model=talking(script), log_dir=None, cache=False).chat([1, 2], names=("orders",)) as chat:
        first = chat.run("one").value
        run = chat.start("stop", on_event=lambda event: event.kind == "code_started" and chat.stop())
        run.wait(90)
        chat.add(more=[3, 4])
        second = chat.run("two").value
        kernel = chat.newest.root.kernel
        chat.newest._engine.call(kernel.stop(), chat.newest)
        print(json.dumps([first, second, chat.run("three").value]))
"""


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_conversation_goes_on_in_its_kernel_and_in_a_new_one(platform):
    told = json.loads(on(platform, f"PLATFORM = {platform!r}\n{CONVERSATION}").splitlines()[-1])
    assert told == [3, [3, 7, ["done", "stopped"]], [False, 3, 7]]
