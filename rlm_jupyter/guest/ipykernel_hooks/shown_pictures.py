"""Figures and images that a cell shows: one line for the model, and a small picture for the user.

Travels as source into any Python kernel: standard library only.

IPython's own text for a figure is `<Figure size 640x480 with 1 Axes>`. What a display message carries is bounded here
in bytes and in number, so that a cell that shows a thousand figures costs the notebook nothing.
"""

from __future__ import annotations

import base64
from typing import Any

from ...values.codec import figures
from ...values.codec.charts import ChartParts
from ...values.describe.pictures import describe_picture

PICTURES = 8
"""Pictures of one cell that are sent; of further ones only the line."""
PIXELS = 310_000
"""Of a picture that is sent: a figure of the usual size."""
MAX_TEXT = 260_000
"""Characters of a picture in base64; the message may have 400,000 bytes."""
_SHRINKS = 3
PNG = "image/png"


class ShownPictures:
    """Counts the pictures of a cell, and makes them.

    Args:
        shell: of IPython.
    """

    def __init__(self, shell: Any) -> None:
        self.left = PICTURES
        self._plain = shell.display_formatter.format
        shell.display_formatter.format = self._format

    def reset(self) -> None:
        """Begin a cell."""
        self.left = PICTURES

    def take(self, data: Any) -> dict[str, str]:
        """Returns the picture among the data of a display message, alone in a dict, which is empty if none may go."""
        found = data.get(PNG) if isinstance(data, dict) else None
        if isinstance(found, bytes):
            found = base64.b64encode(found).decode()
        if not isinstance(found, str) or len(found) > MAX_TEXT or self.left <= 0:
            return {}
        self.left -= 1
        return {PNG: found}

    def _format(self, value: Any, *args: Any, **options: Any) -> Any:
        figure = figures.find(value)
        if not isinstance(value, ChartParts) and (figure is None or figure.target is not value):
            return self._plain(value, *args, **options)
        about = describe_picture(value)
        data: dict[str, Any] = {"text/plain": f"<{about['summary'] if about else 'a chart'}>"}
        png = self._draw(figure) if figure is not None else value.png
        if png is not None:
            data[PNG] = png
        return data, {}

    def _draw(self, figure: figures.Figure) -> bytes | None:
        """Draw a figure as small as a message takes it; None if that cannot be."""
        pixels = PIXELS
        for _ in range(_SHRINKS if self.left > 0 else 0):
            png = figures.draw(figure, pixels)
            if png is None or len(png) * 4 <= MAX_TEXT * 3 - 4:
                return png
            pixels //= 4
        return None
