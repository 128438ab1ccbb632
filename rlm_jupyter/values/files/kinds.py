"""What a file is, by its name and its first bytes: never by reading all of it.

Travels as source into kernels: standard library only.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import mimetypes
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from .encodings import encoding_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Kind = Literal[
    "delimited",
    "parquet",
    "arrow",
    "json",
    "json-lines",
    "excel",
    "text",
    "zip",
    "pdf",
    "database",
    "picture",
    "other",
]

HEAD = 1 << 18
"""Bytes of a file from which it is told what is in it."""
SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(SEPARATORS, "delimited"),
    **dict.fromkeys((".parquet", ".pq", ".parq"), "parquet"),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), "arrow"),
    ".json": "json",
    **dict.fromkeys((".jsonl", ".ndjson"), "json-lines"),
    **dict.fromkeys((".xlsx", ".xlsm"), "excel"),
    ".zip": "zip",
    ".pdf": "pdf",
    **dict.fromkeys((".sqlite", ".sqlite3", ".db", ".duckdb"), "database"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"), "picture"),
}
_PACKED: dict[str, Callable[..., object]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_NAMES: dict[Kind, str] = {
    "delimited": "delimited text",
    "parquet": "Parquet",
    "arrow": "Arrow",
    "json": "JSON",
    "json-lines": "JSON lines",
    "excel": "Excel",
    "text": "text",
    "zip": "ZIP archive",
    "pdf": "PDF",
    "database": "database",
    "picture": "picture",
    "other": "binary",
}
TABLES: tuple[Kind, ...] = ("delimited", "parquet", "arrow")


@dataclass(frozen=True)
class Form:
    """What a file is.

    Attributes:
        kind: of what is in it.
        suffix: of the name, in lower case, without that of the compression.
        packed: suffix of the compression that it is stored with; empty for none.
    """

    kind: Kind
    suffix: str
    packed: str = ""

    @property
    def name(self) -> str:
        """In words: ``CSV``, ``Parquet``, ``text``, ``CSV in .gz``."""
        plain = self.suffix.removeprefix(".").upper() if self.kind == "delimited" else _NAMES[self.kind]
        return f"{plain} in {self.packed}" if self.packed else plain


def form_of(path: Path) -> Form:
    """Tell what a file is.

    Raises:
        OSError: it cannot be read.
    """
    status = path.stat()
    return _form_of(path, status.st_mtime_ns, status.st_size)


@lru_cache(4096)  # a question describes its files, plans what of them to read, and reads them
def _form_of(path: Path, _changed: int, _size: int) -> Form:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in _PACKED else ""
    suffix = suffixes[-1] if suffixes else ""
    kind = _KINDS.get(suffix)
    if kind is None:
        kind = "text" if _is_text(path, suffix, packed) else "other"
    return Form(kind, suffix, packed)


def open_plain(file: Path | BinaryIO, form: Form) -> BinaryIO:
    """Open a file for reading its bytes, unpacked where it is stored with a compression.

    Args:
        file: its path; or, of a compressed one, the open file as it is stored.
        form: of it.
    """
    if form.packed:
        return cast("BinaryIO", _PACKED[form.packed](file))
    return cast("BinaryIO", open(file, "rb"))  # type: ignore[arg-type]  # noqa: PTH123


def head_of(path: Path, form: Form, size: int = HEAD) -> bytes:
    """Read the beginning of a file, unpacked.

    Raises:
        OSError, EOFError: it cannot be read, or is not what its name says.
    """
    with open_plain(path, form) as file:
        return file.read(size)


def files_below(path: Path) -> Iterator[Path]:
    """Returns the files of a folder and its folders; hidden ones and links are left out."""
    for each in path.rglob("*"):
        hidden = any(part.startswith(".") for part in each.relative_to(path).parts)
        if not hidden and each.is_file() and not each.is_symlink():
            yield each


def _is_text(path: Path, suffix: str, packed: str) -> bool:
    named = mimetypes.guess_type(f"file{suffix}")[0] or ""
    head = head_of(path, Form("other", suffix, packed))
    if b"\0" in head[:1024] and not named.startswith("text/"):
        return False
    try:
        encoding_of(head)
    except UnicodeDecodeError:
        return False
    return True
