"""Small files read whole, into what an analyst would make of them: a table, sheets, a text, what the JSON holds.

Travels as source into kernels: standard library only at import; libraries are used where they are installed. It runs
in an agent's kernel, inside the sandbox: what a crafted file does to a parser, it does there.
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..describe.short_text import cut, size
from .delimited import read_table
from .encodings import encoding_of, marked_encoding
from .kinds import SEPARATORS, TABLES, Form, files_below, form_of, open_plain

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_STORED = 16_000_000
"""Bytes of a file up to which it is read whole; of a folder, of all its files together."""
MOST_UNPACKED = 64_000_000
"""Bytes of a Parquet or a compressed file up to which it is read whole, as its columns take them."""
_MOST_FILES = 1000
_VARIABLES = {"json": "data", "json-lines": "data", "excel": "sheets", "text": "text", "pdf": "text"}
"""Kind of a file to the variable that it is read into."""


class TooLargeError(ValueError):
    """A file is not read whole because it is larger than the limit; the message says so."""


def planned_reading(paths: list[Path]) -> tuple[str | None, str]:
    """Tell what will be read of files, by their names and sizes alone.

    Returns:
        The variable's name, and why nothing will be read: one of both is empty; both for what is never read.
    """
    try:
        files = [each for path in paths for each in (_below(path) if path.is_dir() else [path])]
        total = sum(each.stat().st_size for each in files)
        forms = [form_of(each) for each in files[:_MOST_FILES]]
    except OSError as error:
        return None, reason_of(error)
    kinds = {form.kind for form in forms}
    single = len(paths) == 1 and not paths[0].is_dir()
    if kinds and kinds <= set(TABLES):
        variable = "frame"
    elif single and kinds & _VARIABLES.keys():
        variable = _VARIABLES[kinds.pop()]
    elif not single and "text" in kinds:
        variable = "texts"
    else:
        return None, ""
    if total > MOST_STORED or len(files) > _MOST_FILES:
        what = f"{len(files):,} files of {size(total)}" if len(files) > 1 else size(total)
        return None, f"it has {what}, and up to {size(MOST_STORED)} are read whole"
    return variable, ""


def read_planned(value: Any, tell: Callable[[str], object] = lambda _: None) -> dict[str, Any]:
    """Read the files of data that is a path, a list of paths or a dict with such items, if they are small.

    Returns:
        Variables and their values. What cannot be read is told, and left out.
    """
    if isinstance(value, dict):
        found = {
            key: read_planned(item, tell) for key, item in value.items() if isinstance(item, (Path, list))
        }
        loaded = {key: next(iter(one.values())) for key, one in found.items() if one}
        return {"loaded": loaded} if loaded else {}
    paths = [value] if isinstance(value, Path) else value
    if not isinstance(paths, list) or not paths or not all(isinstance(path, Path) for path in paths):
        return {}
    try:
        if planned_reading(paths)[0] is None:
            return {}
        read = read_small(paths[0], tell) if isinstance(value, Path) else read_set(paths, tell)
    except Exception as error:  # a parser of a library, a file that is not what its name says
        tell(f"`{paths[0].name}` was not loaded: {reason_of(error)}.")
        return {}
    return {} if read is None else dict([read])


def read_small(path: Path, tell: Callable[[str], object] = lambda _: None) -> tuple[str, Any] | None:
    """Read a file or a folder whole, if it is small.

    Args:
        path: of it.
        tell: is told in a sentence how a table was read, where that is not what its name says.

    Returns:
        The variable's name, and the value: `frame` (a DataFrame), `sheets` (a dict of them), `text`, `data` (of JSON),
        `texts` (a dict of texts by their paths). None for what is none of these, such as a picture.

    Raises:
        TooLargeError: it is not small.
        Exception: it is not what its name says, or a library that it needs is not installed.
    """
    if path.is_dir():
        return _folder(path, tell)
    form = form_of(path)
    stored = path.stat().st_size
    if stored > MOST_STORED:
        raise TooLargeError(f"it has {size(stored)}, and up to {size(MOST_STORED)} are read whole")
    if form.packed:
        with open_plain(path, form) as file:
            if len(file.read(MOST_UNPACKED + 1)) > MOST_UNPACKED:
                raise TooLargeError(f"it unpacks to more than {size(MOST_UNPACKED)}")
    if form.kind in TABLES:
        return "frame", _table(path, form, tell)
    readers = {"json": _json, "json-lines": _json_lines, "excel": _excel, "text": _text, "pdf": _pdf}
    read: Callable[[Path, Form], Any] | None = readers.get(form.kind)
    return None if read is None else (_VARIABLES[form.kind], read(path, form))


def _table(path: Path, form: Form, tell: Callable[[str], object]) -> Any:
    if form.kind == "delimited":
        return read_table(path, SEPARATORS.get(form.suffix, ","), tell)
    import pandas as pd

    if form.kind == "arrow":
        return pd.read_feather(path)
    from pyarrow import parquet

    metadata = parquet.read_metadata(path)
    total = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if total > MOST_UNPACKED:
        raise TooLargeError(f"its columns take {size(total)}, and up to {size(MOST_UNPACKED)} are read whole")
    return pd.read_parquet(path)


def _text(path: Path, form: Form) -> str:
    with open_plain(path, form) as file:
        data = file.read()
    return data.decode(marked_encoding(data) or encoding_of(data, cut=False))


def _json(path: Path, form: Form) -> Any:
    return json.loads(_text(path, form))


def _json_lines(path: Path, form: Form) -> list[Any]:
    return json_lines(_text(path, form))


def json_lines(text: str) -> list[Any]:
    """Returns what the lines of a text hold.

    Raises:
        ValueError: one is no JSON.
    """
    # Not by `splitlines`: a text in JSON may hold U+2028 and other characters that it takes for line ends.
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _excel(path: Path, _form: Form) -> dict[str, Any]:
    import pandas as pd

    return dict(pd.read_excel(path, sheet_name=None))


def _pdf(path: Path, _form: Form) -> str:
    from pypdf import PdfReader

    return "\n\f\n".join(page.extract_text() for page in PdfReader(path).pages)


def _folder(path: Path, tell: Callable[[str], object]) -> tuple[str, Any] | None:
    """Read a folder of texts as a dict, and one of tables of the same columns as one table."""
    files = _below(path)
    total = sum(each.stat().st_size for each in files)
    if total > MOST_STORED or len(files) > _MOST_FILES:
        raise TooLargeError(
            f"it has {len(files):,} files of {size(total)}, and up to {_MOST_FILES:,} of {size(MOST_STORED)} are read"
        )
    return read_set(files, tell, base=path)


def _below(path: Path) -> list[Path]:
    """List the files of a folder; hidden ones and links are left out."""
    return sorted(islice(files_below(path), _MOST_FILES + 1))


def read_set(
    files: list[Path], tell: Callable[[str], object] = lambda _: None, base: Path | None = None
) -> tuple[str, Any] | None:
    """Read files together: texts as a dict by their paths, tables of the same columns as one table.

    Raises:
        TooLargeError: they are not small.
        Exception: as of `read_small`.
    """
    total = sum(each.stat().st_size for each in files)
    if total > MOST_STORED:
        raise TooLargeError(f"they have {size(total)}, and up to {size(MOST_STORED)} are read whole")
    forms = {each: form_of(each) for each in files}
    if files and all(form.kind in TABLES for form in forms.values()):
        import pandas as pd

        tables = [_table(each, form, tell) for each, form in forms.items()]
        if all(list(table.columns) == list(tables[0].columns) for table in tables):
            return "frame", pd.concat(tables, ignore_index=True)
        return None
    texts = {_name(each, base): _text(each, form) for each, form in forms.items() if form.kind == "text"}
    return ("texts", texts) if texts else None


def _name(path: Path, base: Path | None) -> str:
    return path.relative_to(base).as_posix() if base is not None else path.name


def reason_of(error: BaseException) -> str:
    """Returns in a few words why something was not read."""
    if isinstance(error, TooLargeError):
        return str(error)
    if isinstance(error, ImportError):
        return f"`{error.name or 'a library'}` is not installed in the agent's kernel"
    return cut(f"{type(error).__name__}: {error}", 200)
