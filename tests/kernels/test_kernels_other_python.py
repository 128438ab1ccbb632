"""Agents' kernels in another environment: without this package, without pandas."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pandas as pd
import pytest
from kernel_parts import opened, shown, started
from scripts import by_question

from rlm_jupyter import RLM

ABSENT = (
    "rlm_jupyter",
    "_rlm",
    "__editable__",
    "pandas",
    "numpy",
    "pyarrow",
    "polars",
    "cloudpickle",
    "pydantic",
)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A kernelspec of a virtual environment that has ipykernel, but none of what is named above."""
    room = tmp_path_factory.mktemp("other")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", room / "venv"], check=True)
    packages = next((room / "venv" / "lib").glob("python*/site-packages"))
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(ABSENT) and path.suffix != ".pth":
            (packages / path.name).symlink_to(path)
    place = room / "kernels" / "other"
    place.mkdir(parents=True)
    python = str(room / "venv" / "bin" / "python")
    spec = {"display_name": "Other", "language": "python"}
    spec["argv"] = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (place / "kernel.json").write_text(json.dumps(spec))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(room))
        yield python


@pytest.mark.parametrize("bridge", ["socket", "control"])
async def test_words_and_values_work_without_any_library(other, bridge):
    async with opened(bridge=bridge) as pool, started(pool, kernelspec="other", sandbox="none") as kernel:
        assert await shown(kernel, "import sys; sys.executable") == repr(other)
        for name in ("rlm_jupyter", "pandas", "numpy"):
            assert (await kernel.execute(f"import {name}")).error_name == "ModuleNotFoundError"
        assert (
            await shown(kernel, "llm_query('a'), rlm_query('b', {'x': [1, 2**80, {3}]})")
            == "('reply to a', {})"
        )
        assert await shown(kernel, "FINAL({'t': (1, 2)})") == ""
        result = await kernel.execute("while True: pass", seconds=0.5)
        assert (result.status, result.restarted) == ("timeout", False)


def test_a_run_in_another_environment_gives_its_value(other, tmp_path):
    script = {
        "root": [
            "parts = rlm_query_batched(['part'] * 2, [context[:2], context[2:]])",
            "FINAL({'sums': parts})",
        ],
        "part": ["FINAL(sum(context))"],
    }
    rlm = RLM(model=by_question(script), log_dir=tmp_path, cache=False, kernel="other", sandbox="none")
    with rlm.run("root", [1, 2, 3, 4]) as run:
        assert run.value == {"sums": [3, 7]}
        assert run.agents["0.1"].pull("context") == [1, 2]


def test_a_frame_for_a_kernel_without_pandas_fails_with_what_is_missing(other, tmp_path):
    rlm = RLM(
        model=by_question({"root": ["FINAL(1)"]}),
        log_dir=tmp_path,
        cache=False,
        kernel="other",
        sandbox="none",
    )
    with rlm.start("root", pd.DataFrame({"a": [1]})).wait(60) as run:
        assert run.status == "failed"
        assert "pandas" in str(run.error)
