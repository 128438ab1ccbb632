"""Values between processes: encoded into a descriptor, decoded from it.

Travels as source into kernels (module `_rlm_codec`): standard library only at import, no import of this package.

There are two forms. "safe" is data alone: whoever decodes it runs nothing of the sender, and nonsense raises
`Malformed`. "pickle" is cloudpickle with its buffers beside it, for what has no safe form (functions, classes and
their instances); to decode it is to run code, so that is done among agents' kernels and, in the notebook, only when
the user says so. Both lie in a sealed memory file that the receiver maps copy-on-write: a frame of a gigabyte is
written once and never copied again.
"""

from __future__ import annotations

import gc
import json
import pickle
import sys
import time
from contextlib import contextmanager, suppress
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or not __name__.startswith("_rlm_"):
    from rlm_jupyter.values import container
    from rlm_jupyter.values.container import Malformed, MissingLibrary, Refused, Unencodable, type_name
    from rlm_jupyter.values.decoder import Decoder
    from rlm_jupyter.values.encoder import Encoder, describe_thing
else:
    import _rlm_container as container
    from _rlm_container import Malformed, MissingLibrary, Refused, Unencodable, type_name
    from _rlm_decoder import Decoder
    from _rlm_encoder import Encoder, describe_thing

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Malformed", "MissingLibrary", "Refused", "Unencodable", "dump", "kind", "load", "size"]

_SAFE_RECURSION = 10_000
_BLAMED_ITEMS = 1000
_BLAME_SECONDS = 1.0


def dump(
    value: object, *, allow_pickle: bool, name: str = "value", faithful: bool = False
) -> tuple[int, str]:
    """Encode a value into a new descriptor.

    Args:
        value: any object.
        allow_pickle: pickle what has no safe form, rather than refuse it.
        name: what messages call the value.
        faithful: with `allow_pickle`, pickle also what the safe form would give back as plain data: instances of
            dataclasses, pydantic models, enumerations, and of subclasses of containers and frames.

    Returns:
        The descriptor, which is the caller's to close, and the kind: "safe" or "pickle".

    Raises:
        Unencodable: the value, or something inside it, cannot leave this process.
        OSError: there is no room left for it.
    """
    try:
        with _no_collection():
            try:
                return _dump_safe(value, faithful=faithful and allow_pickle), "safe"
            except Unencodable as error:
                if not allow_pickle:
                    raise
                return _dump_pickle(value, error), "pickle"
    except Unencodable as error:
        error.name = name
        raise


def load(fd: int, *, allow_pickle: bool, max_bytes: int | None = None) -> Any:
    """Decode the value in a descriptor, which stays the caller's.

    Args:
        fd: the descriptor.
        allow_pickle: decode pickles too, which runs code of whoever wrote them.
        max_bytes: refuse larger values.

    Raises:
        Refused: it is a pickle, and that is not allowed.
        MissingLibrary: it is of a library that is not installed here.
        Malformed: the bytes are not what they claim to be.
    """
    try:
        opened = container.Container(fd, max_bytes=max_bytes)
        if opened.kind == "pickle" and not allow_pickle:
            raise Refused("The value is pickled: to decode it is to run code of the kernel that made it.")
        with _no_collection():
            return _load_pickle(opened) if opened.kind == "pickle" else _load_safe(opened)
    except (Malformed, Refused):
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except (
        BaseException
    ) as error:  # constructors of libraries raise all sorts; polars' panics are no Exception
        raise Malformed(
            f"An encoded value cannot be decoded ({type_name(error)}: {str(error)[:200]})."
        ) from None


def kind(fd: int) -> str:
    """Tell whether a descriptor holds a "safe" or a "pickle" value.

    Raises:
        Malformed: it holds no value.
    """
    return container.read_kind(fd)


def size(fd: int) -> int:
    """Give the bytes that a descriptor holds.

    Raises:
        Malformed: it holds no value.
    """
    return container.size_of(fd)


def _dump_safe(value: object, *, faithful: bool) -> int:
    encoder = Encoder(faithful=faithful)
    try:
        head = _json(_pack(encoder, value))
    except ValueError:  # an integer too long for JSON: look at each
        encoder = Encoder(faithful=faithful, careful=True)
        head = _json(_pack(encoder, value))
    return container.write("safe", head, encoder.parts)


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


def _load_safe(opened: container.Container) -> Any:
    head = str(opened.head, "utf-8", "surrogatepass")
    with _bounded_recursion():
        form = json.loads(head)
    return Decoder(opened).unpack(form)


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


@contextmanager
def _no_collection() -> Iterator[None]:
    """Hold the garbage collector: it would look again and again at millions of new objects, all alive."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _pickler() -> Any:
    try:
        import cloudpickle
    except ImportError:
        return pickle
    return cloudpickle


def _dump_pickle(value: object, safe: Unencodable) -> int:
    buffers: list[memoryview | str] = []
    try:
        stream = _pickler().dumps(value, protocol=5, buffer_callback=lambda b: buffers.append(b.raw()))
    except MemoryError:
        raise
    except RecursionError:
        raise Unencodable("it is nested too deeply") from None
    except Exception as error:
        place, thing = _blame(value)
        why = describe_thing(thing) if place or safe.path == place else safe.why
        raise Unencodable(f"{why} ({type_name(error)}: {str(error)[:200]})", place) from None
    return container.write("pickle", b"", [memoryview(stream), *buffers])


def _load_pickle(opened: container.Container) -> Any:
    stream, *buffers = (opened.buffer(index) for index in range(opened.count))
    return pickle.loads(stream, buffers=buffers)  # noqa: S301 - only where the caller allows it


def _blame(value: object) -> tuple[str, object]:
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
    try:
        _pickler().dumps(value, protocol=5, buffer_callback=lambda _: None)
    except Exception:
        return False
    return True


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
