"""A later ipykernel may change what forked kernels are made of: kernels start all the same, and it is told how."""

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from kernel_parts import opened, shown, started
from upgraded_ipykernel import CHANGES, SITE, VERSION, make, run

from rlm_jupyter import diagnostics
from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.launch import fork_check, kernel_process, tried_versions

ROOT = Path(__file__).parents[2]

KERNELS = """
import asyncio, json, sys
import ipykernel
from kernel_parts import opened, shown, started
from rlm_jupyter import Sandbox
from rlm_jupyter.kernels.launch import fork_check
fork_check.SECONDS = 8.0  # what hangs is not to hang for long
assert ipykernel.__file__.startswith(sys.prefix)
box = Sandbox(read=[sys.argv[1]])

async def main():
    told = []
    async with opened(notice=told.append, ready=1) as pool:
        supervisor = None
        async with started(pool, sandbox=box) as first, started(pool, sandbox=box) as second:
            supervisor = pool._supervisor.pid
            code = "import os, sys; os.getppid(), '_rlm.supervisor.forked_kernel' in sys.modules, llm_query('ask')"
            outputs = [await shown(kernel, code) for kernel in (first, second)]
            died = await first.execute("import os; os._exit(3)", seconds=60)
            outputs.append(await shown(first, code))
            holds = first.confinement["holds"]
        print(json.dumps({"outputs": outputs, "told": told, "standing": pool.standing, "died": died.status,
                          "supervisor": supervisor, "holds": holds}))

asyncio.run(main())
"""


@pytest.mark.parametrize("change", CHANGES)
def test_stock_kernels_start_where_forked_ones_do_not_work_and_that_is_told_once(tmp_path, change):
    found = json.loads(run(make(tmp_path / "later", change), KERNELS, SITE))
    expected = f"({found['supervisor']}, False, 'reply to ask')"
    assert found["outputs"] == [expected] * 3, "each is a child of the supervisor, and no fork of it"
    assert found["died"] == "died"
    assert "files" in found["holds"], "the box is the same"
    assert found["told"] == found["standing"]
    (told,) = found["told"]
    assert "cannot be forked" in told
    assert f"ipykernel {VERSION}, which is newer than what was tried" in told
    assert re.search(r"The reason: .*(did not start|did not answer|did not run|showed|Error)", told)


RUNS = """
import sys
from scripts import by_question
from rlm_jupyter import RLM, Sandbox, diagnostics as doctor

box = Sandbox(read=[sys.argv[1]])
for number in range(2):
    rlm = RLM(model=by_question({"root": ["FINAL(len(context))"]}), sandbox=box, cache=False, log_dir=sys.argv[2])
    run = rlm.start("root", "x" * 40_000_000).wait(100)
    print(run.raise_for_error().value, [text for text in run.tree.notices if "forked" in text])
    print(run.log_path.read_text().count("cannot be forked"))
print(*doctor.versions(), *doctor.kernels(None, box), sep="\\n")
"""


def test_the_tree_the_log_and_the_doctor_tell_of_it(tmp_path):
    python = make(tmp_path / "later", "an argument more")
    lines = run(python, RUNS, SITE, str(tmp_path)).splitlines()
    for value, logged in (lines[0:2], lines[2:4]):
        assert re.match(r"40000000 \[.Kernels cannot be forked with the ipykernel that is installed", value)
        assert logged == "1"
    text = "\n".join(lines[4:])
    assert f"ipykernel {VERSION}, which is newer than what was tried" in text
    assert "Kernels: started one by one" in text
    assert "Kernels: Kernels cannot be forked" in text


async def test_forked_kernels_are_used_where_they_work_and_nothing_is_told():
    told = []
    async with opened(notice=told.append) as pool, started(pool) as kernel:
        assert (
            await shown(kernel, "import sys; '_rlm.supervisor.forked_kernel' in sys.modules, len(In)")
            == "(True, 2)"
        )
        assert pool._check.works is True
    assert told == []


async def test_what_fails_forked_and_stock_alike_is_not_put_down_to_the_fork(monkeypatch):
    told = []
    async with opened(notice=told.append) as pool:
        with pytest.raises(KernelStartError):
            await started(pool, limits={"open_files": 3}).__aenter__()
        assert pool._check.works is None
        async with started(pool) as kernel:
            assert await shown(kernel, "import sys; '_rlm.supervisor.forked_kernel' in sys.modules") == "True"
    assert told == []


async def test_a_first_cell_that_hangs_is_found_out_and_its_kernel_does_not_stay(monkeypatch):
    """As where the way in which ipykernel waits has changed: the kernel starts, and answers nothing."""
    tried = []

    async def start(launch, seconds=60.0, *, begin=kernel_process.KernelProcess.start):
        tried.append(await begin(launch, seconds))
        return tried[-1]

    monkeypatch.setattr(kernel_process.KernelProcess, "start", start)
    monkeypatch.setattr(fork_check, "SECONDS", 5.0)
    monkeypatch.setattr(fork_check, "_CELL", "import time; time.sleep(600)")
    told = []
    async with opened(notice=told.append) as pool, started(pool) as kernel:
        assert "did not run a cell within 5 s" in told[0]
        assert await shown(kernel, "import sys; '_rlm.supervisor.forked_kernel' in sys.modules") == "False"
        assert tried[0].died.done()
        assert (
            not tried[0].launch.directory.exists() or tried[0].launch.directory == tried[1].launch.directory
        )


def test_the_versions_that_were_tried_are_those_asked_for_and_those_installed():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for package, (oldest, newest) in tried_versions.TRIED.items():
        assert f"{package}>={oldest}" in asked, (
            "the oldest one is asked for, and tried by the tests of the wheel"
        )
        assert tried_versions.numbers(version(package)) <= tried_versions.numbers(newest), (
            "try it, and raise the table"
        )


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ("7.4.9", "ipykernel 7.4.9; tried: 6.29 to 7.4"),
        ("7.5.0rc1", "ipykernel 7.5.0rc1, which is newer than what was tried: 6.29 to 7.4"),
        ("8.dev", "ipykernel 8.dev, which is newer than what was tried: 6.29 to 7.4"),
        ("6.9.1", "ipykernel 6.9.1, which is older than what was tried: 6.29 to 7.4"),
    ],
)
def test_a_version_is_compared_with_those_that_were_tried(monkeypatch, found, says):
    monkeypatch.setattr(tried_versions, "version", lambda _: found)
    assert tried_versions.tried("ipykernel") == says


def test_the_doctor_and_the_page_on_how_it_works_tell_the_versions(monkeypatch):
    assert tried_versions.tried("ipykernel") in "\n".join(diagnostics.versions())
    oldest, newest = tried_versions.TRIED["ipykernel"]
    assert f"ipykernel {oldest} to {newest}" in (ROOT / "docs" / "how-it-works.md").read_text()
