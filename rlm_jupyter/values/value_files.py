"""A run's values on disk, beside its log: answers, small variables and small data, for a notebook that was restarted.

`RUN.values/` holds one file for each value: a line of JSON that says what it is, then its encoded bytes. Only values
that are data alone are written. A file is written whole under another name first, so that a kill at any time leaves
either the old value or the new one. The directory and its files are for the user alone (0700, 0600). They are removed
by `remove_old`, when a later run of the directory begins.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.values.buffer import Buffer
from rlm_jupyter.values.codec import container

Role = Literal["data", "answer", "variable"]
"""Of a value: what the root was asked about, what an agent gave to `FINAL`, or a variable of an agent's kernel."""

MOST_BYTES: Final = {"data": 16 << 20, "answer": 16 << 20, "variable": 1 << 20}
"""Bytes of one value by its role; larger ones are not kept."""
_MOST_TOTAL: Final = 64 << 20
_MOST_FILES: Final = 1000
_MOST_HEADER: Final = 256 << 10
_KEPT_RUNS: Final = 20
_KEPT_SECONDS: Final = 30 * 86_400
_VERSION: Final = 1
_SUFFIX: Final = ".value"
_DIRECTORY: Final = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}\.values")


@dataclass(frozen=True)
class ValueKey:
    """Which value of a run is meant.

    Attributes:
        role: what it is.
        agent: whose, such as ``"0.2"``.
        name: of a variable; empty for data and answers.
    """

    role: Role
    agent: str
    name: str = ""

    @property
    def file_name(self) -> str:
        """Returns the name of its file: no text of a model is part of a path."""
        key = json.dumps([self.role, self.agent, self.name])
        return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32] + _SUFFIX


def directory_of(log: Path) -> Path:
    """Returns where the values of the run with this log are kept."""
    return log.with_suffix(".values")


@dataclass
class ValueFiles:
    """The values of one run on disk. Its methods block.

    Attributes:
        directory: of the files; it is made with the first value.
    """

    directory: Path
    _sizes: dict[ValueKey, int] = field(default_factory=dict, repr=False)

    # ---- writing

    def write(
        self, key: ValueKey, buffer: Buffer, *, has_secret: Callable[[bytes], bool] | None = None
    ) -> bool:
        """Keep a value in place of an earlier one of the same key; return whether it is kept.

        Args:
            key: which value it is.
            buffer: stays the caller's.
            has_secret: whether bytes hold what must not be on disk; such a value is not kept.

        Raises:
            OSError: there is no room, or no right to write.
        """
        others = sum(size for known, size in self._sizes.items() if known != key)
        room = min(MOST_BYTES[key.role], _MOST_TOTAL - others)
        full = len(self._sizes) >= _MOST_FILES and key not in self._sizes
        if buffer.released or buffer.kind != "safe" or buffer.size > room or full:
            self.remove(key)
            return False
        body = _read_whole(buffer.fd, buffer.size)
        header = _header(key, buffer.description, body)
        if len(header) > _MOST_HEADER or (
            has_secret is not None and (has_secret(body) or has_secret(header))
        ):
            self.remove(key)
            return False
        self._replace(key.file_name, header + body)
        self._sizes[key] = len(body)
        return True

    def remove(self, key: ValueKey) -> None:
        """Remove a value that is no longer what it was."""
        if self._sizes.pop(key, None) is not None:
            with contextlib.suppress(OSError):
                (self.directory / key.file_name).unlink()

    def _replace(self, name: str, content: bytes) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.directory / f".{name}.{os.getpid()}"
        flags = (
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        )
        fd = os.open(new, flags, 0o600)
        try:
            container.write_all(fd, content)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        os.close(fd)
        new.replace(self.directory / name)

    # ---- reading

    def read(self, key: ValueKey) -> Buffer | None:
        """Return a value, encoded; None if it was not kept, or its file is not what it was written as."""
        found = self._open(self.directory / key.file_name)
        if found is None:
            return None
        header, body = found
        if (header.get("role"), header.get("agent"), header.get("name")) != (key.role, key.agent, key.name):
            return None
        description = header.get("description")
        fd = container.memory_file()
        try:
            container.write_all(fd, body)
            container.seal(fd)
        except BaseException:
            os.close(fd)
            raise
        try:
            buffer = Buffer.from_fd(fd, description if isinstance(description, dict) else {})
        except MalformedValueError:
            return None
        if buffer.kind != "safe":
            buffer.close()
            return None
        return buffer

    def keys(self) -> list[ValueKey]:
        """Return which values were kept, in the order of agents and names."""
        return sorted(self._keys(), key=lambda key: (key.agent, key.role, key.name))

    def _keys(self) -> Iterator[ValueKey]:
        try:
            paths = [path for path in self.directory.iterdir() if path.suffix == _SUFFIX][:_MOST_FILES]
        except OSError:
            return
        for path in paths:
            if (found := self._open(path)) is None:
                continue
            role, agent, name = (found[0].get(part) for part in ("role", "agent", "name"))
            if role in MOST_BYTES and isinstance(agent, str) and isinstance(name, str):
                key = ValueKey(role, agent, name)
                if key.file_name == path.name:
                    yield key

    def _open(self, path: Path) -> tuple[dict[str, Any], bytes] | None:
        """Return a file's header and bytes; None if it is damaged, or no file of ours."""
        flags = (
            os.O_RDONLY
            | getattr(os, "O_NOFOLLOW", 0)
            | getattr(os, "O_NONBLOCK", 0)
            | getattr(os, "O_BINARY", 0)
        )
        try:
            fd = os.open(path, flags)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            most = _MOST_HEADER + max(MOST_BYTES.values())
            if not stat.S_ISREG(status.st_mode) or status.st_size > most:
                return None
            content = _read_whole(fd, status.st_size)
        except OSError:
            return None
        finally:
            os.close(fd)
        return _parsed(content)


def _header(key: ValueKey, description: dict[str, Any], body: bytes) -> bytes:
    fields = {
        "version": _VERSION,
        "role": key.role,
        "agent": key.agent,
        "name": key.name,
        "sha256": hashlib.sha256(body).hexdigest(),
        "description": description,
    }
    return json.dumps(fields, default=str).encode() + b"\n"


def _parsed(content: bytes) -> tuple[dict[str, Any], bytes] | None:
    end = content.find(b"\n", 0, _MOST_HEADER + 1)
    if end < 0:
        return None
    try:
        header = json.loads(content[:end])
    except (ValueError, RecursionError):
        return None
    body = content[end + 1 :]
    if not isinstance(header, dict) or header.get("version") != _VERSION:
        return None
    return (header, body) if header.get("sha256") == hashlib.sha256(body).hexdigest() else None


def _read_whole(fd: int, size: int) -> bytes:
    """Read a file from its beginning; its place, which other owners of it share, is left alone where that can be."""
    parts: list[bytes] = []
    done = 0
    if not hasattr(os, "pread"):  # Windows
        os.lseek(fd, 0, os.SEEK_SET)
    while done < size:
        most = min(size - done, 1 << 20)
        part = os.pread(fd, most, done) if hasattr(os, "pread") else os.read(fd, most)
        if not part:
            break
        parts.append(part)
        done += len(part)
    return b"".join(parts)


def remove_old(log_dir: Path, *, keep: int = _KEPT_RUNS, seconds: float = _KEPT_SECONDS) -> None:
    """Remove the values of all runs of a directory but the newest ones, and of those that are too old; logs stay.

    Args:
        log_dir: of the logs.
        keep: how many runs keep their values.
        seconds: since their last value, after which they go all the same.
    """
    found = []
    with contextlib.suppress(OSError):
        for path in log_dir.iterdir():
            if _DIRECTORY.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError):
                    found.append((path.stat().st_mtime, path))
    oldest = time.time() - seconds
    for number, (changed, path) in enumerate(sorted(found, reverse=True)):
        if number >= keep or changed < oldest:
            shutil.rmtree(path, ignore_errors=True)
