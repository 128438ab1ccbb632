"""The notebook's object of a chart: its library's own where plain data are enough for that, else a `Chart`."""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.values.charts import png
from rlm_jupyter.values.charts.chart import Chart
from rlm_jupyter.values.charts.specification import CLEANERS, SpecRefused, parse
from rlm_jupyter.values.codec.charts import MAX_ROWS, ChartParts
from rlm_jupyter.values.codec.figures import MAX_PNG

__all__ = ["rebuild"]

_MAX_COLUMNS = 200


def rebuild(parts: ChartParts) -> Any:
    """Make an object of a chart that came from an agent's kernel, whose parts may be anything.

    Args:
        parts: of the right types, and nothing more is known of them.

    Returns:
        A figure of plotly or altair, or an image of Pillow, where that library is installed and its specification is
        accepted; else a `Chart`.

    """
    parts.library, parts.kind, parts.title = map(one_line, (parts.library, parts.kind, parts.title))
    parts.labels = tuple(map(one_line, parts.labels))
    refused = _check_picture(parts)
    spec: dict[str, Any] | None = None
    if parts.spec is not None:
        try:
            spec = _checked(parts)
        except SpecRefused as error:
            refused = f"Specification not accepted: {error}."
    parts.spec = spec
    parts.data = _frame(parts)
    made = _built(parts)
    return Chart(parts, refused=refused) if made is None else made


def _check_picture(parts: ChartParts) -> str:
    """Write the picture anew, or take it out; return why it was taken out."""
    if parts.png is None:
        return ""
    try:
        picture = png.rewrite(parts.png, max_bytes=MAX_PNG)
    except MalformedValueError as error:  # what else is in the answer is not lost with it
        parts.png = parts.size = None
        return error.message
    parts.png, parts.size = picture.png, (picture.width, picture.height)
    return ""


def _checked(parts: ChartParts) -> dict[str, Any]:
    cleaner = CLEANERS.get(parts.library)
    if cleaner is None:
        raise SpecRefused(f"`{parts.library[:40]}` has no specifications")
    return cleaner(parse(parts.spec))


def _frame(parts: ChartParts) -> Any:
    """Make a DataFrame of the data, or of the rows in a specification of Vega-Lite; None if there are none."""
    columns = _columns(parts.data) if parts.data is not None else _rows(parts.spec)
    if not columns:
        return None
    import pandas as pd

    with suppress(Exception):  # columns of different lengths, or of what no frame can hold
        frame = pd.DataFrame(columns)
        return frame if len(frame) <= MAX_ROWS else None
    return None


def _columns(data: Any) -> dict[str, Any] | None:
    """Returns data if they are columns, and not too many."""
    if type(data) is not dict or len(data) > _MAX_COLUMNS or any(type(name) is not str for name in data):
        return None
    whole = all(type(column) is list and len(column) <= MAX_ROWS for column in data.values())
    return data if whole else None


def _rows(spec: dict[str, Any] | None) -> list[dict[str, Any]] | None:
    if spec is None:
        return None
    tables = [rows for rows in spec.get("datasets", {}).values() if rows]
    data = spec.get("data")
    if type(data) is dict and type(data.get("values")) is list:
        tables.append(data["values"])
    whole = len(tables) == 1 and all(type(row) is dict for row in tables[0])
    return tables[0] if whole else None


def _library(name: str) -> Any:
    """Import a library if it is installed; None if it is not, or does not work."""
    with suppress(Exception):
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            return importlib.import_module(name)
    return None


def _built(parts: ChartParts) -> Any:
    """Make the library's own object; None if it is not installed, or does not know such a figure."""
    module, needed, make = _BUILDERS.get(parts.library, ("", "", None))
    if make is None or getattr(parts, needed) is None or (library := _library(module)) is None:
        return None
    with suppress(Exception):
        return make(library, parts)
    return None


def _plotly(objects: Any, parts: ChartParts) -> Any:
    return objects.Figure(parts.spec)


def _altair(altair: Any, parts: ChartParts) -> Any:
    chart = altair.Chart.from_dict({name: part for name, part in parts.spec.items() if name != "datasets"})
    if "datasets" in parts.spec:  # altair would compare each row with its schema, for minutes
        chart.datasets = parts.spec["datasets"]
    return chart


def _image(pillow: Any, parts: ChartParts) -> Any:
    assert parts.png is not None
    return pillow.open(io.BytesIO(parts.png), formats=["PNG"]).copy()


_BUILDERS: dict[str, tuple[str, str, Callable[[Any, ChartParts], Any]]] = {
    "plotly": ("plotly.graph_objects", "spec", _plotly),
    "altair": ("altair", "spec", _altair),
    "PIL": ("PIL.Image", "png", _image),
}
"""Library to the module that makes the object, the part that it is made of, and how."""
