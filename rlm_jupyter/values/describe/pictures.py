"""Descriptions of figures and images: one line on what they show, never a picture.

Travels as source into kernels: standard library only at import.
"""

from __future__ import annotations

from typing import Any

from ..codec import figures
from ..codec.charts import ChartParts
from .short_text import cut

_SUMMARY = 200


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
    return {"summary": cut(f"{about.line} ({library})", _SUMMARY), "bytes": size, "truncated": True}
