"""Text that goes into another process as it lies in memory, without being encoded anywhere."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

_CHUNK = 1 << 20
_F_SETPIPE_SZ = 1031


def write_text_to_pipe(text: str | bytes, pipe: int) -> None:
    """Write all of a text into a pipe and close that; stops early where nobody reads any more.

    A second copy is made nowhere: its reader fills the object that it keeps, while this goes on. Meanwhile other
    threads run.

    Args:
        text: bytes, or a text of ASCII characters alone.
        pipe: the descriptor, which is closed in any case.
    """
    try:
        with suppress(ImportError, OSError):  # a larger pipe is filled and emptied in fewer turns
            import fcntl

            fcntl.fcntl(pipe, _F_SETPIPE_SZ, _CHUNK)
        view = _bytes_of(text)
        with suppress(BrokenPipeError):  # the reader has ended, and tells why by other means
            for start in range(0, len(view), _CHUNK):
                part = view[start : start + _CHUNK]
                while part:
                    part = part[os.write(pipe, part) :]
    finally:
        os.close(pipe)


def _bytes_of(text: str | bytes) -> memoryview:
    if isinstance(text, bytes):
        return memoryview(text)
    # Of ASCII text this is where its characters lie, not a copy; `text` outlives the view in `write_text_to_pipe`.
    function = ctypes.pythonapi.PyUnicode_AsUTF8AndSize
    function.restype, function.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_void_p)
    size = ctypes.c_ssize_t()
    address = function(text, ctypes.byref(size))
    return memoryview((ctypes.c_char * size.value).from_address(address)).cast("B")
