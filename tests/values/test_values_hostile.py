"""Bytes that a kernel may have forged: they raise `Malformed` or `Refused`, and nothing else happens."""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_jupyter.values.codec import api as codec
from rlm_jupyter.values.codec import container
from rlm_jupyter.values.codec.container import MAGIC

fcntl = pytest.importorskip("fcntl")

FIXED = settings(derandomize=True, database=None, deadline=None)


def forge(head, buffers=(), kind="safe"):
    """Write a value of any head."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return container.write(kind, text, [memoryview(b) for b in buffers])


def load(fd, **options):
    try:
        return codec.load(fd, allow_pickle=False, **options)
    finally:
        os.close(fd)


def raw(data, *, seal=True):
    """Put bytes into a file like that of a value."""
    if seal:
        fd = os.memfd_create("forged", os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.write(fd, data)
    if seal:
        fcntl.fcntl(fd, 1033, 15)
    return fd


def bytes_of(value):
    fd, _ = codec.dump(value, allow_pickle=False)
    data = os.pread(fd, codec.size(fd), 0)
    os.close(fd)
    return data


RICH = {
    "frame": pd.DataFrame({
        "i": [1, 2, 3], "s": ["a", None, "ccc"], "c": pd.Categorical(["x", "y", "x"]), "t": pd.date_range("2020", periods=3, tz="UTC"),
        "n": pd.array([1, None, 3]), "p": pd.period_range("2020", periods=3, freq="M"), "o": [1, (2,), "x"], "b": [True, False, True],
        "v": pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3]), "sp": pd.arrays.SparseArray([0, 0, 1]), "td": pd.to_timedelta([1, 2, 3]),
        "a": pd.Series([[1], None, []], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    }, index=pd.MultiIndex.from_product([["k"], [1, 2, 3]])),
    "table": pa.table({"l": [["a"], None], "d": pa.array(["u", "v"]).dictionary_encode(), "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int32()))}),
    "plain": [1, {2: (3, frozenset({4}))}, {5, 6}, b"bytes" * 300, 10**400, range(3), pd.Timestamp("2020"), "x" * 70_000],
    "arrays": [np.arange(6.0).reshape(2, 3), np.array(["é", "b"]), np.array([(1, True)], [("a", "i4"), ("b", "?")]), np.array([1, None], object)],
}  # fmt: skip
GOOD = {name: bytes_of(value) for name, value in RICH.items()}


def touch(value):
    """Use a decoded value as a notebook would: whatever raises in Python is fine, a crash is not."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]:
        try:
            str(part)[:100]
            if isinstance(part, pd.DataFrame) and part.size < 10_000:
                part.describe(include="all")
                part.sort_index()
        except Exception:
            continue


@pytest.mark.parametrize("name", GOOD)
@given(data=st.data())
@settings(FIXED, max_examples=120)
def test_changed_bytes_raise_malformed_or_decode_to_something(name, data):
    forged = bytearray(GOOD[name])
    for _ in range(data.draw(st.integers(1, 6))):
        spot = data.draw(st.integers(0, min(len(forged), 12_000) - 1))
        forged[spot] = data.draw(st.integers(0, 255))
    with contextlib.suppress(codec.Malformed, codec.Refused):
        touch(load(raw(forged)))


def mutate(rng, node):
    """Change one spot of a JSON tree."""
    junk = [
        None,
        True,
        -1,
        0,
        1,
        2**31,
        2**63,
        10**30,
        1e308,
        "",
        "O",
        "<M8[ns]",
        "object",
        [],
        [0],
        {},
        [[]],
        "x" * 100,
        ["np.array", {}],
    ]
    if isinstance(node, (list, dict)) and node and rng.random() < 0.93:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = rng.choice(keys)
        copy = dict(node) if isinstance(node, dict) else list(node)
        if rng.random() < 0.1:
            del copy[key]
        elif isinstance(copy, list) and rng.random() < 0.1:
            copy.insert(key, rng.choice(copy))
        else:
            copy[key] = mutate(rng, node[key])
        return copy
    return (
        rng.choice(junk)
        if rng.random() < 0.7 or not isinstance(node, int)
        else node + rng.choice([-1, 1, 8, -(2**40)])
    )


def reforge(data, change):
    """Decode a good value's container, change its head, and write it anew."""
    fd = raw(data)
    opened = container.Container(fd)
    os.close(fd)
    head = change(json.loads(bytes(opened.head).decode("utf-8", "surrogatepass")))
    return forge(json.dumps(head).encode(), [opened.buffer(i) for i in range(opened.count)])


@pytest.mark.parametrize("name", GOOD)
def test_changed_structure_raises_malformed_or_decodes_to_something(name):
    rng = random.Random(name)
    outcomes = {"decoded": 0, "malformed": 0}
    for _ in range(400):
        try:
            touch(load(reforge(GOOD[name], lambda head: mutate(rng, head))))
            outcomes["decoded"] += 1
        except (codec.Malformed, codec.Refused):
            outcomes["malformed"] += 1
    assert outcomes["malformed"] > 20


@pytest.mark.parametrize("name", GOOD)
def test_every_truncation_is_malformed(name):
    data = GOOD[name]
    for end in [*range(0, 200, 7), *range(200, len(data), max(1, len(data) // 60))]:
        with pytest.raises(codec.Malformed):
            load(raw(data[:end]))


def node(*nodes, ref=0):
    return {"n": list(nodes), "r": [ref]}


def array(dtype, shape, number=0):
    return ["np.array", {"d": dtype, "s": shape, "b": number}]


BOMBS = {
    "an array larger than its bytes": (node(array("<f8", [2**40])), [b"x" * 64]),
    "a shape that overflows": (node(array("<f8", [2**62, 2**62, 0])), [b""]),
    "a negative shape": (node(array("<f8", [-1, -1])), [b"x" * 8]),
    "a shape of floats": (node(array("<f8", [1.0])), [b"x" * 8]),
    "an object dtype": (node(array("|O", [1])), [b"x" * 8]),
    "an object dtype in a field": (node(array([["a", "|O"]], [1])), [b"x" * 8]),
    "a dtype of code": (node(array("i4,os.system('echo')", [1])), [b"x" * 8]),
    "a dtype with a huge item": (node(array("V999999999", [2**20])), [b""]),
    "many items of no bytes": (node(array("V0", [2**40])), [b""]),
    "booleans that are none": (node(array("?", [4])), [b"\0\1\2\3"]),
    "booleans that are none in a field": (node(array([["a", "?"]], [2])), [b"\0\2"]),
    "text beyond Unicode": (node(array("<U1", [1])), [b"\xff\xff\xff\x7f"]),
    "a buffer that is not there": (node(array("|u1", [1], 5)), [b"x"]),
    "a buffer used twice": (node(["list", [[1], [2]]], array("|u1", [2**20]), array("|u1", [2**20])), [b"x" * 2**20]),
    "a reference that is not there": (node(["list", [[7]]]), []),
    "a negative reference": (node(["list", [[-1]]]), []),
    "a reference to itself": (node(["tuple", [[0]]]), []),
    "a circle of tuples": (node(["tuple", [[1]]], ["tuple", [[0]]]), []),
    "tuples too deep": (node(*[["tuple", [[i + 1]]] for i in range(500)], ["tuple", []]), []),
    "tuples too deep, backwards": (node(["tuple", []], *[["tuple", [[i]]] for i in range(500)], ref=500), []),
    "sets too deep, backwards": (node(["frozenset", []], *[["frozenset", [[i]]] for i in range(500)], ref=500), []),
    "an unhashable key": (node(["dict", [[1]], [1]], ["list", []]), []),
    "an unhashable member": (node(["set", [[1]]], ["dict", [], []]), []),
    "more keys than values": (node(["dict", ["a", "b"], [1]]), []),
    "keys that collide": (node(["dict", [i * (2**61 - 1) for i in range(50_000)], [0] * 50_000]), []),
    "members that collide": (node(["set", [i * (2**61 - 1) for i in range(50_000)]]), []),
    "categories that collide": (node(["pd.array", {"k": "categorical", "c": {"d": "|i1", "s": [1], "b": 0}, "o": False, "v": {"k": "objects", "v": {"j": [i * (2**61 - 1) for i in range(50_000)]}}}]), [b"\0"]),
    "a fraction of a million digits": (node(["fraction", "0x" + "f" * 900_000, "0x" + "e" * 900_000]), []),
    "a zone out of a file": (node(["tz", ["zone", "../../../etc/passwd"]]), []),
    "an unknown part": (node(["os.system", "x"]), []),
    "a part without a name": (node([]), []),
    "a part with a list for a name": (node([["list"]]), []),
    "no parts": ({"n": 5, "r": [0]}, []),
    "no structure": ([1], []),
    "JSON too deep": (b'{"j":' + b"[" * 100_000 + b"]" * 100_000 + b"}", []),
    "JSON cut short": (b'{"j":[1', []),
    "an integer of too many digits": (b'{"j":' + b"9" * 5000 + b"}", []),
    "a head that is not text": (b"\xff\xfe", []),
    "texts longer than their text": (node(["list", {"texts": [0, 1]}]), [struct.pack("<q", 2**40), b"abc"]),
    "texts of negative length": (node(["list", {"texts": [0, 1]}]), [struct.pack("<qq", -1, 4), b"abc"]),
    "rows that are none": (node(["list", {"rows": [1]}]), []),
    "categories beyond their number": (node(["pd.array", {"k": "categorical", "c": {"d": "|i1", "s": [2], "b": 0}, "o": False, "v": {"k": "objects", "v": {"j": ["a"]}}}]), [b"\0\5"]),
    "levels beyond their number": (node(["pd.index", {"k": "multi", "n": {"j": [None]}, "c": [{"d": "|i1", "s": [1], "b": 0}], "l": [{"k": "range", "r": [0, 1, 1], "n": {"j": None}}]}]), [b"\5"]),
    "columns of other lengths": (node(["pd.frame", {"i": {"k": "range", "r": [0, 2, 1], "n": {"j": None}}, "n": {"k": "range", "r": [0, 1, 1], "n": {"j": None}}, "a": {"j": {}}, "c": [{"k": "objects", "v": {"j": [1, 2, 3]}}]}]), []),
    "a frequency of code": (node(["pd.period", 1, "D; import os"]), []),
    "a unit of code": (node(["pd.timestamp", 1, "x", None]), []),
    "sparse places outside": (node(["pd.array", {"k": "sparse", "v": {"k": "objects", "v": {"j": [1]}}, "i": {"d": "<i4", "s": [1], "b": 0}, "n": 3, "b": False, "f": {"j": 0}}]), [struct.pack("<i", 9)]),
    "Arrow offsets outside": (node(["pa.array", "large_string", {"n": 1, "b": [None, 0, 1], "c": []}]), [struct.pack("<qq", 0, 2**40), b"abc"]),
    "Arrow offsets that fall": (node(["pa.array", "string", {"n": 2, "b": [None, 0, 1], "c": []}]), [struct.pack("<iii", 0, 3, 1), b"abc"]),
    "Arrow text that is none": (node(["pa.array", "string", {"n": 1, "b": [None, 0, 1], "c": []}]), [struct.pack("<ii", 0, 2), b"\xff\xfe"]),
    "an Arrow array longer than its buffer": (node(["pa.array", "int64", {"n": 2**39, "b": [None, 0], "c": []}]), [b"x" * 64]),
    "an Arrow array of negative length": (node(["pa.array", "int64", {"n": -1, "b": [None, 0], "c": []}]), [b"x" * 64]),
    "an Arrow array without its buffer": (node(["pa.array", "int64", {"n": 4, "b": [None, None], "c": []}]), []),
    "an Arrow mask shorter than its array": (node(["pa.array", "int8", {"n": 4096, "b": [0, 1], "c": []}]), [b"\0", b"x" * 4096]),
    "an Arrow list beyond its child": (node(["pa.array", ["list", ["item", "int8", True, None]], {"n": 1, "b": [None, 0], "c": [{"n": 1, "b": [None, 1], "c": []}]}]), [struct.pack("<ii", 0, 99), b"x"]),
    "an Arrow dictionary beyond its values": (node(["pa.array", ["dictionary", "int8", "string", False], {"i": {"n": 1, "b": [None, 0], "c": []}, "d": {"n": 1, "b": [None, 1, 2], "c": []}}]), [b"\7", struct.pack("<ii", 0, 1), b"a"]),
    "an Arrow array of nothing but length": (node(["pa.array", "null", {"n": 2**39, "b": [None], "c": []}]), []),
    "an Arrow extension type": (node(["pa.type", "extension<arrow.py_extension_type>"]), []),
    "a pickle in the clothes of a value": (b"cos\nsystem\n(S'exit 1'\ntR.", []),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_forged_value_is_malformed(name):
    head, buffers = BOMBS[name]
    with pytest.raises(codec.Malformed):
        load(forge(head, buffers))


def test_a_pickle_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    fd, kind = codec.dump(Evil(), allow_pickle=True)
    assert kind == codec.kind(fd) == "pickle"
    with pytest.raises(codec.Refused):
        load(fd)
    assert not (tmp_path / "ran").exists()


def header(kind=0, head=0, buffers=0, total=64, magic=MAGIC, version=1):
    return struct.pack("<8sIIQQQ24x", magic, version, kind, head, buffers, total)


@pytest.mark.parametrize(
    "data",
    [b"", b"short", header(magic=b"x" * 8), header(version=9), header(kind=7), header(total=2**60), header(head=2**40), header(buffers=2**60), header(head=1), header(kind=1)],
)  # fmt: skip
def test_a_forged_header_is_malformed(data):
    with pytest.raises((codec.Malformed, codec.Refused)):
        load(raw(data))


def test_a_descriptor_that_is_no_file_is_malformed(tmp_path):
    reader, writer = os.pipe()
    os.close(writer)
    for fd in (reader, os.open("/dev/zero", os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)):
        with pytest.raises(codec.Malformed, match="not a file"):
            codec.kind(fd)
        with pytest.raises(codec.Malformed, match="not a file"):
            load(fd)
    for call in (codec.kind, codec.size, load):
        with pytest.raises((codec.Malformed, OSError)) as caught:
            call(reader)
        assert isinstance(caught.value, codec.Malformed) or caught.value.errno == errno.EBADF


def test_a_sparse_file_that_claims_a_terabyte_is_malformed():
    fd = os.memfd_create("sparse", os.MFD_ALLOW_SEALING)
    os.write(fd, header(head=20, total=2**40))
    os.truncate(fd, 2**40)
    fcntl.fcntl(fd, 1033, 15)
    with pytest.raises(codec.Malformed, match="claims more"):
        load(fd)


def test_a_value_above_the_limit_is_malformed():
    fd, _ = codec.dump(b"x" * 100_000, allow_pickle=False)
    assert codec.load(fd, allow_pickle=False, max_bytes=200_000) == b"x" * 100_000
    with pytest.raises(codec.Malformed, match="50,000 are allowed"):
        load(fd, max_bytes=50_000)


def test_a_value_is_sealed_so_that_its_sender_can_neither_change_nor_cut_it():
    fd, _ = codec.dump(np.arange(10_000), allow_pickle=False)
    for change in (lambda: os.pwrite(fd, b"x", 5000), lambda: os.truncate(fd, 10), lambda: mmap.mmap(fd, 0)):
        with pytest.raises(OSError, match=r"\[Errno"):
            change()
    assert fcntl.fcntl(fd, 1034) == 15
    os.close(fd)


def test_what_is_not_sealed_is_copied_so_that_later_changes_reach_nobody():
    fd = raw(bytes_of(np.arange(100_000)), seal=False)
    value = codec.load(fd, allow_pickle=False)
    os.truncate(fd, 0)
    os.close(fd)
    value[0] = 5
    assert value.sum() == 5 + sum(range(100_000))


def test_without_memory_files_a_temporary_file_does(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    frame = pd.DataFrame({"a": range(1000), "s": ["x"] * 1000})
    fd, _ = codec.dump(frame, allow_pickle=False)
    assert list(tmp_path.iterdir()) == []
    back = load(fd)
    back.loc[0, "a"] = 9
    assert back["a"].sum() == 9 + sum(range(1000))


def test_a_library_that_is_missing_is_named(monkeypatch):
    data = bytes_of(pa.table({"a": [1]}))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(codec.MissingLibrary, match="pyarrow"):
        load(raw(data))


def test_text_columns_are_read_without_pyarrow_too():
    frame = pd.DataFrame({"s": pd.Series(["a", None, "é" * 50], dtype="str"), "n": [1, 2, 3]})
    script = textwrap.dedent("""
        import sys, mmap
        sys.modules["pyarrow"] = None
        from rlm_jupyter.values.codec import api as codec
        frame = codec.load(int(sys.argv[1]), allow_pickle=False)
        assert frame["s"].dtype.storage == "python", frame.dtypes
        assert frame["s"].isna().tolist() == [False, True, False]
        assert frame["s"].iloc[2] == "é" * 50 and frame["s"].iloc[0] == "a"
        fd, kind = codec.dump(frame, allow_pickle=False)
        assert codec.load(fd, allow_pickle=False).equals(frame)
    """)
    fd, _ = codec.dump(frame, allow_pickle=False)
    done = subprocess.run(
        [sys.executable, "-c", script, str(fd)], pass_fds=[fd], capture_output=True, text=True, check=False
    )
    os.close(fd)
    assert done.returncode == 0, done.stderr


def test_decoding_forged_values_takes_little_memory():
    """In a process whose memory is limited, so that an allocation of what a header claims would fail loudly."""
    fds = [forge(*BOMBS[name]) for name in BOMBS]
    script = textwrap.dedent("""
        import resource, sys
        import numpy, pandas, pyarrow
        from rlm_jupyter.values.codec import api as codec
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for fd in map(int, sys.argv[1:]):
            try:
                codec.load(fd, allow_pickle=False)
            except codec.Malformed:
                pass
            else:
                raise AssertionError(fd)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used
        assert grown < 100_000, grown
    """)
    done = subprocess.run([sys.executable, "-c", script, *map(str, fds)], pass_fds=fds, capture_output=True, text=True, check=False)  # fmt: skip
    for fd in fds:
        os.close(fd)
    assert done.returncode == 0, done.stderr


def test_deep_json_is_no_crash_where_the_limit_of_recursion_was_raised():
    fd = forge(*BOMBS["JSON too deep"])
    script = textwrap.dedent("""
        import sys
        from rlm_jupyter.values.codec import api as codec
        sys.setrecursionlimit(10**8)
        try:
            codec.load(int(sys.argv[1]), allow_pickle=False)
        except codec.Malformed:
            assert sys.getrecursionlimit() == 10**8
            sys.exit(7)
    """)
    done = subprocess.run([sys.executable, "-c", script, str(fd)], pass_fds=[fd], check=False)
    os.close(fd)
    assert done.returncode == 7


def test_no_room_is_an_error_of_the_system_and_leaves_no_descriptor():
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            codec.dump(np.zeros(10_000), allow_pickle=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    "node",
    [
        ["np.record", [10**9], {"j": {"a": 1}}],
        ["np.record", [-1], {"j": {}}],
        ["np.masked", {"j": [1, 2, 3]}],
        ["np.masked", {"j": []}],
        ["array", "u", 0],
        ["array", "d", 99],
        ["pd.offset", "D;__import__('os')"],
        ["pd.offset", 7],
        ["net", "10.0.0.0/99"],
        ["interface", {}],
        ["datetime", "2020-01-01T00:00:00", ["pytz", "../../etc/passwd"], 0],
        ["datetime", "2020-01-01T00:00:00", ["offset", 10**9, 0, 0, None], 0],
    ],
    ids=str,
)
def test_forged_forms_of_records_masks_arrays_offsets_and_zones_are_refused(node):
    fd = container.write("safe", json.dumps({"n": [node], "r": [0]}).encode(), [])
    try:
        with pytest.raises(codec.Malformed):
            codec.load(fd, allow_pickle=False)
    finally:
        os.close(fd)
