"""A run's values on disk: bounded, whole or not there, never taken for what they are not, removed by a rule."""

import json
import os
import time

import pytest

from rlm_jupyter.values import value_files
from rlm_jupyter.values.buffer import Buffer
from rlm_jupyter.values.value_files import ValueFiles, ValueKey, directory_of, remove_old

ANSWER = ValueKey("answer", "0")


@pytest.fixture
def files(tmp_path):
    return ValueFiles(directory_of(tmp_path / "20260101-000000-abcdef.jsonl"))


def write(files, key, value):
    with Buffer.encode(value) as buffer:
        return files.write(key, buffer)


def test_a_value_is_read_as_it_was_written_and_a_later_one_replaces_it(files):
    assert write(files, ANSWER, {"a": [1, 2]})
    assert write(files, ANSWER, {"a": [1, 2, 3]})
    with ValueFiles(files.directory).read(ANSWER) as read:
        assert read.load() == {"a": [1, 2, 3]}
        assert read.description["type"] == "dict"
    assert len(list(files.directory.iterdir())) == 1


def test_no_name_of_a_model_becomes_a_path(files):
    key = ValueKey("variable", "0", "../../../etc/passwd")
    assert write(files, key, 1)
    assert [path.parent for path in files.directory.rglob("*.value")] == [files.directory]
    assert ValueFiles(files.directory).keys() == [key]


def test_what_is_pickled_or_large_is_not_kept_and_what_was_there_goes(files, monkeypatch):
    class Odd:
        pass

    write(files, ANSWER, 1)
    assert not write(files, ANSWER, Odd())
    assert files.read(ANSWER) is None
    monkeypatch.setitem(value_files.MOST_BYTES, "answer", 2000)
    assert not write(files, ANSWER, "x" * 3000)
    assert write(files, ANSWER, "x" * 1000)
    monkeypatch.setattr(value_files, "_MOST_TOTAL", 2000)
    assert not write(files, ValueKey("answer", "0.1"), "x" * 1000)  # both together
    assert write(files, ANSWER, "x" * 1500)


def test_a_damaged_cut_or_exchanged_file_is_as_good_as_none(files):
    write(files, ANSWER, "a value")
    path = files.directory / ANSWER.file_name
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert files.read(ANSWER) is None
    path.write_bytes(whole.replace(b"a value", b"another"))
    assert files.read(ANSWER) is None
    other = ValueKey("answer", "0.1")
    (files.directory / other.file_name).write_bytes(whole)  # of another agent
    assert files.read(other) is None
    path.write_bytes(b"[" * 100_000 + b"\n")
    assert files.read(ANSWER) is None
    assert files.keys() == []


def test_a_pickle_in_its_place_is_not_read(files):
    class Odd:
        pass

    with Buffer.encode(Odd()) as buffer:
        assert buffer.kind == "pickle"
        body = os.pread(buffer.fd, buffer.size, 0)
    header = value_files._header(ANSWER, {}, body)
    files.directory.mkdir()
    (files.directory / ANSWER.file_name).write_bytes(header + body)
    assert json.loads(header)["role"] == "answer"
    assert files.read(ANSWER) is None


def test_links_and_pipes_are_not_followed(files, tmp_path):
    write(files, ANSWER, "a value")
    path = files.directory / ANSWER.file_name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert files.read(ANSWER) is None
    path.unlink()
    os.mkfifo(path)
    assert files.read(ANSWER) is None


def test_the_newest_runs_keep_their_values_and_nothing_else_is_removed(tmp_path):
    now = time.time()
    for number in range(5):
        directory = tmp_path / f"20260101-00000{number}-abcdef.values"
        directory.mkdir()
        (directory / "a.value").write_bytes(b"")
        (tmp_path / f"20260101-00000{number}-abcdef.jsonl").write_bytes(b"")
        os.utime(directory, (now - 1000 * number,) * 2)
    (tmp_path / "mine.values").mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "20250101-000000-abcdef.values").symlink_to(tmp_path / "target")
    remove_old(tmp_path, keep=3, seconds=1500)
    left = sorted(path.name for path in tmp_path.glob("*.values"))
    kept = [f"20260101-00000{number}-abcdef.values" for number in (0, 1)]
    assert left == ["20250101-000000-abcdef.values", *kept, "mine.values"]
    assert (tmp_path / "target").is_dir()
    assert len(list(tmp_path.glob("*.jsonl"))) == 5
