"""What the command line shares: files and folders under names, and what a request hands over itself."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.mcp_server.refusals import RequestRefusedError
from rlm_jupyter.sandbox_settings import exposed_path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._-]{0,79}")
_RESERVED = frozenset({"context", "question", "history"})
MOST_FILES = 8
"""That one request may hand over."""


class NamedSources:
    """The files and folders of the command line.

    Args:
        given: `NAME=PATH` each.

    Raises:
        ConfigError: one is not of this form, is not there, or is where keys are kept.
    """

    def __init__(self, given: Sequence[str]) -> None:
        self._paths: dict[str, Path] = {}
        for one in given:
            name, sign, path = one.partition("=")
            if not sign or not _NAME.fullmatch(name) or name in _RESERVED or name in self._paths:
                raise ConfigError(
                    f"`{one}` is not `NAME=PATH`: NAME is a word of letters, digits and `_` that was not used before, "
                    "such as `orders=orders.parquet`."
                )
            try:
                whole = Path(path).expanduser().resolve(strict=True)
                exposed_path(whole)
            except (OSError, RuntimeError):
                raise ConfigError(
                    f"The source `{name}` is not there: `{path}` cannot be read. Name a file or a folder."
                ) from None
            except ValueError as error:
                raise ConfigError(f"The source `{name}` cannot be shared: {error}.") from None
            self._paths[name] = whole

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return list(self._paths)

    @property
    def spelled(self) -> list[tuple[str, str]]:
        """Each path with its name, for answers in which no path may stand; the longest first."""
        found = [(str(path), name) for name, path in self._paths.items()]
        return sorted(found, key=lambda each: len(each[0]), reverse=True)

    def about(self) -> list[dict[str, Any]]:
        """Returns name, kind and size of each."""
        told = []
        for name, path in self._paths.items():
            kind = "folder" if path.is_dir() else (path.suffix.lstrip(".").lower() or "file")
            told.append(
                {"name": name, "kind": kind, "bytes": path.stat().st_size if path.is_file() else None}
            )
        return told

    def chosen(self, names: Sequence[str]) -> dict[str, Path]:
        """Returns the paths of sources that a request names.

        Raises:
            RequestRefusedError: there is no such source.
        """
        for name in names:
            if name not in self._paths:
                known = ", ".join(f"`{each}`" for each in self._paths) or "none"
                raise RequestRefusedError(f"There is no source `{name[:40]}`. Sources: {known}.")
        return {name: self._paths[name] for name in names}


class HandedFiles:
    """Files that requests hand over: each request's in a directory of its own, for this user only."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="rlm-web-"))

    def keep(self, files: Mapping[str, bytes]) -> dict[str, Path]:
        """Write files; return their paths by the names of the variables that agents will have.

        Raises:
            RequestRefusedError: too many, or a name that could lead elsewhere.
        """
        if len(files) > MOST_FILES:
            raise RequestRefusedError(f"A request hands over at most {MOST_FILES} files.")
        for name in files:
            if not _FILE_NAME.fullmatch(name) or ".." in name:
                raise RequestRefusedError(
                    f"`{name[:80]}` is no name of a file here: letters, digits, spaces, `.`, `_` and `-`, no path."
                )
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        kept: dict[str, Path] = {}
        for name, content in files.items():
            path = folder / name
            path.write_bytes(content)
            kept[_variable(name, kept)] = path
        return kept

    def drop(self, paths: Mapping[str, Path]) -> None:
        """Remove what one request handed over."""
        for folder in {path.parent for path in paths.values()}:
            if folder.parent == self._folder:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove all."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _variable(name: str, taken: Mapping[str, object]) -> str:
    word = re.sub(r"\W", "_", name.partition(".")[0], flags=re.ASCII).lower().strip("_") or "data"
    word = f"data_{word}"[:40] if word[0].isdigit() or word in _RESERVED else word[:40]
    number = 2
    found = word
    while found in taken:
        found, number = f"{word}_{number}", number + 1
    return found
