"""A file that a client opened: its descriptor is held, so that its name may lead elsewhere meanwhile.

All reading goes by this descriptor. Where a library or an agent needs a path, it gets one that was checked.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import ContextError
from rlm_jupyter.mcp_server.line_index import LineIndex
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.values.files.encodings import encoding_of
from rlm_jupyter.values.files.kinds import Form, form_of
from rlm_jupyter.values.files.reading import MOST_STORED, TooLargeError, read_small

_HEAD = 1 << 18
_MOST_RECODED = 256 << 20
"""Bytes of a text in UTF-16 or UTF-32, of which a copy in UTF-8 is made."""
_MOST_TEXT = 256 << 20
"""Bytes of a text that is handed to agents as a text; a larger one goes to them by its path."""
_BYTEWISE = {"utf-8": "utf-8", "utf-8-sig": "utf-8", "cp1252": "cp1252"}
"""Encodings in which a line ends with the byte 10, and with no other."""
_DESCRIPTORS = Path("/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd")


class OpenedFile:
    """One open file, read-only.

    Args:
        fd: its descriptor, from now on this object's to close.
        path: that it was opened by.
    """

    def __init__(self, fd: int, path: Path) -> None:
        self._stored = _Descriptor(fd)
        self.path = path
        status = os.fstat(fd)
        self._identity = (status.st_dev, status.st_ino)
        self._version = (status.st_size, status.st_mtime_ns)
        self.size = status.st_size
        self._lock = threading.Lock()
        self.closed = False
        self._index: LineIndex | None = None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.name

    def check(self) -> None:
        """Refuse a file that was changed since it was opened: its lines are others now.

        Raises:
            RequestRefusedError: it was changed, or closed.
        """
        if self.closed:
            raise RequestRefusedError("The handle is closed: open the file again.")
        status = os.fstat(self._stored.fd)
        if (status.st_size, status.st_mtime_ns) != self._version:
            raise RequestRefusedError(
                "The file was changed after it was opened, so that its lines are others: close the handle and open "
                "the file again."
            )

    def read_at(self, length: int, start: int) -> bytes:
        """Read bytes of the file as it is stored."""
        return self._stored.read(length, start)

    # ---- as a text

    @cached_property
    def encoding(self) -> str | None:
        """Of its text, by its beginning; None if it is not a text."""
        head = self.read_at(_HEAD, 0)
        try:
            found = encoding_of(head, cut=self.size > len(head))
        except UnicodeDecodeError:
            return None
        return None if found in _BYTEWISE and b"\0" in head else found

    def lines(self) -> LineIndex:
        """Returns where its lines are.

        Raises:
            RequestRefusedError: it is not a text, or one in UTF-16 that is too large.
        """
        self.check()
        encoding = self.encoding
        if encoding is None:
            raise RequestRefusedError(
                "The file is not a text, so that it has no lines: `describe` says what it is, and `ask` answers "
                "questions about it."
            )
        with self._lock:
            if self._index is None:
                source = self._stored if encoding in _BYTEWISE else self._recode(encoding)
                size = os.fstat(source.fd).st_size
                self._index = LineIndex(source.read, size, _BYTEWISE.get(encoding, "utf-8"))
            return self._index

    def _recode(self, encoding: str) -> _Descriptor:
        """Make a copy in UTF-8, in a file without a name."""
        if self.size > _MOST_RECODED:
            raise RequestRefusedError(
                f"The text is in {encoding.upper()} and larger than {_MOST_RECODED >> 20} MB: it cannot be read by "
                "lines here; `ask` answers questions about it."
            )
        text = self.read_at(self.size, 0).decode(encoding, "replace")
        with tempfile.TemporaryFile(prefix="rlm-mcp-") as file:
            file.write(text.encode("utf-8", "replace"))
            file.flush()
            return _Descriptor(os.dup(file.fileno()))

    # ---- for libraries and agents

    @contextlib.contextmanager
    def view(self) -> Iterator[Path]:
        """Yields a path by which this file is read, and no other that may have its name by now."""
        self.check()
        source = _DESCRIPTORS / str(self._stored.fd)
        if not source.exists():  # Windows, where an open file keeps its name
            self._check_place()
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="rlm-mcp-") as folder:
            link = Path(folder) / self.name
            link.symlink_to(source)
            yield link

    def form(self) -> Form:
        """Returns what the file is, by its name and its first bytes."""
        with self.view() as path:
            return form_of(path)

    def data(self) -> tuple[str, Any]:
        """Returns what agents are handed: the variable's name, and what is in the file, or its path if it is large.

        Raises:
            RequestRefusedError: another file has its place by now.
            ContextError: it is not what its name says.
        """
        form = self.form()
        if form.kind == "text" and not form.packed and self.encoding is not None and self.size <= _MOST_TEXT:
            return "text", self.read_at(self.size, 0).decode(self.encoding, "replace")
        if self.size <= MOST_STORED:
            try:
                with self.view() as path:
                    found = read_small(path)
            except TooLargeError:
                found = None  # once it is unpacked
            except Exception as error:  # of a parser, about a file that is not what its name says
                raise ContextError(
                    f"The file cannot be read as {form.name}: {type(error).__name__}."
                ) from None
            if found is not None:
                return found
        self._check_place()
        return "path", self.path

    def _check_place(self) -> None:
        """Refuse to hand over a path at which another file stands by now.

        Raises:
            RequestRefusedError: it does.
        """
        if not self.in_place:
            raise RequestRefusedError(
                "Another file stands in the place of the one that was opened: close the handle and open it again."
            )

    @property
    def in_place(self) -> bool:
        """Whether its path, which leads through no link, still leads to this file."""
        return self.place() is not None

    def place(self) -> int | None:
        """Returns what stays the same as long as nobody takes the file from its path; None if it is not there.

        The time of the last change of its entry, which nobody can set, tells of a file that was moved away and back.
        """
        try:
            status = self.path.stat(follow_symlinks=False)
            here = (status.st_dev, status.st_ino) == self._identity and self.path.resolve() == self.path
        except OSError:
            return None
        return status.st_ctime_ns if here else None

    def close(self) -> None:
        """Serve no more requests; twice is fine."""
        self.closed = True


class _Descriptor:
    """An open descriptor, which is closed when nobody reads by it any more.

    Not before: a thread may just read, and the number of a closed descriptor is soon that of another file.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read(self, length: int, start: int) -> bytes:
        """Read all of a piece, which the system may give in parts."""
        if not hasattr(os, "pread"):  # Windows
            with _seeking:
                os.lseek(self.fd, start, os.SEEK_SET)
                return os.read(self.fd, length)
        parts: list[bytes] = []
        while length > 0 and (part := os.pread(self.fd, min(length, 1 << 30), start)):
            parts.append(part)
            start, length = start + len(part), length - len(part)
        return b"".join(parts)

    def __del__(self) -> None:
        os.close(self.fd)


_seeking = threading.Lock()
