"""Values between processes: encoded into a descriptor, decoded from it.

Travels as source into kernels: standard library only at import.

There are two forms. "safe" is data alone: whoever decodes it runs nothing of the sender, and nonsense raises
`Malformed`. "pickle" is cloudpickle with its buffers beside it, for what has no safe form (functions, classes and
their instances; see `pickling`); to decode it is to run code, so that is done among agents' kernels and, in the
notebook, only when the user says so. Both lie in a sealed memory file that the receiver maps copy-on-write: a frame of
a gigabyte is written once and never copied again.
"""

from __future__ import annotations

import json
import pickle
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from . import charts, container, pickling
from .collection_pause import no_collection
from .container import Malformed, MissingLibrary, Refused, Unencodable, describe_thing, type_name
from .decoder import Decoder
from .encoder import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Malformed", "MissingLibrary", "Refused", "Unencodable", "dump", "kind", "load", "size"]

_SAFE_RECURSION = 10_000
_WORLD = 1 << 20
"""Bytes of a pickle from which it matters that instances of subclasses of texts and containers hold on to more."""


def dump(
    value: object,
    *,
    allow_pickle: bool,
    name: str = "value",
    faithful: bool = False,
    left_out: list[str] | None = None,
    figures: bool = True,
) -> tuple[int, str]:
    """Encode a value into a new descriptor.

    Args:
        value: any object.
        allow_pickle: pickle what has no safe form, rather than refuse it.
        name: what messages call the value.
        faithful: with `allow_pickle`, pickle also what the safe form would give back as plain data: instances of
            dataclasses, pydantic models, enumerations, and of subclasses of containers and frames. Where pickling
            fails, they come back as plain data after all.
        left_out: gets what was left out because it has no form, such as an object in the `attrs` of a frame.
        figures: encode figures of libraries as charts, which are data; with `allow_pickle`, pickled beside that too.
            False for a value that only agents' kernels read: it is pickled, and no picture is drawn.

    Returns:
        The descriptor, which is the caller's to close, and the kind: "safe" or "pickle".

    Raises:
        Unencodable: the value, or something inside it, cannot leave this process.
        OSError: there is no room left for it.
    """
    faithful = faithful and allow_pickle
    lost: list[str] = [] if left_out is None else left_out
    try:
        with no_collection():
            try:
                made = Encoder(faithful=faithful, figures=figures)
                return _dump_safe(value, made, left_out=lost, allow_pickle=allow_pickle), "safe"
            except Unencodable as error:
                if not allow_pickle:
                    raise
                return _dump_pickle(value, error, faithful=faithful, left_out=lost)
    except Unencodable as error:
        error.name = name
        raise


def load(
    fd: int,
    *,
    allow_pickle: bool,
    max_bytes: int | None = None,
    make_chart: Callable[[charts.ChartParts], Any] | None = None,
) -> Any:
    """Decode the value in a descriptor, which stays the caller's.

    Args:
        fd: the descriptor.
        allow_pickle: decode pickles too, which runs code of whoever wrote them.
        max_bytes: refuse larger values.
        make_chart: makes an object of a chart that is not unpickled; by default its parts are the object.

    Raises:
        Refused: it is a pickle, and that is not allowed.
        MissingLibrary: it is of a library that is not installed here.
        Malformed: the bytes are not what they claim to be.
    """
    try:
        opened = container.Container(fd, max_bytes=max_bytes)
        if opened.kind == "pickle" and not allow_pickle:
            raise Refused("The value is pickled: to decode it is to run code of the kernel that made it.")
        with no_collection():
            if opened.kind == "pickle":
                return _load_pickle(opened)
            return _load_safe(opened, make_chart, allow_pickle=allow_pickle)
    except (Malformed, Refused):
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except (
        BaseException
    ) as error:  # constructors of libraries raise all sorts; polars' panics are not Exception
        raise Malformed(
            f"An encoded value cannot be decoded ({type_name(error)}: {str(error)[:200]})."
        ) from None


def kind(fd: int) -> str:
    """Returns whether a descriptor holds a "safe" or a "pickle" value.

    Raises:
        Malformed: it holds no value.
    """
    return container.read_kind(fd)


def size(fd: int) -> int:
    """Returns the bytes that a descriptor holds.

    Raises:
        Malformed: it holds no value.
    """
    return container.size_of(fd)


def _dump_safe(value: object, encoder: Encoder, *, left_out: list[str], allow_pickle: bool = False) -> int:
    try:
        form = _with_figures(_pack(encoder, value), encoder, allow_pickle=allow_pickle)
        head = _json(form)
    except ValueError:  # an integer too long for JSON: look at each
        encoder = Encoder(faithful=encoder.faithful, careful=True, figures=encoder.charts is not None)
        form = _with_figures(_pack(encoder, value), encoder, allow_pickle=allow_pickle)
        head = _json(form)
    left_out += encoder.left_out
    return container.write("safe", head, encoder.parts)


def _with_figures(form: dict[str, Any], encoder: Encoder, *, allow_pickle: bool) -> dict[str, Any]:
    """Add the figures of a value as they are, for agents' kernels: one pickle, so that axes keep their figure."""
    if not encoder.charts or not allow_pickle:
        return form
    pickled, failure = pickling.pickle(encoder.charts)
    if pickled is None:
        if encoder.faithful:
            raise Unencodable(f"it holds a figure that cannot be pickled ({failure})")
        return form
    return {**form, "figures": [encoder.buffer(part) for part in pickled.parts]}


def _pack(encoder: Encoder, value: object) -> dict[str, Any]:
    try:
        return encoder.pack(value)
    except (Unencodable, MemoryError):
        raise
    except RecursionError:
        raise Unencodable("it is nested too deeply") from None
    except Exception as error:  # a hostile property, or a container changed by another thread meanwhile
        raise Unencodable(f"reading it raised {type_name(error)}: {str(error)[:200]}") from None


def _json(form: dict[str, Any]) -> bytes:
    text = json.dumps(form, ensure_ascii=False, check_circular=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _load_safe(
    opened: container.Container, make_chart: Callable[[charts.ChartParts], Any] | None, *, allow_pickle: bool
) -> Any:
    head = str(opened.head, "utf-8", "surrogatepass")
    with _bounded_recursion():
        form = json.loads(head)
    figures = None
    if allow_pickle and type(form) is dict and "figures" in form:
        with suppress(ImportError), charts.unshown():  # without their library, their parts are what is left
            figures = _unpickle([opened.buffer(index) for index in form["figures"]])
    return Decoder(opened, figures=figures, make_chart=make_chart).unpack(form)


@contextmanager
def _bounded_recursion() -> Iterator[None]:
    """Keep deep JSON from overflowing the stack of C where someone raised Python's limit (before Python 3.12)."""
    limit = sys.getrecursionlimit()
    if limit <= _SAFE_RECURSION or sys.version_info >= (3, 12):
        yield
        return
    sys.setrecursionlimit(_SAFE_RECURSION)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _dump_pickle(value: object, safe: Unencodable, *, faithful: bool, left_out: list[str]) -> tuple[int, str]:
    """Pickle a value; where that fails, or drags along a world, hand over what it is as plain data."""
    pickled, failure = pickling.pickle(value)
    if pickled is not None and not (pickled.baggage and pickled.size > _WORLD):
        return pickled.write(), "pickle"
    if faithful:
        with suppress(Unencodable):
            return _dump_safe(value, Encoder(), left_out=left_out), "safe"
    plain, _ = pickling.pickle(value, plain=True)
    best = plain or pickled
    if best is not None:
        left_out += best.left_out
        return best.write(), "pickle"
    place, thing = pickling.blame(value)
    why = describe_thing(thing) if place or safe.path == place else safe.why
    raise Unencodable(f"{why} ({failure})", place) from None


def _load_pickle(opened: container.Container) -> Any:
    with charts.unshown():
        return _unpickle([opened.buffer(index) for index in range(opened.count)])


def _unpickle(parts: list[memoryview]) -> Any:
    stream, *buffers = parts
    return pickle.loads(stream, buffers=buffers)  # noqa: S301 - only where the caller allows it
