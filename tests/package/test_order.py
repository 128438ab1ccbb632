"""Tests are collected without a search for garbage; where processes share them, long files begin first or are split."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from order import LONG, SPLIT

HERE = Path(__file__).parents[1]
TESTS = """
import gc, os, time, pytest
assert not gc.isenabled()
@pytest.mark.parametrize("n", range({count}))
def test_it(n):
    assert gc.isenabled()
    time.sleep(0.2)
"""


@pytest.fixture
def begun(tmp_path):
    """Runs files of so many tests each in two processes; gives (process, file) of each test as they ended."""

    def run(**counts):
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        (tmp_path / "conftest.py").write_text(
            f"import sys; sys.path.append({str(HERE)!r})\n"
            "from order import pytest_collection, pytest_collection_modifyitems, pytest_xdist_make_scheduler"
        )
        for name, count in counts.items():
            (tmp_path / f"test_{name}.py").write_text(TESTS.format(count=count))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-n",
            "2",
            "--dist",
            "loadfile",
            "-p",
            "xdist.plugin",
        ]
        env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return re.findall(r"\[(gw\d)\] .*PASSED test_(\w+)\.py", done.stdout)

    return run


def test_long_files_begin_first_however_few_tests_they_have_and_stay_in_one_process(begun):
    ended = begun(aaa=6, bbb=6, kernels_hostile=3, browser_lab=2)
    assert {name for _, name in ended[:2]} == {"kernels_hostile", "browser_lab"}
    processes = {}
    for process, name in ended:
        processes.setdefault(name, set()).add(process)
    assert {name: len(of) for name, of in processes.items()} == dict.fromkeys(processes, 1)


def test_files_of_a_few_long_tests_are_split(begun):
    ended = begun(ordinary_user=6, aaa=1)
    assert {process for process, name in ended if name == "ordinary_user"} == {"gw0", "gw1"}


def test_the_names_are_those_of_files_that_are_there():
    names = [path.name for path in HERE.rglob("test_*.py")]
    assert [long for long in (*LONG, *SPLIT) if not any(name.startswith(long) for name in names)] == []
