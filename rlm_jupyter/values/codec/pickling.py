"""Pickles of values that have no safe form, and what to do about those that cannot be pickled either.

Travels as source into kernels: standard library only at import.

Instances of subclasses of texts, numbers and containers may hold on to much that is not theirs: each text of
BeautifulSoup holds its whole page, a row of a database its connection. Such an instance is first pickled as what it
is; where that fails or is out of proportion, as the text, number or container that it is at heart.
"""

from __future__ import annotations

import enum
import io
import pickle as std_pickle
import sys
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType
from typing import Any

from . import container
from .container import describe_thing, type_name

_BLAMED_ITEMS = 1000
_BLAME_SECONDS = 1.0
_SCALARS: tuple[Any, ...] = (str, bytes, bytearray, int, float, complex)
_CONTAINERS: tuple[Any, ...] = (dict, list, tuple, set, frozenset)
_AS_SCALAR: dict[Any, Callable[[Any], Any]] = {
    **{kind: getattr(kind, f"__{kind.__name__}__") for kind in (str, int, float, complex)},
    **dict.fromkeys((bytes, bytearray), lambda value: memoryview(value).tobytes()),
}
_OWN = {*_SCALARS, *_CONTAINERS, bool, OrderedDict, Counter, defaultdict}


@dataclass
class Pickled:
    """A pickle and its buffers.

    Attributes:
        parts: the stream, and what lies beside it.
        baggage: whether instances of subclasses of Python's own types hold more than they are.
        left_out: what could not be pickled and was left out, each in a few words.
    """

    parts: list[memoryview | str]
    baggage: bool
    left_out: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(part.nbytes for part in self.parts if isinstance(part, memoryview))

    def write(self) -> int:
        """Write it into a new memory file; the descriptor is the caller's."""
        return container.write("pickle", b"", self.parts)


def pickle(value: object, *, plain: bool = False) -> tuple[Pickled | None, str]:
    """Pickle a value.

    Args:
        value: any object.
        plain: pickle instances of subclasses of texts, numbers and containers as these, and frames without those of
            their attributes that cannot be pickled.

    Returns:
        The pickle, or None and the reason why there is none.
    """
    buffers: list[memoryview | str] = []
    stream = io.BytesIO()
    pickler = _pickler_class()(stream, protocol=5, buffer_callback=lambda b: buffers.append(b.raw()))
    pickler.plain = plain
    try:
        pickler.dump(value)
    except MemoryError:
        raise
    except RecursionError:
        return None, "it is nested too deeply"
    except Exception as error:
        return None, f"{type_name(error)}: {str(error)[:200]}"
    return Pickled([stream.getbuffer(), *buffers], pickler.baggage, pickler.left_out), ""


@cache
def _pickler_class() -> Any:
    try:
        from cloudpickle import Pickler
    except ImportError:
        Pickler = std_pickle.Pickler  # noqa: N806 - a class

    class ValuePickler(Pickler):  # type: ignore[misc]
        """Sees who holds more than it is, and leaves that away where it is `plain`."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.plain = self.baggage = False
            self.left_out: list[str] = []
            self._alive: list[object] = []  # the memo of a pickler goes by `id`

        def reducer_override(self, value: Any) -> Any:
            """Return how to pickle what Python's own pickler does not know by itself."""
            if _is_subclassed(type(value)):
                self.baggage = self.baggage or bool(getattr(value, "__dict__", None))
                if self.plain:
                    return _reduced(value)
            elif self.plain and (bare := _without_attrs(value, self.left_out)) is not None:
                self._alive.append(bare)
                return bare.__reduce_ex__(5)
            known = getattr(super(), "reducer_override", None)
            return NotImplemented if known is None else known(value)

    return ValuePickler


def _is_subclassed(kind: type) -> bool:
    subclassed = kind not in _OWN and issubclass(kind, (*_SCALARS, *_CONTAINERS))
    return subclassed and not issubclass(kind, enum.Enum) and kind.__module__.partition(".")[0] != "numpy"


def _reduced(value: Any) -> tuple[Any, ...]:
    """Return what pickles an instance as the text, number or container that it is."""
    base: Any = next(base for base in (*_SCALARS, *_CONTAINERS) if isinstance(value, base))
    if base in _AS_SCALAR:
        return base, (_AS_SCALAR[base](value),)
    if base is dict:
        return dict, (), None, None, iter(list(dict.items(value)))
    if base is list:
        return list, (), None, iter(list(list.__iter__(value)))
    return base, (list(base.__iter__(value)),)


def _without_attrs(value: Any, left_out: list[str]) -> Any:
    """Return a frame or series without the attributes that cannot be pickled; None if there are none."""
    pd = sys.modules.get("pandas")
    if pd is None or not isinstance(value, (pd.DataFrame, pd.Series)) or not value.attrs:
        return None
    lost = {key: item for key, item in value.attrs.items() if not _is_picklable(item)}
    if not lost:
        return None
    left_out += [attribute(key, item) for key, item in lost.items()]
    kept = {key: item for key, item in value.attrs.items() if key not in lost}
    bare = pd.DataFrame(value) if isinstance(value, pd.DataFrame) else pd.Series(value)
    bare.attrs = kept
    return bare


def attribute(key: object, item: object) -> str:
    """Name an attribute of a table that was left out."""
    place = repr(key)[:60] if type(key) in (str, int) else "…"
    return f"`.attrs[{place}]` of a table ({describe_thing(item)})"


def blame(value: object) -> tuple[str, object]:
    """Find what inside a value cannot be pickled, as far as a short time allows: the path to it and the thing."""
    path, seen, deadline = "", {id(value)}, time.monotonic() + _BLAME_SECONDS
    while True:
        for step, part in _parts(value):
            if time.monotonic() > deadline:
                return path, value
            if id(part) not in seen and not _is_picklable(part):
                seen.add(id(part))
                path, value = path + step, part
                break
        else:
            return path, value


def _is_picklable(value: object) -> bool:
    return pickle(value)[0] is not None


def _parts(value: Any) -> list[tuple[str, object]]:
    """List what an object consists of, with the code that leads there."""
    if isinstance(value, dict):
        parts = [(f"[{key!r:.60}]", part) for key, part in list(value.items())[:_BLAMED_ITEMS]]
    elif isinstance(value, (list, tuple)):
        parts = [(f"[{number}]", part) for number, part in enumerate(value[:_BLAMED_ITEMS])]
    elif isinstance(value, (set, frozenset)):
        parts = [(".pop()", part) for part in list(value)[:_BLAMED_ITEMS]]
    elif isinstance(value, FunctionType):
        parts = _function_parts(value)
    else:
        inside = getattr(value, "__dict__", None)
        parts = [(f".{name}", part) for name, part in inside.items()] if isinstance(inside, dict) else []
    return parts


def _function_parts(function: FunctionType) -> list[tuple[str, object]]:
    """List what a function takes along: the variables around it and the globals it names."""
    code = function.__code__
    parts: list[tuple[str, object]] = []
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # a variable that is not bound yet
            parts.append((f".{name}", cell.cell_contents))
    known = function.__globals__
    return parts + [(f".{name}", known[name]) for name in code.co_names if name in known]
