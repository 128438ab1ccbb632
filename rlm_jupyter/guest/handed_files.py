"""The bytes of a file that an agent's code hands over for a prompt: bytes, a path or an open file, never an address.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any


def read_handed(item: Any, name: str, *, most: int, wanted: str, too_large: str = "") -> Any:
    """Returns what is in a file, as an object with a buffer.

    Args:
        item: its bytes, a path, or the file opened for reading bytes.
        name: what to call it in an error.
        most: bytes that are read of a path or an open file; bytes that are in memory already may be more.
        wanted: what may be given, for an error.
        too_large: what to do about too large a file, for an error.

    Raises:
        TypeError: it is nothing of that kind.
        ValueError: the file is larger.
    """
    if isinstance(item, io.BytesIO):  # what was just written into it stands before its position
        return item.getbuffer()
    if isinstance(item, (bytes, bytearray, memoryview)):
        return item
    if isinstance(item, os.PathLike):
        with Path(item).open("rb") as file:
            return _read(file, name, most, too_large)
    if callable(getattr(item, "read", None)):
        return _read(item, name, most, too_large)
    raise TypeError(f"`{name}` is a `{type(item).__name__}`; give {wanted}.")


def check_size(data: Any, name: str, most: int, too_large: str = "") -> None:
    """Refuse more than so many bytes.

    Raises:
        ValueError: there are more.
    """
    if memoryview(data).nbytes > most:
        raise ValueError(" ".join(filter(None, [f"`{name}` has more than {most:,} bytes.", too_large])))


def why_not_text(text: str, name: str, *, thing: str, wanted: str) -> str:
    """Returns why a text is refused where a file is wanted.

    Args:
        text: that was given.
        name: what to call it.
        thing: what the file is: `image`, `file`.
        wanted: what may be given.
    """
    begin = text[:200].lstrip().lower()
    if begin.startswith("data:"):
        return (
            f"`{name}` is a `data:` URI: give the bytes of the {thing}, `base64.b64decode(...)` of its end."
        )
    if "://" in begin:
        return (
            f"`{name}` is an address, and nothing is fetched for a prompt: what an address holds would reach the model "
            f"unseen. Give the {thing} itself: {wanted}."
        )
    return f"`{name}` is a `str`: give `pathlib.Path(...)` for a file, or {wanted}."


def _read(file: Any, name: str, most: int, too_large: str) -> bytes:
    found = file.read(most + 1)
    if not isinstance(found, (bytes, bytearray)):
        raise TypeError(f'`{name}` is a file that is read as text: open it with `open(path, "rb")`.')
    check_size(found, name, most, too_large)
    return bytes(found)
