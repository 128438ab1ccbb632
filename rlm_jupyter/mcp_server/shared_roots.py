"""The directories that the command line shares: files are opened below them so that nothing leads outside.

Each part of a path is opened relative to the descriptor of the one before and never through a link, so that neither
`..` nor a link, nor one that takes the place of a directory between a check and its use, reaches another file.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.mcp_server.opened_file import OpenedFile
from rlm_jupyter.mcp_server.refusals import NO_FILE, RequestRefusedError
from rlm_jupyter.sandbox_settings import exposed_path

_LONGEST = 4096
_RELATIVE = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_DIRECTORY = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a named pipe is opened at once, and then refused
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


class SharedRoots:
    """The roots, held open from the start: what takes a root's name later is not shared.

    Args:
        paths: the directories.

    Raises:
        ConfigError: one is not a directory, or holds what must not be shared (keys, a whole home directory); or
            there are none.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        if not paths:
            raise ConfigError(
                "No directory is shared: name those that clients may read from by `--root DIR`."
            )
        self._roots = [_Root(Path(path)) for path in paths]

    @property
    def paths(self) -> list[str]:
        """The directories, as they are spelled on the command line and as they are; the longest first."""
        found = {str(path) for root in self._roots for path in root.spellings}
        return sorted(found, key=len, reverse=True)

    def __len__(self) -> int:
        return len(self._roots)

    def open(self, name: str) -> OpenedFile:
        """Open a file for reading.

        Args:
            name: a path relative to a root, an absolute path below one, or a `file:` URL.

        Raises:
            RequestRefusedError: there is no such file, or it is not shared.
        """
        path = _path_in(name)
        reason = "outside of the roots"
        for root in self._roots:
            for parts in root.below(path):
                try:
                    return root.open(parts)
                except OSError as error:
                    reason = f"{type(error).__name__}: {error.strerror}"
        raise RequestRefusedError(NO_FILE, reason=reason)

    def close(self) -> None:
        """Close the roots."""
        for root in self._roots:
            root.close()


def _path_in(name: str) -> PurePath:
    """Read a path, or the path of a `file:` URL.

    Raises:
        RequestRefusedError: it is neither, or has a part that could lead elsewhere.
    """
    text = name
    if len(name) > _LONGEST:
        raise RequestRefusedError(NO_FILE, reason="the path is too long")
    if name[:5].lower() == "file:":
        try:
            url = urlsplit(name)
        except ValueError:
            raise RequestRefusedError(NO_FILE, reason="not a URL") from None
        if url.netloc not in ("", "localhost") or url.query or url.fragment:
            raise RequestRefusedError(NO_FILE, reason="a URL of another host, or with a query")
        text = unquote(url.path, errors="surrogateescape")
        if sys.platform == "win32":
            text = text.lstrip("/")
    path = PurePath(text)
    parts = [part for part in path.parts if part != path.anchor]
    separators = os.sep + (os.altsep or "")
    if "\0" in text or not parts or any(_leads_away(part, separators) for part in parts):
        raise RequestRefusedError(NO_FILE, reason="an empty, hidden or parent part in the path")
    return path


def _leads_away(part: str, separators: str) -> bool:
    """Returns whether a part of a path is hidden, a parent, or names more than an entry of a directory."""
    return (
        part.startswith(".") or any(char in part for char in separators) or (os.name == "nt" and ":" in part)
    )


class _Root:
    """One directory."""

    def __init__(self, path: Path) -> None:
        try:
            whole = path.expanduser().resolve(strict=True)
            exposed_path(whole)
            self._fd = os.open(whole, os.O_RDONLY | _DIRECTORY) if _RELATIVE else -1
        except (OSError, RuntimeError):
            raise ConfigError(f"The root `{path}` is not a directory that can be read.") from None
        except ValueError as error:
            raise ConfigError(f"The root `{path}` cannot be shared: {error}.") from None
        if not whole.is_dir():
            raise ConfigError(f"The root `{path}` is not a directory: name the one that the files are in.")
        self._path = whole
        self.spellings = (whole, Path(os.path.abspath(path.expanduser())))  # noqa: PTH100 - links are to stay

    def below(self, path: PurePath) -> Iterable[tuple[str, ...]]:
        """Yields the parts of a path as seen from here; nothing if it is an absolute path elsewhere."""
        if not path.is_absolute():
            yield path.parts
            return
        for spelling in self.spellings:
            if path.is_relative_to(spelling) and path != spelling:
                yield path.relative_to(spelling).parts
                return

    def open(self, parts: tuple[str, ...]) -> OpenedFile:
        """Open a file.

        Raises:
            OSError: there is none, or a link or something else than a file is in its place.
        """
        path = self._path.joinpath(*parts)
        if any(part.startswith(".") for part in parts):
            raise PermissionError(1, "a hidden part")
        try:
            exposed_path(path)
        except ValueError:
            raise PermissionError(1, "a place where keys are kept") from None
        fd = self._descend(parts) if _RELATIVE else _open_unlinked(path)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise PermissionError(1, "not a regular file")
            return OpenedFile(fd, path)
        except BaseException:
            os.close(fd)
            raise

    def _descend(self, parts: tuple[str, ...]) -> int:
        here = os.dup(self._fd)
        try:
            for part in parts[:-1]:
                deeper = os.open(part, os.O_RDONLY | _DIRECTORY, dir_fd=here)
                os.close(here)
                here = deeper
            return os.open(parts[-1], os.O_RDONLY | _FILE, dir_fd=here)
        finally:
            os.close(here)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _open_unlinked(path: Path) -> int:
    """Open a file where directories have no descriptors (Windows): its path must lead through no link."""
    if path.resolve(strict=True) != path:
        raise PermissionError(1, "a link")
    return os.open(path, os.O_RDONLY | _FILE)
