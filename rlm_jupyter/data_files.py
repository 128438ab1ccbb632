"""Data from a file for the command line: tables as DataFrames, JSON as it is, text as text."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import ContextError
from rlm_jupyter.values.files.delimited import read_table
from rlm_jupyter.values.files.encodings import marked_encoding
from rlm_jupyter.values.files.reading import json_lines

_TABLES = {".csv": ",", ".tsv": "\t"}


def read_data(path: str | Path, *, tell: Callable[[str], object] = lambda _: None) -> Any:
    """Read a file or a directory.

    Args:
        path: of a table (``.csv``, ``.tsv``, ``.parquet``), of ``.json`` or ``.jsonl``, of a text in UTF-8 (or
            UTF-16 with a byte order mark) with any other name, or of a directory of texts.
        tell: is told in a sentence how a table was read, where that is not what its name says.

    Returns:
        A DataFrame; what the JSON holds; a list of what its lines hold; a text; a dict of texts by their paths.

    Raises:
        ContextError: there is no such file, or it does not hold what its name says.
    """
    where = Path(path)
    if not where.exists():
        raise ContextError(f"There is no file or directory `{where}`.")
    if where.is_dir():
        return _read_directory(where)
    try:
        return _read_file(where, tell)
    except UnicodeError as error:
        place = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise ContextError(
            f"`{where}` is not text in UTF-8{place}: convert it, as by `iconv -f cp1252 -t utf-8`, or read it in "
            "Python and hand over what it holds."
        ) from None
    except (OSError, ValueError) as error:  # pandas and pyarrow derive their errors from these
        raise ContextError(f"`{where}` cannot be read as `{where.suffix.lower()}`: {error}.") from None


def _read_file(where: Path, tell: Callable[[str], object]) -> Any:
    suffix = where.suffix.lower()
    if suffix in _TABLES:
        return read_table(where, _TABLES[suffix], tell)
    if suffix in (".parquet", ".pq"):
        import pandas as pd

        return pd.read_parquet(where)
    text = _read_text(where)
    if suffix == ".json":
        return json.loads(text)
    if suffix in (".jsonl", ".ndjson"):
        return json_lines(text)
    return text


def _read_text(where: Path) -> str:
    """Read a text in UTF-8, or in the encoding that a byte order mark names."""
    with where.open("rb") as file:
        mark = marked_encoding(file.read(4))
    return where.read_text(encoding=mark or "utf-8")


def _is_named_text(path: Path) -> bool:
    """Return whether a file's name says that it is a text; images, too, may begin like a text in UTF-16."""
    kind = mimetypes.guess_type(path.name)[0] or ""
    return kind.startswith("text/") or kind in ("application/json", "application/xml")


def _read_directory(where: Path) -> dict[str, str]:
    """Read all texts below a directory; hidden files and what is not text are left out."""
    texts = {}
    for path in sorted(where.rglob("*")):
        name = path.relative_to(where)
        if any(part.startswith(".") for part in name.parts) or not path.is_file():
            continue
        try:
            texts[name.as_posix()] = _read_text(path) if _is_named_text(path) else path.read_text("utf-8-sig")
        except (UnicodeError, OSError):
            continue
    if not texts:
        raise ContextError(f"The directory `{where}` holds no text in UTF-8.")
    return texts
