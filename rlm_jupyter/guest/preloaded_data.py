"""A run's data in a process from which its kernels are forked, so that all of them see it without a copy.

Travels as source into the supervisor: standard library only.
A template is a fork of the supervisor that loads the data once and then serves as a supervisor itself. Only the
notebook's own data comes here, never what an agent's kernel encoded: decoding it may run code.
"""

import ctypes
import os
from typing import Any

from ..values.codec import api as codec

_held: list[tuple[tuple[int, int], Any]] = []


def hold(fd: int, token: int | None = None, text: dict[str, Any] | None = None) -> None:
    """Decode the value in a descriptor and keep it for all forks; the descriptors stay the caller's.

    Args:
        fd: of the encoded value, or a pipe with the characters of a text.
        token: of the file that will stand for it, so that nobody needs to keep the bytes; None for `fd` itself.
        text: where it is a pipe: `kind` ("str" of ASCII characters alone, or "bytes") and `size`.
    """
    value = _receive(fd, text["kind"], text["size"]) if text else codec.load(fd, allow_pickle=True)
    _held[:] = [(_identity(fd if token is None else token), value)]


def _receive(pipe: int, kind: str, size: int) -> Any:
    """Read a text into the very object that is kept: to gather and join the pieces would take its memory twice."""
    api = ctypes.pythonapi
    if kind == "str":
        make, place = api.PyUnicode_New, api.PyUnicode_AsUTF8
        make.argtypes = [ctypes.c_ssize_t, ctypes.c_uint32]
        arguments: tuple[Any, ...] = (size, 127)
    else:
        make, place = api.PyBytes_FromStringAndSize, api.PyBytes_AsString
        make.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t]
        arguments = (None, size)
    make.restype, place.restype, place.argtypes = ctypes.py_object, ctypes.c_void_p, [ctypes.py_object]
    value = make(*arguments)
    view = memoryview((ctypes.c_char * size).from_address(place(value))).cast("B")
    done = 0
    while done < size:
        count = os.readv(pipe, [view[done:]])
        if not count:
            raise EOFError(f"the data ended after {done:,} of {size:,} bytes")
        done += count
    return value


def find(fd: int) -> list[Any]:
    """Returns the value that this very file is or stands for, in a list, if it is held here; else an empty list."""
    return [value for identity, value in _held if identity == _identity(fd)]


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
