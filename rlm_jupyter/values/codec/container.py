"""One value in one descriptor: a header, a head that tells the structure, and aligned buffers.

Travels as source into kernels: standard library only.

Layout, little endian: header of 64 bytes (`_HEADER`), a table of (offset, length) per buffer, the head, then
each buffer at a multiple of 64 bytes. The descriptor is a sealed memory file, so the receiver may map it: its
sender can neither cut it short (a SIGBUS in the receiver) nor change it after it was checked. What is not sealed
is copied.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
import sys
import tempfile
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAGIC = b"RLMVALUE"
VERSION = 1
KINDS = ("safe", "pickle")
ALIGN = 64
MAX_BUFFERS = 4_000_000
MAX_HEAD = 1 << 30
"""Bytes of a head: parsing makes Python objects of up to 25 times that size."""

_HEADER = struct.Struct("<8sIIQQQ24x")
_ENTRY = 16
_PLACE = struct.Struct("<QQ")
_CHUNK = 1 << 24
_GATHERED = 1 << 16
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE of <linux/fcntl.h>
_F_ADD_SEALS = 1033
_F_GET_SEALS = 1034


_LONGEST_PATH = 200


class Unencodable(TypeError):  # noqa: N818 - part of the contract with the guest
    """A value, or something inside it, cannot leave its process.

    Attributes:
        path: where inside the value, as code that goes behind its name, such as ``["db"].lock``.
        why: the type and the reason.
    """

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.path = path
        self.name = "value"

    def __str__(self) -> str:
        path = self.path if len(self.path) <= _LONGEST_PATH else f"{self.path[:_LONGEST_PATH]}…"
        return f"`{self.name}{path}` cannot be transferred: {self.why}."


class Malformed(ValueError):  # noqa: N818 - as above
    """The bytes are not what they claim to be: truncated, forged, too deep or too large."""


class Refused(TypeError):  # noqa: N818 - as above
    """The value is pickled, and the receiver does not run the code of whoever wrote it."""


class MissingLibrary(Refused):
    """The value is of a library that is not installed where it is decoded."""


def type_name(value: object) -> str:
    """Returns the full name of a value's type, such as ``pandas.DataFrame``, without running code of the value."""
    kind = type(value)
    # `kind.__name__` may be a property of a hostile metaclass; the slots of `type` itself are not.
    name = type.__dict__["__qualname__"].__get__(kind)
    module = type.__dict__["__module__"].__get__(kind)
    if type(module) is not str or module in ("builtins", "__main__"):
        return str(name)[:200]
    if module.partition(".")[0] in ("pandas", "numpy", "pyarrow", "polars"):
        module = module.partition(".")[0]
    return f"{module}.{name}"[:200]


_THINGS = {
    "function": "a function",
    "builtin_function_or_method": "a function",
    "method": "a method",
    "module": "a module",
    "type": "a class",
    "generator": "a generator, which runs where it was made; make a list of it",
    "async_generator": "a generator, which runs where it was made",
    "coroutine": "a coroutine, which runs where it was made; await it",
    "_thread.lock": "a lock, which means something only in its process",
    "_thread.RLock": "a lock, which means something only in its process",
    "socket.socket": "an open socket; read from it what is needed",
    "_io.TextIOWrapper": "an open file; hand over its path or what it holds",
    "_io.BufferedReader": "an open file; hand over its path or what it holds",
    "_io.BufferedWriter": "an open file; hand over its path or what it holds",
    "sqlite3.Connection": "an open database; hand over its path or the rows",
}


def describe_thing(value: object) -> str:
    """Returns in a few words what an object is that cannot be transferred."""
    name = type_name(value)
    thing = _THINGS.get(name)
    return f"it is {thing} (`{name}`)" if thing else f"it is a `{name}`"


def memory_file() -> int:
    """Make an empty file without a name, in memory where the system can; the descriptor is the caller's."""
    if hasattr(os, "memfd_create"):
        with suppress(OSError):  # a container's seccomp profile may refuse it
            return os.memfd_create("rlm-value", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile(prefix="rlm-value-") as file:
        return os.dup(file.fileno())


def seal(fd: int) -> None:
    """Let nobody change or cut the memory file of `fd` any more."""
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.fcntl(fd, _F_ADD_SEALS, _SEALS)


def is_sealed(fd: int) -> bool:
    """Returns whether nobody can change or cut the file of `fd` any more."""
    try:
        import fcntl

        return fcntl.fcntl(fd, _F_GET_SEALS) & _SEALS == _SEALS
    except (ImportError, OSError):
        return False


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of `data` at the place where the file of `fd` stands."""
    done = 0
    with memoryview(data) as view:
        while done < view.nbytes:
            done += os.write(fd, view[done : done + (1 << 30)])


def _chunks(part: memoryview | str) -> Iterator[bytes | memoryview]:
    if isinstance(part, memoryview):
        yield part
        return
    # A long text is encoded piece by piece: a copy of a 1 GB string would double the memory of its process.
    for start in range(0, len(part), _CHUNK):
        yield part[start : start + _CHUNK].encode("utf-8", "surrogatepass")


def write(kind: str, head: bytes, buffers: Sequence[memoryview | str]) -> int:
    """Write a value into a new sealed memory file (an unlinked temporary file where there is none).

    Args:
        kind: one of `KINDS`.
        head: the structure.
        buffers: flat views of bytes, or texts, which are encoded as UTF-8 (surrogates passed).

    Returns:
        The descriptor, which is the caller's to close.

    Raises:
        OSError: no memory or disk is left.
        Unencodable: there is too much structure.
    """
    if len(head) > MAX_HEAD or len(buffers) > MAX_BUFFERS:
        raise Unencodable("it has too many parts; hand it over as a table or an array")
    fd = memory_file()
    try:
        entries = array("Q")
        position = _HEADER.size + len(buffers) * _ENTRY + len(head)
        os.lseek(fd, position - len(head), os.SEEK_SET)
        waiting = bytearray(head)  # small parts are gathered: a call of the system for each would take longer
        for part in buffers:
            waiting += bytes(-position % ALIGN)
            start = position = position + -position % ALIGN
            for chunk in _chunks(part):
                position += len(chunk)
                if len(chunk) < _GATHERED and len(waiting) < _CHUNK:
                    waiting += chunk
                else:
                    write_all(fd, waiting)
                    write_all(fd, chunk)
                    waiting.clear()
            entries.extend((start, position - start))
        write_all(fd, waiting)
        os.lseek(fd, 0, os.SEEK_SET)
        header = (MAGIC, VERSION, KINDS.index(kind), len(head), len(buffers), position)
        write_all(fd, _HEADER.pack(*header) + _little_endian(entries).tobytes())
        seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _read_at(fd: int, length: int, start: int = 0) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, length, start)
    os.lseek(fd, start, os.SEEK_SET)
    return os.read(fd, length)


def size_of(fd: int) -> int:
    """Returns the bytes of a value's file; raises `Malformed` where it can be none."""
    try:
        status = os.fstat(fd)
    except (OSError, OverflowError):
        raise Malformed("The descriptor of a value is closed.") from None
    if not stat.S_ISREG(status.st_mode):
        raise Malformed("The descriptor of a value is not a file.")
    if status.st_size < _HEADER.size:
        raise Malformed("An encoded value is shorter than its header.")
    return status.st_size


def _parse_header(raw: bytes | memoryview, size: int) -> tuple[str, int, int]:
    magic, version, kind, head, buffers, total = _HEADER.unpack_from(raw)
    if magic != MAGIC or version != VERSION or kind >= len(KINDS):
        raise Malformed("The bytes are not an encoded value of this version of rlm_jupyter.")
    if total != size or head > MAX_HEAD or buffers > MAX_BUFFERS:
        raise Malformed("An encoded value has another size than its header says.")
    if _HEADER.size + buffers * _ENTRY + head > size:
        raise Malformed("An encoded value is shorter than its tables.")
    return KINDS[kind], head, buffers


def read_kind(fd: int) -> str:
    """Returns whether `fd` holds a "safe" or a "pickle" value.

    Raises:
        Malformed: it holds none.
    """
    size = size_of(fd)
    try:
        return _parse_header(_read_at(fd, _HEADER.size), size)[0]
    except (OSError, struct.error):
        raise Malformed("The header of an encoded value cannot be read.") from None


def read_head_size(fd: int) -> int:
    """Return the bytes of a value's structure, which is decoded in one piece that holds the interpreter.

    Raises:
        Malformed: `fd` holds no value.
    """
    size = size_of(fd)
    try:
        return _parse_header(_read_at(fd, _HEADER.size), size)[1]
    except (OSError, struct.error):
        raise Malformed("The header of an encoded value cannot be read.") from None


def read_head(fd: int) -> bytes:
    """Return the structure of a value, and none of its buffers.

    Raises:
        Malformed: `fd` holds no value.
    """
    size = size_of(fd)
    try:
        _, head, buffers = _parse_header(_read_at(fd, _HEADER.size), size)
        return _read_at(fd, head, _HEADER.size + buffers * _ENTRY)
    except (OSError, struct.error):
        raise Malformed("The head of an encoded value cannot be read.") from None


def _copy(fd: int, size: int) -> mmap.mmap:
    """Copy a file that its sender can still change; what is missing at the end is an error, not a signal."""
    target = mmap.mmap(-1, size)
    if not hasattr(os, "preadv"):  # Windows and old macOS: a mapped file cannot be cut there, or not by us
        with mmap.mmap(fd, size, access=mmap.ACCESS_READ) as source:
            target[:] = source[:]
        return target
    position = 0
    with memoryview(target) as view:
        while position < size:
            count = os.preadv(fd, [view[position : position + (1 << 30)]], position)
            if count <= 0:
                raise Malformed("An encoded value was cut short while it was read.")
            position += count
    return target


def _map(fd: int, size: int) -> mmap.mmap:
    """Map the file copy-on-write where that is safe, else copy it."""
    # Touching a huge-page file may raise SIGBUS when the pool of such pages is empty.
    if not is_sealed(fd) or os.fstatvfs(fd).f_bsize != mmap.PAGESIZE:
        return _copy(fd, size)
    if os.fstat(fd).st_blocks * 512 + mmap.PAGESIZE < size:
        raise Malformed("An encoded value claims more bytes than were written.")
    return mmap.mmap(fd, size, access=mmap.ACCESS_COPY)


class Container:
    """An opened value: its kind, its head, and its buffers as writable views on a private mapping.

    Each byte is given out once, so that what is decoded cannot grow beyond what was sent.
    """

    def __init__(self, fd: int, *, max_bytes: int | None = None) -> None:
        """Open the value in `fd`, which stays the caller's.

        Args:
            fd: the descriptor.
            max_bytes: refuse larger files.

        Raises:
            Malformed: it is not a value, or too large.
        """
        size = size_of(fd)
        if max_bytes is not None and size > max_bytes:
            raise Malformed(f"An encoded value has {size:,} bytes; {max_bytes:,} are allowed here.")
        self._view = memoryview(_map(fd, size))
        self.kind, head, self.count = _parse_header(self._view[: _HEADER.size], size)
        self._start = _HEADER.size + self.count * _ENTRY
        self.head = self._view[self._start : self._start + head]
        self._left = size

    def buffer(self, index: object) -> memoryview:
        """Returns the buffer of that number, once.

        Raises:
            Malformed: there is no such buffer, or it was given out before.
        """
        if type(index) is not int or not 0 <= index < self.count:
            raise Malformed("An encoded value refers to a buffer that it does not have.")
        start, length = _PLACE.unpack_from(self._view, _HEADER.size + index * _ENTRY)
        self._left -= length
        if start % ALIGN or start < self._start or start + length > len(self._view) or self._left < 0:
            raise Malformed("A buffer of an encoded value lies outside of it.")
        return self._view[start : start + length]
