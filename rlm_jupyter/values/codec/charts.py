"""The form of charts: a picture as PNG, the specification as JSON, the data as columns.

Travels as source into kernels: standard library only at import.

A figure of a library is code and state that only its library can read. Towards the notebook it becomes `ChartParts`,
which are data; to other agents' kernels it goes as it is, pickled beside them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from . import figures
from .container import Malformed, Unencodable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SPEC = 16 << 20
"""Characters of a specification."""
MAX_ROWS = 200_000
"""Rows of the data behind a chart."""


@dataclass(eq=False)
class ChartParts:
    """What a chart is, as data.

    Attributes:
        library: that drew it: `matplotlib`, `plotly`, `altair` or `PIL`.
        kind: such as `line`, `bar` or `image`.
        title: its title; empty if it has none.
        labels: of its axes.
        points: how many points it shows; None if unknown.
        size: width and height of the picture in pixels; None if there is none and it is not fixed.
        png: the picture; None if the library did not draw one.
        spec: the specification as JSON (plotly, Vega-Lite); None for libraries without one.
        data: name to column, of what it shows.
    """

    library: str = ""
    kind: str = ""
    title: str = ""
    labels: tuple[str, ...] = ()
    points: int | None = None
    size: tuple[int, int] | None = None
    png: bytes | None = None
    spec: Any = None
    data: Any = None

    @property
    def facts(self) -> figures.Facts:
        """What it shows, in a few words."""
        return figures.Facts(self.kind, self.title, self.labels, self.points, self.size)

    def __repr__(self) -> str:
        return f"<Chart: {self.facts.line} ({self.library})>"

    def _repr_png_(self) -> bytes | None:
        return self.png


_LONGEST = 1_000
"""Characters of a title."""
_NAMES = tuple(field.name for field in fields(ChartParts))


def parts_of(figure: figures.Figure) -> ChartParts:
    """Draw a figure and collect its specification and data."""
    about = figures.facts(figure)
    png = figures.draw(figure)
    size = (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")) if png else about.size
    spec = data = None
    with suppress(Exception):  # what its library refuses to write as JSON
        spec = _SPECS[figure.library](figure.target)
    if spec is not None and len(spec) > MAX_SPEC:
        spec = None
    with suppress(Exception):
        data = _DATA[figure.library](figure.target)
    return ChartParts(
        figure.library, about.kind, about.title, about.labels, about.points, size, png, spec, data
    )


def encode_value(value: Any, encoder: Any) -> list[Any] | None:
    """Encode a figure, or the parts of one; None when it is none.

    Raises:
        Unencodable: it is a figure, and `encoder.charts` is None: figures go as they are.
    """
    if isinstance(value, ChartParts):
        return ["chart", None, encoder.pack(_form(value, encoder))]
    figure = figures.find(value)
    if figure is None:
        return None
    if encoder.charts is None:
        raise Unencodable("it is a figure, which goes to other kernels as it is")
    parts = encoder.drawn.get(id(figure.target))
    if parts is None:
        parts = encoder.drawn[id(figure.target)] = parts_of(figure)
    if parts.png is None and parts.spec is None:
        raise Unencodable("it is a figure that its library cannot draw")
    encoder.charts.append(value if not isinstance(value, type(sys)) else figure.target)
    return ["chart", len(encoder.charts) - 1, encoder.pack(_form(parts, encoder))]


def _form(parts: ChartParts, encoder: Any) -> dict[str, Any]:
    form = {name: getattr(parts, name) for name in _NAMES}
    if isinstance(form["spec"], dict):  # of a chart that came to the notebook and goes to an agent
        form["spec"] = json.dumps(form["spec"])
    if form["data"] is not None and not encoder.can_pack(form["data"]):
        form["data"] = None
    return form


def build_value(payload: list[Any], decoder: Any) -> Any:
    """Decode what `encode_value` gave: the figure itself where pickles are decoded, else what its parts make.

    Raises:
        Malformed: it is not of that form.
    """
    number, form = payload
    if decoder.figures is not None and number is not None:
        return decoder.figures[number]
    found = decoder.unpack(form)
    if type(found) is not dict or set(found) != set(_NAMES):
        raise Malformed("An encoded chart has other parts than a chart.")
    parts = ChartParts(**found)
    _check(parts)
    return decoder.make_chart(parts) if decoder.make_chart is not None else parts


def _check(parts: ChartParts) -> None:
    """Refuse parts of other types than a chart has.

    Raises:
        Malformed: there are some.
    """
    texts = (parts.library, parts.kind, parts.title, *_tuple(parts.labels, str, 16))
    right = (
        all(type(text) is str and len(text) <= _LONGEST for text in texts)
        and (parts.png is None or (type(parts.png) is bytes and len(parts.png) <= figures.MAX_PNG))
        and (parts.spec is None or (type(parts.spec) is str and len(parts.spec) <= MAX_SPEC))
        and (parts.points is None or type(parts.points) is int)
        and (parts.size is None or len(_tuple(parts.size, int, 2)) == len(("width", "height")))
    )
    if not right:
        raise Malformed("An encoded chart has parts of other types than a chart.")


def _tuple(value: Any, kind: type, most: int) -> tuple[Any, ...]:
    if type(value) is not tuple or len(value) > most or any(type(item) is not kind for item in value):
        raise Malformed("An encoded chart has parts of other types than a chart.")
    return value


BUILDERS: dict[str, Callable[[list[Any], Any], Any]] = {"chart": build_value}


@contextmanager
def unshown() -> Iterator[None]:
    """Keep figures that are unpickled from being shown at the end of the cell: pyplot takes them for open ones."""
    before = _open_figures()
    try:
        yield
    finally:
        opened = _open_figures() - before
        if opened:
            for number in opened:
                sys.modules["matplotlib.pyplot"].close(number)


def _open_figures() -> set[int]:
    managers = getattr(sys.modules.get("matplotlib._pylab_helpers"), "Gcf", None)
    return set(managers.figs) if managers is not None else set()


# ---- what libraries tell


def _plotly_spec(figure: Any) -> str:
    return str(figure.to_json(validate=False))


def _altair_spec(chart: Any) -> str:
    transformers = sys.modules["altair"].data_transformers
    with transformers.enable("default", max_rows=MAX_ROWS):  # the default of 5,000 is about notebooks' sizes
        return json.dumps(chart.to_dict(), default=str)


def _matplotlib_data(figure: Any) -> dict[str, Any] | None:
    """Collect the points of lines, scatter plots and bars: one row for each."""
    rows: list[tuple[int, str, str, Any, Any]] = []
    for number, axes in enumerate(figure.axes):
        for kind, series, x, y in _marks(axes):
            rows += [(number, kind, series, a, b) for a, b in zip(x, y, strict=False)]
            if len(rows) > MAX_ROWS:
                return None
    if not rows:
        return None
    columns = dict(zip(("axes", "kind", "series", "x", "y"), map(list, zip(*rows, strict=True)), strict=True))
    return {name: column for name, column in columns.items() if name != "axes" or len(figure.axes) > 1}


def _marks(axes: Any) -> Iterator[tuple[str, str, list[Any], list[Any]]]:
    for line in axes.lines:
        yield "line", _label(line), _items(line.get_xdata(orig=True)), _items(line.get_ydata(orig=True))
    for one in axes.collections:
        if type(one).__name__ == "PathCollection":
            x, y = one.get_offsets().T
            yield "scatter", _label(one), _items(x), _items(y)
    names = dict(zip(map(float, axes.get_xticks()), _tick_texts(axes), strict=False))
    for bars in axes.containers:
        if type(bars).__name__ == "BarContainer":
            across = bars.orientation == "horizontal"
            middles = [
                b.get_y() + b.get_height() / 2 if across else b.get_x() + b.get_width() / 2 for b in bars
            ]
            middles = [float(middle) for middle in middles]
            where = middles if across else [names.get(round(middle, 9)) or middle for middle in middles]
            yield (
                "bar",
                _label(bars),
                where,
                [float(b.get_width() if across else b.get_height()) for b in bars],
            )


def _tick_texts(axes: Any) -> list[str]:
    """List the labels of the ticks where they are names, such as of bars; of an axis of numbers there are none."""
    formatter = type(axes.xaxis.get_major_formatter()).__name__
    if formatter not in ("FixedFormatter", "FuncFormatter", "StrCategoryFormatter"):
        return []
    return [text.get_text() for text in axes.get_xticklabels()]


def _label(artist: Any) -> str:
    label = str(artist.get_label() or "")
    return "" if label.startswith("_") else label[:200]


def _items(column: Any) -> list[Any]:
    if hasattr(column, "dtype") and column.dtype.kind in "mM":
        pandas = sys.modules.get("pandas")
        return list(column if pandas is None else pandas.Series(column))
    return list(column.tolist() if hasattr(column, "tolist") else column)


def _plotly_data(figure: Any) -> dict[str, Any] | None:
    """Collect the points of all traces that have x and y, or labels and values: one row for each."""
    rows: list[tuple[str, Any, Any]] = []
    for number, trace in enumerate(figure.data):
        first, second = ("labels", "values") if trace.type in ("pie", "funnelarea") else ("x", "y")
        x, y = (
            _items(trace[name]) if name in trace and trace[name] is not None else []
            for name in (first, second)
        )
        length = max(len(x), len(y))
        name = str(trace.name or number)[:200]
        rows += [(name, *pair) for pair in zip(x or range(length), y or [None] * length, strict=False)]
        if len(rows) > MAX_ROWS:
            return None
    if not rows:
        return None
    return dict(zip(("trace", "x", "y"), map(list, zip(*rows, strict=True)), strict=True))


_SPECS: dict[str, Callable[[Any], str]] = {"plotly": _plotly_spec, "altair": _altair_spec}
_DATA: dict[str, Callable[[Any], dict[str, Any] | None]] = {
    "matplotlib": _matplotlib_data,
    "plotly": _plotly_data,
}
