"""Data that is not there yet: a plan, or a handle on a file, which an agent's kernel could not read.

A plan over local files goes to the agents as a plan, and they are granted its files (`sources`). Any other such object
can often be pickled, so it would arrive, and fail only where it is computed: it is refused before anything is asked,
with the way out.
"""

from __future__ import annotations

import os
import pickletools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import ContextError
from rlm_jupyter.values.codec import pickling
from rlm_jupyter.values.codec.container import type_name

_DEPTH = 4
_ITEMS = 1000
_PARTS = 20_000
_FILES = 3
_STRINGS = 10_000
_MOST_FILES = 4097
_LONGEST_PATH = 4096
_SCAN = re.compile(r"^[ \t]*[\w ]*\bSCAN \[([^\]\n]*)\]", re.MULTILINE)

_ADDRESS = re.compile(rb"\b(?:s3a?|gs|gcs|az|adl|abfss?|https?|hf)://[\x21-\x7e]{1,200}")

Found = tuple[Iterable[str], str] | None
"""The files that an object reads, as far as they are known, and what to write behind its name; None: it is whole."""


def check_whole(value: object, name: str) -> list[Path]:
    """Refuse data that names a file or a database in the place of what is in it, but for plans over local files.

    Args:
        value: the data; the first items of containers are looked at.
        name: what it is called.

    Returns:
        The files that its plans read.

    Raises:
        ContextError: what it is, what it reads, and what to hand over instead.
    """
    granted: list[Path] = []
    for path, part in parts_of(value, name):
        if (planned := files_of_plan(part)) is not None:
            granted += planned
            continue
        found = _found(part)
        if found is None:
            continue
        files, way = found
        shown = [f"`{file:.200}`" for file in dict.fromkeys(filter(None, map(str, files)))]
        more = f" and {len(shown) - _FILES} more" if len(shown) > _FILES else ""
        reads = (
            f" that reads {', '.join(shown[:_FILES])}{more}, which an agent's kernel cannot read"
            if shown
            else ""
        )
        what = f"`{path}` is not data yet but a `{type_name(part)}`{reads}"
        raise ContextError(f"{what}: hand over `{way.format(path)}`.")
    return granted


def parts_of(value: object, name: str) -> Iterator[tuple[str, object]]:
    """List a value and what its containers hold, with the code that leads there, as far as there is time to look."""
    todo = deque([(name, value, 0)])
    for _ in range(_PARTS):
        if not todo:
            return
        path, part, depth = todo.popleft()
        yield path, part
        if depth == _DEPTH:
            continue
        if isinstance(part, dict) and type(part).__module__ in _PYTHONS_OWN:
            items = islice(part.items(), _ITEMS)
            todo += [(f"{path}[{key!r:.60}]", item, depth + 1) for key, item in items]
        elif isinstance(part, (list, tuple)) and type(part) in (list, tuple):
            todo += [(f"{path}[{at}]", item, depth + 1) for at, item in enumerate(part[:_ITEMS])]


_PYTHONS_OWN = ("builtins", "collections", "types")


def _found(value: Any) -> Found:
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}
    for name, look in _KINDS.items():
        if name in kinds:
            found: Found = look(value)
            return found
    if _is_dask(value, kinds):
        return files_in(value), "{}.compute()"
    return None


def files_of_plan(value: Any) -> list[Path] | None:
    """Returns the files that a plan of polars or dask, or a dataset of pyarrow, reads, if all are on this machine.

    Returns:
        None if it is none, reads nothing, or reads what is not a local file.
    """
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}
    try:
        if "polars.LazyFrame" in kinds:
            names = _scanned(value)
        elif "pyarrow.FileSystemDataset" in kinds and type(value.filesystem).__name__ == "LocalFileSystem":
            names = list(value.files)
        elif _is_dask(value, kinds):
            names = [] if _addresses_in(value) else files_in(value, _MOST_FILES)
        else:
            return None
        files = [Path(name.removeprefix("file://")) for name in names]
        return files if files and all(file.is_file() and ".." not in file.parts for file in files) else None
    except Exception:  # its files are gone, or it is of a plugin: then it is of no use to an agent either
        return None


def _is_dask(value: Any, kinds: set[str]) -> bool:
    return "dask" in {kind.partition(".")[0] for kind in kinds} and hasattr(type(value), "__dask_graph__")


def _addresses_in(value: object) -> bool:
    pickled, _ = pickling.pickle(value)
    stream = pickled.parts[0] if pickled is not None else None
    return isinstance(stream, memoryview) and bool(_ADDRESS.search(bytes(stream)))


def _scanned(plan: Any) -> list[str]:
    """List the files of all scans of a polars plan, globs expanded.

    The text of the plan names the first of them only, so polars' own walk through it is used
    (`polars.LazyFrame.remote` and the GPU engine rest on the same).
    """
    if _remote(plan):
        return []
    tree = plan._ldf.visit()  # noqa: SLF001 - there is no public way to a plan's sources
    found: list[str] = []
    todo = [tree.get_node()]
    while todo:
        tree.set_node(todo.pop())
        node = tree.view_current_node()
        if type(node).__name__ in ("Scan", "PythonScan"):
            found += [str(path) for path in node.paths]
        todo += tree.get_inputs()
    return found


def _remote(plan: Any) -> list[str]:
    """List addresses that a polars plan reads; without asking them, as polars' own description of a plan does."""
    return [found.decode("utf-8", "replace") for found in _ADDRESS.findall(plan.serialize())][:_FILES]


def _of_polars(plan: Any) -> Found:
    if addresses := _remote(plan):
        return addresses, "{}.collect()"
    try:
        text = plan.explain(optimized=False)
    except Exception:  # its files are gone, or it is of a plugin: then it is of no use to an agent either
        return files_in(plan), "{}.collect()"
    scans = _SCAN.findall(text)
    files = [file.strip() for scan in scans for file in scan.split(",")]
    return (files, "{}.collect()") if scans else None


def _of_datasets(data: Any) -> Found:
    files = [file["filename"] for file in data.cache_files]
    return (files, "{}.to_pandas()") if files else None


def _of_dataset_dict(data: Any) -> Found:
    for part in data.values():
        if (found := _found(part)) is not None:
            return found[0], "{{name: part.to_pandas() for name, part in {}.items()}}"
    return None


def _of_pillow(image: Any) -> Found:
    """A picture whose file can still be read is read when it is handed over."""
    is_read = type(getattr(image, "_im", None)).__name__ == "ImagingCore"
    file = getattr(image, "fp", None)
    if is_read or (file is not None and not getattr(file, "closed", False)):
        return None
    return [getattr(image, "filename", "")], "{0}.load()` before the file is closed, then `{0}"


def _of_xarray(data: Any) -> Found:
    variables = getattr(data, "variables", None)
    held = list(variables.values()) if isinstance(variables, Mapping) else [data.variable]
    if all(getattr(each, "_in_memory", True) for each in held):
        return None
    return [data.encoding.get("source") or next(iter(files_in(data)), "")], "{}.load()"


def _of_arrow(data: Any) -> Found:
    return getattr(data, "files", None) or files_in(data), "{}.to_table()"


def _is_lazy(way: str) -> Callable[[Any], Found]:
    return lambda value: (files_in(value), way)


def _named(attribute: str, way: str) -> Callable[[Any], Found]:
    return lambda value: ([str(getattr(value, attribute, None) or "")], way)


_CONNECTIONS = (
    "duckdb.DuckDBPyConnection",
    "_duckdb.DuckDBPyConnection",
    "sqlite3.Connection",
    "sqlalchemy.Engine",
)
"""A database is asked by a handle if it is the data itself, or an item of a dict; not deeper in other data."""

_KINDS: dict[str, Callable[[Any], Found]] = {
    "polars.LazyFrame": _of_polars,
    "datasets.Dataset": _of_datasets,
    "datasets.DatasetDict": _of_dataset_dict,
    "datasets.IterableDataset": _is_lazy("list({})"),
    "PIL.ImageFile": _of_pillow,
    "xarray.Dataset": _of_xarray,
    "xarray.DataArray": _of_xarray,
    "pyarrow.FileSystemDataset": _of_arrow,
    "pyarrow.ParquetFile": _is_lazy("{}.read()"),
    "duckdb.DuckDBPyRelation": _is_lazy("{}.df()"),
    "_duckdb.DuckDBPyRelation": _is_lazy("{}.df()"),
    **dict.fromkeys(_CONNECTIONS, _named("name", "context={{'db': CONNECTION}}")),
    "pyspark.DataFrame": _is_lazy("{}.toPandas()"),
    "ibis.Expr": _is_lazy("{}.to_pandas()"),
    "zarr.Array": _named("store", "{}[:]"),
    "h5py.Dataset": lambda data: ([data.file.filename], "{}[:]"),
    "h5py.File": _named("filename", "{{name: part[()] for name, part in {}.items()}}"),
    "numpy.NpzFile": lambda data: ([getattr(data.fid, "name", "")], "dict({})"),
    "pandas.TextFileReader": _is_lazy("pd.concat({})"),
    "pandas.HDFStore": _named("filename", "{}[KEY]"),
}
"""Library and class to what tells whether an instance is lazy, what it reads and the way out."""


def files_in(value: object, most: int = _FILES) -> list[str]:
    """Find the files that an object names: texts in its pickle that are the path of something there is.

    Args:
        value: any object.
        most: about how many are looked for.
    """
    pickled, _ = pickling.pickle(value)
    found: list[str] = []
    if pickled is None or not isinstance(stream := pickled.parts[0], memoryview):
        return found
    with suppress(ValueError):
        for number, (_, text, _) in enumerate(pickletools.genops(bytes(stream))):
            if number > _STRINGS + 4 * most or len(found) > most:
                break
            if isinstance(text, str) and _is_file(path := text.removeprefix("file://")):
                found.append(path)
    return list(dict.fromkeys(found))


def _is_file(text: str) -> bool:
    if len(text) > _LONGEST_PATH or "\0" in text or not ("." in text or os.sep in text):
        return False
    with suppress(OSError):  # a name that is too long
        return Path(text).is_file()
    return False
