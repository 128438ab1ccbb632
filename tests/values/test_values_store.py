"""Buffers have one owner each, and a store knows what they take."""

from __future__ import annotations

import copy
import dataclasses
import gc
import os
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlm_jupyter import system
from rlm_jupyter.errors import (
    ContextError,
    MalformedValueError,
    RLMError,
    UnsafeValueError,
    ValueTransferError,
)
from rlm_jupyter.values.buffer import LARGE_TEXT, placeholder_fd
from rlm_jupyter.values.store import Buffer, Held, Store


def descriptors():
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@dataclasses.dataclass
class Order:
    number: int


def test_a_buffer_gives_its_value_back_and_knows_what_it_is():
    frame = pd.DataFrame({"a": range(1000)})
    with Buffer.encode(frame, name="orders") as buffer:
        assert (buffer.kind, buffer.closed) == ("safe", False)
        assert buffer.size == os.fstat(buffer.fd).st_size > 8000
        assert buffer.description["shape"] == [1000, 1]
        pd.testing.assert_frame_equal(buffer.load(), frame)
        pd.testing.assert_frame_equal(buffer.load(), frame)
    assert buffer.closed


def test_descriptors_are_given_back_however_a_buffer_ends():
    before = descriptors()
    buffer = Buffer.encode("x")
    twin = buffer.dup()
    buffer.close()
    buffer.close()
    assert twin.load() == "x"
    del twin
    gc.collect()
    fd = Buffer.encode("y").detach()
    again = Buffer.from_fd(fd, {"summary": "s"})
    assert again.description == {"summary": "s"}
    again.close()
    assert descriptors() == before
    with pytest.raises(ValueTransferError, match="gone"):
        again.load()


def test_what_is_no_value_is_refused_and_closed(tmp_path):
    before = descriptors()
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    for fd in (os.open(path, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY), os.memfd_create("empty")):
        with pytest.raises(MalformedValueError) as caught:
            Buffer(fd)
        assert isinstance(caught.value, RLMError)
    assert descriptors() == before


def test_broken_bytes_are_malformed():
    with Buffer.encode([1, (2,)]) as good:
        data = os.pread(good.fd, good.size, 0)
    fd = os.memfd_create("broken")
    os.write(fd, data.replace(b'"tuple"', b'"tupel"'))
    with Buffer(fd) as broken, pytest.raises(MalformedValueError, match="unknown kind"):
        broken.load()


def test_a_pickle_needs_trust_and_the_message_says_what_that_does():
    with Buffer.encode(lambda x: x + 1) as buffer:
        assert buffer.kind == "pickle"
        with pytest.raises(UnsafeValueError, match=r"run code .* `trust=True`") as caught:
            buffer.load()
        assert "function" in str(caught.value)
        assert buffer.load(trust=True)(2) == 3


def test_instances_of_the_notebooks_own_classes_keep_their_class():
    with Buffer.encode([Order(1)]) as buffer:
        assert buffer.kind == "pickle"
        assert buffer.load(trust=True) == [Order(1)]
    with Buffer.encode({"a": [1]}) as buffer:
        assert buffer.kind == "safe"


def test_data_that_cannot_be_handed_over_is_named():
    with pytest.raises(
        ContextError, match=r"`context\['db'\]` cannot be transferred: it is a lock"
    ) as caught:
        Buffer.encode({"db": threading.Lock()}, name="context")
    assert isinstance(caught.value, TypeError)
    with pytest.raises(ContextError, match="function"):
        Buffer.encode([len], allow_pickle=False)


def test_no_room_is_said(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = descriptors()
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ContextError, match=r"no room to hand `orders` over .*No space"):
        Buffer.encode(np.zeros(10), name="orders")
    assert descriptors() == before


def test_a_value_of_a_missing_library_names_it(monkeypatch):
    import sys

    with Buffer.encode(pd.Series([1])) as buffer:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ValueTransferError, match="`pandas`"):
            buffer.load()


def test_the_store_counts_bytes_once_however_many_share_them():
    store = Store(limit=10**9)
    first = store.add(Buffer.encode(b"x" * 50_000))
    twin = store.add(first.dup())
    other = store.add(Buffer.encode(b"y" * 30_000))
    assert store.total == store.in_memory == first.size + other.size
    first.close()
    assert store.total == twin.size + other.size
    del twin
    gc.collect()
    assert store.total == other.size
    store.close()
    assert other.closed
    assert store.total == 0


def test_above_the_limit_what_is_newest_moves_to_disk_and_stays_usable(tmp_path):
    before = descriptors()
    store = Store(tmp_path, limit=100_000)
    old = store.add(Buffer.encode(np.arange(8_000)))
    new = store.hold(Buffer.encode(np.arange(9_000)))
    twin = store.add(new.dup())
    assert (old.place, new.place, twin.place) == ("memory", "disk", "disk")
    assert store.held == Held(memory=old.size, disk=new.size, shared=0, limit=100_000)
    assert store.total == old.size + new.size
    assert list(tmp_path.iterdir()) == []
    assert os.fstat(new.fd).st_dev == tmp_path.stat().st_dev
    for buffer, count in ((old, 8000), (twin, 9000), (new, 9000), (new.dup(), 9000)):
        value = buffer.load()
        assert value.sum() == sum(range(count))
        value[0] = 1
    del buffer
    store.close()
    assert descriptors() == before


def test_the_notebooks_own_data_is_told_apart_and_never_moves(tmp_path):
    store = Store(tmp_path, limit=10)
    data = store.share(Buffer.encode(b"x" * 50_000))
    store.spill()
    assert (data.place, data.dup().place) == ("shared", "shared")
    assert store.held == Held(memory=0, disk=0, shared=data.size, limit=10)
    assert not store.is_full


def test_a_disk_without_room_is_said(tmp_path, monkeypatch):
    store = Store(tmp_path / "missing", limit=10)
    buffer = Buffer.encode("x")
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    usage = {str(tmp_path / "missing"): FileNotFoundError(2, "No such file or directory")}

    def disk_usage(place):
        if str(place) in usage:
            raise usage[str(place)]
        return free

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    with pytest.raises(
        ValueTransferError,
        match=r"more than 10 bytes of memory, and they cannot move to disk .*missing`: No such file or directory"
        r"; `/var/tmp` has 1,000 bytes free.*`value_memory`",
    ):
        store.add(buffer)
    assert (buffer.load(), buffer.place) == ("x", "memory")


def test_a_place_that_is_memory_is_no_disk(tmp_path, monkeypatch):
    number = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 2 {os.major(number)}:{os.minor(number)} / / rw shared:1 - tmpfs tmpfs rw\n")
    assert system.disk_for(10, tmp_path) == tmp_path
    monkeypatch.setattr(system, "_MOUNTS", mounts)
    with pytest.raises(OSError, match="is itself memory"):
        system.disk_for(10, tmp_path)


def test_a_containers_limit_counts_as_the_machines_memory(tmp_path, monkeypatch):
    whole = system.machine_memory()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(system, "_CGROUP_LIMITS", (str(limit),))
    for text, expected in (("max\n", whole), ("1000000\n", 1_000_000)):
        limit.write_text(text)
        assert system.machine_memory() == expected
    assert Store().limit == 250_000


def test_the_memory_that_is_free_is_what_the_system_tells_but_no_more_than_a_container_has(
    tmp_path, monkeypatch
):
    table, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    monkeypatch.setattr(system, "_MEMORY", table)
    monkeypatch.setattr(system, "_CGROUP_LIMITS", (str(limit),))
    limit.write_text("5000000\n")
    for free, expected in (("4000 kB", 4_096_000), ("9000 kB", 5_000_000), ("many", 5_000_000)):
        table.write_text(f"MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable: {free}\n")
        assert system.available_memory() == expected
    table.unlink()
    assert system.available_memory() == 5_000_000


@pytest.mark.parametrize(
    "value", ["ä" * 1_000_000, b"x" * 1_000_000, {"a": "x" * 1_000_000, "b": 1}, ["x" * 1_000_000, None]]
)
def test_what_cannot_change_is_let_go_and_made_anew(value):
    before = descriptors()
    data = Store().share(Buffer.encode(value))
    size, stand = data.size, placeholder_fd()
    assert data.can_release
    data.release(stand)
    os.close(stand)
    assert (data.released, data.can_release, data.size, data.place) == (True, False, size, "shared")
    assert os.fstat(data.fd).st_size < 200
    assert data.load() == value
    with data.dup() as twin, twin.with_bytes() as whole:
        assert (whole.load(), whole.released, twin.released) == (value, False, True)
    data.close()
    assert descriptors() == before


@pytest.mark.parametrize(
    "unit", ["x", b"\xff"], ids=["text", "bytes"]
)  # a long text would be in the test's name
def test_a_large_text_that_is_the_same_bytes_anywhere_is_encoded_only_when_that_is_needed(unit):
    value = unit * LARGE_TEXT
    with Buffer.encode(value, late=True) as data:
        assert (data.released, data.size, data.text is value) == (True, LARGE_TEXT, True)
        assert os.fstat(data.fd).st_size < 200
        assert data.description["type"] == type(value).__name__
        with data.with_bytes() as whole:
            assert (whole.load() == value, whole.text) == (True, None)


@pytest.mark.parametrize("value", ["ä" * LARGE_TEXT, "x" * 1000, bytearray(LARGE_TEXT)], ids=type)
def test_what_is_small_or_not_the_same_bytes_anywhere_is_encoded_at_once(value):
    with Buffer.encode(value, late=True) as data:
        assert (data.released, data.text) == (False, None)
        assert data.load() == value


@pytest.mark.parametrize("value", [["x", []], {"a": np.arange(3)}, Order(1), pd.Series([1])])
def test_what_may_change_is_not_let_go(value):
    with Buffer.encode(value) as data:
        assert not data.can_release
        data.release(data.fd)
        assert not data.released


def test_a_token_that_comes_back_from_a_kernel_is_known_for_what_it_stands_for():
    store = Store()
    data = store.share(Buffer.encode("x" * 1_000_000))
    stand = placeholder_fd()
    data.release(stand)
    with store.adopt(os.dup(stand), {"summary": "said by a kernel"}) as ours:
        assert ours.load() == "x" * 1_000_000
        assert (ours.description, data.description["type"]) == ({"summary": "said by a kernel"}, "str")
    with store.adopt(placeholder_fd(), {}) as other, pytest.raises(MalformedValueError):
        other.load()
    with store.adopt(Buffer.encode(5).detach(), {}) as plain:
        assert plain.load() == 5
    os.close(stand)


def test_the_hosts_own_store_limit_is_part_of_the_machines_memory():
    assert 10**8 < Store().limit < 10**13


def test_many_threads_may_add_and_close():
    store = Store(limit=100_000)

    def work():
        for _ in range(20):
            buffer = store.add(Buffer.encode(b"z" * 20_000))
            assert buffer.load() == b"z" * 20_000
            buffer.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.total == 0


def test_a_buffer_cannot_be_copied_into_a_second_owner_by_accident():
    with Buffer.encode(1) as buffer:
        for double in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                double(buffer)
