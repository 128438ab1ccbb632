"""An agent's data as files in its working directory, for scripts: texts and bytes alone.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_MOST_FILES = 10_000
_LONGEST_NAME = 80
_ENDING = re.compile(r"[A-Za-z0-9_-]\.[A-Za-z0-9]{1,5}\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def write_context(data: Any) -> list[str]:
    """Write `context` to files and return their names, relative to the working directory.

    A text becomes `context.txt`, bytes `context.bin`, the texts and bytes of a dict or list files in `context/`, named
    for their keys or places. Other values are left to Python. A file that is there already stays as it is.
    """
    if isinstance(data, (str, bytes)):
        items: list[tuple[str, Any]] = [("context", data)]
    elif isinstance(data, dict):
        items = [(f"context/{_safe(str(key))}", value) for key, value in data.items()]
    elif isinstance(data, (list, tuple)):
        items = [(f"context/{place:05}", value) for place, value in enumerate(data)]
    else:
        return []
    names: list[str] = []
    for stem, value in [pair for pair in items if isinstance(pair[1], (str, bytes))][:_MOST_FILES]:
        names.append(_write(stem, value, names))
    return names


def _safe(key: str) -> str:
    """Returns a key as a name of a file: one part, that is hidden nowhere and leads nowhere else."""
    return _UNSAFE.sub("_", key).lstrip(".")[:_LONGEST_NAME] or "_"


def _write(stem: str, value: str | bytes, taken: list[str]) -> str:
    ending = ".txt" if isinstance(value, str) else ".bin"
    whole = stem if _ENDING.search(stem) else stem + ending
    name, number = whole, 1
    while name in taken:
        number += 1
        name = str(Path(whole).with_stem(f"{Path(whole).stem}-{number}"))
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_bytes(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
    return name
