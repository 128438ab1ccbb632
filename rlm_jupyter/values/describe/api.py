"""Describes a value without showing all of it: for prompts, the tree, the log.

Travels as source into kernels: standard library only at import.

Bounded in time and size for any object, and code of the object is never run: a hostile `__repr__`, `__len__` or
property has nothing to say.
"""

from __future__ import annotations

import inspect
import itertools
import sys
import types
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ..codec.container import type_name
from ..codec.table_handle import Table
from .libraries import describe_scientific, outline_scientific
from .pictures import describe_picture
from .render import render
from .short_text import count, cut, head_tail, short, size
from .tables import describe_table, outline_table

__all__ = ["describe", "render"]

_SUMMARY = 200
_SAMPLE = 100
_ITEMS = 20
_SCAN = 1 << 24
"""Characters up to which the lines of a text are counted; of a longer one they are estimated."""
_DATA_KEYS = 32
"""Keys up to which a dict of identifiers counts as a record, whose keys are structure like a table's columns."""

_WEIGH_DEPTH = 2
_SEQUENCES = (list, tuple, set, frozenset, deque)
_OWN = {str, bytes, bytearray, int, float, complex, bool, dict, *_SEQUENCES}
_SLOTS = (types.GetSetDescriptorType, types.MemberDescriptorType)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def describe(
    value: object, *, rows: int = 3, max_chars: int = 2000, left_out: Sequence[str] = ()
) -> dict[str, Any]:
    """Describe any object in a bounded time and size.

    Args:
        value: any object.
        rows: how many rows, items or texts to quote; 0 quotes no data at all, only structure.
        max_chars: of the preview.
        left_out: what was left out when the value was encoded, each in a few words.

    Returns:
        JSON-able. Always `type`, `summary` (one line of at most 200 characters) and `bytes` (None if unknown); where
        they apply `shape`, `length`, `columns`, `index`, `rows`, `keys`, `items`, `preview`, `truncated`, `left_out`.
    """
    about: dict[str, Any] = {"type": type_name(value).rpartition(".")[2], "summary": "", "bytes": None}
    try:
        about.update(_describe(value, rows, max_chars))
    except KeyboardInterrupt:
        raise
    except BaseException:  # the description of a broken object is still a description
        about["summary"] = ""
    about["summary"] = cut(" ".join(str(about["summary"] or type_name(value)).split()), _SUMMARY)
    if left_out:
        about["left_out"] = [cut(each, _SUMMARY) for each in left_out[:_ITEMS]]
    return about


def _describe(value: Any, rows: int, max_chars: int) -> dict[str, Any]:
    if (found := describe_scientific(value, rows) or describe_table(value, rows)) is not None:
        return found
    kind = type(value)
    if kind is Table:
        return _handle(value, rows)
    if issubclass(kind, str):
        return _text(str.__str__(value), rows, max_chars)
    for base, about in _BUILTINS.items():
        if issubclass(kind, base):
            return about(value, rows)
    return describe_picture(value) or _scalar(value, rows) or _object(value, rows)


def _handle(value: Table, rows: int) -> dict[str, Any]:
    """Describe a handle as whoever made it did."""
    about = dict(value.about)
    if not rows:
        about.pop("rows", None)
    return {"summary": repr(value), **about, "type": "DatabaseTable"}


def _text(text: str, rows: int, max_chars: int) -> dict[str, Any]:
    if len(text) <= _SCAN:
        lines, about = text.count("\n") + 1, ""
    else:
        lines, about = text.count("\n", 0, _SCAN) * len(text) // _SCAN + 1, "about "
    total = sys.getsizeof(text)
    plural = "line" if lines == 1 else "lines"
    description: dict[str, Any] = {
        "summary": f"str of {len(text):,} characters, {about}{lines:,} {plural}, {size(total)}",
        "bytes": total,
        "length": len(text),
        "lines": lines,
        "truncated": len(text) > max_chars,
    }
    if rows:
        description["preview"] = head_tail(text, max_chars)
    return description


def _bytes(value: Any, rows: int) -> dict[str, Any]:
    total = memoryview(value).nbytes
    about: dict[str, Any] = {
        "summary": f"{type_name(value)} of {size(total)}",
        "bytes": total,
        "length": total,
        "truncated": total > _SUMMARY,
    }
    if rows and type(value) is bytes:
        about["preview"] = short(value, _SUMMARY)
    return about


def _dict(value: dict[Any, Any], rows: int) -> dict[str, Any]:
    length = dict.__len__(value)
    sample = list(itertools.islice(dict.items(value), _SAMPLE))
    total = _bytes_of(value)
    about: dict[str, Any] = {
        "summary": f"{type_name(value)} of {count(length)} {'key' if length == 1 else 'keys'}, {size(total)}",
        "bytes": total,
        "length": length,
        "key_types": _kinds([key for key, _ in sample]),
        "item_types": _kinds([item for _, item in sample]),
        "truncated": length > _ITEMS,
    }
    if rows or _is_record(value, length):
        about["keys"] = [_key(key) for key, _ in sample[:_ITEMS]]
        about["items"] = [{"key": _key(key), **_item(item, rows)} for key, item in sample[:_ITEMS]]
    return about


def _is_record(value: dict[Any, Any], length: int) -> bool:
    return length <= _DATA_KEYS and all(type(key) is str and key.isidentifier() for key in dict.keys(value))


def _key(key: object) -> str:
    return cut(key[:61], 60) if type(key) is str else short(key, 60)


def _sequence(value: Any, rows: int) -> dict[str, Any]:
    base: Any = next(base for base in _SEQUENCES if issubclass(type(value), base))
    length = base.__len__(value)
    sample = list(itertools.islice(base.__iter__(value), _SAMPLE))
    total = _bytes_of(value)
    kinds = _kinds(sample)
    what = f" ({', '.join(itertools.islice(kinds, 3))})" if kinds else ""
    about: dict[str, Any] = {
        "summary": f"{type_name(value)} of {count(length)} {'item' if length == 1 else 'items'}{what}, {size(total)}",
        "bytes": total,
        "length": length,
        "item_types": kinds,
        "truncated": length > rows,
    }
    if sample and set(map(type, sample)) == {dict}:
        about["fields"] = _fields(sample)
    if rows:
        about["items"] = [_item(item, rows) for item in sample[:rows]]
    return about


def _kinds(values: list[Any]) -> dict[str, int]:
    return dict(Counter(type_name(value).rpartition(".")[2] for value in values).most_common(_ITEMS))


def _fields(records: list[dict[Any, Any]]) -> list[dict[str, Any]]:
    """List the keys of a list of dicts, with the types of what is under them."""
    kinds: dict[str, Counter[str]] = {}
    for record in records:
        for key, item in itertools.islice(record.items(), _DATA_KEYS):
            if type(key) is str and key.isidentifier():
                kinds.setdefault(key, Counter())[type_name(item).rpartition(".")[2]] += 1
    return [
        {"name": cut(name, 60), "types": dict(found)} for name, found in itertools.islice(kinds.items(), 40)
    ]


def _item(value: Any, rows: int) -> dict[str, Any]:
    """Describe a part of a container in one line."""
    about: dict[str, Any] = {"type": type_name(value).rpartition(".")[2]}
    if type(value) is Table:
        return {**about, "bytes": None, "summary": cut(str(value.about.get("summary") or repr(value)), 190)}
    if (table := outline_scientific(value) or outline_table(value)) is not None:
        return {**about, "bytes": table["bytes"], "summary": table["summary"]}
    if type(value) not in _OWN and (picture := describe_picture(value)) is not None:
        return {**about, "bytes": picture["bytes"] or _own_bytes(value), "summary": picture["summary"]}
    return {**about, "bytes": _bytes_of(value, 1), "summary": short(value, 120) if rows else _outline(value)}


def _outline(value: Any) -> str:
    """Returns what a part of a container is without quoting it."""
    for base in (str, bytes, dict, *_SEQUENCES):
        if issubclass(type(value), base):
            return f"{type_name(value)} of {base.__len__(value):,}"
    return type_name(value)


def _own_bytes(value: Any) -> int:
    # `sys.getsizeof` asks the class, which may be hostile; what is not Python's own is small by itself.
    return sys.getsizeof(value) if type(value) in _OWN else object.__sizeof__(value)


def _bytes_of(value: Any, depth: int = 0) -> int:
    """Estimate the memory of a value from a sample of what it holds."""
    if (table := outline_table(value)) is not None:
        return int(table["bytes"] or 0)
    total = _own_bytes(value)
    if depth > _WEIGH_DEPTH or type(value) not in (dict, *_SEQUENCES) or not value:
        return total
    parts = itertools.chain(value, value.values()) if type(value) is dict else iter(value)
    number = len(value) * (2 if type(value) is dict else 1)
    sample = list(itertools.islice(parts, _SAMPLE >> (2 * depth)))
    if type(value) is dict:
        sample += itertools.islice(value.values(), _SAMPLE >> (2 * depth))
    return total + sum(_bytes_of(part, depth + 1) for part in sample) * number // len(sample)


def _callable(value: Any, _rows: int) -> dict[str, Any]:
    """Describe a function or class: its signature and the first line of its docstring."""
    is_class = isinstance(value, type)
    slots = type.__dict__
    name = slots["__qualname__"].__get__(value) if is_class else value.__qualname__
    doc = slots["__doc__"].__get__(value) if is_class else value.__doc__
    first = doc.strip().partition("\n")[0] if type(doc) is str else ""
    what = "class" if is_class else "function"
    return {"summary": f"{what} {name}({_parameters(value)})", "preview": cut(first, _SUMMARY)}


def _parameters(value: Any) -> str:
    try:
        parameters = inspect.signature(value).parameters.values()
    except (ValueError, TypeError):
        return "..."
    return cut(", ".join(map(_parameter, itertools.islice(parameters, _ITEMS))), 120)


def _parameter(parameter: inspect.Parameter) -> str:
    """Write a parameter; not by `str`, which calls the `__repr__` of its default and its annotation."""
    stars: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    text = stars.get(parameter.kind, "") + parameter.name
    annotation = parameter.annotation
    if annotation is not parameter.empty:
        plain = annotation if type(annotation) is str else short(annotation, 40).removeprefix("<class ")
        text += f": {cut(plain.removesuffix('>'), 40)}"
    return text if parameter.default is parameter.empty else f"{text}={short(parameter.default, 20)}"


def _scalar(value: Any, rows: int) -> dict[str, Any] | None:
    text = short(value, 120)
    if text.startswith("<") and type(value) is not int:
        return None
    if not rows:
        return {"summary": type_name(value), "bytes": _own_bytes(value)}
    return {"summary": f"{type_name(value)} {text}", "bytes": _own_bytes(value), "preview": text}


def _object(value: Any, rows: int) -> dict[str, Any]:
    """Describe an instance of a class by what is in its `__dict__` or its slots of a dataclass."""
    inside = _attributes(value)
    about: dict[str, Any] = {"summary": type_name(value), "bytes": _own_bytes(value)}
    if inside:
        names = ", ".join(cut(name, 40) for name in itertools.islice(inside, 8))
        about["summary"] = f"{type_name(value)} with {names}"
        about["bytes"] += sum(_bytes_of(part, 1) for part in itertools.islice(inside.values(), _SAMPLE))
        about["items"] = [
            {"key": cut(n, 60), **_item(v, rows)} for n, v in itertools.islice(inside.items(), _ITEMS)
        ]
        about["truncated"] = len(inside) > _ITEMS
    return about


def _attributes(value: Any) -> dict[str, Any]:
    """Read what is in an object's `__dict__` and slots, by the descriptors of C that no class can override."""
    found: dict[Any, Any] = {}
    for kind in type.__dict__["__mro__"].__get__(type(value)):
        for name, slot in type.__dict__["__dict__"].__get__(kind).items():
            if type(slot) in _SLOTS and (name == "__dict__" or type(slot) is types.MemberDescriptorType):
                with suppress(AttributeError):  # a slot that is empty
                    held = slot.__get__(value)
                    found.update(held if name == "__dict__" and type(held) is dict else {name: held})
    return {name: held for name, held in found.items() if type(name) is str and not name.startswith("__")}


_BUILTINS: dict[type, Callable[[Any, int], dict[str, Any]]] = {
    **dict.fromkeys((bytes, bytearray, memoryview), _bytes),
    dict: _dict,
    **dict.fromkeys(_SEQUENCES, _sequence),
    **dict.fromkeys((*_FUNCTIONS, type), _callable),
}
