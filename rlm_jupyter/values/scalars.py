"""The forms of the standard library's small immutable values: numbers, bytes, times, paths.

Travels as source into kernels (module `_rlm_scalars`): standard library only, no import of this package.

Each form is a JSON list that begins with its tag. A decoder builds the value by a constructor that runs no code
of the sender; whatever that raises on nonsense is for the caller to catch.
"""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import ipaddress
import pathlib
import re
import sys
import uuid
import zoneinfo
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or not __name__.startswith("_rlm_"):
    from rlm_jupyter.values.container import Malformed, Unencodable
else:
    from _rlm_container import Malformed, Unencodable

INLINE = 1024
"""Bytes up to which bytes stay in the head."""

_MANY_KEYS = 1000
_FRACTION_BITS = 1 << 17
"""Bits of the parts of a fraction: to bring it to its lowest terms takes time with the square of them."""
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,3}")


def zone_form(zone: dt.tzinfo | None) -> Any:
    """Encode a time zone.

    Raises:
        Unencodable: it is neither UTC, a fixed offset, of zoneinfo, nor a named one of pytz.
    """
    if zone is None:
        return None
    if zone is dt.UTC:
        return ["utc"]
    if type(zone) is dt.timezone:
        offset = zone.utcoffset(None)
        named = zone.tzname(None) != dt.timezone(offset).tzname(None)
        return [
            "offset",
            offset.days,
            offset.seconds,
            offset.microseconds,
            zone.tzname(None) if named else None,
        ]
    if type(zone) is zoneinfo.ZoneInfo and zone.key is not None:
        return ["zone", zone.key]
    key = getattr(zone, "zone", None)
    if type(zone).__module__.partition(".")[0] == "pytz" and isinstance(key, str):
        return ["pytz", key]
    raise Unencodable(f"a time zone of type `{type(zone).__name__}` has no safe form; use `zoneinfo`")


def zone_of(form: Any) -> dt.tzinfo | None:
    """Decode what `zone_form` gave."""
    if form is None:
        return None
    kind, *rest = form
    if kind == "utc":
        return dt.UTC
    if kind == "offset":
        days, seconds, micros, name = rest
        offset = dt.timedelta(days, seconds, micros)
        return dt.timezone(offset) if name is None else dt.timezone(offset, str(name))
    (key,) = rest
    if not isinstance(key, str) or not _ZONE.fullmatch(key):
        raise Malformed("A time zone of an encoded value has an impossible name.")
    if kind == "pytz" and (pytz := sys.modules.get("pytz")):
        found: dt.tzinfo = pytz.timezone(key)
        return found
    return zoneinfo.ZoneInfo(key)


def spread(keys: list[Any]) -> list[Any]:
    """Refuse keys chosen to share one hash: a dict of 100,000 such keys takes minutes to build."""
    if len(keys) > _MANY_KEYS and not set(map(type, keys)) <= {str}:
        distinct = len(set(map(hash, keys)))
        if distinct * 8 < len(keys):
            raise Malformed("The keys of an encoded value collide.")
    return keys


def _bytes_form(value: bytes | bytearray, buffer: Callable[[Any], int]) -> list[Any]:
    tag = "bytes" if type(value) is bytes else "bytearray"
    if len(value) <= INLINE:
        return [tag, value.decode("latin-1")]
    return [tag, buffer(memoryview(value))]


def _bytes_of(payload: Any, buffer: Callable[[Any], memoryview]) -> Any:
    return payload.encode("latin-1") if isinstance(payload, str) else buffer(payload)


def _text_form(value: str, buffer: Callable[[Any], int]) -> list[Any]:
    return ["text", value if len(value) <= INLINE else buffer(value)]


def _text_of(payload: Any, buffer: Callable[[Any], memoryview]) -> str:
    return payload if isinstance(payload, str) else str(buffer(payload), "utf-8", "surrogatepass")


def _path_of(name: str, text: str) -> pathlib.PurePath:
    concrete = pathlib.Path()
    if name == type(concrete).__name__:
        return pathlib.Path(text)
    return pathlib.PureWindowsPath(text) if "Windows" in name else pathlib.PurePosixPath(text)


def _fraction_form(value: fractions.Fraction, _: object) -> list[Any]:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _FRACTION_BITS:
        raise Unencodable("a fraction of so many digits has no safe form")
    return ["fraction", hex(value.numerator), hex(value.denominator)]


def _fraction_of(payload: list[Any], _: object) -> fractions.Fraction:
    parts = [int(part, 16) for part in payload]
    if max(part.bit_length() for part in parts) > _FRACTION_BITS:
        raise Malformed("A fraction of an encoded value has too many digits.")
    return fractions.Fraction(parts[0], parts[1])


Form = Callable[[Any, Callable[[Any], int]], list[Any]]
Built = Callable[[list[Any], Callable[[Any], memoryview]], Any]

FORMS: dict[type, Form] = {
    int: lambda v, _: ["int", hex(v)],
    complex: lambda v, _: ["complex", v.real, v.imag],
    str: _text_form,
    bytes: _bytes_form,
    bytearray: _bytes_form,
    range: lambda v, _: ["range", hex(v.start), hex(v.stop), hex(v.step)],
    type(...): lambda _v, _: ["ellipsis"],
    dt.date: lambda v, _: ["date", v.isoformat()],
    dt.time: lambda v, _: ["time", v.replace(tzinfo=None).isoformat(), zone_form(v.tzinfo), v.fold],
    dt.datetime: lambda v, _: ["datetime", v.replace(tzinfo=None).isoformat(), zone_form(v.tzinfo), v.fold],
    dt.timedelta: lambda v, _: ["timedelta", v.days, v.seconds, v.microseconds],
    dt.timezone: lambda v, _: ["tz", zone_form(v)],
    zoneinfo.ZoneInfo: lambda v, _: ["tz", zone_form(v)],
    decimal.Decimal: lambda v, _: ["decimal", str(v)],
    fractions.Fraction: _fraction_form,
    uuid.UUID: lambda v, _: ["uuid", v.hex],
    pathlib.PurePosixPath: lambda v, _: ["path", type(v).__name__, str(v)],
    pathlib.PureWindowsPath: lambda v, _: ["path", type(v).__name__, str(v)],
    pathlib.PosixPath: lambda v, _: ["path", type(v).__name__, str(v)],
    pathlib.WindowsPath: lambda v, _: ["path", type(v).__name__, str(v)],
    ipaddress.IPv4Address: lambda v, _: ["ip", str(v)],
    ipaddress.IPv6Address: lambda v, _: ["ip", str(v)],
}
"""Type to the function that gives its form: (value, function that stores a buffer) -> list."""


def _moment(kind: type[dt.time | dt.datetime]) -> Built:
    return lambda p, _: kind.fromisoformat(p[0]).replace(tzinfo=zone_of(p[1]), fold=p[2])


BUILDERS: dict[str, Built] = {
    "int": lambda p, _: int(p[0], 16),
    "complex": lambda p, _: complex(p[0], p[1]),
    "text": lambda p, b: _text_of(p[0], b),
    "bytes": lambda p, b: bytes(_bytes_of(p[0], b)),
    "bytearray": lambda p, b: bytearray(_bytes_of(p[0], b)),
    "range": lambda p, _: range(*(int(n, 16) for n in p[:3])),
    "ellipsis": lambda _p, _: ...,
    "date": lambda p, _: dt.date.fromisoformat(p[0]),
    "time": _moment(dt.time),
    "datetime": _moment(dt.datetime),
    "timedelta": lambda p, _: dt.timedelta(*p[:3]),
    "tz": lambda p, _: zone_of(p[0]),
    "decimal": lambda p, _: decimal.Decimal(p[0]),
    "fraction": _fraction_of,
    "uuid": lambda p, _: uuid.UUID(hex=p[0]),
    "path": lambda p, _: _path_of(p[0], p[1]),
    "ip": lambda p, _: ipaddress.ip_address(p[0]),
}
"""Tag to the function that builds the value: (rest of the form, function that gives a buffer) -> value."""
