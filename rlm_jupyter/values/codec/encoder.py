"""Encode Python's containers: as JSON where a value is JSON, else as a table of nodes that keeps what is shared.

Travels as source into kernels: standard library only at import.

A plain tree is ``{"j": value}``. Anything else is ``{"n": nodes, "r": ref}``: a ref is a JSON scalar, which stands
for itself, or ``[index]`` of a node; a node is a list that begins with its tag. Lists, dicts and sets are first
made empty and filled at the end, so that cycles through them close; all else is built from finished parts.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import sys
import uuid
from array import array
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from types import MappingProxyType, SimpleNamespace
from typing import Any

from . import arrays, arrow, charts, scalars, scientific
from . import pandas_frames as frames
from .container import Unencodable, describe_thing

MAX_DEPTH = 100
"""Levels of nesting. Python's own hash of nested tuples, among others, has no guard against deep ones."""
MAX_JSON_DEPTH = 200
"""Levels of nesting of what is nothing but JSON."""

_LONG = 1 << 16
"""Characters from which a text leaves the head for a buffer of its own."""
_BULK = 16
"""Items from which it pays to look for a form of all of them at once."""
_INLINE_BITS = 1024
_KEY = 60
"""Characters of a key, or bits, that messages quote."""

_SCALARS = {type(None), bool, int, float, str}
_PLAIN = _SCALARS | {list, dict}


def _is_plain(root: object) -> bool:
    """Returns whether a value is a JSON tree: exact types, text keys, no shared containers, no long texts.

    Looks at a whole level at once by functions in C: a Python step per item would cost more than the encoding.
    """
    level: list[Any] = [[root]]
    seen: set[int] = set()
    for _ in range(MAX_JSON_DEPTH):
        expected = len(seen) + len(level)
        seen.update(map(id, level))
        lists = [c for c in level if type(c) is list]
        dicts = [c for c in level if type(c) is dict]
        if len(seen) != expected or not set(map(type, chain.from_iterable(dicts))) <= {str}:
            return False
        items = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, dicts))]
        kinds = set(map(type, items))
        if not kinds <= _PLAIN or (str in kinds and _has_long(items, kinds, together=len(level) < _BULK)):
            return False
        if not kinds & {list, dict}:
            return True
        level = [c for c in items if type(c) is list or type(c) is dict]
    return False


def _has_long(items: Sequence[Any], kinds: set[type], *, together: bool) -> bool:
    """Returns whether a text, or texts alone and together, should leave the head."""
    if kinds == {str}:
        return (together and sum(map(len, items)) > _LONG) or max(map(len, items)) > _LONG
    return max(len(v) for v in items if type(v) is str) > _LONG


def _fields(value: Any, kind: Any) -> dict[Any, Any] | None:
    """Return the fields of an instance of a dataclass, of pydantic, attrs or msgspec, and of a row of sqlite."""
    if dataclasses.is_dataclass(kind):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(kind)}
    pydantic, sqlite = sys.modules.get("pydantic"), sys.modules.get("sqlite3")
    if pydantic is not None and issubclass(kind, pydantic.BaseModel):
        return {**{name: getattr(value, name) for name in kind.model_fields}, **(value.model_extra or {})}
    if sqlite is not None and issubclass(kind, sqlite.Row):
        return dict(zip(value.keys(), tuple(value), strict=True))
    names = [one.name for one in getattr(kind, "__attrs_attrs__", ())]  # of attrs
    if names or (names := list(getattr(kind, "__struct_fields__", ()))):  # of msgspec
        return {name: getattr(value, name) for name in names}
    return None


def _held(value: Any, kind: Any) -> tuple[Any, ...]:
    """Return what a scalar of pyarrow, or a plan of polars, stands for, alone in a tuple; an empty one for all else."""
    for library, name, method in (("pyarrow", "Scalar", "as_py"), ("polars", "LazyFrame", "collect")):
        found = getattr(sys.modules.get(library), name, None)
        if found is not None and issubclass(kind, found):
            return (getattr(value, method)(),)
    return ()


class Encoder:
    """Encodes one value into a head that is JSON and a list of buffers.

    Attributes:
        parts: the buffers, flat views of bytes or texts.
        left_out: what has no safe form and was left out, each in a few words.
        charts: the figures that were encoded as data, in the order of their numbers; None if figures are refused.
        drawn: id of a figure to its parts: its axes share its picture.
    """

    def __init__(self, *, faithful: bool = False, careful: bool = False, figures: bool = True) -> None:
        """Make an encoder.

        Args:
            faithful: refuse what would come back as another type (a dataclass as a dict).
            careful: look at each integer; needed where one is too long for JSON.
            figures: encode figures of libraries as charts, rather than refuse them.
        """
        self.charts: list[Any] | None = [] if figures else None
        self.drawn: dict[int, charts.ChartParts] = {}
        self.parts: list[memoryview | str] = []
        self.left_out: list[str] = []
        self.faithful = faithful
        self.careful = careful
        self.depth = 0

    def buffer(self, part: memoryview | str) -> int:
        """Add a buffer; its number goes into the head."""
        self.parts.append(part if isinstance(part, str) else part.cast("B"))
        return len(self.parts) - 1

    def pack(self, value: object) -> dict[str, Any]:
        """Encode a value with all that is inside it.

        Raises:
            Unencodable: something in it has no safe form; says where.
        """
        if not self.careful and _is_plain(value):
            return {"j": value}
        writer = _Writer(self)
        ref = writer.ref(value)
        return {"n": writer.nodes, "r": ref}

    def can_pack(self, *values: object) -> bool:
        """Return whether values have a safe form."""
        parts, left_out, depth = len(self.parts), len(self.left_out), self.depth
        figures = len(self.charts or ())
        try:
            for value in values:
                self.pack(value)
        except (Unencodable, RecursionError):
            return False
        finally:
            del self.parts[parts:], self.left_out[left_out:]
            if self.charts is not None:
                del self.charts[figures:]
            self.depth = depth
        return True


class _Writer:
    """One table of nodes."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.nodes: list[list[Any] | None] = []
        self._index: dict[tuple[int, bool], int] = {}
        self._hashed = False  # whether what is encoded must come back as something that a key can be
        self._alive: list[object] = []  # an id is that of one object only while the object lives

    def ref(self, value: Any) -> Any:
        kind = type(value)
        if kind is int:
            if value.bit_length() <= _INLINE_BITS:
                return value
        elif kind in _SCALARS and (kind is not str or len(value) <= _LONG):
            return value
        index = self._index.get((id(value), self._hashed))
        if index is None:
            index = self._index[id(value), self._hashed] = len(self.nodes)
            self._alive.append(value)
            self.nodes.append(None)
            self.encoder.depth += 1
            if self.encoder.depth > MAX_DEPTH:
                self.encoder.depth = 0
                raise Unencodable(f"it is nested deeper than {MAX_DEPTH} levels")
            self.nodes[index] = self._node(value, kind)
            self.encoder.depth -= 1
        return [index]

    def many(self, values: Sequence[Any], place: Callable[[int], str]) -> Any:
        """Encode the items of a container.

        Args:
            values: the items.
            place: gives where the item of that number stands, for messages.
        """
        kinds: set[type] = {object}
        if len(values) >= _BULK and not self.encoder.careful:
            kinds = set(map(type, values))
        if kinds <= _SCALARS and (str not in kinds or not _has_long(values, kinds, together=True)):
            return list(values)
        if kinds == {str}:
            lengths = self.encoder.buffer(memoryview(array("q", map(len, values))))
            return {"texts": [lengths, self.encoder.buffer("".join(values))]}
        if kinds == {tuple} and (rows := self._rows(values)):
            return {"rows": rows}
        refs: list[Any] = []
        try:
            for value in values:
                refs.append(self.ref(value))  # noqa: PERF401 - its length tells which item failed
        except Unencodable as error:
            error.path = place(len(refs)) + error.path
            raise
        return refs

    @staticmethod
    def _rows(values: Sequence[Any]) -> Sequence[Any] | None:
        items = list(chain.from_iterable(values))
        kinds = set(map(type, items))
        if kinds <= _SCALARS and not (str in kinds and _has_long(items, kinds, together=False)):
            return values
        return None

    def _node(self, value: Any, kind: type) -> list[Any]:
        if scalar := scalars.FORMS.get(kind):
            return scalar(value, self.encoder.buffer)
        if issubclass(kind, dt.tzinfo):
            return ["tz", scalars.zone_form(value)]
        if container := _CONTAINERS.get(kind):
            return container(self, value)
        for library in (scientific, arrays, frames, arrow, charts):
            node: list[Any] | None = library.encode_value(value, self.encoder)
            if node is not None:
                return node
        if not self.encoder.faithful and (node := self._lossy(value, kind)):
            return node
        raise Unencodable(f"{describe_thing(value)}, which has no safe form")

    def _lossy(self, value: Any, kind: Any) -> list[Any] | None:
        """Encode an instance of a class as the data that it holds."""
        if (fields := _fields(value, kind)) is not None:
            return self.sequence("tuple", fields.values()) if self._hashed else self.mapping("dict", fields)
        if issubclass(kind, enum.Enum):
            return ["as", [self.ref(value.value)]]
        for base, container in _CONTAINERS.items():
            if issubclass(kind, base):
                return container(self, value)
        for base, plain in _PLAIN_BASES.items():
            if issubclass(kind, base):
                return ["as", [self.ref(plain(value))]]
        held = _held(value, kind)
        return ["as", [self.ref(held[0])]] if held else None

    def mapping(self, tag: str, value: dict[Any, Any], *rest: Any) -> list[Any]:
        """Encode a dict, or what is built as one."""
        keys, values = list(dict.keys(value)), list(dict.values(value))
        keys_form = self._hashable(keys, lambda i: f".keys()[{i}]")
        return [tag, keys_form, self.many(values, lambda i: f"[{_short(keys[i])}]"), *rest]

    def sequence(self, tag: str, value: Iterable[Any], *rest: Any) -> list[Any]:
        """Encode a list, or what is built as one."""
        return [tag, self.many(list(value), lambda i: f"[{i}]"), *rest]

    def members(self, tag: str, value: Iterable[Any]) -> list[Any]:
        """Encode a set, which has no places to name."""
        return [tag, self._hashable(list(value), lambda _: ".pop()")]

    def _hashable(self, values: Sequence[Any], place: Callable[[int], str]) -> Any:
        """Encode keys of a dict or members of a set: an instance of a class becomes a tuple, as dicts are not keys."""
        before, self._hashed = self._hashed, True
        try:
            return self.many(values, place)
        finally:
            self._hashed = before

    def default_dict(self, value: defaultdict[Any, Any]) -> list[Any]:
        """Encode a defaultdict of a builtin factory; another factory is code."""
        for name, factory in FACTORIES.items():
            if value.default_factory is factory:
                return self.mapping("defaultdict", value, name)
        if self.encoder.faithful:
            raise Unencodable("a `defaultdict` whose factory is a function has no safe form")
        return self.mapping("dict", value)


FACTORIES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (int, float, bool, str, list, dict, set, tuple)},
    "None": None,
}
"""Name to the factory that a transferred defaultdict may have."""

_CONTAINERS: dict[type, Callable[[_Writer, Any], list[Any]]] = {
    list: lambda w, v: w.sequence("list", list.__iter__(v)),
    tuple: lambda w, v: w.sequence("tuple", tuple.__iter__(v)),
    deque: lambda w, v: w.sequence("deque", v, v.maxlen),
    slice: lambda w, v: w.sequence("slice", (v.start, v.stop, v.step)),
    set: lambda w, v: w.members("set", set.__iter__(v)),
    frozenset: lambda w, v: w.members("frozenset", frozenset.__iter__(v)),
    dict: lambda w, v: w.mapping("dict", v),
    OrderedDict: lambda w, v: w.mapping("OrderedDict", v),
    Counter: lambda w, v: w.mapping("Counter", v),
    SimpleNamespace: lambda w, v: w.mapping("SimpleNamespace", vars(v)),
    defaultdict: _Writer.default_dict,
}


def _date(value: Any) -> dt.date:
    return dt.date(value.year, value.month, value.day)


def _time(value: Any) -> dt.time:
    return dt.time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold)


_PLAIN_BASES: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    bytes: lambda v: memoryview(v).tobytes(),
    bytearray: lambda v: bytearray(memoryview(v)),
    memoryview: bytes,
    dt.datetime: lambda v: dt.datetime.combine(_date(v), _time(v)),
    dt.date: _date,
    dt.time: _time,
    dt.timedelta: lambda v: dt.timedelta(v.days, v.seconds, v.microseconds),
    decimal.Decimal: decimal.Decimal,
    uuid.UUID: lambda v: uuid.UUID(int=v.int),
    UserString: lambda v: str(v.data),
    UserDict: lambda v: dict(v.data),
    UserList: lambda v: list(v.data),
    ChainMap: dict,
    MappingProxyType: dict,
    type({}.keys()): list,
    type({}.values()): list,
    type({}.items()): list,
}
"""Base to the function that gives an instance, also of a subclass, as plain data."""


def _short(key: object) -> str:
    if type(key) is str:
        return repr(key) if len(key) <= _KEY else repr(key[:_KEY])[:-1] + "…'"
    return repr(key) if type(key) in _SCALARS and not (type(key) is int and key.bit_length() > _KEY) else "…"
