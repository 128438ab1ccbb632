"""The kernels' tests as an ordinary user, where the suite is run by root: other rights, other limits, other /proc."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from programs import missing, require

HERE = Path(__file__).parents[1]
NOBODY = 65534
SETPRIV = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
READER = [
    "--bounding-set=-all,+dac_read_search",
    "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=+dac_read_search",
]
ORDINARY = ["--bounding-set=-all", "--inh-caps=-all"]
TESTS = {
    "box": (["box"], "test"),
    "cells": (["cells"], "not stock and not flood"),
    "ends": (["ends"], "sigkill_of or without_a_word or sweep"),
    "hostile": (["hostile"], "keys or machinery or everyone"),
    "values": (["ready"], "not stock"),
}
"""Of each part: files, and which of their tests."""


def _runs(command):
    return subprocess.run(command, capture_output=True, cwd="/", check=False).returncode == 0


@pytest.fixture(scope="module")
def become():
    """The command that makes an ordinary user of root, and whether that user has a right besides."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("this is an ordinary user already, for whom the whole suite runs")
    require("setpriv")
    # Twice: the first program is still opened with root's rights, and may be another Python than this without them.
    code = f"import sys; assert sys.version == {sys.version!r}; open({str(HERE / 'conftest.py')!r}); import pytest"
    again = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    check = [sys.executable, "-c", f"{code}\n{again}"]
    # Where only root may enter the directories of Python or of this clone, reading is what this user is granted besides.
    for rights in (ORDINARY, READER):
        if _runs([*SETPRIV, *rights, *check]):
            return [*SETPRIV, *rights], rights is READER
    pytest.skip("another user can read neither this Python nor this clone, and root may not grant it here")


@pytest.fixture
def home():
    """A home and a place for temporary files of that user; its path is short, because sockets lie in it."""
    path = Path(tempfile.mkdtemp(prefix="u", dir="/tmp"))
    os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", TESTS)
def test_the_kernels_tests_pass_as_an_ordinary_user(become, home, part):
    command, more_rights = become
    names, chosen = TESTS[part]
    # It does not start with rights that no set-uid bit gave; and where it is missing, its own tests say so.
    if more_rights or missing("bwrap"):
        chosen += ") and not (bubblewrap_hides"
    files = [str(next(HERE.rglob(f"test_kernels_{name}.py"))) for name in names]
    command = [
        *command,
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        *files,
        "-k",
        f"({chosen})",
    ]
    done = subprocess.run(
        command,
        cwd=HERE.parent,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
        },
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
