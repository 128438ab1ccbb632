"""Data from a file for the command line: tables as DataFrames, JSON as it is, text as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import ContextError

_TABLES = {".csv": ",", ".tsv": "\t"}


def read_data(path: str | Path) -> Any:
    """Read a file or a directory.

    Args:
        path: of a table (``.csv``, ``.tsv``, ``.parquet``), of ``.json`` or ``.jsonl``, of a text in UTF-8
            with any other name, or of a directory of texts.

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
    suffix = where.suffix.lower()
    try:
        if suffix in _TABLES:
            import pandas as pd

            return pd.read_csv(where, sep=_TABLES[suffix])
        if suffix in (".parquet", ".pq"):
            import pandas as pd

            return pd.read_parquet(where)
        text = where.read_text(encoding="utf-8-sig")
        if suffix == ".json":
            return json.loads(text)
        if suffix in (".jsonl", ".ndjson"):
            return [json.loads(line) for line in text.splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ContextError(f"`{where}` is no text in UTF-8 (byte {error.start}).") from None
    except (OSError, ValueError) as error:  # pandas and pyarrow derive their errors from these
        raise ContextError(f"`{where}` cannot be read as `{suffix}`: {error}.") from None
    return text


def _read_directory(where: Path) -> dict[str, str]:
    """Read all texts below a directory; hidden files and what is no text are left out."""
    texts = {}
    for path in sorted(where.rglob("*")):
        name = path.relative_to(where)
        if any(part.startswith(".") for part in name.parts) or not path.is_file():
            continue
        try:
            texts[name.as_posix()] = path.read_text(encoding="utf-8-sig")
        except (UnicodeDecodeError, OSError):
            continue
    if not texts:
        raise ContextError(f"The directory `{where}` holds no text in UTF-8.")
    return texts
