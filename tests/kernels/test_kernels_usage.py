"""What is measured of a kernel's processes and files, from outside."""

import os
import subprocess

import pytest

from rlm_jupyter.guest import linux_process
from rlm_jupyter.kernels.confinement import process_usage

pytestmark = pytest.mark.skipif(
    not process_usage.possible(), reason="this system does not tell what a process uses"
)


def test_usage_counts_all_that_a_process_started():
    command = ["sh", "-c", "sleep 30 & sleep 30 & wait"]
    with subprocess.Popen(command, start_new_session=True) as shell:
        try:
            while len(linux_process.family(shell.pid, 100)) < 3:
                pass
            used = process_usage.measure(shell.pid, 100)
            assert used.processes == 3
            assert used.memory > 0
        finally:
            os.killpg(shell.pid, 9)
    assert process_usage.measure(shell.pid, 100).memory == 0


def test_disk_counts_a_file_with_two_names_once_and_follows_no_link(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_bytes(os.urandom(1 << 20))
    os.link(tmp_path / "inside" / "file", tmp_path / "inside" / "again")
    (tmp_path / "inside" / "out").symlink_to("/usr")
    assert 1 << 20 <= process_usage.disk_used([str(tmp_path / "inside")]) < 2 << 20
    assert process_usage.disk_used([str(tmp_path / "nowhere")]) == 0
