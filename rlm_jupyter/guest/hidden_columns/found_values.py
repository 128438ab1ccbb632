"""The values that were found, by column: each once, and bounded in number and bytes.

Travels as source into kernels: standard library only at import; pyarrow holds many texts where it is installed.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable
from typing import Any

from .written_values import WrittenColumn

_BATCH = 200_000
"""Values that are held as Python's own before they become an array."""
_COMPACT = 1_000_000
"""Values of a column from which on duplicates among its arrays are looked for."""
_OFTEN, _SELDOM = 2, 16
"""They are looked for again after so many times that: where there were some, and where there were none."""
_SOME = 1.1
_DEPTH = 40


class RefusedError(Exception):
    """What is hidden cannot be told; the message is the reason, and names no value."""


class TooManyError(RefusedError):
    """There are more values than may be held."""


class FoundValues:
    """The values of all columns.

    Args:
        most: values, of all columns together.
        most_bytes: of them.

    Attributes:
        columns: by their names.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self.columns: dict[str, ColumnValues] = {}

    def column(self, name: str) -> ColumnValues:
        """Returns what was found of a column so far."""
        if name not in self.columns:
            self.columns[name] = ColumnValues(self)
        return self.columns[name]

    def check(self) -> None:
        """Refuse to hold more than is allowed.

        Raises:
            TooManyError: it is more.
        """
        for measured, most, what in (("count", self._most, "values"), ("size", self._most_bytes, "bytes")):
            if sum(getattr(one, measured) for one in self.columns.values()) <= most:
                continue
            for one in self.columns.values():
                one.compact()
            if sum(getattr(one, measured) for one in self.columns.values()) > most:
                raise TooManyError(f"the hidden columns have more than {most:,} {what} that differ")

    def exported(self) -> list[dict[str, Any]]:
        """Returns the columns as plain data: their names, and lists or arrays of their values."""
        for one in self.columns.values():
            one.finish()
        self.check()
        return [
            {"name": name, "values": [*one.arrays, *([list(one.others)] if one.others else [])]}
            for name, one in self.columns.items()
        ]


class ColumnValues:
    """The values of one column.

    Attributes:
        arrays: of Arrow, of one type each; without duplicates inside of each.
        others: numbers, dates and the like that were found one by one.
        count: of all values.
        size: bytes of all values.
    """

    def __init__(self, holder: FoundValues) -> None:
        self._holder = holder
        self._texts: dict[str, None] = {}
        self._text_bytes = 0
        self.written = WrittenColumn()
        self.others: dict[Any, None] = {}
        self.arrays: list[Any] = []
        self._next = _COMPACT

    @property
    def count(self) -> int:
        """How many values are held."""
        return len(self._texts) + len(self.others) + sum(map(len, self.arrays)) + self.written.count

    @property
    def size(self) -> int:
        """How many bytes they take."""
        return self._text_bytes + 32 * len(self.others) + sum(map(_size_of, self.arrays)) + self.written.size

    def add(self, value: Any, depth: int = 0) -> None:
        """Take a value of JSON, a cell or a row: the texts, numbers and dates in it."""
        if isinstance(value, str):
            self._add_text(value)
        elif isinstance(value, (bytes, bytearray)):
            self._add_text(bytes(value).decode("utf-8", "replace"))
        elif isinstance(value, (dict, list, tuple, set, frozenset)) and depth < _DEPTH:
            for part in value.values() if isinstance(value, dict) else value:
                self.add(part, depth + 1)
        elif isinstance(value, (int, float, dt.date, dt.time)):
            self._add_other(value)
        elif value is not None:
            self._add_text(str(value))

    def _add_text(self, text: str) -> None:
        if text not in self._texts:
            self._texts[text] = None
            self._text_bytes += len(text) + 1
            if len(self._texts) % _BATCH == 0:
                self._flush()

    def _add_other(self, value: Any) -> None:
        if isinstance(value, bool) or value != value:  # noqa: PLR0124 - what is not a number
            return
        self.others[value] = None
        if len(self.others) % _BATCH == 0:
            self._holder.check()

    def add_written(self, texts: Iterable[str], *, decimal: str = ".") -> None:
        """Take cells as they are written in a file of delimited text."""
        self.written.add(texts, decimal=decimal)
        if self.written.is_full:
            self._add_texts(self.written.take_words())

    def add_array(self, array: Any) -> None:
        """Take an array of Arrow, of any type; what is nested is taken apart."""
        self._append(leaves_of(array))

    def _append(self, arrays: list[Any]) -> None:
        self.arrays += arrays
        if self.count > self._next:
            self.compact()
        self._holder.check()

    def _flush(self) -> None:
        texts = list(self._texts)
        self._texts.clear()
        self._text_bytes = 0
        self._add_texts(texts)

    def _add_texts(self, texts: list[str]) -> None:
        """Take texts that differ."""
        if texts:
            made = text_array(texts)
            self._append([texts if made is None else made])

    def compact(self) -> None:
        """Let go of duplicates among the arrays."""
        pa = sys.modules.get("pyarrow")
        before = self.count
        if pa is None or len(self.arrays) < 2:  # noqa: PLR2004 - arrays that may have something in common
            self._next = _OFTEN * before
            return
        kinds: dict[Any, list[Any]] = {}
        for array in self.arrays:
            kinds.setdefault(array.type, []).append(array)
        self.arrays = [
            pa.chunked_array(arrays).unique() if len(arrays) > 1 else arrays[0] for arrays in kinds.values()
        ]
        self._next = (_OFTEN if before > _SOME * self.count else _SELDOM) * max(self.count, _COMPACT)

    def finish(self) -> None:
        """Make arrays of what is still held one by one."""
        self._add_texts(self.written.take_words())
        for value in self.written.take_figures():
            self.add(value)
        self._flush()


def _size_of(array: Any) -> int:
    return sum(len(text) + 1 for text in array) if isinstance(array, list) else int(array.nbytes)


def text_array(texts: list[str]) -> Any:
    """Returns texts as an array of Arrow; None if it is not installed."""
    try:
        import pyarrow as pa
    except ImportError:
        return None
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:  # halves of surrogate pairs, as JSON may have them
        return pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.large_string())


def leaves_of(array: Any) -> list[Any]:
    """Returns the arrays of plain values of an array of Arrow, each without duplicates and missing values."""
    import pyarrow as pa

    inside = _inside(array)
    if inside is not None:
        return [leaf for part in inside for leaf in leaves_of(part)]
    return [] if pa.types.is_boolean(array.type) or pa.types.is_null(array.type) else _plain(array)


def _inside(array: Any) -> list[Any] | None:
    """Returns what an array is made of; None if its values are plain."""
    import pyarrow as pa

    types, kind = pa.types, array.type
    if isinstance(array, pa.ChunkedArray):
        return list(array.chunks)
    if isinstance(array, pa.ExtensionArray):
        return [array.storage]
    if types.is_dictionary(kind):
        return [array.dictionary]
    if types.is_map(kind):
        return [array.items]
    if types.is_struct(kind):
        return list(array.flatten())
    return [array.flatten()] if types.is_nested(kind) and hasattr(array, "flatten") else None


def _plain(array: Any) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    types, kind = pa.types, array.type
    if types.is_string(kind) or str(kind) == "string_view":
        array = array.cast(pa.large_string())
    elif types.is_nested(kind) or "binary" in str(kind):
        return _as_texts(array)
    found = pc.unique(array.drop_null())
    return [found] if len(found) else []


def _as_texts(array: Any) -> list[Any]:
    """Returns values that have no plain form in Arrow as texts."""
    values = [value for value in array.to_pylist() if value is not None]
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]
    made = text_array(list(dict.fromkeys(texts)))
    return [made] if texts else []
