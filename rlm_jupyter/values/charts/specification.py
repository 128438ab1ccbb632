"""Specifications of charts that came from agents: what they may not contain before a library and a browser read them.

Displayed, a specification runs in the page: Vega-Lite loads data and images by address and evaluates expressions,
plotly loads images and maps and understands some HTML. What changes nothing of what the chart shows (links, tooltips
that load pictures, selections, buttons) is taken out; what would change it (data by address, expressions, pictures,
maps) is refused, because a chart without it would show something else than the agent meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

MAX_CHARS = 16 << 20
MAX_DEPTH = 60
MAX_PARTS = 2_000_000
"""Lists, dicts and values of a specification."""

_ADDRESS = re.compile(r"url\s*\(|@import|javascript:", re.IGNORECASE)
"""What styles load things by, wherever a text becomes a colour, a font or a cursor."""


class SpecRefused(ValueError):  # noqa: N818 - the reason why a chart is shown without its specification
    """A specification has a part that the notebook does not accept; says which."""


def parse(text: str) -> dict[str, Any]:
    """Read a specification as JSON.

    Args:
        text: JSON.

    Raises:
        SpecRefused: it is not an object of JSON, or too large or too deep.
    """
    if len(text) > MAX_CHARS:
        raise SpecRefused(f"it has {len(text):,} characters; the most is {MAX_CHARS:,}")
    try:
        spec = json.loads(text, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        raise SpecRefused("it is not JSON, or nested too deeply") from None
    if type(spec) is not dict:
        raise SpecRefused("it is not an object of JSON")
    level, parts = [spec], 0
    for _ in range(MAX_DEPTH):
        below = [item for one in level for item in (one.values() if type(one) is dict else one)]
        parts += len(below)
        level = [item for item in below if type(item) in (dict, list)]
        if parts > MAX_PARTS:
            raise SpecRefused(f"it has more than {MAX_PARTS:,} parts")
        if not level:
            return spec
    raise SpecRefused(f"it is nested deeper than {MAX_DEPTH} levels")


def _walk(part: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Iterate over all that is in a part: where it stands, its key or None, and what it is."""
    waiting = [(place, None, part)]
    while waiting:
        where, key, one = waiting.pop()
        yield where, key, one
        if type(one) is dict:
            waiting += [(f"{where}.{name}"[-200:], name, item) for name, item in one.items()]
        elif type(one) is list:
            waiting += [(f"{where}[]"[-200:], key, item) for item in one]


def _refuse_addresses(spec: Any) -> None:
    for place, key, one in _walk(spec):
        if any(isinstance(text, str) and _ADDRESS.search(text) for text in (key, one)):
            raise SpecRefused(f"`{_name(place)}` loads something by its address")


def _name(place: str) -> str:
    return place.lstrip(".")[-80:] or "it"


# ---- Vega-Lite

_VEGA_LITE = re.compile(r"https://vega\.github\.io/schema/vega-lite/v\d{1,2}(\.\d{1,3}){0,2}\.json")
_VEGA_REFUSED = {
    **dict.fromkeys(("url", "src", "baseURL", "topojson"), "loads something by its address"),
    **dict.fromkeys(("expr", "signal", "signals", "calculate", "update", "events"), "is an expression"),
    **dict.fromkeys(("param", "selection"), "depends on what somebody selects"),
}
_VEGA_TAKEN_OUT = frozenset(("href", "usermeta", "params", "bind", "select", "loader", "cursor"))
_CONDITIONS = frozenset(("filter", "test", "and", "or", "not"))
_WORDS = frozenset(
    ("format", "formatType", "timeUnit", "aggregate", "op", "type", "mark", "interpolate", "joinaggregate")
)
"""Keys whose texts Vega may put into the code that it makes; all others it quotes."""
_WORD = re.compile(r"[^\"'`\\\n;{}]{0,200}")
_OWN_FORMATS = ("number", "time")


def clean_vega_lite(spec: dict[str, Any]) -> dict[str, Any]:
    """Returns a specification of Vega-Lite without what reaches out of the chart.

    Args:
        spec: as `parse` gave it.

    Raises:
        SpecRefused: it loads or evaluates something that the chart depends on.
    """
    schema = spec.get("$schema")
    if type(schema) is not str or not _VEGA_LITE.fullmatch(schema):
        raise SpecRefused("`$schema` is not that of Vega-Lite")
    _refuse_addresses(spec)
    rows = spec.get("datasets")
    if rows is not None and (
        type(rows) is not dict or any(type(table) is not list for table in rows.values())
    ):
        raise SpecRefused("`datasets` are not tables")
    bare = _without_vega({name: item for name, item in spec.items() if name not in ("$schema", "datasets")})
    _check_vega(bare)
    cleaned = {"$schema": schema, **bare, **({} if rows is None else {"datasets": rows})}
    return _without(cleaned, {"tooltip"}) if _may_show_images(cleaned) else cleaned


def _without_vega(part: Any) -> Any:
    """Leave the parts that nothing depends on, at all places but in rows of data."""
    if type(part) is list:
        return [_without_vega(item) for item in part]
    if type(part) is not dict:
        return part
    return {
        name: _inline(item) if name == "data" else _without_vega(item)
        for name, item in part.items()
        if name not in _VEGA_TAKEN_OUT
    }


def _inline(data: Any) -> Any:
    """Returns data that stand in the chart itself, with what says how to read them.

    Raises:
        SpecRefused: they come from elsewhere.
    """
    if data is None:
        return None
    if type(data) is not dict or not set(data) <= {"values", "name", "format", "sequence"}:
        raise SpecRefused("`data` does not stand in the chart itself")
    if type(data.get("values", [])) is not list:
        raise SpecRefused("`data.values` is not a table")
    return {**data, **({"format": _without_vega(data["format"])} if "format" in data else {})}


def _check_vega(bare: Any) -> None:
    for place, key, one in _walk(_without_rows(bare)):
        if key in _VEGA_REFUSED:
            raise SpecRefused(f"`{_name(place)}` {_VEGA_REFUSED[key]}")
        if type(key) is str and key.lower().endswith("expr"):
            raise SpecRefused(f"`{_name(place)}` is an expression")
        if type(one) is not str:
            continue
        if key in _CONDITIONS:
            raise SpecRefused(f"`{_name(place)}` is an expression")
        if key in ("mark", "type") and one == "image":
            raise SpecRefused(f"`{_name(place)}` loads pictures by their address")
        if (key in _WORDS and not _WORD.fullmatch(one)) or (key == "formatType" and one not in _OWN_FORMATS):
            raise SpecRefused(f"`{_name(place)}` is not a word of Vega-Lite")


def _without_rows(part: Any) -> Any:
    if type(part) is list:
        return [_without_rows(item) for item in part]
    if type(part) is not dict:
        return part
    return {
        name: {key: one for key, one in item.items() if key != "values"}
        if name == "data" and type(item) is dict
        else _without_rows(item)
        for name, item in part.items()
    }


def _without(part: Any, names: set[str]) -> Any:
    if type(part) is list:
        return [_without(item, names) for item in part]
    if type(part) is not dict:
        return part
    return {name: _without(item, names) for name, item in part.items() if name not in names}


def _may_show_images(spec: Any) -> bool:
    """Returns whether a tooltip may have a field `image`, which vega-tooltip loads as a picture."""
    return any("image" in text for _, key, one in _walk(spec) for text in (key, one) if type(text) is str)


# ---- plotly

_TRACES = frozenset(
    (
        "bar",
        "barpolar",
        "box",
        "candlestick",
        "carpet",
        "cone",
        "contour",
        "contourcarpet",
        "funnel",
        "funnelarea",
        "heatmap",
        "histogram",
        "histogram2d",
        "histogram2dcontour",
        "icicle",
        "indicator",
        "isosurface",
        "mesh3d",
        "ohlc",
        "parcats",
        "parcoords",
        "pie",
        "sankey",
        "scatter",
        "scatter3d",
        "scattercarpet",
        "scattergl",
        "scatterpolar",
        "scatterpolargl",
        "scattersmith",
        "scatterternary",
        "splom",
        "streamtube",
        "sunburst",
        "surface",
        "table",
        "treemap",
        "violin",
        "volume",
        "waterfall",
    )
)
"""Kinds of traces that load nothing; maps load tiles and outlines, images may load pictures."""
_PLOTLY_TAKEN_OUT = frozenset(
    ("images", "updatemenus", "sliders", "mapbox", "map", "geo", "href", "url", "src")
)
_MARKUP = re.compile(r"<(?!(?:/?(?:b|i|s|u|sub|sup|em|strong|extra)|br ?/?)>)")
"""What may begin other markup; also where it stands alone, because templates, prefixes and labels are put together."""
_SEPARATORS = re.compile(r"[.\[\]]")


def clean_plotly(spec: dict[str, Any]) -> dict[str, Any]:
    """Returns a figure of plotly without what reaches out of it.

    Args:
        spec: as `parse` gave it.

    Raises:
        SpecRefused: it loads something that the chart depends on.
    """
    traces, layout = spec.get("data", []), spec.get("layout", {})
    if type(traces) is not list or type(layout) is not dict:
        raise SpecRefused("it is not a figure of plotly")
    for trace in traces:
        kind = trace.get("type", "scatter") if type(trace) is dict else None
        if type(kind) is not str or kind not in _TRACES:
            raise SpecRefused(f"a trace of the kind `{str(kind)[:40]}` may load maps or pictures")
    _refuse_addresses([traces, layout])
    return {"data": _bare_plotly(traces), "layout": _bare_plotly(layout)}


def _bare_plotly(part: Any) -> Any:
    if type(part) is str:
        return _MARKUP.sub("&lt;", part)
    if type(part) is list:
        return [_bare_plotly(item) for item in part]
    if type(part) is not dict:
        return part
    return {name: _bare_plotly(item) for name, item in part.items() if not _reaches_out(name, item)}


def _reaches_out(name: str, item: Any) -> bool:
    words = _SEPARATORS.split(name)
    if not _PLOTLY_TAKEN_OUT.isdisjoint(words) or any(word.startswith("mapbox") for word in words):
        return True
    return words[-1].endswith("src") or (words[-1] in ("source", "geojson") and isinstance(item, str))


CLEANERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "altair": clean_vega_lite,
    "plotly": clean_plotly,
}
"""Library to what cleans its specifications."""
