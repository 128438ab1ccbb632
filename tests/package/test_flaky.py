"""What fails beside the others and passes alone is named as flaky; what fails again fails the run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "flaky.py"
BESIDE = ["-n", "2", "--dist", "loadfile"]

STABLE = """
import pytest
def test_passes(): pass
@pytest.mark.parametrize("text", ["a b", "x::y[z]", "über\\n/"])
def test_of_cases(text): pass
@pytest.mark.skip(reason="none here")
def test_skipped(): pass
@pytest.mark.xfail(strict=True)
def test_known(): assert False
"""
FLAKY = """
import os, pathlib, pytest
MARK = pathlib.Path(__file__).with_suffix(".ran")
@pytest.fixture
def first(request):
    mark = MARK.with_suffix(f".{request.node.originalname}")
    try: return not mark.exists()
    finally: mark.touch()
def test_late(first): assert not first, "too late"
@pytest.mark.parametrize("text", ["x::y[z] w"])
def test_case(first, text): assert not first, text
@pytest.fixture
def late(first):
    if first: raise TimeoutError("the fixture was late")
def test_set_up(late): pass
@pytest.fixture
def ends_late(first):
    yield
    assert not first, "not yet gone"
def test_tear_down(ends_late): pass
def test_alone_too(): pass
"""
BROKEN = """
def test_wrong(): assert 1 + 1 == 3
def test_right(): pass
"""
CRASH = """
import os, pathlib
MARK = pathlib.Path(__file__).with_suffix(".ran")
def test_that_kills_its_process():
    if not MARK.exists():
        MARK.touch()
        os._exit(1)
"""


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def started(*options, **files):
        for name, text in files.items():
            (tmp_path / f"test_{name}.py").write_text(text)
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
        env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = (
            "1"  # each of the two dozen starts would take seconds with all
        )
        plugins = ["-p", "no:cacheprovider", "-p", "xdist.plugin"]
        command = [sys.executable, str(PROGRAM), *options, *plugins]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    return started


def end(done):
    """The lines that are not pytest's."""
    return done.stdout[done.stdout.rindex("\nflaky: ") :].strip().splitlines()


@pytest.mark.parametrize("options", [BESIDE, []], ids=["beside", "one by one"])
def test_what_passes_alone_is_named_and_counted_and_the_run_passes(suite, options):
    done = suite(*options, stable=STABLE, flaky=FLAKY)
    assert done.returncode == 0, done.stdout + done.stderr
    head, *names, others, last = end(done)
    assert head == "flaky: 4 (failed beside the others, passed alone)"
    said = dict(line.strip().split(": ", 1) for line in names)
    assert {name.partition("::")[2] for name in said} == {
        *("test_late", "test_case[x::y[z] w]", "test_set_up", "test_tear_down"),
    }
    assert "too late" in said["test_flaky.py::test_late"]
    assert "the fixture was late" in said["test_flaky.py::test_set_up"]
    assert others == "1 skipped, 1 xfailed"
    assert last == "9 passed, 0 failed"


def test_only_what_failed_runs_again(suite):
    done = suite(*BESIDE, stable=STABLE, flaky=FLAKY)
    second = done.stdout.partition("once more and alone")[2]
    assert "test_stable.py" not in second
    assert re.search(r"\b4 passed, 1 deselected\b", second), second


def test_what_fails_again_fails_the_run_and_is_counted_once(suite):
    done = suite(*BESIDE, stable=STABLE, flaky=FLAKY, broken=BROKEN)
    assert done.returncode == 1
    lines = end(done)
    assert lines[0].startswith("flaky: 4 ")
    assert lines[5] == "failed: 1"
    assert lines[6].strip().startswith("test_broken.py::test_wrong: assert (1 + 1) == 3")
    assert lines[-1] == "10 passed, 1 failed"


@pytest.mark.parametrize("options", [[], BESIDE], ids=["alone", "beside"])
def test_the_seconds_of_each_file_are_written_the_longest_first(suite, tmp_path, options):
    slow = "import time\ndef test_it(): time.sleep(0.6)\n"
    done = suite("--durations-file", "taken.json", *options, stable=STABLE, slow=slow)
    assert end(done)[-1] == "5 passed, 0 failed"
    written = json.loads((tmp_path / "taken.json").read_text())
    assert list(written) == ["test_slow.py", "test_stable.py"]
    assert written["test_slow.py"] >= 0.6


def test_without_failures_nothing_runs_again(suite):
    done = suite(*BESIDE, stable=STABLE)
    assert done.returncode == 0
    assert "once more" not in done.stdout
    assert end(done) == ["flaky: 0", "1 skipped, 1 xfailed", "4 passed, 0 failed"]


def test_a_step_that_failed_before_the_tests_is_counted_and_fails_the_run(suite):
    done = suite("--failed", "the widget's checks", stable=STABLE)
    assert done.returncode == 1
    assert end(done)[1:3] == ["failed: 1", "  the widget's checks: failed before the tests"]
    assert end(done)[-1] == "4 passed, 1 failed"


def test_a_test_that_takes_its_process_along_is_tried_alone_too(suite):
    done = suite(*BESIDE, crash=CRASH, stable=STABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert end(done)[0].startswith("flaky: 1 ")
    assert end(done)[-1] == "5 passed, 0 failed"


def test_many_failures_are_not_tried_again(suite):
    many = "import pytest\n@pytest.mark.parametrize('n', range(51))\ndef test_it(n): assert n > 100\n"
    done = suite(many=many)
    assert done.returncode == 1
    assert "not tried again" in done.stdout
    assert "once more" not in done.stdout
    assert end(done)[-1] == "0 passed, 51 failed"


@pytest.mark.parametrize("options", [BESIDE, []], ids=["beside", "one by one"])
def test_a_file_that_cannot_be_read_is_no_success(suite, options):
    done = suite(*options, stable=STABLE, unreadable="import nowhere_to_be_found\n")
    assert done.returncode not in {0, 5}
    assert end(done)[-1].endswith(", 1 failed")
    assert "test_unreadable.py" in "\n".join(end(done))


@pytest.mark.parametrize(
    ("options", "code"), [(["-k", "nothing"], 5), (["--no-such-option"], 4)], ids=["nothing ran", "misused"]
)
def test_a_run_that_did_not_take_place_is_no_success(suite, options, code):
    done = suite(*options, stable=STABLE)
    assert done.returncode == code
    assert end(done)[-1] == "0 passed, 0 failed"


def test_a_run_that_is_stopped_is_no_success(suite):
    done = suite(stopped="def test_it(): raise KeyboardInterrupt\n", stable=STABLE)
    assert done.returncode == 2
    assert "once more" not in done.stdout


def test_a_run_without_a_word_is_no_success(suite):
    done = suite(gone="import os\ndef test_it(): os._exit(0)\n")
    assert done.returncode != 0
