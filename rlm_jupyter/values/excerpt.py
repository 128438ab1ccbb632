"""A bounded part of a value as plain data, from which views make a card: texts, numbers, rows, pictures.

Made in the notebook's process of values that were decoded there without running code. Numbers are texts, so that they
keep all their digits in JavaScript; charts are PNG files beside the texts.
"""

from __future__ import annotations

import io
import itertools
import math
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rlm_jupyter.values.charts.chart import Chart
from rlm_jupyter.values.charts.embedded import MAX_BYTES as PICTURE_BYTES
from rlm_jupyter.values.charts.shrink import smaller
from rlm_jupyter.values.codec.container import type_name
from rlm_jupyter.values.codec.spans import Span, SpanPlace, plain_text
from rlm_jupyter.values.describe.pictures import describe_picture
from rlm_jupyter.values.describe.short_text import short
from rlm_jupyter.values.describe.tables import outline_table, short_name

__all__ = ["Excerpt", "excerpt"]

MAX_CHARS = 16_000
"""Of all texts of an excerpt together."""
_PARTS = 120
_ITEMS = 30
_DEPTH = 4
_ROWS = 12
_COLUMNS = 16
_CELL = 120
_PICTURES = 6
_PICTURE_WIDTH = 1000
_INLINE = 160
_SIDES = 2
_TIMES = ("Timestamp", "datetime")
_MIDNIGHT = " 00:00:00"
_SEQUENCES = (list, tuple, set, frozenset, deque)


@dataclass
class Excerpt:
    """A part of a value.

    Attributes:
        part: JSON-able, by its `kind`: `text` (with `passage`, if it is one of the data), `number`, `plain` (with
            `text`), `table` (with `columns`, `rows` and `shape`), `record`, `list` (with `parts`, `length`), `picture`
            (with `text`, and `picture`, an index of `pictures`).
        pictures: PNG files of this process's own making.
        whole: whether nothing of the value is missing.
    """

    part: dict[str, Any] = field(default_factory=dict)
    pictures: list[bytes] = field(default_factory=list)
    whole: bool = True


def excerpt(value: object) -> Excerpt:
    """Returns a bounded part of a value that was decoded in this process.

    Args:
        value: any object; of one that is neither data, a table nor a picture only the type is told.
    """
    return _Reading().read(value)


class _Reading:
    """One reading of a value: keeps the account of what there is room for."""

    def __init__(self) -> None:
        self._made = Excerpt()
        self._chars = MAX_CHARS
        self._parts = _PARTS

    def read(self, value: object) -> Excerpt:
        self._made.part = self._part(value, 0)
        return self._made

    def _part(self, value: Any, depth: int) -> dict[str, Any]:
        self._parts -= 1
        part = (
            self._table(value) or self._picture(value) or self._container(value, depth) or self._scalar(value)
        )
        return {**part, "type": type_name(value).rpartition(".")[2]}

    def _take(self, text: str, most: int = MAX_CHARS) -> str:
        """Returns as much of a text as there is room for."""
        kept = text[: max(0, min(most, self._chars))]
        self._chars -= len(kept)
        self._made.whole = self._made.whole and len(kept) == len(text)
        return kept if len(kept) == len(text) else f"{kept}…"

    def _cut(self) -> None:
        self._made.whole = False

    def _scalar(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Span) and value.place is not None:
            return self._passage(value, value.place)
        if isinstance(value, str):
            return {"kind": "text", "text": self._take(str.__str__(value)), "length": str.__len__(value)}
        text = _date(value, short(value, _INLINE))
        number = not isinstance(value, bool) and (isinstance(value, (int, float)) or _is_number(value))
        if text.endswith("…") or text.startswith("<"):
            self._cut()
        return {
            "kind": "number" if number and not text.startswith("<") else "plain",
            "text": self._take(text),
        }

    def _passage(self, span: Span, place: SpanPlace) -> dict[str, Any]:
        """Quote a passage of the data, with where it stands and what stands around it."""
        return {
            "kind": "text",
            "text": self._take(plain_text(span)),
            "length": len(span),
            "passage": {
                "source": self._take(span.source, _CELL),
                "lines": [place.first_line, place.last_line],
                "before": self._take(place.before),
                "after": self._take(place.after),
            },
        }

    # ---- containers

    def _container(self, value: Any, depth: int) -> dict[str, Any] | None:
        is_dict = isinstance(value, dict)
        if not is_dict and not isinstance(value, _SEQUENCES):
            return None
        length = len(value)
        if depth >= _DEPTH or self._parts <= 0:
            self._cut()
            return {"kind": "plain", "text": self._take(short(value, _INLINE))}
        if not is_dict and (table := self._records(value)) is not None:
            return table
        parts = [*self._items(value, depth, is_dict=is_dict)]
        if len(parts) < length:
            self._cut()
        return {"kind": "record" if is_dict else "list", "parts": parts, "length": length}

    def _items(self, value: Any, depth: int, *, is_dict: bool) -> Iterator[dict[str, Any]]:
        pairs = value.items() if is_dict else ((None, item) for item in value)
        for key, item in itertools.islice(pairs, _ITEMS):
            if self._parts <= 0 or self._chars <= 0:
                return
            label = {} if not is_dict else {"label": self._take(_words(key), _CELL)}
            yield {**label, **self._part(item, depth + 1)}

    def _records(self, value: Any) -> dict[str, Any] | None:
        """Returns a list of two or more flat dicts with the same keys as a table; None if it is none."""
        if not isinstance(value, (list, tuple)) or len(value) < _SIDES:
            return None
        shown = value[:_ROWS]
        first = shown[0]
        if not isinstance(first, dict) or not 0 < len(first) <= _COLUMNS:
            return None
        keys = list(first)
        if any(not isinstance(line, dict) or list(line) != keys for line in shown):
            return None
        if any(not _is_short(item) for line in shown for item in line.values()):
            return None
        if any(not isinstance(key, str) for key in keys):
            return None
        columns = [(key, [line[key] for line in shown]) for key in keys]
        return self._grid([], columns, (len(value), len(keys)))

    # ---- tables

    def _table(self, value: Any) -> dict[str, Any] | None:
        outline = outline_table(value)
        if outline is None:
            return None
        pd, np = sys.modules.get("pandas"), sys.modules.get("numpy")
        if pd is not None and isinstance(value, (pd.DataFrame, pd.Series, pd.Index)):
            return self._of_pandas(value, pd)
        if np is not None and isinstance(value, np.ndarray):
            return self._of_array(value)
        return self._of_arrow(value)

    def _of_pandas(self, value: Any, pd: Any) -> dict[str, Any]:
        if isinstance(value, pd.Index):
            value = pd.Series(value.to_numpy()[:_ROWS], name=value.name or "index"), len(value)
            return self._grid([], [(_name(value[0].name), value[0].tolist())], (value[1],))
        shape = value.shape
        frame = (
            value.iloc[:_ROWS].to_frame() if isinstance(value, pd.Series) else value.iloc[:_ROWS, :_COLUMNS]
        )
        index = frame.index
        plain = (
            isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None
        )
        levels = [] if plain else range(min(index.nlevels, _COLUMNS))
        labels = [(_name(index.names[n]), index.get_level_values(n).tolist()) for n in levels]
        columns = []
        for n in range(frame.shape[1]):
            unnamed = isinstance(value, pd.Series) and value.name is None
            columns.append(("value" if unnamed else short_name(frame.columns[n]), frame.iloc[:, n].tolist()))
        return self._grid(labels, columns, shape)

    def _of_array(self, array: Any) -> dict[str, Any]:
        if array.ndim == 0:
            return self._scalar(array.item())
        if array.ndim == 1:
            parts = [self._scalar(item) for item in array[:_ITEMS].tolist()]
            if len(array) > len(parts):
                self._cut()
            return {"kind": "list", "parts": parts, "length": len(array)}
        if array.ndim == _SIDES:
            head = array[:_ROWS, :_COLUMNS]
            columns = [(str(n), head[:, n].tolist()) for n in range(head.shape[1])]
            return self._grid([], columns, array.shape)
        self._cut()
        return {"kind": "plain", "text": str(outline_table(array)["summary"])}  # type: ignore[index]  # it is a table

    def _of_arrow(self, table: Any) -> dict[str, Any]:
        shape = tuple(getattr(table, "shape", None) or (table.num_rows, table.num_columns))
        head = table.slice(0, _ROWS)
        if hasattr(head, "schema") and hasattr(head, "num_columns"):
            names, series = head.schema.names, [head.column(n) for n in range(head.num_columns)]
        else:
            series = [head] if len(shape) == 1 else head.get_columns()
            names = [one.name for one in series]
        columns = [
            (_name(name), one.to_list() if hasattr(one, "to_list") else one.to_pylist())
            for name, one in itertools.islice(zip(names, series, strict=True), _COLUMNS)
        ]
        return self._grid([], columns, shape)

    def _grid(
        self,
        labels: list[tuple[str, list[Any]]],
        columns: list[tuple[str, list[Any]]],
        shape: tuple[int, ...],
    ) -> dict[str, Any]:
        """Make a table of columns, those of the index first."""
        shown = [*labels, *columns]
        heads = [
            {
                "name": self._take(name, _CELL),
                "number": all(map(_counts, cells)) and bool(cells),
                "index": place < len(labels),
            }
            for place, (name, cells) in enumerate(shown)
        ]
        texts = [_cells(cells) for _, cells in shown]
        rows: list[list[str]] = []
        for line in zip(*texts, strict=True):
            if self._chars <= 0:
                break
            rows.append([self._take(text, _CELL) for text in line])
        if len(rows) < shape[0] or (len(shape) > 1 and len(columns) < shape[1]):
            self._cut()
        return {"kind": "table", "columns": heads, "rows": rows, "shape": [int(side) for side in shape]}

    # ---- pictures

    def _picture(self, value: Any) -> dict[str, Any] | None:
        if isinstance(value, (str, int, float, dict, type(None), *_SEQUENCES)):
            return None
        about = describe_picture(value)
        if about is None:
            return None
        part: dict[str, Any] = {"kind": "picture", "text": self._take(str(about["summary"]), _CELL * 2)}
        png = value.png if isinstance(value, Chart) else _png_of_image(value)
        made = None
        if png is not None and len(self._made.pictures) < _PICTURES:
            made = smaller(png, max_bytes=PICTURE_BYTES, max_width=_PICTURE_WIDTH)
        if made is None:
            self._cut()
            return part
        self._made.pictures.append(made.png)
        return {**part, "picture": len(self._made.pictures) - 1}


def _png_of_image(value: Any) -> bytes | None:
    """Returns an image of Pillow as a PNG file of moderate size; None if it is something else."""
    image = sys.modules.get("PIL.Image")
    if image is None or not isinstance(value, image.Image):
        return None
    copy = value.convert("RGBA") if value.mode not in ("L", "LA", "P", "RGB", "RGBA") else value.copy()
    copy.thumbnail((_PICTURE_WIDTH, _PICTURE_WIDTH))
    copy.info = {}
    written = io.BytesIO()
    copy.save(written, "PNG")
    return written.getvalue()


def _is_number(value: Any) -> bool:
    """Returns whether it is a number of numpy, or a decimal or fraction."""
    np = sys.modules.get("numpy")
    if np is not None and isinstance(value, np.generic):
        return bool(np.issubdtype(type(value), np.integer) or np.issubdtype(type(value), np.floating))
    return type_name(value) in ("decimal.Decimal", "fractions.Fraction")


def _counts(value: Any) -> bool:
    if _is_missing(value):
        return True
    return not isinstance(value, bool) and (isinstance(value, (int, float)) or _is_number(value))


def _is_short(value: Any) -> bool:
    if isinstance(value, Span):  # a cell of a table could not be opened
        return value.place is None
    return not isinstance(value, (dict, *_SEQUENCES)) and (not isinstance(value, str) or len(value) <= _CELL)


def _name(name: object) -> str:
    return "" if name is None else short_name(name)


def _words(key: object) -> str:
    return str.__str__(key) if isinstance(key, str) else short(key, _CELL)


def _cells(cells: list[Any]) -> list[str]:
    """Write the cells of a column: texts as they are, times that are all midnights as dates."""
    texts = [_words(cell) for cell in cells]
    times = [text for text, cell in zip(texts, cells, strict=True) if type(cell).__name__ in _TIMES]
    if times and all(text.endswith(_MIDNIGHT) for text in times):
        return [text.removesuffix(_MIDNIGHT) for text in texts]
    return texts


def _date(value: object, text: str) -> str:
    """Write a time as a date if its clock says midnight."""
    return text.removesuffix(_MIDNIGHT) if type(value).__name__ in _TIMES else text


def _is_missing(cell: Any) -> bool:
    pd = sys.modules.get("pandas")
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return pd is not None and (cell is pd.NA or cell is pd.NaT)
