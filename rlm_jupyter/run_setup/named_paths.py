"""Paths as they are named on a line, `@data/*.parquet`: to files, and to the variable that agents have them under."""

from __future__ import annotations

import builtins
import glob
import keyword
import re
from collections.abc import Container, Iterator
from difflib import get_close_matches
from pathlib import Path

from rlm_jupyter.errors import ContextError
from rlm_jupyter.guest.reserved_names import RESERVED

_PATTERN = re.compile(r"[*?\[]")
_MOST = 100_000


def is_path(word: str) -> bool:
    """Returns whether a word of a line names a file or a folder: whether it begins with `@`."""
    return word.startswith("@") and len(word) > 1


def paths_of(word: str) -> Path | list[Path]:
    """Returns what a word such as ``@orders.csv``, ``@notes/`` or ``@data/**/*.parquet`` names.

    Returns:
        The path of a file or folder; of a pattern, the files that it fits, in order.

    Raises:
        ContextError: there is none; the message names those that are spelled alike.
    """
    text = word.removeprefix("@")
    plain = Path(text).expanduser()
    if plain.exists():
        return plain
    if _PATTERN.search(text):
        found = [Path(one) for _, one in zip(range(_MOST), _matching(plain), strict=False)]
        files = sorted(one for one in found if one.is_file())
        if files:
            return files
        raise ContextError(f"No file fits the pattern `{text}`. Patterns are relative to `{Path.cwd()}`.")
    raise ContextError(f"There is no file or folder `{text}`.{_near(plain)}")


def _matching(pattern: Path) -> Iterator[str]:
    # Not by `Path.glob`, whose `**` fits folders only before Python 3.13.
    return glob.iglob(str(pattern), recursive=True)  # noqa: PTH207


def _near(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f" There is no folder `{folder}` either; paths are relative to `{Path.cwd()}`."
    names = [each.name for each in folder.iterdir() if not each.name.startswith(".")]
    close = get_close_matches(path.name, names, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(f'`@{folder / name}`' for name in close)}?" if close else ""


def variable_for(word: str, taken: Container[str]) -> str:
    """Returns the name of the variable that agents have a path under: that of the file, without its suffixes.

    Args:
        word: with its `@`.
        taken: names that are not free.
    """
    path = Path(word.removeprefix("@"))
    parts = [part for part in path.parts if not _PATTERN.search(part) and part not in ("/", "..", "~")]
    stem = parts[-1].split(".")[0] if parts else "files"
    name = re.sub(r"\W+", "_", stem).strip("_") or "files"
    if name[0].isdigit() or keyword.iskeyword(name) or name in RESERVED or hasattr(builtins, name):
        name = f"file_{name}"
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
