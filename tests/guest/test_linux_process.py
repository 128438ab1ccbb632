"""Whose descendants processes are, and that one dies with its parent; asked of real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlm_jupyter.guest import linux_process
from rlm_jupyter.system import processes_below

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="about /proc and prctl of Linux")

# A shell that starts a shell in a session of its own, which starts `sleep`.
THREE = ["sh", "-c", "setsid sh -c 'sleep 60 & wait' & wait"]
DIES = """
import os, sys, time
from rlm_jupyter.guest import linux_process
linux_process.die_with_parent(int(sys.argv[1]) or os.getppid())
print(os.getpid(), flush=True)
time.sleep(60)
"""


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


def test_descendants_of_other_sessions_are_found_in_all_three_ways():
    with subprocess.Popen(THREE, start_new_session=True) as shell:
        until(lambda: len(linux_process.descendants(shell.pid)) == 2)
        below = linux_process.descendants(shell.pid)
        try:
            assert shell.pid not in below
            assert linux_process.family(shell.pid, 100) == [shell.pid, *below]
            assert {process.pid for process in processes_below(shell.pid)} == set(below)
            assert linux_process.parents()[below[0]] == shell.pid
            assert linux_process.parents()[shell.pid] == os.getpid()
            # It stops soon after `most`, and so does not follow a fork bomb.
            assert linux_process.family(shell.pid, 1) == [shell.pid, below[0]]
        finally:
            for pid in (*below, shell.pid):
                os.kill(pid, signal.SIGKILL)
    assert linux_process.descendants(shell.pid) == []
    assert linux_process.family(shell.pid, 100) == [shell.pid]
    assert processes_below(shell.pid) == []


def test_a_process_dies_with_its_parent():
    run = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {DIES!r}, '0'])"
    with subprocess.Popen([sys.executable, "-c", run], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert running(child)
        parent.kill()
        until(lambda: not running(child))


def test_a_process_whose_parent_is_already_gone_exits_at_once():
    done = subprocess.run(
        [sys.executable, "-c", DIES, "999999999"], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, b"")


def test_what_the_system_refuses_is_an_error_that_names_the_option():
    with pytest.raises(OSError, match=r"prctl\(99999\): "):
        linux_process.prctl(99999, 1)
