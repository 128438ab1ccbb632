"""Hostile specifications of charts in a real browser: as an agent writes them they fetch, as the notebook has them nothing.

Each is first drawn as it is, which shows that the browser would have fetched something and that the test sees it.
"""

import json
from pathlib import Path

import plotly
import pytest
import vl_convert

from rlm_jupyter.values.charts.specification import SpecRefused, clean_plotly, clean_vega_lite

pytestmark = pytest.mark.browser

HOME, EVIL = "http://charts.test", "http://evil.test"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
VEGA = "window.draw = (at, spec) => vegaEmbed(at, spec);"
PLOTLY = "window.draw = (at, spec) => Plotly.newPlot(at, spec.data, spec.layout, {}).then((gd) => spec.frames && Plotly.addFrames(gd, spec.frames));"


@pytest.fixture(scope="module")
def scripts():
    library = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return {
        "altair": vl_convert.javascript_bundle(VEGA),
        "plotly": f"{library.read_text('utf-8')};{PLOTLY}",
    }


@pytest.fixture
def drawn(page, scripts):
    """Draw a specification, move over it and click on it; return the addresses that were asked for."""

    def draw(library, spec):
        asked = []

        def answer(route):
            address = route.request.url
            if address == f"{HOME}/":
                kind = "module" if library == "altair" else "text/javascript"
                html = f'<div id="at"></div><script type="{kind}" src="/draw.js"></script>'
                route.fulfill(body=html, content_type="text/html")
            elif address == f"{HOME}/draw.js":
                route.fulfill(body=scripts[library], content_type="text/javascript; charset=utf-8")
            else:
                asked.append(address)
                route.abort()

        page.context.unroute_all()
        page.context.route("**/*", answer)
        page.goto(f"{HOME}/")
        page.wait_for_function("() => typeof window.draw === 'function'")
        page.evaluate(
            "async (spec) => { try { await window.draw(document.getElementById('at'), spec) } catch (error) {} }",
            spec,
        )
        box = page.locator("#at").bounding_box()
        for part in (0.3, 0.5, 0.7):
            page.mouse.move(box["x"] + part * box["width"], box["y"] + 0.5 * box["height"])
        if page.locator("#at canvas, #at svg").count():
            page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
        page.wait_for_timeout(300)  # for what a click opens; a request that comes later is one that is missed
        return [address for address in asked if "favicon" not in address]

    return draw


def vega(**parts):
    """A chart that one large mark fills, so that the pointer is over it."""
    mark = {"type": "square", "size": 100_000, **parts.pop("mark", {})}
    encoding = {axis: {"field": "a", "type": "quantitative"} for axis in ("x", "y")} | parts.pop(
        "encoding", {}
    )
    return {
        "$schema": SCHEMA,
        "data": {"values": [{"a": 1, "link": EVIL, "image": f"{EVIL}/i.png"}]},
        "mark": mark,
        "encoding": encoding,
        **parts,
    }


VEGA_LITE = {
    "data by address": vega(data={"url": f"{EVIL}/d.csv"}),
    "data of a lookup": vega(transform=[{"lookup": "a", "from": {"data": {"url": f"{EVIL}/d.json"}, "key": "a", "fields": ["b"]}}]),
    "an image": vega(mark={"type": "image", "url": f"{EVIL}/i.png", "width": 50, "height": 50}),
    "an image of a field": vega(mark={"type": "image", "width": 50, "height": 50}, encoding={"url": {"field": "image", "type": "nominal"}}),
    "an image of an expression": vega(
        mark={"type": "image", "width": 50, "height": 50}, encoding={"url": {"field": "u", "type": "nominal"}},
        transform=[{"calculate": "'http://evil' + '.test/i.png'", "as": "u"}],
    ),
    "a tooltip with an image": vega(mark={"tooltip": {"content": "data"}}),
    "a link": vega(encoding={"href": {"field": "link", "type": "nominal"}}),
    "the address of the loader": vega(
        data={"url": "d.csv"}, usermeta={"embedOptions": {"loader": {"baseURL": EVIL}}}
    ),
    "options by address": vega(usermeta={"embedOptions": {"config": f"{EVIL}/config.json"}}),
    "a patch by address": vega(usermeta={"embedOptions": {"patch": f"{EVIL}/patch.json"}}),
    "HTML of a footer": vega(usermeta={"embedOptions": {"sourceHeader": "<img src=x>", "patch": f"{EVIL}/p.json"}}),
}  # fmt: skip

TRACE = {"type": "scatter", "x": [1, 2], "y": [1, 2]}
PICTURE = {
    "source": f"{EVIL}/i.png",
    "xref": "paper",
    "yref": "paper",
    "x": 0,
    "y": 1,
    "sizex": 1,
    "sizey": 1,
}
FIGURES = {
    "an image of the layout": {"data": [TRACE], "layout": {"images": [PICTURE]}},
    "an image of the template": {"data": [TRACE], "layout": {"images": [{"templateitemname": "t"}], "template": {"layout": {"images": [{**PICTURE, "name": "t"}]}}}},
    "a style that a template puts together": {
        "data": [
            {
                "type": "bar",
                "x": [1],
                "y": [1],
                "meta": ["<", "r"],
                "textfont": {"size": 200},
                "texttemplate": "%{meta[0]}span style='fill:u%{meta[1]}l(http://evil.test/c.svg#a);cursor:u%{meta[1]}l(http://evil.test/c.png),auto'>WWWWWW",
            }
        ]
    },
    "a map": {"data": [{"type": "scattergeo", "lon": [1], "lat": [1]}], "layout": {}},
    "regions by address": {"data": [{"type": "choropleth", "geojson": f"{EVIL}/g.json", "locations": ["a"], "z": [1]}]},
    "tiles": {
        "data": [{"type": "scattermap", "lon": [1], "lat": [1]}],
        "layout": {"map": {"style": f"{EVIL}/style.json"}},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("library", "spec"),
    [
        *(pytest.param("altair", spec, id=name) for name, spec in VEGA_LITE.items()),
        *(pytest.param("plotly", spec, id=name) for name, spec in FIGURES.items()),
    ],
)
def test_a_hostile_specification_fetches_as_it_is_and_not_as_the_notebook_has_it(library, spec, drawn):
    assert drawn(library, spec), "the browser fetched nothing: this proves nothing"
    cleaner = {"altair": clean_vega_lite, "plotly": clean_plotly}[library]
    try:
        cleaned = cleaner(json.loads(json.dumps(spec)))
    except SpecRefused:
        return
    assert drawn(library, cleaned) == []


@pytest.mark.parametrize(
    ("library", "spec"),
    [("altair", vega(data={"values": [{"a": 1}]})), ("plotly", {"data": [TRACE], "layout": {}})],
)
def test_an_honest_specification_is_drawn_and_fetches_nothing(library, spec, drawn, page):
    cleaner = {"altair": clean_vega_lite, "plotly": clean_plotly}[library]
    assert drawn(library, cleaner(spec)) == []
    assert page.locator("#at canvas, #at svg").count() > 0
