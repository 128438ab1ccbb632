"""Decode what the encoder gave, running nothing of the sender and believing nothing of what it says.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

from . import arrays, arrow, charts, scalars, scientific
from . import pandas_frames as frames
from .container import Container, Malformed
from .encoder import FACTORIES, MAX_DEPTH

_MISSING = object()
_MOST_ONCE = 65_536
"""Different texts of a container that are remembered while it is read."""

_LIBRARIES: dict[str, Callable[[list[Any], Any], Any]] = {
    **arrays.BUILDERS,
    **frames.BUILDERS,
    **arrow.BUILDERS,
    **charts.BUILDERS,
    **scientific.BUILDERS,
}


class Decoder:
    """Decodes the head of one container.

    Attributes:
        buffer: gives the buffer of a number, once.
        figures: of the value, as they are; None if they are made of their parts.
        make_chart: makes an object of a chart's parts; None if they remain parts.
    """

    def __init__(
        self,
        container: Container,
        *,
        figures: list[Any] | None = None,
        make_chart: Callable[[charts.ChartParts], Any] | None = None,
    ) -> None:
        self.buffer = container.buffer
        self.figures = figures
        self.make_chart = make_chart
        self._depth = 0

    def unpack(self, form: Any) -> Any:
        """Decode what `Encoder.pack` gave.

        Raises:
            Malformed: it is not such a form. Nonsense inside may raise anything else that constructors raise.
        """
        if type(form) is not dict:
            raise Malformed("A part of an encoded value is missing.")
        if "j" in form:
            return form["j"]
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Malformed(f"An encoded value is nested deeper than {MAX_DEPTH} levels.")
        value = _Reader(self, form["n"]).root(form["r"])
        self._depth -= 1
        return value


class _Reader:
    """One table of nodes, and the objects made of them."""

    def __init__(self, decoder: Decoder, nodes: Any) -> None:
        if type(nodes) is not list:
            raise Malformed("An encoded value has no table of its parts.")
        self._decoder = decoder
        self._nodes = nodes
        self._made: list[Any] = [_MISSING] * len(nodes)
        self._heights: dict[int, int] = {}
        self._depth = 0

    def root(self, ref: Any) -> Any:
        for index, node in enumerate(self._nodes):
            shell = _SHELLS.get(node[0])
            if shell:
                self._made[index] = shell(node)
        for index in range(len(self._nodes)):
            if self._made[index] is _MISSING:
                self._build(index)
        for node, made in zip(self._nodes, self._made, strict=True):
            fill = _FILLERS.get(node[0])
            if fill:
                fill(self, made, node)
        return self.value(ref)

    def value(self, ref: Any) -> Any:
        """Returns what a ref stands for, building it if that was not done yet."""
        if type(ref) is not list:
            return ref
        (index,) = ref
        if type(index) is not int or not 0 <= index < len(self._made):
            raise Malformed("An encoded value refers to a part that it does not have.")
        made = self._made[index]
        return self._build(index) if made is _MISSING else made

    def values(self, refs: Any) -> list[Any]:
        """Returns the items of a container."""
        if type(refs) is list:
            return [ref if type(ref) is not list else self.value(ref) for ref in refs]
        if "rows" in refs:
            return list(map(tuple, refs["rows"]))
        lengths, text = refs["texts"]
        return _cut(self._decoder.buffer(lengths), str(self._decoder.buffer(text), "utf-8", "surrogatepass"))

    def _build(self, index: int) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH:  # also when immutable parts hold each other in a circle
            raise Malformed(f"An encoded value is nested deeper than {MAX_DEPTH} levels.")
        tag, *payload = self._nodes[index]
        if scalar := scalars.BUILDERS.get(tag):
            made = scalar(payload, self._decoder.buffer)
        elif library := _LIBRARIES.get(tag):
            made = library(payload, self._decoder)
        elif container := _IMMUTABLE.get(tag):
            items = self.values(payload[0])
            self._measure(index, payload[0])
            made = container(items)
        else:
            raise Malformed("An encoded value has a part of an unknown kind.")
        self._made[index] = made
        self._depth -= 1
        return made

    def _measure(self, index: int, refs: Any) -> None:
        """Bound how deep tuples lie in tuples: CPython's hash of them recurses without a guard."""
        height = 1
        if type(refs) is list:
            height += max((self._heights.get(ref[0], 0) for ref in refs if type(ref) is list), default=0)
        if height > MAX_DEPTH:
            raise Malformed(f"An encoded value is nested deeper than {MAX_DEPTH} levels.")
        self._heights[index] = height

    def fill_list(self, made: Any, node: list[Any]) -> None:
        made.extend(self.values(node[1]))

    def fill_set(self, made: set[Any], node: list[Any]) -> None:
        made.update(scalars.reject_hash_collisions(self.values(node[1])))

    def fill_dict(self, made: Any, node: list[Any]) -> None:
        pairs = zip(scalars.reject_hash_collisions(self.values(node[1])), self.values(node[2]), strict=True)
        if type(made) is OrderedDict:
            made.update(pairs)
        elif type(made) is SimpleNamespace:
            made.__init__(**dict(pairs))  # type: ignore[misc]  # fills the one that cycles may already hold
        else:
            dict.update(made, pairs)  # not Counter.update, which adds up


def _cut(lengths: memoryview, text: str) -> list[str]:
    """Cut a text into its parts. Equal ones are one object: columns repeat a few words a million times."""
    sizes = lengths.cast("q")
    if min(sizes, default=0) < 0 or sum(sizes) != len(text):
        raise Malformed("The texts of an encoded value have other lengths than it says.")
    once: dict[str, str] = {}
    parts, start = [], 0
    for end in accumulate(sizes):
        part = text[start:end]
        start = end
        same = once.get(part)
        if same is None:
            same = part
            if len(once) < _MOST_ONCE:
                once[part] = part
        parts.append(same)
    return parts


def _factory(node: list[Any]) -> defaultdict[Any, Any]:
    return defaultdict(FACTORIES[node[3]])


_SHELLS: dict[Any, Callable[[list[Any]], Any]] = {
    "list": lambda _: [],
    "dict": lambda _: {},
    "set": lambda _: set(),
    "deque": lambda node: deque(maxlen=node[2]),
    "OrderedDict": lambda _: OrderedDict(),
    "Counter": lambda _: Counter(),
    "defaultdict": _factory,
    "SimpleNamespace": lambda _: SimpleNamespace(),
}
"""What is made empty first, because a cycle may go through it."""

_FILLERS: dict[Any, Callable[[_Reader, Any, list[Any]], None]] = {
    **dict.fromkeys(("list", "deque"), _Reader.fill_list),
    "set": _Reader.fill_set,
    **dict.fromkeys(("dict", "OrderedDict", "Counter", "defaultdict", "SimpleNamespace"), _Reader.fill_dict),
}

_IMMUTABLE: dict[Any, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "frozenset": lambda items: frozenset(scalars.reject_hash_collisions(items)),
    "slice": lambda items: slice(*items),
    "as": lambda items: items[0],
}
