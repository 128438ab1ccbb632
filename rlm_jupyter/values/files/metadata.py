"""What the metadata of a file says of what is in it: rows, columns, types, ranges, sheets. Never by a full read.

Travels as source into kernels: standard library only at import; pandas and pyarrow are used where they are installed.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..codec.container import MissingLibrary
from ..describe.short_text import count, cut, head_tail, short, size
from ..describe.tables import COLUMNS, describe_table
from .delimited import Dialect, found_in, read_head
from .encodings import encoding_of
from .kinds import HEAD, SEPARATORS, Form, files_below, form_of, head_of, open_plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SAMPLES, _SAMPLE = 8, 1 << 16
"""Places of a text, and bytes at each, from which its lines are estimated."""
_HEAD_ROWS = 1000
_PREVIEW = 1500
_NAMES = 20
_WALK = 20_000
"""Entries of a folder that are looked at."""
_FOOTERS = 200
"""Parquet files of a set whose footers are read; rows of the others are estimated."""
_GROUPS = 200
_SHEETS = 50
_MOST_DIRECTORY = 1 << 24
"""Bytes of the directory of an archive that is read."""


def describe_path(path: Path, rows: int = 3) -> dict[str, Any]:
    """Describe a file or a folder by its metadata.

    Args:
        path: absolute; it is opened.
        rows: how many rows to quote; 0 quotes no data.

    Returns:
        As `describe.describe`: `type`, `summary`, `bytes` (of the file), and what else is known. What cannot be read
        is described by its name and size, with the reason.
    """
    about: dict[str, Any] = {"type": "Path", "bytes": None}
    try:
        if path.is_dir():
            return about | _folder(path, rows)
        about["bytes"] = path.stat().st_size
        form = form_of(path)
        return about | describe_file(path, form, rows)
    except Exception as error:  # a parser of a library, or a file that is not what its name says
        reason = f"it cannot be read: {type(error).__name__}: {cut(str(error), 100)}"
        return about | {
            "summary": f"Path of `{path.name}`, {size(about['bytes'])}; {reason}",
            "unreadable": True,
            "truncated": True,
        }


def describe_paths(paths: Sequence[Path], rows: int = 3) -> dict[str, Any]:
    """Describe a list of files: those of one kind as one table, or what kinds there are."""
    total = sum(path.stat().st_size for path in paths[:_WALK] if path.is_file())
    about: dict[str, Any] = {"type": "list", "bytes": total, "length": len(paths), "truncated": True}
    return about | _set_of_files(list(paths), f"list of {count(len(paths))} paths", total, rows)


def describe_file(path: Path, form: Form, rows: int) -> dict[str, Any]:
    """Describe a file of a known form: `summary` and what its kind adds."""
    total = path.stat().st_size
    parts = {
        "delimited": _delimited,
        "parquet": _parquet,
        "arrow": _arrow,
        "json": _json,
        "json-lines": _json_lines,
        "excel": _excel,
        "text": _text,
        "zip": _zip,
        "picture": _picture,
    }
    about = parts[form.kind](path, form, rows) if form.kind in parts else {}
    what = about.pop("what", "")
    summary = ", ".join(part for part in (f"Path of `{path.name}`: {form.name}", what, size(total)) if part)
    return {"summary": summary, "bytes": total, "truncated": True, "file": form.kind, **about}


# ------------------------------------------------------------------------------------------------ tables


def _delimited(path: Path, form: Form, rows: int) -> dict[str, Any]:
    head = head_of(path, form)
    frame, dialect = read_head(head, SEPARATORS.get(form.suffix, ","), _HEAD_ROWS)
    whole = len(head) < HEAD and len(frame) < _HEAD_ROWS
    lines = len(frame) if whole else _lines(path, form, head)[0] - 1 - dialect.skipped
    table = describe_table(frame, rows) or {}
    columns = table.get("columns", [])
    if not whole:
        for column in columns:
            column["sampled"] = True
    found = found_in(dialect, SEPARATORS.get(form.suffix, ","))
    about = "" if whole else "about "
    return {
        "what": f"{about}{count(max(lines, 0))} rows x {count(frame.shape[1])} columns",
        "shape": [max(lines, 0), frame.shape[1]],
        "columns": columns,
        "rows": table.get("rows", []),
        **_options(dialect, found),
    }


def _options(dialect: Dialect, found: str) -> dict[str, Any]:
    """How `read_csv` is to be called, where that is not what the name says."""
    if not found and not dialect.skipped:
        return {}
    options = [f"sep={dialect.separator!r}", f"encoding={dialect.encoding!r}"]
    options += [f"decimal={dialect.decimal!r}"] if dialect.decimal != "." else []
    options += [f"skiprows={dialect.skipped}"] if dialect.skipped else []
    return {
        "preview": f"It is written {found or 'with a line before the header'}: read_csv(path, {', '.join(options)})"
    }


def _lines(path: Path, form: Form, head: bytes) -> tuple[int, bool]:
    """Count the lines of a text, or estimate them from samples; tell which."""
    total = path.stat().st_size
    if len(head) < HEAD:
        return head.count(b"\n") + (not head.endswith(b"\n")), True
    sampled, seen = head.count(b"\n"), len(head)
    if form.packed:  # its end is known only when all of it is unpacked
        return int(total * _unpacked_share(path, form, len(head)) * sampled / seen), False
    with path.open("rb") as file:
        for number in range(1, _SAMPLES + 1):
            file.seek((total - _SAMPLE) * number // _SAMPLES)
            part = file.read(_SAMPLE)
            sampled, seen = sampled + part.count(b"\n"), seen + len(part)
    return max(1, total * sampled // seen), False


def _unpacked_share(path: Path, form: Form, length: int) -> float:
    """Estimate how many bytes come of one that is stored, from the beginning of the file."""
    with path.open("rb") as stored, open_plain(stored, form) as file:
        got = len(file.read(length))
        return got / max(stored.tell(), 1)


def _parquet(path: Path, _form: Form, rows: int) -> dict[str, Any]:
    return _of_footers([path], [path], rows)


def _of_footers(paths: list[Path], read: list[Path], rows: int) -> dict[str, Any]:
    """Describe Parquet files of one schema by the footers of some of them."""
    parquet = _library("pyarrow.parquet")
    metadata = [parquet.read_metadata(path) for path in read]
    known = sum(each.num_rows for each in metadata)
    exact = len(read) == len(paths)
    number = known if exact else known * len(paths) // max(len(read), 1)
    schema = metadata[0].schema.to_arrow_schema()
    groups = sum(each.num_row_groups for each in metadata)
    about = {
        "what": f"{'' if exact else 'about '}{count(number)} rows x {count(len(schema))} columns"
        + (f" in {count(groups)} row groups" if exact and groups > 1 else ""),
        "shape": [number, len(schema)],
        "uncompressed": sum(
            each.row_group(i).total_byte_size
            for each in metadata
            for i in range(min(each.num_row_groups, _GROUPS))
        ),
        "columns": _parquet_columns(schema, metadata, rows),
    }
    if rows:
        with suppress(Exception):  # of types that pandas does not know: the schema is told nevertheless
            about["rows"] = _first_rows(parquet.ParquetFile(read[0]), rows)
    return about


def _parquet_columns(schema: Any, metadata: list[Any], rows: int) -> list[dict[str, Any]]:
    places = {metadata[0].schema.column(i).path: i for i in range(len(metadata[0].schema))}
    columns = []
    for name, kind in islice(zip(schema.names, schema.types, strict=True), COLUMNS):
        about: dict[str, Any] = {"name": cut(name, 60), "dtype": cut(str(kind), 60)}
        place = places.get(name)
        if place is not None:
            about |= _statistics(metadata, place, rows)
        columns.append(about)
    return columns


def _statistics(metadata: list[Any], place: int, rows: int) -> dict[str, Any]:
    """Returns missing values and range of a column over all row groups, where all of them say so."""
    nulls, least, most = 0, None, None
    known = True
    for each in metadata:
        for group in range(min(each.num_row_groups, _GROUPS)):
            found = each.row_group(group).column(place).statistics
            if found is None or not found.has_null_count:
                return {}
            nulls += found.null_count
            known = known and found.has_min_max
            if known:
                least = found.min if least is None else min(least, found.min)
                most = found.max if most is None else max(most, found.max)
    about: dict[str, Any] = {"nulls": nulls}
    if rows and known and least is not None:
        about["range"] = [short(least, 60), short(most, 60)]
    return about


def _first_rows(file: Any, rows: int) -> list[list[str]]:
    names = file.schema_arrow.names[:COLUMNS]
    for batch in file.iter_batches(batch_size=rows, columns=names):
        frame = batch.slice(0, rows).to_pandas()
        return list((describe_table(frame, rows) or {}).get("rows", []))
    return []


def _arrow(path: Path, _form: Form, rows: int) -> dict[str, Any]:
    pa, ipc = _library("pyarrow"), _library("pyarrow.ipc")
    with pa.memory_map(str(path)) as mapped:
        try:
            file = ipc.open_file(mapped)
        except pa.ArrowInvalid:
            return {"columns": _schema_columns(ipc.open_stream(mapped).schema)}
        number = sum(file.get_batch(i).num_rows for i in range(min(file.num_record_batches, _GROUPS)))
        exact = file.num_record_batches <= _GROUPS
        if not exact:
            number = number * file.num_record_batches // _GROUPS
        about = {
            "what": f"{'' if exact else 'about '}{count(number)} rows x {count(len(file.schema))} columns",
            "shape": [number, len(file.schema)],
            "columns": _schema_columns(file.schema),
        }
        if rows and file.num_record_batches:
            frame = file.get_batch(0).slice(0, rows).to_pandas()
            about["rows"] = (describe_table(frame, rows) or {}).get("rows", [])
        return about


def _schema_columns(schema: Any) -> list[dict[str, Any]]:
    pairs = zip(schema.names, schema.types, strict=True)
    return [{"name": cut(name, 60), "dtype": cut(str(kind), 60)} for name, kind in islice(pairs, COLUMNS)]


# ------------------------------------------------------------------------------------------------- texts


def _text(path: Path, form: Form, rows: int) -> dict[str, Any]:
    head = head_of(path, form)
    encoding = encoding_of(head)
    lines, exact = _lines(path, form, head)
    about: dict[str, Any] = {"what": f"{'' if exact else 'about '}{count(lines)} lines", "lines": lines}
    if encoding not in ("utf-8", "utf-8-sig"):
        about["what"] += f" in {encoding}"
    if rows:
        about["preview"] = head_tail(head[: 4 * _PREVIEW].decode(encoding, "replace"), _PREVIEW)
    return about


def _json(path: Path, form: Form, rows: int) -> dict[str, Any]:
    head = head_of(path, form)
    text = head.decode(encoding_of(head), "replace")
    if len(head) < HEAD:
        value = json.loads(text)
        what = "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "a value"
        if isinstance(value, (list, dict)):
            what += f" of {count(len(value))} {'items' if isinstance(value, list) else 'keys'}"
        return {"what": what, **({"preview": cut(text, _PREVIEW)} if rows else {})}
    return {"preview": cut(text, _PREVIEW)} if rows else {}


def _json_lines(path: Path, form: Form, rows: int) -> dict[str, Any]:
    head = head_of(path, form)
    lines, exact = _lines(path, form, head)
    texts = head.decode(encoding_of(head), "replace").split("\n")
    texts = texts if len(head) < HEAD else texts[:-1]
    records = [json.loads(text) for text in islice(filter(str.strip, texts), 100)]
    about: dict[str, Any] = {"what": f"{'' if exact else 'about '}{count(lines)} lines", "lines": lines}
    kinds: dict[str, Counter[str]] = {}
    for record in records:
        for key, value in islice(record.items(), COLUMNS) if isinstance(record, dict) else ():
            kinds.setdefault(key, Counter())[type(value).__name__] += 1
    about["fields"] = [
        {"name": cut(name, 60), "types": dict(found)} for name, found in islice(kinds.items(), COLUMNS)
    ]
    if rows:
        about["preview"] = "\n".join(cut(text, 300) for text in texts[:rows])
    return about


# ---------------------------------------------------------------------------------- archives and folders

_SHEET = re.compile(rb'<sheet\b[^>]*\bname="([^"]{1,255})"')
_DIMENSION = re.compile(rb'<dimension\b[^>]*\bref="(?:[A-Z]+(\d+):)?([A-Z]+)(\d+)"')


def _excel(path: Path, _form: Form, _rows: int) -> dict[str, Any]:
    """List the sheets of a workbook by the heads of its parts: no part is unpacked whole."""
    with _archive(path) as archive:
        with archive.open("xl/workbook.xml") as part:
            names = [_unescape(name) for name in _SHEET.findall(part.read(HEAD))[:_SHEETS]]
        items = []
        for number, name in enumerate(names, 1):
            what = "sheet"
            with suppress(KeyError), archive.open(f"xl/worksheets/sheet{number}.xml") as part:
                if found := _DIMENSION.search(part.read(1 << 14)):
                    first, last = int(found[1] or found[3]), int(found[3])
                    what = f"{count(last - first + 1)} lines x {count(_column_number(found[2]))} columns"
            items.append({"key": name, "type": "sheet", "summary": what})
    sheets = f"{count(len(names))} {'sheet' if len(names) == 1 else 'sheets'}"
    return {"what": sheets, "items": items}


def _unescape(name: bytes) -> str:
    from html import unescape

    return cut(unescape(name.decode("utf-8", "replace")), 60)


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters[:3]:
        number = number * 26 + letter - 64
    return number


def _zip(path: Path, _form: Form, _rows: int) -> dict[str, Any]:
    with _archive(path) as archive:
        files = [item for item in archive.infolist() if not item.is_dir()]
    items = [{"key": cut(item.filename, 60), "summary": size(item.file_size)} for item in files[:_NAMES]]
    total = sum(item.file_size for item in files)
    number = f"{count(len(files))} {'file' if len(files) == 1 else 'files'}"
    return {"what": f"{number} of {size(total)}", "items": items, "length": len(files)}


def _archive(path: Path) -> zipfile.ZipFile:
    """Open an archive whose directory is not too long.

    Raises:
        ValueError: it is.
        zipfile.BadZipFile: it is no archive.
    """
    with path.open("rb") as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # noqa: SLF001 - its size, before it is read
    if end and end[5] > _MOST_DIRECTORY:
        raise ValueError(f"its directory takes {size(end[5])}")
    return zipfile.ZipFile(path)


def _picture(path: Path, form: Form, _rows: int) -> dict[str, Any]:
    head = head_of(path, form, 32)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        wide, high = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        return {"what": f"{count(wide)} x {count(high)} pixels"}
    return {}


def _folder(path: Path, rows: int) -> dict[str, Any]:
    files = sorted(islice(files_below(path), _WALK))
    total = sum(each.stat().st_size for each in files)
    about = _set_of_files(files, f"Path of the folder `{path.name}`", total, rows, base=path)
    return {"bytes": total, "length": len(files), "truncated": True, **about}


def _set_of_files(
    files: list[Path], title: str, total: int, rows: int, base: Path | None = None
) -> dict[str, Any]:
    """Describe files together: as one table where all are Parquet or all CSV, else by their kinds and names."""
    kinds = Counter(form.name for form in map(form_of, files[:_FOOTERS]))
    number = f"{count(len(files))}{'' if len(files) < _WALK else ' or more'} {'file' if len(files) == 1 else 'files'}"
    what = ", ".join(f"{name}" for name, _ in kinds.most_common(5))
    about: dict[str, Any] = {}
    if len(kinds) == 1 and files:
        with suppress(Exception):  # files that do not belong together are described by their names
            about = _as_one_table(files, form_of(files[0]), rows)
    table = about.pop("what", "")
    summary = f"{title}: " + ", ".join(part for part in (number, what, table, size(total)) if part)
    if not about:
        shown = [str(each.relative_to(base)) if base else each.name for each in files[:_NAMES]]
        about["items"] = [
            {"key": cut(name, 80), "summary": size(each.stat().st_size)}
            for name, each in zip(shown, files, strict=False)
        ]
    return {"summary": summary, **about}


def _as_one_table(files: list[Path], form: Form, rows: int) -> dict[str, Any]:
    if form.kind == "parquet":
        step = max(1, len(files) // _FOOTERS)
        return {
            **_of_footers(files, files[::step][:_FOOTERS] if step > 1 else files, rows),
            "file": "parquet",
        }
    if form.kind == "delimited":
        first = _delimited(files[0], form, rows)
        of_first = max(files[0].stat().st_size, 1)
        number = int(first["shape"][0] * sum(each.stat().st_size for each in files) / of_first)
        first["shape"] = [number, first["shape"][1]]
        first["what"] = f"about {count(number)} rows x {count(first['shape'][1])} columns"
        return {**first, "file": "delimited"}
    return {}


def _library(name: str) -> Any:
    """Import a library where it is installed.

    Raises:
        MissingLibrary: it is not.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingLibrary(f"`{name}` is not installed") from None
