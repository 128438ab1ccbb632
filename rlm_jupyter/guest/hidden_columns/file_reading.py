"""Reads the hidden columns of files and folders: what each file is, which reader it has, and what none can read.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ...values.files.kinds import SEPARATORS, Form, form_of, head_of, open_plain
from .column_tables import read_arrow, read_orc, read_parquet, take_frame
from .database_files import database_kind, read_duckdb, read_sqlite
from .delimited_text import is_table, read_delimited
from .found_values import FoundValues, RefusedError, TooManyError
from .json_documents import read_json, read_json_lines
from .wanted_columns import Wanted
from .workbooks import read_workbook

MOST_FILES = 20_000
_MOST_TOLD = 20
_LONGEST = 300
_NESTED = 2
"""Archives in archives that are read."""
_JSON_STARTS = (b"{", b"[")
_AUDIO = {".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac", ".mp4", ".webm"}

Reader = Callable[[Path, Wanted, FoundValues], bool]
_TABLES: dict[str, Reader] = {
    "parquet": read_parquet,
    "arrow": read_arrow,
    "excel": read_workbook,
    "sqlite": read_sqlite,
    "duckdb": read_duckdb,
}


def read_hidden(request: Mapping[str, Any]) -> dict[str, Any]:
    """Read the hidden columns of files.

    Args:
        request: `files`: of each its `path`, `prefixes` (what may stand before the name of a column) and whether it is
            hidden as a `whole`; `expressions` of the names; `most` values and `most_bytes` that are held.

    Returns:
        `columns` with their values, the numbers of the expressions that are `matched`, the `names` that they fit,
        `plain` (files without columns); or what was `refused`, and why, without any value in it.
    """
    found = FoundValues(request["most"], request["most_bytes"])
    wanted = Wanted(request["expressions"])
    reading = _Reading(found)
    try:
        for file in request["files"]:
            root = Path(file["path"])
            for path in files_in(root):
                of_file = wanted.of([*file["prefixes"], _stem(path)], whole=file["whole"])
                reading.read(path, str(path.relative_to(root.parent)), of_file)
        columns = found.exported()
    except RefusedError as error:
        return {"refused": str(error)[:_LONGEST]}
    return {
        "columns": columns,
        "matched": sorted(wanted.matched),
        "names": sorted(wanted.seen),
        "plain": reading.plain[:_MOST_TOLD],
        "files": reading.count,
    }


def files_in(root: Path) -> Iterator[Path]:
    """Yields a file, or all files of a folder and its folders, also those that listings leave out.

    Links are not followed: what they lead to is in the folder too, or cannot be read.
    """
    if not root.is_dir():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _stem(path: Path) -> str:
    """Returns what may stand before the name of a column: that of the file, with a point."""
    return f"{path.name.split('.')[0]}."


class _Reading:
    """Reads files one after the other.

    Attributes:
        plain: files that have no columns.
        count: of files that were read.
    """

    def __init__(self, found: FoundValues) -> None:
        self._found = found
        self.plain: list[str] = []
        self.count = 0

    def read(self, path: Path, name: str, wanted: Wanted, depth: int = 0) -> None:
        """Read one file.

        Raises:
            RefusedError: it cannot be read, or what it is is not known.
        """
        self.count += 1
        if self.count > MOST_FILES:
            raise RefusedError(f"there are more than {MOST_FILES:,} files")
        self._read_names(name, wanted)
        try:
            if path.stat().st_size and not self._read(path, name, wanted, depth):
                self.plain.append(name[:_LONGEST])
        except TooManyError:
            raise
        except RefusedError as error:
            raise RefusedError(f"`{name[:_LONGEST]}` cannot be read: {error}") from None
        except ImportError as error:
            library = error.name or "a library"
            raise RefusedError(
                f"`{name[:_LONGEST]}` cannot be read: `{library}` is not installed where agents' kernels run"
            ) from None
        except MemoryError:
            raise RefusedError(f"`{name[:_LONGEST]}` takes more memory than a kernel may use") from None
        except Exception as error:  # of a parser; its message may quote a value
            raise RefusedError(f"`{name[:_LONGEST]}` cannot be read ({type(error).__name__})") from None

    def _read_names(self, name: str, wanted: Wanted) -> None:
        """Take what folders are called after in a partitioned set of files: `email=a%40b.example`."""
        for part in Path(name).parts[:-1]:
            key, equals, value = part.partition("=")
            if equals and wanted(key):
                self._found.column(key).add_written([unquote(value)])

    def _read(self, path: Path, name: str, wanted: Wanted, depth: int) -> bool:
        form = form_of(path)
        kind = database_kind(path) or ("" if form.packed else form.kind)
        if kind in _TABLES:
            return _TABLES[kind](path, wanted, self._found)
        if kind == "zip":
            return self._read_archive(path, name, wanted, depth)
        if form.kind == "picture" or form.suffix in _AUDIO:
            return True  # what is in it is not looked for, and is not sent
        if form.kind == "pdf":
            return False
        if form.kind in ("delimited", "json", "json-lines", "text"):
            return self._read_text(path, form, wanted)
        return self._read_other(path, form, wanted)

    def _read_text(self, path: Path, form: Form, wanted: Wanted) -> bool:
        if form.kind == "delimited":
            return read_delimited(path, form, SEPARATORS.get(form.suffix, ","), wanted, self._found)
        if form.kind == "json":
            return read_json(path, form, wanted, self._found)
        if form.kind == "json-lines":
            return read_json_lines(path, form, wanted, self._found)
        head = head_of(path, form)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in _JSON_STARTS and read_json(
            path, form, wanted, self._found, strict=False
        ):
            return True
        if is_table(head):
            read_delimited(path, form, ",", wanted, self._found)
        if wanted.whole and not wanted.found:
            self._take_lines(path, form)
            return True
        return wanted.found

    def _take_lines(self, path: Path, form: Form) -> None:
        """Take the lines of a text that is hidden as a whole."""
        with open_plain(path, form) as file:
            text = file.read().decode("utf-8", "replace")
        for line in text.splitlines():
            if line.strip():
                self._found.column("text").add(line.strip())

    def _read_other(self, path: Path, form: Form, wanted: Wanted) -> bool:
        if form.suffix == ".orc":
            return read_orc(path, wanted, self._found)
        import pandas as pd

        readers: dict[str, Callable[[Path], Any]] = {".dta": pd.read_stata, ".sav": pd.read_spss}
        readers |= dict.fromkeys((".sas7bdat", ".xpt"), pd.read_sas)
        if form.suffix in readers and not form.packed:
            take_frame(readers[form.suffix](path), wanted, self._found)
            return True
        if form.suffix in (".xls", ".xlsb", ".ods"):
            for frame in pd.read_excel(path, sheet_name=None).values():
                take_frame(frame, wanted, self._found)
            return True
        raise RefusedError("what columns a file of this kind has is not known")

    def _read_archive(self, path: Path, name: str, wanted: Wanted, depth: int) -> bool:
        """Read the members of an archive, one at a time and each from a copy that lasts as long as that."""
        if depth >= _NESTED:
            raise RefusedError("it is an archive in an archive in an archive")
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            for number, member in enumerate(archive.infolist()):
                if member.is_dir():
                    continue
                inner = Path(folder, f"{number}", Path(member.filename).name or "member")
                inner.parent.mkdir()
                with archive.open(member) as packed, inner.open("wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
                own = wanted.of([_stem(inner)])
                self.read(inner, f"{name}/{member.filename}", own, depth + 1)
                shutil.rmtree(inner.parent)
        return True
