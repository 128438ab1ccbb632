"""Python's own values and numpy's: what comes out is what went in."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import ipaddress
import math
import os
import pathlib
import threading
import uuid
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_jupyter.values.codec import api as codec

Point = namedtuple("Point", "x y")  # noqa: PYI024 - the older of the two spellings

FIXED = settings(derandomize=True, database=None, deadline=None)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Order:
    number: int
    lines: list


class Verdict(pydantic.BaseModel):
    ok: bool
    notes: list[str] = []


class Text(str):
    __slots__ = ()


def through(value, **options):
    """Encode safely, decode safely."""
    fd, kind = codec.dump(value, allow_pickle=False, **options)
    try:
        assert kind == codec.kind(fd) == "safe"
        return codec.load(fd, allow_pickle=False)
    finally:
        os.close(fd)


def same(a, b):
    """Equality that tells types apart and takes nan for nan."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, (list, tuple, deque)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a), list(b)) and same(list(a.values()), list(b.values()))
    return a == b


HOUR = dt.timedelta(hours=1)
PLAIN = [
    None, True, 0, -1, 2**63, -(2**70), 10**5000, -(2**9999), 0.0, -0.0, 1e308, math.nan, math.inf, -math.inf,
    1 + 2j, complex(math.nan, -0.0), "", "text", "nul\0\u2028\U0001f600", "\ud800 alone \udfff", "x" * 70_000, "é" * 70_000,
    b"", b"\0\xff", b"b" * 5000, bytearray(b"ab"), bytearray(5000), [], (), {}, set(), frozenset(),
    [1, [2, [3]]], (1, (2,)), [(), [], {}], {"a": 1, "!": {"j": 1}, "n": [], "r": 0}, {1: "a", None: "b", 2.5: "c", False: 1},
    {(1, "a"): [1], frozenset({1}): 2, b"k": 3}, {1, "a", (2, 3)}, frozenset({frozenset({1}), "x"}),
    range(5), range(0, 10**30, 7), slice(1, None, "x"), ..., deque([1, 2], maxlen=3), OrderedDict(b=1, a=2), Counter("aab"),
    dt.date(2020, 2, 29), dt.time(1, 2, 3, 4), dt.time(1, tzinfo=dt.UTC), dt.datetime.fromisoformat("0001-01-01"), dt.datetime.fromisoformat("9999-12-31T23:59:59.999999"), dt.timedelta(-1, 2, 3),
    dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")), dt.datetime(2020, 1, 1, tzinfo=dt.timezone(-HOUR)),
    dt.datetime(2020, 1, 1, tzinfo=dt.timezone(HOUR, "local")), dt.UTC, ZoneInfo("Asia/Tokyo"),
    Decimal("1.10"), Decimal("-Infinity"), Decimal("9" * 5000), Fraction(-1, 3), Fraction(10**5000, 7), uuid.UUID(int=5),
    pathlib.Path("a/b"), pathlib.PurePosixPath("/x"), pathlib.PureWindowsPath("C:\\y"), ipaddress.ip_address("::1"),
    SimpleNamespace(a=1, b=[2]), ["s" * 100] * 2000, ["é\ud800"] * 50_000, {"k": "v" * 100_000}, {str(i): "v" * 50 for i in range(3000)},
    [(i, str(i), i / 2, None, True) for i in range(50)], [(i, [i]) for i in range(50)], [1, 10**5000, "x"], [None] * 100 + [2**500],
    [["t" * 70_000]], [{"doc": "t" * 70_000, "n": 1}], (("é", "x"),) * 40,
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=lambda v: type(v).__name__)
def test_a_python_value_comes_back_equal_and_of_the_same_type(value):
    assert same(through(value), value)
    assert same(through({"in": [value], 7: (value,)}), {"in": [value], 7: (value,)})


def test_a_time_keeps_its_zone_and_fold():
    moment = dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
    back = through([moment])[0]
    assert (back.tzinfo.key, back.fold, back.utcoffset()) == ("Europe/Berlin", 1, HOUR)
    assert through(dt.datetime(2020, 1, 1, tzinfo=dt.timezone(HOUR, "local"))).tzname() == "local"
    assert through(dt.datetime(2020, 1, 1, tzinfo=dt.UTC)).tzinfo is dt.UTC


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Point(1, [2]), (1, [2])),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Order(3, [Order(4, [])]), {"number": 3, "lines": [{"number": 4, "lines": []}]}),
        (Verdict(ok=True, notes=["n"]), {"ok": True, "notes": ["n"]}),
        (Text("sub"), "sub"),
        ([Text("sub")] * 20, ["sub"] * 20),
        (defaultdict(lambda: 1, a=2), {"a": 2}),
        ({Colour.RED: Point(0, 0)}, {"red": (0, 0)}),
    ],
)
def test_an_instance_of_a_class_comes_back_as_the_data_it_holds(value, expected):
    assert same(through(value), expected)


@pytest.mark.parametrize("factory", [int, list, dict, set, None])
def test_a_defaultdict_keeps_a_builtin_factory(factory):
    back = through(defaultdict(factory, a=1))
    assert type(back) is defaultdict
    assert back.default_factory is factory


def test_shared_parts_stay_shared_and_cycles_close():
    part, ring = [1], []
    ring.append(ring)
    loop = {"self": None, "in tuple": ([],)}
    loop["self"] = loop
    loop["in tuple"][0].append(loop)
    array = np.arange(3)
    a, b, c, d, e, f, g = through([part, part, ring, loop, array, {"x": array}, {1: part}])
    assert a is b is g[1]
    assert c[0] is c
    assert d["self"] is d
    assert d["in tuple"][0][0] is d
    assert e is f["x"]


def test_a_cycle_through_a_namespace_and_a_dataclass_closes():
    space = SimpleNamespace()
    space.me = [space]
    order = Order(1, [])
    order.lines.append(order)
    back, plain = through([space, order])
    assert back.me[0] is back
    assert plain["lines"][0] is plain


DTYPES = "?bBhHiIlLqQefdgFD"
ARRAYS = [
    *(np.arange(6).astype(code).reshape(2, 3) for code in DTYPES),
    np.arange(4, dtype=">i4"), np.array(["a", "é\U0001f600"]), np.array([b"x", b"\0y"]), np.array(5.5), np.empty((0, 3)), np.empty((3, 0), "U4"),
    np.array(["2020-01-01", "NaT"], "M8[ns]"), np.array([1, 2], "m8[25us]"), np.array(["2020"], "M8[Y]"),
    np.arange(24).reshape(4, 6)[::2, ::-1], np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(8).reshape(2, 2, 2).transpose(1, 2, 0),
    np.array([(1, "x", [1.0, 2.0], True)], [("a", "i4"), ("b", "U3"), ("c", "f8", (2,)), ("d", "?")]),
    np.array([(1, (2, 3))], np.dtype([("a", "i1"), ("n", [("x", "i8"), ("y", "M8[s]")])], align=True)), np.void(b"abc").reshape(1),
    np.frombuffer(b"abc", "u1"), np.broadcast_to(np.arange(3), (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype.str}-{a.shape}")
def test_an_array_comes_back_with_dtype_shape_and_values_and_can_be_written(array):
    back = through(array)
    assert back.dtype == array.dtype
    assert back.dtype.str == array.dtype.str
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    if back.size:
        back[...] = back.flat[0]


def test_a_fortran_array_keeps_its_order():
    assert through(np.asfortranarray(np.ones((3, 4)))).flags.f_contiguous


@pytest.mark.parametrize("code", [*"?bBhHiIlLefdgFD", "M8[ns]", "m8[s]", "U5", "S5"])
def test_a_numpy_scalar_keeps_its_type(code):
    scalar = np.zeros(1, code)[0]
    back = through([scalar])[0]
    assert type(back) is type(scalar)
    assert back.dtype == scalar.dtype


def test_an_object_array_of_safe_values_keeps_its_shape():
    array = np.array([[1, "a"], [None, [2]]], dtype=object)
    back = through(array)
    assert back.dtype == object
    assert back.shape == (2, 2)
    assert back.tolist() == array.tolist()
    assert through(np.array([[1, 2], [3, 4]], dtype=object)).shape == (2, 2)
    lists = np.empty(2, dtype=object)
    lists[:] = [[1, 2], [3, 4]]
    assert through(lists).tolist() == [[1, 2], [3, 4]]
    assert through(np.dtype([("a", "i4")])) == np.dtype([("a", "i4")])


def test_numpy_strings_of_any_length_come_back():
    array = np.array(["a", "b" * 100], dtype=np.dtypes.StringDType())
    back = through(array)
    assert back.dtype == array.dtype
    assert back.tolist() == array.tolist()


KEYS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates(), st.tuples(st.integers(), st.text()))  # fmt: skip
LEAVES = st.one_of(
    KEYS, st.complex_numbers(), st.decimals(allow_nan=False), st.fractions(), st.uuids(), st.times(), st.timedeltas(),
    st.datetimes(timezones=st.none() | st.just(dt.UTC) | st.timezones()), st.text(st.characters(categories=None)),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner, inner), st.dictionaries(KEYS, inner)),
    max_leaves=30,
)  # fmt: skip


@given(TREES)
@settings(FIXED)
def test_any_tree_of_safe_values_comes_back(value):
    assert same(through(value), value)


@pytest.mark.parametrize("where", ["list", "dict", "nested", "object"])
@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (lambda: threading.Lock(), "lock"),  # noqa: PLW0108
        (lambda: (n for n in ()), "generator"),
        (lambda: os, "module"),
        (lambda: len, "function"),
        (lambda: dict, "class"),
        (lambda: object(), "object"),  # noqa: PLW0108
    ],
    ids=["lock", "generator", "module", "function", "class", "object"],
)
def test_what_cannot_be_transferred_is_named_with_its_place(where, thing, says):
    bad = thing()
    value, place = {
        "list": ([1, bad], "context[1]"),
        "dict": ({"db": bad}, "context['db']"),
        "nested": ({"a": [(1, {2: bad})]}, "context['a'][0][1][2]"),
        "object": (Order(1, [bad]), "context['lines'][0]"),
    }[where]
    with pytest.raises(codec.Unencodable) as caught:
        codec.dump(value, allow_pickle=False, name="context")
    assert f"`{place}`" in str(caught.value)
    assert says in str(caught.value)


def test_a_file_and_a_socket_are_named(tmp_path):
    import socket

    with (tmp_path / "f").open("wb") as file, socket.socket() as connection:
        for bad, says in ((file, "open file"), (connection, "open socket")):
            with pytest.raises(codec.Unencodable, match=says):
                codec.dump([bad], allow_pickle=False)


def test_nesting_deeper_than_allowed_is_refused_and_not_a_crash():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(codec.Unencodable, match="nested"):
        codec.dump(deep, allow_pickle=False)
    with pytest.raises(codec.Unencodable):
        codec.dump(deep, allow_pickle=True)
    while deep:  # taking it apart by hand keeps the test's own teardown shallow
        deep = deep[0]
    json = 1
    for _ in range(190):
        json = {"in": [json]} if _ % 2 else json
    assert through(json) == json
    shallow = 1
    for _ in range(90):
        shallow = (shallow,)
    assert through(shallow) == shallow


def test_what_changes_while_it_is_read_is_refused():
    class Shifty(dict):
        def keys(self):
            raise RuntimeError("no")

    class Property:
        @property
        def __dict__(self):
            raise RuntimeError("no")

    assert through(Shifty(a=1)) == {"a": 1}
    with pytest.raises(codec.Unencodable):
        codec.dump(Property(), allow_pickle=False)


def test_classes_are_kept_where_asked_and_pickles_are_allowed():
    fd, kind = codec.dump([Order(1, [2])], allow_pickle=True, faithful=True)
    try:
        assert kind == "pickle"
        assert codec.load(fd, allow_pickle=True) == [Order(1, [2])]
        with pytest.raises(codec.Refused):
            codec.load(fd, allow_pickle=False)
    finally:
        os.close(fd)
    fd, kind = codec.dump([Order(1, [2])], allow_pickle=True)
    os.close(fd)
    assert kind == "safe"


def test_functions_and_arrays_beside_them_travel_pickled():
    offset = np.arange(100_000)
    fd, kind = codec.dump({"f": lambda x: x + offset, "a": offset}, allow_pickle=True)
    try:
        back = codec.load(fd, allow_pickle=True)
    finally:
        os.close(fd)
    assert kind == "pickle"
    np.testing.assert_array_equal(back["f"](1), offset + 1)
    back["a"][0] = 7


def test_a_lock_inside_what_is_pickled_is_named_with_its_place():
    class Worker:
        def __init__(self):
            self.jobs = [1, threading.Lock()]

    with pytest.raises(codec.Unencodable) as caught:
        codec.dump({"f": print, "w": Worker()}, allow_pickle=True, name="context")
    assert "`context['w'].jobs[1]`" in str(caught.value)
    assert "lock" in str(caught.value)


def test_a_lock_that_a_function_uses_is_named():
    lock = threading.Lock()

    def locked():
        return lock

    with pytest.raises(codec.Unencodable, match=r"`tool\.lock` cannot be transferred: it is a lock"):
        codec.dump(locked, allow_pickle=True, name="tool")
    names = {"LOCK": lock, "__name__": "__main__"}
    exec("def locked(): return [LOCK]", names)
    with pytest.raises(codec.Unencodable, match=r"`tool\.LOCK` cannot be transferred: it is a lock"):
        codec.dump(names["locked"], allow_pickle=True, name="tool")


def test_a_pickle_that_cannot_be_rebuilt_is_malformed():
    class Broken:
        def __reduce__(self):
            return (int, ("no number",))

    fd, _ = codec.dump(Broken(), allow_pickle=True)
    try:
        with pytest.raises(codec.Malformed, match="ValueError"):
            codec.load(fd, allow_pickle=True)
    finally:
        os.close(fd)


def test_equal_texts_of_a_list_are_one_object_when_they_arrive():
    words = [f"word {number % 7}" for number in range(20_000)]
    read = through(words)
    assert read == words
    assert len(set(map(id, read))) == 7
    many = [f"{number}" for number in range(100_000)] * 2  # more different ones than are remembered
    assert through(many) == many
