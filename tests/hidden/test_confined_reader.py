"""The kernel that reads hidden columns of files: what it may, what it hands over, and files that change."""

import json
import os
import time

import pyarrow as pa
import pytest

from rlm_jupyter import Sandbox
from rlm_jupyter.errors import ConfigError, HiddenDataChangedError
from rlm_jupyter.kernels.pool import KernelPool, KernelRequest
from rlm_jupyter.registry import kernel_pool
from rlm_jupyter.run_setup.hidden_sources import confined_reader
from rlm_jupyter.run_setup.hidden_sources.confined_reader import (
    ConfinedReader,
    HiddenFile,
    _checked,
    _no_requests,
    limits_of_reader,
)
from rlm_jupyter.run_setup.hidden_sources.watched_files import WatchedFiles
from rlm_jupyter.settings import Settings
from rlm_jupyter.values.store import Buffer


async def test_the_reading_kernel_reads_these_files_and_nothing_else(tmp_path):
    (tmp_path / "mine.txt").write_text("other")
    path = tmp_path / "people.csv"
    path.write_text("id,email\n1,a@x.example\n")
    settings = Settings(sandbox=Sandbox(read=[tmp_path / "mine.txt"], net="all"))
    limits = limits_of_reader(settings.sandbox.mode, [str(path)], ())
    pool = KernelPool()
    request = KernelRequest(run="r", agent="a", sandbox=settings.sandbox, limits=limits)
    kernel = await pool.start(request, _no_requests)
    try:
        own = await kernel.execute(f"print(len(open({str(path)!r}).read()))")
        other = await kernel.execute(f"open({str(tmp_path / 'mine.txt')!r})")
        net = await kernel.execute("import socket; socket.create_connection(('127.0.0.1', 9))")
        asked = await kernel.execute("llm_query('What?')")
    finally:
        await pool.close()
    assert own.status == "ok"
    assert (other.status, other.error_name) == ("error", "PermissionError")
    assert net.error_name in ("PermissionError", "OSError")
    assert "asks no agent and no model" in asked.error_value


@pytest.mark.parametrize("limit", ["time", "memory"])
def test_a_file_takes_no_more_time_and_memory_than_it_may(tmp_path, monkeypatch, limit):
    path = tmp_path / "large.json"
    path.write_text(
        json.dumps([{"email": f"p{number}@x.example", "n": [number]} for number in range(400_000)])
    )
    if limit == "time":
        monkeypatch.setattr(confined_reader, "SECONDS", 0.05)
    sandbox = Sandbox(memory="100 MB") if limit == "memory" else Sandbox()
    reader = ConfinedReader(kernel_pool, Settings(sandbox=sandbox))
    reason = {"time": "reading them takes longer than 0 seconds", "memory": "memory"}[limit]
    with pytest.raises(ConfigError, match=rf"{reason}.*Leave such files out"):
        reader.read([HiddenFile(str(path))], ["email"], ())


@pytest.mark.parametrize(
    "found",
    [
        1,
        {},
        {"columns": 1, "matched": [], "names": [], "plain": []},
        {"columns": [{"name": 2, "values": []}], "matched": [], "names": [], "plain": []},
        {"columns": [{"name": "a", "values": 3}], "matched": [], "names": [], "plain": []},
        {"columns": [{"name": "a", "values": ["text"]}], "matched": [], "names": [], "plain": []},
        {"columns": [7], "matched": [], "names": [], "plain": []},
        {"columns": [{"name": "a", "values": []}] * 10_001, "matched": [], "names": [], "plain": []},
        {"columns": [{"name": "a", "values": [[1] * 11]}], "matched": [], "names": [], "plain": []},
        {"refused": "<b>\x1b[31m" + "x" * 10_000},
    ],
)
def test_what_a_kernel_hands_over_is_not_believed(found):
    request = {"most": 10, "most_bytes": 1_000_000, "expressions": []}
    with Buffer.encode(found) as buffer, pytest.raises(ConfigError) as caught:
        _checked(buffer, request)
    assert len(caught.value.message) < 1000
    assert "\x1b" not in caught.value.message


def test_what_fits_the_form_is_taken():
    columns = [{"name": "b", "values": [[4], pa.array(["x"])]}, {"name": "c", "values": []}]
    found = {"columns": columns, "matched": [7, 0, True, "x"], "names": [1, "b"], "plain": [1]}
    with Buffer.encode(found) as buffer:
        told = _checked(buffer, {"most": 10, "most_bytes": 1000, "expressions": ["a"]})
    assert [(name, list(map(str, values))) for name, values in told.columns] == [("b", ["4"]), ("b", ["x"])]
    assert (told.matched, told.names, told.plain) == ({0}, {"b"}, ["1"])


def test_files_are_watched_until_the_end(tmp_path):
    for number in range(300):
        (tmp_path / f"{number}.csv").write_text("a")
    logs = tmp_path / "logs"
    logs.mkdir()
    watched = WatchedFiles([str(tmp_path)], logs)
    watched.check()
    (logs / "run.jsonl").write_text("written by the run itself")
    (tmp_path / "shop.db-wal").touch()
    (tmp_path / "shop.db-shm").write_text("by readers")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and watched._next > time.monotonic():
        time.sleep(0.01)
    watched.check()
    before = (tmp_path / "7.csv").stat()
    (tmp_path / "7.csv").write_text("b")
    os.utime(tmp_path / "7.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
    watched._next = 0.0
    for _ in range(3):  # also when many are not looked at again so soon
        with pytest.raises(HiddenDataChangedError, match=r"7\.csv` changed"):
            watched.check()
    (tmp_path / "7.csv").write_text("a")
    with pytest.raises(HiddenDataChangedError):
        watched.check()
