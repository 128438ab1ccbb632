"""A value that means what was asked for is an answer, whatever class it is of; and data goes over without its baggage."""

import array
import collections
import dataclasses
import datetime as dt
import ipaddress
import os
import sqlite3
import threading
import types
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from bs4 import BeautifulSoup
from run_parts import asking

from rlm_jupyter.values.codec import api as codec


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:
        yield start


def transfer(value, **options):
    """Return the value that arrives, the kind it came as, and what was left out."""
    left_out = []
    fd, kind = codec.dump(value, left_out=left_out, **{"allow_pickle": False, **options})
    try:
        return codec.load(fd, allow_pickle=kind == "pickle"), kind, left_out
    finally:
        os.close(fd)


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int


class Moment(dt.datetime):
    """What libraries of times make of it."""


def row_of_sqlite():
    with sqlite3.connect(":memory:") as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute("select 1 as a, 'x' as b").fetchone()


RECORDS = pd.DataFrame({"a": [1, 2], "b": ["x", (1,)]}).to_records()
PLAIN = {
    "row": (row_of_sqlite(), {"a": 1, "b": "x"}),
    "keys": ({"a": 1}.keys(), ["a"]),
    "values": ({"a": 1}.values(), [1]),
    "items": ({"a": 1}.items(), [("a", 1)]),
    "chain": (collections.ChainMap({"a": 1}, {"b": 2}), {"a": 1, "b": 2}),
    "user dict": (collections.UserDict(a=1), {"a": 1}),
    "user list": (collections.UserList([1]), [1]),
    "user text": (collections.UserString("x"), "x"),
    "read-only dict": (types.MappingProxyType({"a": 1}), {"a": 1}),
    "memory": (memoryview(b"abc"), b"abc"),
    "array": (array.array("d", [1, 2]), array.array("d", [1, 2])),
    "network": (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("10.0.0.0/8")),
    "interface": (ipaddress.ip_interface("::1/64"), ipaddress.ip_interface("::1/64")),
    "moment": (Moment(2020, 1, 2, 3, tzinfo=dt.UTC), dt.datetime(2020, 1, 2, 3, tzinfo=dt.UTC)),
    "class as key": ({Point(1, 2): "p"}, {(1, 2): "p"}),
    "class in a set": ({Point(1, 2)}, {(1, 2)}),
    "class in a tuple as key": ({(Point(1, 2), "q"): [Point(3, 4)]}, {((1, 2), "q"): [{"x": 3, "y": 4}]}),
    "arrow scalar": (pa.scalar(3), 3),
    "offset": (pd.offsets.MonthEnd(2), pd.offsets.MonthEnd(2)),
    "uuid": (type("OtherUUID", (uuid.UUID,), {})(int=7), uuid.UUID(int=7)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_it_arrives_as_the_plain_data_that_it_is(name):
    value, expected = PLAIN[name]
    for given, wanted in ((value, expected), ([value], [expected])):
        back, kind, _ = transfer(given)
        assert kind == "safe"
        assert back == wanted
        assert type(back) is type(wanted)


def test_masked_arrays_keep_their_masks():
    masked = np.ma.masked_array([[1.5, 2.0], [3.0, np.inf]], mask=[[0, 1], [0, 0]], fill_value=-1)
    back, _, _ = transfer(masked)
    assert type(back) is np.ma.MaskedArray
    assert back.fill_value == -1
    assert back.mask.tolist() == masked.mask.tolist()
    assert back.compressed().tolist() == masked.compressed().tolist()
    assert transfer(np.ma.masked)[0] is np.ma.masked
    assert transfer(np.ma.array([1, 2]))[0].tolist() == [1, 2]


def test_structured_arrays_with_objects_in_their_fields_come_back():
    back, _, _ = transfer(RECORDS)
    assert back.dtype.names == RECORDS.dtype.names
    assert [tuple(row) for row in back.tolist()] == [tuple(row) for row in RECORDS.tolist()]
    nested = np.array([[(1, {"k": (1,)}, [1, 2])]], dtype=[("a", "i4"), ("b", "O"), ("c", "f8", (2,))])
    assert transfer(nested)[0].dtype == nested.dtype
    for name in "abc":
        np.testing.assert_array_equal(transfer(nested)[0][name], nested[name])


def test_a_column_of_another_librarys_dtype_comes_as_its_items():
    class OwnDtype(pd.api.extensions.ExtensionDtype):
        name, type = "own", str

        @classmethod
        def construct_array_type(cls):
            return OwnArray

    class OwnArray(pd.api.extensions.ExtensionArray):
        dtype = OwnDtype()

        def __init__(self, items):
            self.items = list(items)

        def __len__(self):
            return len(self.items)

        def __getitem__(self, at):
            return self.items[at] if isinstance(at, int) else OwnArray(self.items[at])

        def isna(self):
            return np.array([item is None for item in self.items])

        def copy(self):
            return OwnArray(self.items)

        nbytes = 0

        @classmethod
        def _from_sequence(cls, items, *, dtype=None, copy=False):
            return cls(items)

    frame = pd.DataFrame({"v": pd.Series(OwnArray(["a", None]))})
    assert transfer(frame)[0]["v"].tolist() == ["a", None]


# Baggage.


class Tagged:
    """What instances of subclasses hold on to: here what cannot be pickled."""

    def __init__(self, *_):
        self.lock = threading.Lock()


class Text(Tagged, str):
    __slots__ = ()


SUBCLASSES = {
    base.__name__: type(f"My{base.__name__}", (base,), {})
    for base in (str, int, float, complex, bytes, bytearray, dict, list, tuple, set, frozenset)
}
SAMPLES = {
    "str": "word", "int": 7, "float": 1.5, "complex": 1j, "bytes": b"b", "bytearray": b"b", "dict": {"a": [1]}, "list": [1, "x"],
    "tuple": (1, 2), "set": {1}, "frozenset": {1},
}  # fmt: skip


def with_baggage(name):
    made = SUBCLASSES[name](SAMPLES[name])
    made.connection = threading.Lock()
    return made


@pytest.mark.parametrize("name", SUBCLASSES)
@pytest.mark.parametrize("beside", ["nothing", "a function"])
def test_what_cannot_be_pickled_with_its_baggage_goes_over_without(name, beside):
    value = {"v": [with_baggage(name)]}
    if beside == "a function":  # which only a pickle can carry
        value["f"] = lambda: 1
    back, kind, _ = transfer(value, allow_pickle=True, faithful=True)
    assert kind == ("safe" if beside == "nothing" else "pickle")
    assert back["v"][0] == SUBCLASSES[name](SAMPLES[name])
    assert type(back["v"][0]).__name__ == name


def test_instances_without_baggage_keep_their_class_among_agents():
    kind = SUBCLASSES["str"]
    back, how, _ = transfer([kind("x")], allow_pickle=True, faithful=True)
    assert (how, type(back[0]).__name__) == ("pickle", "Mystr")


def test_baggage_out_of_all_proportion_stays_behind():
    words = []
    for text in ("one", "two"):
        word = SUBCLASSES["str"](text)
        word.page = b"x" * 5_000_000
        words.append(word)
    for value, expected in ((words, ["one", "two"]), ([*words, len], ["one", "two", len])):
        fd, _ = codec.dump(value, allow_pickle=True, faithful=True)
        assert codec.size(fd) < 100_000
        assert codec.load(fd, allow_pickle=True) == expected
        os.close(fd)


def test_texts_of_a_scraped_page_are_texts(ask):
    page = BeautifulSoup("<p>a</p>" * 3000, "html.parser")
    texts = [p.string for p in page.find_all("p")]
    code = "named = isinstance(context, dict) or hasattr(context, 'columns')\nitems = list(context['t'] if named else context)\nFINAL((len(items), items[0], type(items[0]).__name__))"
    for context in (texts, tuple(texts), {"t": texts}, pd.Series(texts), pd.DataFrame({"t": texts})):
        with ask({"root": [code]}, context=context) as run:
            run.raise_for_error()
            assert run.value == (3000, "a", "str")
        assert run.error is None


# Attributes of frames.


class Contract:
    """What a library leaves in the attributes of a frame."""


def orders(**attrs):
    frame = pd.DataFrame({"a": [1, 2, 3]})
    frame.attrs.update(attrs)
    return frame


def test_an_attribute_without_a_form_is_left_out_of_an_answer_and_that_is_told(ask):
    script = ["FINAL({'t': [context[context['a'] > 1]], 's': context['a']})"]
    run = ask({"root": script}, context=orders(__schema__=Contract(), unit="EUR"))
    table = run.value["t"][0]
    assert table["a"].tolist() == [2, 3]
    assert table.attrs == run.value["s"].attrs == {"unit": "EUR"}
    assert any("`.attrs['__schema__']`" in text for text in run.tree.notices)


@pytest.mark.parametrize("where", ["alone", "nested", "series", "beside a function"])
def test_an_attribute_that_cannot_even_be_pickled_does_not_keep_a_table_from_the_agents(ask, where):
    table = orders(lock=threading.Lock(), unit="EUR")
    series = pd.Series([1, 2, 3])
    series.attrs.update(table.attrs)
    context = {
        "alone": table,
        "nested": {"t": [table]},
        "series": series,
        "beside a function": {"t": [table], "f": SUBCLASSES.get},
    }[where]
    code = "x = context['t'][0] if isinstance(context, dict) else context\nFINAL((len(x), x.attrs))"
    run = ask({"root": [code]}, context=context)
    assert run.value == (3, {"unit": "EUR"})
    assert any("`.attrs['lock']`" in text for text in run.tree.notices)


def test_a_pull_tells_what_was_left_out(ask):
    run = ask({"root": ["class C: pass\nt = context.copy()\nt.attrs['c'] = C()\nFINAL(1)"]}, context=orders())
    assert run.agents["0"].pull("t").attrs == {}
    assert any("`.attrs['c']`" in text for text in run.tree.agents["0"].notices)


def test_polars_frames_have_no_attributes_and_still_come_back():
    frame = pl.DataFrame({"a": [1], "b": [[1]]})
    assert transfer(frame)[0].equals(frame)
