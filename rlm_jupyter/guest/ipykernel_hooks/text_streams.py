"""Standard streams that scripts can treat as text files: `reconfigure`, `buffer`, `detach`, and replaced ones.

Travels as source into any Python kernel: standard library only.
ipykernel's streams take text alone (https://github.com/ipython/ipykernel/issues/786), and a cell that
closes or replaces one would be without output from then on.
"""

import codecs
import contextlib
import io
import sys
import threading
from typing import Any


class Buffer(io.BufferedIOBase):
    """The bytes of a stream: what is written here is text of the stream, and bad bytes are replaced."""

    mode = "wb"

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._turn = threading.RLock()
        self._decoder = self._new_decoder()

    def _new_decoder(self) -> Any:
        name = codecs.lookup(self._stream.encoding).name
        return codecs.getincrementaldecoder("utf-8" if name == "ascii" else name)("replace")

    def write(self, data: Any) -> int:
        """Write bytes; the beginning of a character waits for its rest."""
        if isinstance(data, str):
            raise TypeError("a bytes-like object is required, not 'str'")
        with self._turn, memoryview(data) as view:
            if text := self._decoder.decode(view.tobytes()):
                self._stream.write(text)
            return view.nbytes

    def renew(self) -> None:
        """Write what is left of a character that never came whole, and decode anew."""
        with self._turn:
            if rest := self._decoder.decode(b"", final=True):
                self._stream.write(rest)
            self._decoder = self._new_decoder()

    def flush(self) -> None:
        """Send what is buffered."""
        self._stream.flush()

    def close(self) -> None:
        """Send what is buffered; a stream of the kernel is never closed, be it by a wrapper that is collected."""
        self.flush()

    def detach(self) -> Any:
        """Returns the raw stream, which is this one: nothing is buffered here."""
        return self

    @property
    def raw(self) -> Any:
        """The same, since nothing is buffered here."""
        return self

    @property
    def name(self) -> Any:
        """That of the stream."""
        return self._stream.name

    @property
    def closed(self) -> bool:
        """Never."""
        return False

    def fileno(self) -> int:
        """The descriptor, as a subprocess needs it."""
        return int(self._stream.fileno())

    def isatty(self) -> bool:
        """Whether somebody sits at it."""
        return bool(self._stream.isatty())

    def writable(self) -> bool:
        """Always."""
        return True


class TextFile:
    """What a stream of ipykernel lacks of `io.TextIOWrapper`; put before its class."""

    encoding = "utf-8"
    errors = "strict"
    newlines = None
    mode = "w"
    line_buffering = True
    write_through = False
    buffer: Buffer
    flush: Any
    descriptor: Any = None

    def reconfigure(
        self,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        line_buffering: bool | None = None,
        write_through: bool | None = None,
    ) -> None:
        """Take other settings as a text file does. Text stays text: `encoding` is that of bytes for `buffer`."""
        if newline not in (None, "", "\n", "\r", "\r\n"):
            raise ValueError(f"illegal newline value: {newline}")
        if encoding is not None:
            codecs.lookup(encoding)
            self.encoding, self.errors = encoding, "strict"
        if errors is not None:
            codecs.lookup_error(errors)
            self.errors = errors
        if line_buffering is not None:
            self.line_buffering = bool(line_buffering)
        if write_through is not None:
            self.write_through = bool(write_through)
        self.flush()
        self.buffer.renew()

    def fileno(self) -> int:
        """The number of a descriptor whose output is this stream's.

        Raises:
            OSError: there is none on this system.
        """
        if self.descriptor is None:
            raise io.UnsupportedOperation("fileno")
        return self.descriptor.__index__()  # type: ignore[no-any-return]

    def detach(self) -> Buffer:
        """Returns the bytes of this stream, which stays usable."""
        return self.buffer

    def close(self) -> None:
        """Send what is buffered; a stream of the kernel is never closed."""
        self.flush()

    @property
    def closed(self) -> bool:
        """Never."""
        return False


class Streams:
    """The streams of a kernel, and those that a cell puts in their places: flushed and taken back at its end."""

    def __init__(self, shell: Any) -> None:
        self._own: list[Any] = [sys.stdout, sys.stderr]
        self._before: list[tuple[Any, Any]] = []
        _standard[:] = self._own
        for stream in self._own:
            stream.buffer = Buffer(stream)
            stream.__class__ = type("Stream", (TextFile, type(stream)), {"__module__": __name__})
        shell.events.register("pre_run_cell", self.begin)
        shell.events.register("post_run_cell", self.end)

    def begin(self, *_: Any) -> None:
        """Note the streams that a cell finds; cells within cells, as `%%capture` runs them, find others."""
        self._before.append((sys.stdout, sys.stderr))

    def end(self, *_: Any) -> None:
        """Flush what the cell put there, and put back what it found."""
        before = self._before.pop() if self._before else tuple(self._own)
        for name, stream in zip(("stdout", "stderr"), before, strict=True):
            found = getattr(sys, name, None)
            if found is not stream:
                _flush(found)
                setattr(sys, name, stream)
        if not self._before:
            for stream in self._own:
                stream.buffer.renew()

    def in_fork(self, plain: tuple[Any, Any]) -> None:
        """Let what still holds the kernel's streams in a fork of it, such as a handler of a log, write to others."""
        for stream, other in zip(self._own, plain, strict=True):
            stream.write, stream.flush = other.write, other.flush


_standard: list[Any] = []


def standard_streams() -> list[Any]:
    """Returns the streams of this kernel: of its standard output and its standard errors."""
    return list(_standard)


def _flush(stream: Any) -> None:
    with contextlib.suppress(Exception):  # it is the cell's own object, or closed
        stream.flush()
