"""Memory and processor time of a tree of real processes."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from limits_parts import until

from benchmarks.peers import memory
from benchmarks.peers.memory import pss_bytes, tree_memory
from benchmarks.peers.processor_time import tree_seconds

ROLLUP = """\
55d0c8a00000-7ffd0a9f2000 ---p 00000000 00:00 0                          [rollup]
Rss:               10240 kB
Pss:                5120 kB
Pss_Dirty:          2048 kB
Pss_Anon:           2000 kB
SwapPss:               7 kB
"""
MEGABYTES, SECONDS = 40, 1.0
CHILD = f"data = b'x' * {MEGABYTES * 10**6}; print('ready', flush=True); input()"
PARENT = f"""\
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
ended = subprocess.Popen([sys.executable, "-c", ""])
while open(f"/proc/{{ended.pid}}/stat").read().rpartition(")")[2].split()[0] != "Z":
    pass
print("ready", flush=True)
input()
child.communicate(b"\\n")
"""

linux = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the PSS is told by Linux")


def test_the_pss_is_read_and_not_another_line():
    assert pss_bytes(ROLLUP) == 5120 * 1024


@pytest.mark.parametrize("text", ["", "Rss: 10 kB\n", "Pss: 10 pages\n"])
def test_what_tells_no_pss_is_an_error(text):
    with pytest.raises(ValueError, match="no line `Pss"):
        pss_bytes(text)


@linux
def test_descendants_count_and_zombies_do_not():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        parent.stdout.readline()
        found = tree_memory(parent.pid)
        parent.stdin.write(b"\n")
        parent.stdin.flush()
    assert found.processes == 2
    assert MEGABYTES < found.megabytes < MEGABYTES + 60


@linux
def test_a_process_that_may_not_be_read_makes_the_sum_unknown(monkeypatch):
    def refuse(pid):
        raise PermissionError(pid)

    monkeypatch.setattr(memory, "_rollup", refuse)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found = tree_memory(process.pid)
        process.stdin.close()
    assert (found.processes, found.megabytes) == (1, None)


WORKED = f"""\
import subprocess, sys
work = "import time\\nwhile time.process_time() < {SECONDS}: pass\\n"
subprocess.run([sys.executable, "-c", work])
child = subprocess.Popen([sys.executable, "-c", work + "input()"], stdin=subprocess.PIPE)
input()
child.communicate(b"\\n")
"""


def test_processor_time_is_that_of_descendants_and_of_those_that_have_ended():
    with subprocess.Popen([sys.executable, "-c", WORKED], stdin=subprocess.PIPE) as parent:
        until(lambda: tree_seconds(parent.pid) > 1.9 * SECONDS)
        own = psutil.Process(parent.pid).cpu_times()
        assert own.user + own.system < SECONDS
        parent.communicate(b"\n")
