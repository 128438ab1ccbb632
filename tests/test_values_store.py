"""Buffers have one owner each, and a store knows what they take."""

from __future__ import annotations

import copy
import dataclasses
import gc
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlm_jupyter.errors import (
    ContextError,
    MalformedValueError,
    RLMError,
    UnsafeValueError,
    ValueTransferError,
)
from rlm_jupyter.values.store import Buffer, Store


def descriptors():
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@dataclasses.dataclass
class Order:
    number: int


def test_a_buffer_gives_its_value_back_and_knows_what_it_is():
    frame = pd.DataFrame({"a": range(1000)})
    with Buffer.of(frame, name="orders") as buffer:
        assert (buffer.kind, buffer.closed) == ("safe", False)
        assert buffer.size == os.fstat(buffer.fd).st_size > 8000
        assert buffer.description["shape"] == [1000, 1]
        pd.testing.assert_frame_equal(buffer.load(), frame)
        pd.testing.assert_frame_equal(buffer.load(), frame)
    assert buffer.closed


def test_descriptors_are_given_back_however_a_buffer_ends():
    before = descriptors()
    buffer = Buffer.of("x")
    twin = buffer.dup()
    buffer.close()
    buffer.close()
    assert twin.load() == "x"
    del twin
    gc.collect()
    fd = Buffer.of("y").detach()
    again = Buffer.adopt(fd, {"summary": "s"})
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
    with Buffer.of([1, (2,)]) as good:
        data = os.pread(good.fd, good.size, 0)
    fd = os.memfd_create("broken")
    os.write(fd, data.replace(b'"tuple"', b'"tupel"'))
    with Buffer(fd) as broken, pytest.raises(MalformedValueError, match="unknown kind"):
        broken.load()


def test_a_pickle_needs_trust_and_the_message_says_what_that_does():
    with Buffer.of(lambda x: x + 1) as buffer:
        assert buffer.kind == "pickle"
        with pytest.raises(UnsafeValueError, match=r"run code .* `trust=True`") as caught:
            buffer.load()
        assert "function" in str(caught.value)
        assert buffer.load(trust=True)(2) == 3


def test_instances_of_the_notebooks_own_classes_keep_their_class():
    with Buffer.of([Order(1)]) as buffer:
        assert buffer.kind == "pickle"
        assert buffer.load(trust=True) == [Order(1)]
    with Buffer.of({"a": [1]}) as buffer:
        assert buffer.kind == "safe"


def test_data_that_cannot_be_handed_over_is_named():
    with pytest.raises(
        ContextError, match=r"`context\['db'\]` cannot be transferred: it is a lock"
    ) as caught:
        Buffer.of({"db": threading.Lock()}, name="context")
    assert isinstance(caught.value, TypeError)
    with pytest.raises(ContextError, match="function"):
        Buffer.of([len], allow_pickle=False)


def test_no_room_is_said(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = descriptors()
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ContextError, match=r"no room to hand `orders` over .*No space"):
        Buffer.of(np.zeros(10), name="orders")
    assert descriptors() == before


def test_a_value_of_a_missing_library_names_it(monkeypatch):
    import sys

    with Buffer.of(pd.Series([1])) as buffer:
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ValueTransferError, match="`pandas`"):
            buffer.load()


def test_the_store_counts_bytes_once_however_many_share_them():
    store = Store(limit=10**9)
    first = store.add(Buffer.of(b"x" * 50_000))
    twin = store.add(first.dup())
    other = store.add(Buffer.of(b"y" * 30_000))
    assert store.total == store.in_memory == first.size + other.size
    first.close()
    assert store.total == twin.size + other.size
    del twin
    gc.collect()
    assert store.total == other.size
    store.close()
    assert other.closed
    assert store.total == 0


def test_above_the_limit_the_oldest_move_to_disk_and_stay_usable(tmp_path):
    before = descriptors()
    store = Store(tmp_path, limit=100_000)
    old = store.add(Buffer.of(np.arange(8_000)))
    twin = store.add(old.dup())
    new = store.add(Buffer.of(np.arange(9_000)))
    assert (old.spilled, twin.spilled, new.spilled) == (True, True, False)
    assert store.in_memory == new.size
    assert store.total == old.size + new.size
    assert list(tmp_path.iterdir()) == []
    assert os.fstat(old.fd).st_dev == tmp_path.stat().st_dev
    for buffer, count in ((old, 8000), (twin, 8000), (new, 9000), (old.dup(), 8000)):
        value = buffer.load()
        assert value.sum() == sum(range(count))
        value[0] = 1
    del buffer
    store.close()
    assert descriptors() == before


def test_a_disk_without_room_is_said(tmp_path):
    store = Store(tmp_path / "missing", limit=10)
    buffer = Buffer.of("x")
    with pytest.raises(ValueTransferError, match=r"take more than 10 bytes, and they cannot move to disk"):
        store.add(buffer)
    assert buffer.load() == "x"


def test_the_hosts_own_store_limit_is_part_of_the_machines_memory():
    assert 10**8 < Store().limit < 10**13


def test_many_threads_may_add_and_close():
    store = Store(limit=100_000)

    def work():
        for _ in range(20):
            buffer = store.add(Buffer.of(b"z" * 20_000))
            assert buffer.load() == b"z" * 20_000
            buffer.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.total == 0


def test_a_buffer_cannot_be_copied_into_a_second_owner_by_accident():
    with Buffer.of(1) as buffer:
        for double in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                double(buffer)
