"""The forms of the standard library's small immutable values: numbers, bytes, times, paths, handles of tables.

Travels as source into kernels: standard library only.

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
from array import array
from collections.abc import Callable
from typing import Any

from .container import Malformed, Unencodable
from .spans import Span, span_form, span_of
from .table_handle import Table, table_form, table_of

Form = Callable[[Any, Callable[[Any], int]], list[Any]]
Built = Callable[[list[Any], Callable[[Any], memoryview]], Any]

INLINE = 1024
"""Bytes up to which bytes stay in the head."""

_ARRAY_CODES = "bBhHiIlLqQfd"  # not `u`: whoever reads such an array trusts that it holds characters
_MANY_KEYS = 1000
_FRACTION_BITS = 1 << 17
"""Bits of the parts of a fraction: to bring it to its lowest terms takes time with the square of them."""
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(/[A-Za-z0-9_+-]{1,40}){0,3}")


def zone_form(zone: dt.tzinfo | None, moment: dt.datetime | dt.time | None = None) -> Any:
    """Encode a time zone.

    Args:
        zone: the zone.
        moment: what it is the zone of: one that only this process knows becomes the offset that it has then.

    Raises:
        Unencodable: it is none of `datetime`, `zoneinfo`, `pytz` and `dateutil`, and there is no moment.
    """
    if zone is None:
        return None
    if zone is dt.UTC:
        return ["utc"]
    if type(zone) is dt.timezone:
        return _offset_form(zone.utcoffset(None), zone.tzname(None))
    if type(zone) is zoneinfo.ZoneInfo and zone.key is not None:
        return ["zone", zone.key]
    form = _foreign_form(zone)
    offset = None if moment is None else moment.utcoffset()
    if form is not None and (moment is None or offset is None or _offset_in(form, moment) == offset):
        return form
    if moment is None or offset is None:
        raise Unencodable(f"a time zone of type `{type(zone).__name__}` has no safe form; use `zoneinfo`")
    return _offset_form(offset, moment.tzname())


def _offset_form(offset: dt.timedelta, name: object) -> list[Any]:
    named = name != dt.timezone(offset).tzname(None)
    own = str.__str__(name) if isinstance(name, str) and named else None
    return ["offset", offset.days, offset.seconds, offset.microseconds, own]


def _foreign_form(zone: dt.tzinfo) -> Any:
    """Encode a zone of pytz or dateutil that is the same everywhere; None for one that is not."""
    kind, library = type(zone).__name__, type(zone).__module__.partition(".")[0]
    key = getattr(zone, "zone", None) if library == "pytz" else None
    form: list[Any] | None = None
    if isinstance(key, str) and _ZONE.fullmatch(key):
        form = ["pytz", key]
    elif (library, kind) == ("dateutil", "tzutc"):
        form = ["utc"]
    elif library == "pytz" or (library, kind) == ("dateutil", "tzoffset"):
        offset = zone.utcoffset(None)
        form = None if offset is None else _offset_form(offset, zone.tzname(None))
    elif (library, kind) == ("dateutil", "tzfile") and isinstance(
        path := getattr(zone, "_filename", None), str
    ):
        key = path.rpartition("zoneinfo/")[2]
        form = ["zone", key] if _ZONE.fullmatch(key) and _is_known(key) else None
    return form


def _is_known(key: str) -> bool:
    try:
        zoneinfo.ZoneInfo(key)
    except (OSError, ValueError, KeyError):
        return False
    return True


def _offset_in(form: list[Any], moment: dt.datetime | dt.time) -> dt.timedelta | None:
    """Return the offset that a moment has in the zone that a form gives, with the fold that it is sent with."""
    kind, *rest = form
    if kind == "offset":
        return dt.timedelta(*rest[:3])
    zone: dt.tzinfo | None = dt.UTC
    if kind != "utc":
        zone = zoneinfo.ZoneInfo(rest[0]) if _is_known(rest[0]) else None
    return moment.replace(tzinfo=zone).utcoffset()


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


def reject_hash_collisions(keys: list[Any]) -> list[Any]:
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


def _moment_form(tag: str, value: Any) -> list[Any]:
    zone, fold = value.tzinfo, value.fold
    if type(zone).__module__.partition(".")[0] == "pytz" and zone_form(zone)[0] == "pytz":
        # Zones of pytz say by themselves which of two equal hours it is; those of others by the fold.
        as_meant = [
            f for f in (0, 1) if _offset_in(zone_form(zone), value.replace(fold=f)) == value.utcoffset()
        ]
        fold = as_meant[0] if as_meant else fold
    moment = value.replace(fold=fold)
    return [tag, value.replace(tzinfo=None, fold=0).isoformat(), zone_form(zone, moment), fold]


def _moment(kind: type[dt.time | dt.datetime]) -> Built:
    def build(payload: list[Any], _: object) -> dt.time | dt.datetime:
        text, zone_form_, fold = payload
        moment, zone = kind.fromisoformat(text), zone_of(zone_form_)
        if kind is dt.datetime and hasattr(
            zone, "localize"
        ):  # of pytz: its zones are no `tzinfo` to be put in place
            return zone.localize(moment, is_dst=not fold)  # type: ignore[union-attr,no-any-return]
        return moment.replace(tzinfo=zone, fold=fold)

    return build


def _array_form(value: array[Any], buffer: Callable[[Any], int]) -> list[Any]:
    if value.typecode not in _ARRAY_CODES:
        raise Unencodable(f"an array of type code `{value.typecode}` has no safe form")
    return ["array", value.typecode, buffer(memoryview(value))]


def _array_of(code: str, data: memoryview) -> array[Any]:
    if code not in _ARRAY_CODES:
        raise Malformed("An encoded array has an unknown type.")
    made = array(code)
    made.frombytes(data)
    return made


def _fraction_form(value: fractions.Fraction, _: object) -> list[Any]:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _FRACTION_BITS:
        raise Unencodable("a fraction of so many digits has no safe form")
    return ["fraction", hex(value.numerator), hex(value.denominator)]


def _fraction_of(payload: list[Any], _: object) -> fractions.Fraction:
    parts = [int(part, 16) for part in payload]
    if max(part.bit_length() for part in parts) > _FRACTION_BITS:
        raise Malformed("A fraction of an encoded value has too many digits.")
    return fractions.Fraction(parts[0], parts[1])


FORMS: dict[type, Form] = {
    int: lambda v, _: ["int", hex(v)],
    complex: lambda v, _: ["complex", v.real, v.imag],
    str: _text_form,
    bytes: _bytes_form,
    bytearray: _bytes_form,
    range: lambda v, _: ["range", hex(v.start), hex(v.stop), hex(v.step)],
    type(...): lambda _v, _: ["ellipsis"],
    dt.date: lambda v, _: ["date", v.isoformat()],
    dt.time: lambda v, _: _moment_form("time", v),
    dt.datetime: lambda v, _: _moment_form("datetime", v),
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
    ipaddress.IPv4Network: lambda v, _: ["net", str(v)],
    ipaddress.IPv6Network: lambda v, _: ["net", str(v)],
    ipaddress.IPv4Interface: lambda v, _: ["interface", str(v)],
    ipaddress.IPv6Interface: lambda v, _: ["interface", str(v)],
    array: _array_form,
    Table: table_form,
    Span: span_form,
}
"""Type to the function that gives its form: (value, function that stores a buffer) -> list."""


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
    "net": lambda p, _: ipaddress.ip_network(p[0]),
    "interface": lambda p, _: ipaddress.ip_interface(p[0]),
    "array": lambda p, b: _array_of(p[0], b(p[1])),
    "table": table_of,
    "span": span_of,
}
"""Tag to the function that builds the value: (rest of the form, function that gives a buffer) -> value."""
