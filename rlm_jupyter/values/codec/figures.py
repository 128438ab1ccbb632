"""Figures and images of libraries: which objects are some, what they show, and their picture as PNG.

Travels as source into kernels: standard library only. The libraries are looked up in `sys.modules` and never imported:
an object of a class that is not loaded cannot exist. Classes are compared, not names, so that a class that only calls
itself `Figure` is none.
"""

from __future__ import annotations

import io
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

MAX_PIXELS = 40_000_000
"""Pixels of a picture that is a value; a photograph has 12 to 24 million."""
MAX_DRAWN = 4_000_000
"""Pixels of a figure that is drawn."""
MAX_PNG = 64 << 20
"""Bytes of a picture that is a value."""

_LEAST_DPI = 8.0
"""Below it letters have less than a pixel, which FreeType refuses."""
_SHRINKS = 4
"""Times that a picture is made smaller until its file is small enough."""
_SCANNED = 200
"""Axes, traces or layers of a figure that are looked at."""
_TEXT = 80
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


@dataclass(frozen=True)
class Figure:
    """A figure or image that was recognised.

    Attributes:
        library: `matplotlib`, `plotly`, `altair` or `PIL`.
        target: the object that is drawn: of an Axes, its figure.
    """

    library: str
    target: Any


@dataclass(frozen=True)
class Facts:
    """What a figure shows, in a few words.

    Attributes:
        kind: such as `line`, `bar` or `image`; empty if unknown.
        title: its title; empty if it has none.
        labels: of the axes, those that have one.
        points: how many points, bars or cells it shows; None if unknown.
        size: width and height in pixels; None if it is not fixed.
        axes: how many axes it has.
    """

    kind: str = ""
    title: str = ""
    labels: tuple[str, ...] = ()
    points: int | None = None
    size: tuple[int, int] | None = None
    axes: int = 1

    @property
    def line(self) -> str:
        """All of it as one line."""
        what = "image" if self.kind == "image" else f"{self.kind} chart".strip()
        parts = [what, f'"{self.title}"' if self.title else ""]
        parts.append(f"{self.size[0]} x {self.size[1]} pixels" if self.size else "")
        parts.append(f"axes: {', '.join(self.labels)}" if self.labels else "")
        parts.append(f"{self.axes:,} axes" if self.axes > 1 else "")
        if self.points is not None and self.kind != "image":
            parts.append(f"{self.points:,} {'point' if self.points == 1 else 'points'}")
        return ", ".join(part for part in parts if part)


def find(value: object) -> Figure | None:
    """Returns what a value is if it is a figure or an image, else None. `pyplot` stands for its current figure."""
    kind = type(value)
    for library, name, bases in _CLASSES:
        module = sys.modules.get(name)
        if module is None:
            continue
        for base in bases:
            found = vars(module).get(base)
            if isinstance(found, type) and issubclass(kind, found):
                target = _figure_of(value, base)
                return None if target is None else Figure(library, target)
    pyplot = sys.modules.get("matplotlib.pyplot")
    return _current_figure(pyplot) if pyplot is not None and value is pyplot else None


def _current_figure(pyplot: Any) -> Figure | None:
    return Figure("matplotlib", pyplot.gcf()) if pyplot.get_fignums() else None


_CLASSES = (
    ("matplotlib", "matplotlib.figure", ("FigureBase",)),
    ("matplotlib", "matplotlib.axes", ("Axes",)),
    ("matplotlib", "seaborn.axisgrid", ("_BaseGrid",)),
    ("plotly", "plotly.basedatatypes", ("BaseFigure",)),
    ("altair", "altair", ("TopLevelMixin",)),
    ("PIL", "PIL.Image", ("Image",)),
)
"""Library, module and classes of the objects that are figures or images."""


def _figure_of(value: Any, base: str) -> Any:
    if base == "_BaseGrid":
        return value.figure
    if base not in ("FigureBase", "Axes"):
        return value
    while value is not None and (parent := value.figure) is not value:  # of a subfigure, the whole
        value = parent
    return value


def facts(figure: Figure) -> Facts:
    """Returns what a figure shows; nothing where that would run code of others than its library, or where it fails."""
    module = type.__dict__["__module__"].__get__(type(figure.target))
    if type(module) is not str or module.partition(".")[0] != figure.library:
        return Facts()
    try:
        return _FACTS[figure.library](figure.target)
    except Exception:  # a figure that its own code has left half made
        return Facts()


def _words(*texts: Any) -> str:
    """Returns the first of some texts that is one, on one line and cut."""
    for text in texts:
        joined = " ".join(text) if type(text) is list and all(type(t) is str for t in text) else text
        if isinstance(joined, str) and joined.strip():
            line = " ".join(str.__str__(joined)[: 4 * _TEXT].split())
            return line if len(line) <= _TEXT else f"{line[: _TEXT - 1]}…"
    return ""


def _join(kinds: Any) -> str:
    return " and ".join(islice(dict.fromkeys(kind for kind in kinds if kind), 3))


# ---- matplotlib


def _matplotlib_facts(figure: Any) -> Facts:
    axes = list(islice(figure.axes, _SCANNED))
    kinds, points = [], 0
    for one in axes:
        for kind, count in axes_marks(one):
            kinds.append(kind)
            points += count
    above = getattr(figure, "_suptitle", None)
    title = _words(above.get_text() if above is not None else "", *(one.get_title() for one in axes))
    labels = tuple(filter(None, (_words(axes[0].get_xlabel()), _words(axes[0].get_ylabel())))) if axes else ()
    width, height = (round(float(side * figure.dpi)) for side in figure.get_size_inches())
    return Facts(_join(kinds), title, labels, points, (width, height), len(figure.axes))


def axes_marks(axes: Any) -> list[tuple[str, int]]:
    """List what is drawn into an Axes: kinds of marks, and how many points each has."""
    found = []
    bars = [one for one in axes.containers if type(one).__name__ == "BarContainer"]
    found += [("bar", len(one)) for one in bars]
    found += [("line", len(line.get_xdata(orig=False))) for line in axes.lines]
    found += [("image", int(one.get_size()[0] * one.get_size()[1])) for one in axes.images]
    for one in axes.collections:
        name = type(one).__name__
        if name == "PathCollection":
            found.append(("scatter", len(one.get_offsets())))
        elif name in ("QuadMesh", "PolyQuadMesh"):
            found.append(("heatmap", int(one.get_array().size)))
        elif name in ("PolyCollection", "FillBetweenPolyCollection"):
            found.append(("area", len(one.get_paths())))
    wedges = [one for one in axes.patches if type(one).__name__ == "Wedge"]
    return found + ([("pie", len(wedges))] if wedges else [])


def _matplotlib_png(figure: Any, pixels: int) -> bytes | None:
    width, height = figure.get_size_inches()
    area = max(float(width * height), 1e-6)
    dpi = max(min(float(figure.dpi), (pixels / area) ** 0.5), _LEAST_DPI)
    if area * dpi * dpi > MAX_PIXELS:
        return None
    for box in ("tight", None):  # tight shows labels that stand out; what stands out too far is cut
        stream = io.BytesIO()
        with suppress(Exception):
            figure.savefig(stream, format="png", dpi=dpi, bbox_inches=box)
            if box is None or _pixels(stream.getvalue()) <= 2 * area * dpi * dpi:
                return _shrunk(stream, pixels)
    return None


def _shrunk(stream: io.BytesIO, pixels: int) -> bytes | None:
    """Returns a picture with no more pixels than twice those wanted: of a huge figure, what can be drawn has more."""
    found = stream.getvalue()
    images = sys.modules.get("PIL.Image")  # which matplotlib itself needs
    if _pixels(found) <= 2 * pixels or images is None:
        return found
    return _image_png(images.open(stream, formats=["PNG"]), pixels)


def _pixels(png: bytes) -> int:
    return int.from_bytes(png[16:20], "big") * int.from_bytes(png[20:24], "big")


# ---- plotly


def _plotly_facts(figure: Any) -> Facts:
    traces = list(islice(figure.data, _SCANNED))
    layout = figure.layout
    labels = (_words(layout.xaxis.title.text), _words(layout.yaxis.title.text))
    size = (int(layout.width), int(layout.height)) if layout.width and layout.height else None
    points = sum(_trace_points(trace) for trace in traces)
    kinds = [
        "line" if t.type.startswith("scatter") and "lines" in (t["mode"] or "") else t.type for t in traces
    ]
    return Facts(_join(kinds), _words(layout.title.text), tuple(filter(None, labels)), points, size)


def _trace_points(trace: Any) -> int:
    return max((_length(trace[name]) for name in trace if name in _TRACE_DATA), default=0)


def _length(value: Any) -> int:
    shape = getattr(value, "shape", None)
    if type(shape) is tuple and len(shape) > 1 and not hasattr(value, "columns"):
        return int(shape[0]) * int(shape[1])
    return len(value) if hasattr(value, "__len__") else 0


_TRACE_DATA = ("x", "y", "z", "values", "labels", "r", "theta")


# ---- altair


def _altair_facts(chart: Any) -> Facts:
    parts = _altair_parts(chart)
    encoding = next((one.encoding for one in parts if _given(one, "encoding")), None)
    labels = [_channel(encoding, name) for name in ("x", "y")] if encoding is not None else []
    title = next((_title(one.title) for one in (chart, *parts) if _given(one, "title")), "")
    rows = [_length(one.data) for one in (chart, *parts) if _given(one, "data")]
    sides: list[Any] = [getattr(chart, name) if _given(chart, name) else None for name in ("width", "height")]
    size = (sides[0], sides[1]) if all(type(side) is int for side in sides) else None
    kinds = [_mark(one.mark) for one in parts if _given(one, "mark")]
    return Facts(_join(kinds), title, tuple(filter(None, labels)), max(rows, default=None), size)


def _altair_parts(chart: Any) -> list[Any]:
    """List the single charts of a chart that is made of some."""
    found: list[Any] = []
    waiting = [chart]
    while waiting and len(found) < _SCANNED:
        one = waiting.pop(0)
        below = [
            getattr(one, name) for name in ("layer", "hconcat", "vconcat", "concat") if _given(one, name)
        ]
        inner = [one.spec] if _given(one, "spec") else []
        waiting += [*chain.from_iterable(below), *inner]
        if not below and not inner:
            found.append(one)
    return found


def _given(part: Any, name: str) -> bool:
    """Returns whether an attribute of an object of altair was set."""
    held = getattr(part, "_kwds", {}).get(name)
    return held is not None and type(held).__name__ != "UndefinedType"


def _mark(mark: Any) -> str:
    return _words(mark if isinstance(mark, str) else mark.type)


def _title(title: Any) -> str:
    return _words(title if isinstance(title, (str, list)) else title.text)


def _channel(encoding: Any, name: str) -> str:
    if not _given(encoding, name):
        return ""
    channel = getattr(encoding, name)
    if _given(channel, "title"):
        return _words(channel.title)
    return _words(*(getattr(channel, key) for key in ("shorthand", "field") if _given(channel, key)))


# ---- PIL


def _image_facts(image: Any) -> Facts:
    width, height = image.size
    return Facts("image", "", (), int(width) * int(height), (int(width), int(height)))


def _image_png(image: Any, pixels: int) -> bytes | None:
    plain = image if image.mode in _PNG_MODES else image.convert("RGB")
    if plain.width * plain.height > pixels:
        scale = (pixels / (plain.width * plain.height)) ** 0.5
        sides = (max(1, int(plain.width * scale)), max(1, int(plain.height * scale)))
        plain = plain.resize(sides) if plain.mode != "P" else plain.convert("RGBA").resize(sides)
    stream = io.BytesIO()
    plain.save(stream, format="PNG", icc_profile=None)
    return stream.getvalue()


def draw(figure: Figure, pixels: int | None = None) -> bytes | None:
    """Draw a figure as PNG; None if its library cannot do that here.

    Args:
        figure: to draw.
        pixels: the most; by default those of a value.
    """
    paint = _PAINTERS.get(figure.library)
    if paint is None:
        return None
    most = pixels or (MAX_PIXELS if figure.library == "PIL" else MAX_DRAWN)
    for _ in range(_SHRINKS):
        try:
            found = paint(figure.target, most)
        except Exception:  # a figure that its own code has left half made, or no memory
            return None
        if found is None or len(found) <= MAX_PNG:
            return found
        most = min(most, _pixels(found)) // 2
    return None


_FACTS = {
    "matplotlib": _matplotlib_facts,
    "plotly": _plotly_facts,
    "altair": _altair_facts,
    "PIL": _image_facts,
}
_PAINTERS = {"matplotlib": _matplotlib_png, "PIL": _image_png}
