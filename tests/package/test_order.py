"""How tests are collected, without a search for garbage then or among them later; and which of them begin first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from order import SECONDS, SHARES, SPLIT, shares

HERE = Path(__file__).parents[1]
TESTS = """
import gc, os, time, pytest
assert not gc.isenabled()
@pytest.mark.parametrize("n", range({count}))
def test_it(n):
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000
    time.sleep(0.2)
"""

STARTED = """
import pathlib, pytest
@pytest.fixture(scope="package", autouse=True)
def started():
    with pathlib.Path(__file__).with_name("started").open("a") as file:
        file.write("x")
"""


@pytest.fixture
def begun(tmp_path):
    """Runs files of so many tests each in two processes; gives (process, file) of each test as they ended."""

    def run(counts, seconds=None):
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        (tmp_path / "conftest.py").write_text(
            f"import sys; sys.path.append({str(HERE)!r})\nimport order\n"
            f"order.SECONDS.update({ {f'test_{name}.py': taken for name, taken in (seconds or {}).items()}!r})\n"
            "from order import pytest_collection, pytest_collection_modifyitems, pytest_xdist_make_scheduler"
        )
        (tmp_path / "browser").mkdir()
        (tmp_path / "browser" / "conftest.py").write_text(STARTED)
        for name, count in counts.items():
            path = tmp_path / f"{name.replace('browser_', 'browser/test_')}.py"
            path = path if path.parent != tmp_path else tmp_path / f"test_{name}.py"
            path.write_text(TESTS.format(count=count))
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
        return re.findall(r"\[(gw\d)\] .*PASSED (?:browser/)?test_(\w+)\.py", done.stdout)

    return run


def test_long_files_begin_first_however_few_tests_they_have_and_stay_in_one_process(begun):
    ended = begun({"aaa": 6, "bbb": 6, "long": 3, "longer": 2}, {"long": 200.0, "longer": 300.0})
    assert {name for _, name in ended[:2]} == {"long", "longer"}
    processes = {}
    for process, name in ended:
        processes.setdefault(name, set()).add(process)
    assert {name: len(of) for name, of in processes.items()} == dict.fromkeys(processes, 1)


def test_files_of_a_few_long_tests_are_split(begun):
    ended = begun({"ordinary_user": 6, "aaa": 1})
    assert {process for process, name in ended if name == "ordinary_user"} == {"gw0", "gw1"}


def test_the_browsers_files_begin_first_and_share_what_they_start_though_a_longer_file_is_elsewhere(
    begun, tmp_path
):
    names = [f"browser_{letter}" for letter in "pqrstuv"]
    ended = begun(dict.fromkeys(names, 1) | {"long": 2, "aaa": 2}, {"long": 500.0})
    assert sorted(name for _, name in ended) == sorted([*"pqrstuv", "long", "long", "aaa", "aaa"])
    assert not {name for _, name in ended[:2]} & {"long", "aaa"}
    # One start for a row of files of a process: three shares, of which two may meet in one of the two processes.
    assert 2 <= len((tmp_path / "browser" / "started").read_text()) <= SHARES


def test_shares_take_about_as_long():
    files = [f"tests/browser/test_{number}.py" for number in range(30)]
    divided = shares(files)
    counts = [list(divided.values()).count(share) for share in range(SHARES)]
    assert max(counts) - min(counts) <= 1
    known = [file for file in SECONDS if "/browser/" in file]
    totals = [0.0] * SHARES
    for file, share in shares(known).items():
        totals[share] += SECONDS[file]
    assert max(totals) < 1.5 * min(totals)


def test_the_record_names_files_that_are_there_most_of_them_and_the_longest_first():
    root = HERE.parent
    assert list(SECONDS.values()) == sorted(SECONDS.values(), reverse=True)
    there = {path.relative_to(root).as_posix() for path in HERE.rglob("test_*.py")}
    gone = SECONDS.keys() - there
    assert len(gone) <= len(SECONDS) // 10, (
        f"write the record anew, as `order.py` says; it names {sorted(gone)}"
    )
    assert len(there & SECONDS.keys()) >= len(there) // 3
    assert [split for split in SPLIT if not any(Path(file).name.startswith(split) for file in there)] == []
