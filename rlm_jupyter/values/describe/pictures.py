"""Descriptions of figures and images: one line on what they show, never a picture.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

from typing import Any

from ..codec import figures
from ..codec.charts import ChartParts
from .short_text import cut

_SUMMARY = 200
_FIGURE_BYTES, _AXES_BYTES, _POINT_BYTES, _PIXEL_BYTES = 20_000, 100_000, 32, 4
"""An Axes of matplotlib, with its ticks and labels, takes about 0.1 MB; a point has two numbers, twice."""


def describe_picture(value: object) -> dict[str, Any] | None:
    """Describe a figure of matplotlib, plotly or altair, an image of Pillow, or a chart; None when it is none.

    Titles and labels are structure, like the names of columns: they are told also where no data is quoted.

    Args:
        value: any object.
    """
    if isinstance(value, ChartParts):
        library, about = value.library, value.facts
        size = len(value.png) if value.png is not None else None
    else:
        figure = figures.find(value)
        if figure is None:
            return None
        library, about, size = figure.library, figures.facts(figure), None
        if library == "PIL" and about.points is not None:
            size = about.points * len(figure.target.getbands())
        else:
            size = _estimated_bytes(about)
    return {"summary": cut(f"{about.line} ({library})", _SUMMARY), "bytes": size, "truncated": True}


def _estimated_bytes(about: figures.Facts) -> int:
    """Estimate what a figure takes: the objects of its library, its points, and the picture as it is drawn.

    To measure it would take a walk over all objects that it refers to, its library's own among them.
    """
    width, height = about.size or (0, 0)
    drawn = min(max(0, width) * max(0, height), figures.MAX_DRAWN) * _PIXEL_BYTES
    return _FIGURE_BYTES + about.axes * _AXES_BYTES + (about.points or 0) * _POINT_BYTES + drawn
