"""The host's side of values: who owns which descriptor, and how much memory a run's values may take."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from typing import TYPE_CHECKING, Any, Self

from rlm_jupyter.errors import ContextError, MalformedValueError, UnsafeValueError, ValueTransferError
from rlm_jupyter.values import codec, describe

if TYPE_CHECKING:
    from pathlib import Path


class Buffer:
    """The one owner of a descriptor that holds an encoded value; closes it when dropped.

    Attributes:
        description: what `describe.describe` said of the value; empty where nobody said anything.
        kind: "safe", or "pickle" for what only runs as code.
        size: bytes.
        spilled: whether the bytes lie on disk rather than in memory.
        origin: what buffers that share their bytes have in common.
    """

    def __init__(self, fd: int, description: dict[str, Any] | None = None) -> None:
        """Take over a descriptor.

        Args:
            fd: the descriptor, from now on this buffer's to close, also when this raises.
            description: of the value.

        Raises:
            MalformedValueError: it holds no encoded value.
        """
        self._fd = fd
        self._lock = threading.Lock()
        self.spilled = False
        self.description = {} if description is None else description
        try:
            self.kind = codec.kind(fd)
            self.size = codec.size(fd)
        except codec.Malformed as error:
            self.close()
            raise MalformedValueError(str(error)) from None
        status = os.fstat(fd)
        self.origin = (status.st_dev, status.st_ino)

    @classmethod
    def adopt(cls, fd: int, description: dict[str, Any] | None = None) -> Self:
        """Take over a descriptor: `Buffer(fd, description)` under a name that says whose it is from now on."""
        return cls(fd, description)

    @classmethod
    def of(cls, value: object, *, allow_pickle: bool = True, name: str = "value", rows: int = 3) -> Self:
        """Encode a value of the host's own.

        Args:
            value: any object.
            allow_pickle: pickle what has no safe form; instances of classes keep their class.
            name: what messages call the value.
            rows: how many rows its description may quote.

        Raises:
            ContextError: something in it cannot leave this process, or there is no room for it.
        """
        try:
            fd, _ = codec.dump(value, allow_pickle=allow_pickle, name=name, faithful=True)
        except codec.Unencodable as error:
            raise ContextError(f"{error} Hand over the data that it stands for.") from None
        except (OSError, MemoryError) as error:
            raise ContextError(f"There is no room to hand `{name}` over ({error}); hand over less.") from None
        return cls(fd, describe.describe(value, rows=rows))

    @property
    def fd(self) -> int:
        """The descriptor, which stays this buffer's.

        Raises:
            ValueTransferError: the buffer is closed.
        """
        if self._fd < 0:
            raise ValueTransferError(
                "The value is gone: its run was closed. Pull values before `run.close()`."
            )
        return self._fd

    @property
    def closed(self) -> bool:
        """Whether the descriptor was given back."""
        return self._fd < 0

    def dup(self) -> Buffer:
        """Make a second owner of the same bytes, which are not copied."""
        with self._lock:
            copy = Buffer(os.dup(self.fd), self.description)
            copy.spilled, copy.origin = self.spilled, self.origin
        return copy

    def load(self, *, trust: bool = False, max_bytes: int | None = None) -> Any:
        """Decode the value.

        Args:
            trust: decode a pickle too, which runs code that the agent's kernel wrote.
            max_bytes: refuse larger values.

        Raises:
            UnsafeValueError: it is a pickle, and `trust` is not set.
            MalformedValueError: the bytes are not what they claim to be.
            ValueTransferError: a library that the value needs is not installed here.
        """
        with self._lock:
            fd = os.dup(
                self.fd
            )  # another thread may close the buffer meanwhile, and its number may be used anew
        try:
            return codec.load(fd, allow_pickle=trust, max_bytes=max_bytes)
        except codec.MissingLibrary as error:
            raise ValueTransferError(str(error)) from None
        except codec.Refused:
            what = self.description.get("summary") or "The value"
            raise UnsafeValueError(
                f"`{what}` has no form as plain data: it is pickled, and to decode it is to run code that an agent "
                "wrote, here, with all your rights. Let the agent return plain data (a table, an array, a dict), or "
                "pass `trust=True` if you accept that."
            ) from None
        except codec.Malformed as error:
            raise MalformedValueError(str(error)) from None
        finally:
            os.close(fd)

    def close(self) -> None:
        """Give the descriptor back; twice is fine."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def detach(self) -> int:
        """Give the descriptor away: it is the caller's to close, and this buffer is closed."""
        with self._lock:
            fd, self._fd = self.fd, -1
        return fd

    def move_to(self, fd: int) -> None:
        """Take the same bytes from a file on disk, and let the memory go; `fd` stays the caller's."""
        with self._lock:
            if self._fd >= 0:
                os.dup2(fd, self._fd, inheritable=False)
                self.spilled = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __reduce__(self) -> str:
        raise TypeError(
            "A `Buffer` owns a descriptor and cannot be copied; make a second owner with `dup()`."
        )

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.kind}, {self.size:,} bytes"
        return f"<Buffer {self.description.get('summary', '')!r} ({state})>"


class Store:
    """The buffers of one run: what they take, and where they go when that is too much.

    Holds buffers weakly: one lives while an agent, a reference or the notebook holds it. Above the limit the oldest
    move to unlinked files of the run's directory; they stay usable, and are gone with their last descriptor.
    """

    def __init__(self, directory: Path | None = None, limit: int | None = None) -> None:
        """Open a store.

        Args:
            directory: where values spill to; None for the system's place for temporary files.
            limit: bytes of memory; None for a quarter of the machine's.
        """
        self.directory = directory
        self.limit = _memory() // 4 if limit is None else limit
        self._buffers: dict[int, weakref.ref[Buffer]] = {}
        self._next = 0
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        """Bytes of all values, each counted once however many buffers share it."""
        return sum(self._files(in_memory=False).values())

    @property
    def in_memory(self) -> int:
        """Bytes of the values that have not spilled to disk."""
        return sum(self._files(in_memory=True).values())

    def add(self, buffer: Buffer) -> Buffer:
        """Count a buffer in, and move the oldest to disk while the limit is passed.

        Copies at the speed of the disk when it does; call it from a worker thread where that matters.

        Raises:
            ValueTransferError: there is no room on the disk either.
        """
        with self._lock:
            self._buffers[self._next] = weakref.ref(buffer)
            self._next += 1
            while self.in_memory > self.limit and self._spill_oldest():
                pass
        return buffer

    def close(self) -> None:
        """Close every buffer that is still open."""
        with self._lock:
            for buffer in self._open():
                buffer.close()
            self._buffers.clear()

    def _open(self) -> list[Buffer]:
        found = {number: ref() for number, ref in list(self._buffers.items())}
        alive = {number: b for number, b in found.items() if b is not None and not b.closed}
        self._buffers = {number: self._buffers[number] for number in alive}
        return list(alive.values())

    def _files(self, *, in_memory: bool) -> dict[tuple[int, int], int]:
        sizes = {}
        for buffer in self._open():
            if not (in_memory and buffer.spilled):
                sizes[buffer.origin] = buffer.size
        return sizes

    def _spill_oldest(self) -> bool:
        """Move the oldest value that is in memory to disk, for all buffers that share it; False if none is."""
        buffers = [b for b in self._open() if not b.spilled]
        if not buffers:
            return False
        oldest = buffers[0]
        same = [b for b in buffers if b.origin == oldest.origin]
        try:
            with tempfile.TemporaryFile(prefix="rlm-value-", dir=self.directory) as file:
                with oldest.dup() as source:
                    _copy(source.fd, file.fileno(), source.size)
                for buffer in same:
                    buffer.move_to(file.fileno())
        except OSError as error:
            raise ValueTransferError(
                f"The values of this run take more than {self.limit:,} bytes, and they cannot move to disk ({error}). "
                "Close runs that are done (`run.close()`), or let agents return less."
            ) from None
        return True


def _copy(source: int, target: int, size: int) -> None:
    with (
        open(os.dup(source), "rb", buffering=0) as reader,  # noqa: PTH123 - a descriptor has no path
        open(os.dup(target), "wb", buffering=0) as writer,  # noqa: PTH123 - the same
    ):
        reader.seek(0)
        shutil.copyfileobj(reader, writer, 1 << 22)
        if writer.tell() < size:
            raise OSError("the value was cut short")


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 8 << 30
