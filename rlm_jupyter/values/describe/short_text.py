"""Short texts of values, bounded in time and size, that run no code of the value.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import itertools
import pathlib
import sys
import uuid
from typing import TYPE_CHECKING, Any

from ..codec.container import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ITEMS = 6
_DEPTH = 4
_MRO = 20
_BIG_BITS = 400
_PRINTED_BY_PYTHON = {
    *(type(None), bool, float, complex, range, type(...), decimal.Decimal, fractions.Fraction, uuid.UUID),
    *(dt.date, dt.time, dt.datetime, dt.timedelta, dt.timezone),
    *(pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath),
}
_AT_HEART: dict[type, Callable[[Any], Any]] = {str: str.__str__, int: int.__int__, float: float.__float__}
"""Texts and numbers of any class are shown as what they are, by the methods that their class cannot override."""
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}


def cut(text: str, width: int) -> str:
    """Cut a text to a width, with an ellipsis where something is missing."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def head_tail(text: str, width: int) -> str:
    """Returns a text's head and tail with the count of characters between them."""
    if len(text) <= width:
        return text
    tail = width // 4
    head = width - tail
    return f"{text[:head]}\n… [{len(text) - head - tail:,} characters] …\n{text[len(text) - tail :]}"


def cut_notice(count: int) -> str:
    """Returns what a model reads where characters were cut, as `text.shorten.cut_notice` does."""
    return f"[... {count:,} characters cut ...]"


def count(number: int) -> str:
    """Write a count with thousands separators."""
    return f"{number:,}"


def size(number: int | None) -> str:
    """Write a number of bytes as `text.units.size` does, such as ``48.0 MB``; an empty text for None."""
    if number is None:
        return ""
    value = float(number)
    for name in ("B", "kB", "MB", "GB"):
        if value < 999.95:  # noqa: PLR2004 - rounds to 1000.0 from here on
            return f"{value:.0f} B" if name == "B" else f"{value:.1f} {name}"
        value /= 1000
    return f"{value:.1f} TB"


def short(value: object, width: int = 80, depth: int = 0) -> str:
    """Show a value as Python would, cut to a width; of an object that Python does not know, only its type.

    Never calls a method that the value's own class could have overridden.
    """
    try:
        return cut(_short(_at_heart(value), width, depth), width)
    except Exception:  # a container that changed meanwhile, a value of a library beyond its own range
        return cut(f"<{type_name(value)}>", width)


def _short(value: Any, width: int, depth: int) -> str:  # noqa: PLR0911 - one for each kind
    kind = type(value)
    if kind is str or kind is bytes:
        return repr(value) if len(value) <= width else repr(value[:width])[:-1] + "…"
    if kind is int:
        bits = value.bit_length()
        return str(value) if bits <= _BIG_BITS else f"<int of about {bits * 30103 // 100000:,} digits>"
    if kind in _PRINTED_BY_PYTHON or _is_library_scalar(kind):
        return str(value)
    if kind in _BRACKETS or kind is dict:
        return _container(value, width, depth)
    if (fields := named_fields(value)) is not None:
        return _record(value, fields, width, depth)
    if issubclass(kind, enum.Enum) and type(name := _own(value).get("_name_")) is str:
        return f"{type_name(value).rpartition('.')[2]}.{name[:width]}"
    if issubclass(kind, type):
        return f"<class {type.__dict__['__qualname__'].__get__(value)}>"
    return f"<{type_name(value)}>"


def named_fields(value: Any) -> dict[str, Any] | None:
    """Returns the fields of an instance of a dataclass, of pydantic or attrs, or of a named tuple; None for all else.

    They are read where they lie: no property or method of the class runs.
    """
    kind = type(value)
    names = next((found for found in map(_names_of, kind.__mro__[:_MRO]) if found), ())
    if not names:
        return None
    if issubclass(kind, tuple):
        return dict(zip(names, tuple.__iter__(value), strict=False))
    held = _own(value)
    found = {name: held[name] for name in names if name in held}
    return found or None


def _names_of(kind: type) -> tuple[str, ...]:
    slots = type.__dict__["__dict__"].__get__(kind)
    if issubclass(kind, tuple):
        fields = slots.get("_fields", ())
    else:
        fields = slots.get("__dataclass_fields__") or slots.get("__pydantic_fields__") or ()
        if not fields and ((attributes := slots.get("__attrs_attrs__")) is not None):
            fields = (
                [getattr(each, "name", None) for each in attributes]
                if issubclass(type(attributes), tuple)
                else ()
            )
    if not isinstance(fields, (tuple, list, dict)):
        return ()
    return tuple(name for name in itertools.islice(fields, 40) if type(name) is str)


def _own(value: Any) -> dict[str, Any]:
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return held if type(held) is dict else {}


def _record(value: Any, fields: dict[str, Any], width: int, depth: int) -> str:
    name = type_name(value).rpartition(".")[2]
    if depth >= _DEPTH:
        return f"<{name}>"
    room = max(width // 2, 20)
    shown = [
        f"{key}={short(item, room, depth + 1)}" for key, item in itertools.islice(fields.items(), _ITEMS)
    ]
    more = [f"… {len(fields) - _ITEMS:,} more"] if len(fields) > _ITEMS else []
    return f"{name}({', '.join([*shown, *more])})"


def _at_heart(value: Any) -> Any:
    """Return the text or number that an instance of a subclass is, unless its class says more."""
    kind, np = type(value), sys.modules.get("numpy")
    if kind is bool or issubclass(kind, enum.Enum) or (np is not None and issubclass(kind, np.generic)):
        return value
    return next((plain(value) for base, plain in _AT_HEART.items() if issubclass(kind, base)), value)


def _is_library_scalar(kind: type) -> bool:
    np, pd = sys.modules.get("numpy"), sys.modules.get("pandas")
    if np is not None and issubclass(kind, np.generic):
        return bool(kind.__module__ == "numpy")
    if pd is None:
        return False
    scalars = (pd.Timestamp, pd.Timedelta, pd.Period, pd.Interval, type(pd.NaT), type(pd.NA))
    return kind in scalars


def _container(value: Any, width: int, depth: int) -> str:
    if depth >= _DEPTH:
        return f"<{type_name(value)} of {len(value):,}>"
    opening, closing = _BRACKETS.get(type(value), ("{", "}"))
    pieces: list[str] = []
    room = width - len(opening) - len(closing)
    for piece in _pieces(value, max(width // 2, 20), depth + 1):
        if room - len(piece) < 0 and pieces:
            break
        pieces.append(piece)
        room -= len(piece) + 2
    if len(pieces) < len(value):
        pieces.append(f"… {len(value) - len(pieces):,} more")
    elif type(value) is tuple and len(value) == 1:
        pieces[0] += ","
    return opening + ", ".join(pieces) + closing


def _pieces(value: Any, width: int, depth: int) -> Iterator[str]:
    if type(value) is dict:
        for key, item in itertools.islice(value.items(), _ITEMS):
            yield f"{short(key, 40, depth)}: {short(item, width, depth)}"
    else:
        for item in itertools.islice(value, _ITEMS):
            yield short(item, width, depth)
