"""Figures and images as values: what each library gives in the notebook, and what a crafted one cannot do."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import struct
import sys
import zlib
from pathlib import Path

import altair as alt
import matplotlib as mpl
import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import pytest
import seaborn as sns
from matplotlib.figure import Figure
from PIL import Image

from rlm_jupyter import Chart
from rlm_jupyter.errors import ConfigError, MalformedValueError, UnsafeValueError, ValueTransferError
from rlm_jupyter.values.buffer import Buffer
from rlm_jupyter.values.charts import png
from rlm_jupyter.values.charts.specification import SpecRefused, clean_plotly, clean_vega_lite, parse
from rlm_jupyter.values.codec import api as codec
from rlm_jupyter.values.codec import charts, figures
from rlm_jupyter.values.codec.encoder import Encoder
from rlm_jupyter.values.describe.api import describe

mpl.use("agg")
ORDERS = pd.DataFrame({"month": ["jan", "feb", "mar"], "refunds": [3, 1, 4]})
MIB = 1 << 20


def line_figure():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2, 3], [4.0, 5.0, 6.0], label="refunds")
    axes.set(title="Refunds", xlabel="month", ylabel="number")
    return figure


def altair_chart():
    return alt.Chart(ORDERS, title="Refunds").mark_line().encode(x="month", y="refunds")


def sent(value):
    """What the notebook gets of a value that an agent's kernel encoded."""
    with Buffer.from_fd(codec.dump(value, allow_pickle=True)[0]) as buffer:
        return buffer.load()


def received(parts):
    """What the notebook gets of parts that a kernel sent, whatever they are."""
    return sent(parts)


# ---- each library


def test_a_figure_of_matplotlib_is_a_picture_with_the_data_behind_it():
    chart = sent(line_figure())
    assert type(chart) is Chart
    assert (chart.library, chart.kind, chart.title) == ("matplotlib", "line", "Refunds")
    assert (chart.labels, chart.points, chart.spec) == (("month", "number"), 3, None)
    with Image.open(io.BytesIO(chart.png)) as image:
        assert image.size == chart.size
    expected = pd.DataFrame({"kind": "line", "series": "refunds", "x": [1, 2, 3], "y": [4.0, 5.0, 6.0]})
    pd.testing.assert_frame_equal(chart.data, expected, check_dtype=False)
    bundle = chart._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"]) == chart.png
    assert bundle["text/plain"].startswith('<Chart: line chart, "Refunds"')
    assert set(bundle) == {"image/png", "text/plain"}


@pytest.mark.parametrize(
    ("make", "kind", "x"),
    [
        (lambda: ORDERS.plot.bar(x="month", y="refunds"), "bar", ["jan", "feb", "mar"]),
        (lambda: ORDERS.plot(x="month", y="refunds"), "line", None),
        (lambda: sns.relplot(ORDERS, x="refunds", y="refunds"), "scatter", [3, 1, 4]),
        (lambda: sns.barplot(ORDERS, x="month", y="refunds"), "bar", ["jan", "feb", "mar"]),
    ],
)
def test_what_pandas_and_seaborn_draw_is_a_chart_of_its_figure(make, kind, x):
    chart = sent(make())
    assert type(chart) is Chart
    assert chart.kind == kind or chart.kind.startswith(kind)
    rows = chart.data[chart.data["kind"] == kind]
    assert list(rows["y"]) == [3, 1, 4]
    assert x is None or list(rows["x"]) == x
    mpl.pyplot.close("all")


def test_a_figure_of_plotly_is_rebuilt_from_its_json():
    figure = px.line(ORDERS, x="month", y="refunds", title="Refunds")
    got = sent(figure)
    assert type(got) is go.Figure
    assert list(got.data[0].x) == ["jan", "feb", "mar"]
    assert got.layout.title.text == "Refunds"


def test_a_chart_of_altair_is_rebuilt_from_its_specification():
    got = sent(altair_chart())
    assert type(got) is alt.Chart
    assert got.to_dict()["encoding"]["y"]["field"] == "refunds"
    assert next(iter(got.to_dict()["datasets"].values()))[0] == {"month": "jan", "refunds": 3}
    layered = sent(altair_chart() + altair_chart().mark_point())
    assert type(layered) is alt.LayerChart


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_an_image_of_pillow_comes_back_with_the_same_pixels(mode):
    image = Image.new(mode, (37, 21))
    for x in range(37):
        image.putpixel((x, x % 21), (x,) * len(image.getbands()) if len(image.getbands()) > 1 else x % 2)
    got = sent({"scan": image})["scan"]
    assert isinstance(got, Image.Image)
    assert (got.size, got.convert("RGBA").tobytes()) == (image.size, image.convert("RGBA").tobytes())


def test_an_image_of_other_colours_comes_as_rgb():
    got = sent(Image.new("CMYK", (4, 3)))
    assert (got.mode, got.size) == ("RGB", (4, 3))


@pytest.mark.parametrize(
    ("make", "library", "blocked", "kind"),
    [
        (lambda: px.bar(ORDERS, x="month", y="refunds"), "plotly", "plotly", "bar"),
        (altair_chart, "altair", "altair", "line"),
        (lambda: Image.new("RGB", (4, 3)), "PIL", "PIL", "image"),
    ],
)
def test_without_the_library_in_the_notebook_it_is_a_chart(make, library, blocked, kind, monkeypatch):
    fd = codec.dump(make(), allow_pickle=True)[0]
    monkeypatch.setitem(sys.modules, blocked, None)
    monkeypatch.setitem(
        sys.modules, {"plotly": "plotly.graph_objects", "PIL": "PIL.Image"}.get(blocked, blocked), None
    )
    with Buffer.from_fd(fd) as buffer:
        chart = buffer.load()
    assert type(chart) is Chart
    assert (chart.library, chart.kind, chart.refused) == (library, kind, "")
    if library == "PIL":
        assert (chart.size, chart.spec, chart.data) == ((4, 3), None, None)
    else:
        assert chart.spec
        assert list(chart.data.iloc[:, -1]) == [3, 1, 4]


def test_figures_inside_of_other_values_come_with_them():
    figure = line_figure()
    got = sent(
        {"n": 3, "charts": [figure, figure], "axes": np.array(figure.axes, dtype=object), "table": ORDERS}
    )
    assert got["n"] == 3
    assert got["charts"][0] is got["charts"][1]
    assert got["axes"][0].png == got["charts"][0].png
    pd.testing.assert_frame_equal(got["table"], ORDERS)


def test_a_photograph_that_is_too_large_is_made_smaller(monkeypatch):
    monkeypatch.setattr(figures, "MAX_PNG", 20_000)
    got = sent(Image.frombytes("RGB", (200, 200), os.urandom(120_000)))
    assert 20 < got.width < 100
    assert got.width == got.height


def test_columns_of_no_table_are_left_out():
    for data in (["x"], {"a": 1}, {1: [2]}, {"a": {"b": 1}}, {str(n): [1] for n in range(300)}):
        assert received(charts.ChartParts(library="matplotlib", data=data)).data is None
    assert len(received(charts.ChartParts(library="matplotlib", data={"a": [1, 2]})).data) == 2


def test_a_figure_beside_a_table_comes_with_its_table():
    table = ORDERS.copy()
    table.attrs = {"figure": line_figure()}
    got = sent(table)
    pd.testing.assert_frame_equal(got, ORDERS)
    assert type(got.attrs["figure"]) is Chart
    encoder = Encoder()
    assert encoder.can_pack(line_figure())
    assert (encoder.charts, encoder.parts) == ([], [])


# ---- among agents


@pytest.mark.parametrize("faithful", [False, True])
def test_among_kernels_figures_are_what_they_were_and_axes_keep_their_figure(faithful):
    figure = line_figure()
    fd, kind = codec.dump({"figure": figure, "axes": figure.axes[0]}, allow_pickle=True, faithful=faithful)
    try:
        got = codec.load(fd, allow_pickle=True)
    finally:
        os.close(fd)
    assert kind == "safe"
    assert type(got["figure"]) is Figure
    assert got["axes"].figure is got["figure"]


def test_a_figure_that_is_handed_on_opens_no_window():
    figure, _ = mpl.pyplot.subplots()
    fds = [codec.dump(figure, allow_pickle=True, figures=with_picture)[0] for with_picture in (True, False)]
    mpl.pyplot.close("all")
    for fd in fds:
        assert type(codec.load(fd, allow_pickle=True)) is Figure
        assert mpl.pyplot.get_fignums() == []
        os.close(fd)


def test_the_notebook_never_opens_the_pickle_beside_a_picture(tmp_path):
    mark = tmp_path / "ran"

    class Trap(Figure):
        def __reduce__(self):
            return (Path.touch, (mark,))

    trap = Trap()
    trap.subplots().plot([1, 2])
    fd, kind = codec.dump(trap, allow_pickle=True)
    with Buffer.from_fd(fd) as buffer:
        assert kind == "safe"
        assert type(buffer.load()) is Chart
        assert not mark.exists()
        buffer.load(trust=True)
    assert mark.exists()


def test_a_chart_goes_back_to_an_agent_as_its_parts():
    chart = sent(line_figure())
    with Buffer.encode({"old": chart}) as buffer:
        assert buffer.kind == "safe"
        got = codec.load(buffer.fd, allow_pickle=True)["old"]
    assert type(got) is charts.ChartParts
    assert (got.png, got.title) == (chart.png, "Refunds")


def test_what_takes_plain_data_only_gets_a_figure_as_its_parts():
    with Buffer.encode(line_figure(), allow_pickle=False) as buffer:  # as of a function in the notebook
        assert buffer.kind == "safe"
        got = codec.load(buffer.fd, allow_pickle=True)
    assert (type(got), got.title) == (charts.ChartParts, "Refunds")
    assert got._repr_png_() == got.png


@pytest.mark.parametrize("make", [line_figure, altair_chart, lambda: px.bar(ORDERS, x="month", y="refunds")])
def test_a_figure_of_the_notebook_goes_to_agents_as_it_is(make):
    figure = make()
    with Buffer.encode([figure], name="figures") as buffer:
        assert type(codec.load(buffer.fd, allow_pickle=True)[0]) is type(figure)
        assert "chart" in describe(figure)["summary"]


def test_a_lazily_opened_image_goes_to_agents_with_its_pixels(tmp_path):
    Image.new("RGB", (5, 4), "red").save(tmp_path / "scan.png")
    with Image.open(tmp_path / "scan.png") as image, Buffer.encode([image]) as buffer:
        (tmp_path / "scan.png").unlink()
        got = codec.load(buffer.fd, allow_pickle=True)[0]
    assert got.getpixel((4, 3)) == (255, 0, 0)


# ---- what is no figure, or a broken one


def test_a_class_that_calls_itself_a_figure_is_none():
    pretender = type("Figure", (), {"__module__": "matplotlib.figure", "savefig": lambda *_a, **_k: 1 / 0})()
    assert figures.find(pretender) is None
    assert "chart" not in describe(pretender)["summary"]
    with (
        Buffer.from_fd(codec.dump(pretender, allow_pickle=True)[0]) as buffer,
        pytest.raises(UnsafeValueError),
    ):
        buffer.load()


def test_a_figure_that_cannot_be_drawn_is_pickled_as_before():
    class Broken(Figure):
        def savefig(self, *_args, **_options):
            raise RuntimeError

    assert codec.dump(Broken(), allow_pickle=True)[1] == "pickle"
    with pytest.raises(codec.Unencodable, match="cannot draw"):
        codec.dump(Broken(), allow_pickle=False)


def test_a_figure_that_raises_when_looked_at_is_still_described():
    class Broken(Figure):
        @property
        def axes(self):
            raise SystemExit

    broken = line_figure()
    broken.__class__ = Broken
    assert describe(broken)["summary"] == "chart (matplotlib)"


def test_large_figures_and_images_are_drawn_within_bounds():
    huge = Figure(figsize=(300, 300), dpi=1000)
    huge.subplots().plot([1])
    chart = sent(huge)
    assert 0 < chart.size[0] * chart.size[1] <= 2 * figures.MAX_DRAWN
    wide = sent(Image.new("1", (60_000, 1_000)))
    assert wide.width * wide.height <= figures.MAX_PIXELS


def test_more_points_than_a_chart_may_have_are_left_to_the_picture():
    figure = Figure()
    figure.subplots().plot(np.zeros(charts.MAX_ROWS + 1))
    chart = sent(figure)
    assert chart.data is None
    assert chart.points == charts.MAX_ROWS + 1


# ---- descriptions


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (line_figure, 'line chart, "Refunds", 640 x 480 pixels, axes: month, number, 3 points (matplotlib)'),
        (altair_chart, 'line chart, "Refunds", axes: month, refunds, 3 points (altair)'),
        (
            lambda: px.bar(ORDERS, x="month", y="refunds", title="Refunds"),
            'bar chart, "Refunds", axes: month, refunds, 3 points (plotly)',
        ),
        (lambda: Image.new("RGB", (30, 20)), "image, 30 x 20 pixels (PIL)"),
    ],
)
def test_the_model_reads_one_line_of_a_figure(make, line):
    assert describe(make())["summary"] == line
    assert describe({"chart": make()})["items"][0]["summary"] == line
    assert describe([make()])["items"][0]["summary"] == line


def test_a_title_that_is_long_or_has_lines_is_one_line():
    figure = Figure()
    figure.subplots().set_title("a\nb" * 5_000)
    assert len(describe(figure)["summary"]) <= 200
    assert "\n" not in describe(figure)["summary"]


# ---- pictures that were made to do harm


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def crafted(header=(2, 2, 8, 2, 0, 0, 0), pixels=None, extra=b"", end=b"IEND"):
    rows = bytes(2 * (1 + 6)) if pixels is None else pixels
    packed = rows if rows[:1] == b"x" else zlib.compress(rows)
    return (
        png.SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
        + extra
        + chunk(b"IDAT", packed)
        + chunk(end, b"")
    )


def rewrite(data):
    return png.rewrite(data, max_bytes=MIB)


def test_a_picture_is_written_anew_with_nothing_but_the_picture():
    extra = (
        chunk(b"tEXt", b"Comment\0<script>")
        + chunk(b"iCCP", b"x\0\0evil")
        + chunk(b"acTL", bytes(8))
        + chunk(b"eXIf", b"MM")
    )
    made = rewrite(crafted(extra=extra) + b"<script>alert(1)</script>")
    assert (made.width, made.height) == (2, 2)
    assert [name for name, _ in png._chunks(made.png)] == [b"IHDR", b"IDAT", b"IEND"]
    assert made.png.endswith(b"IEND\xaeB`\x82")
    with Image.open(io.BytesIO(made.png)) as image:
        image.load()


def test_a_palette_is_as_long_as_pixels_can_point_into_it():
    made = rewrite(
        crafted((2, 2, 8, 3, 0, 0, 0), bytes(2 * 3), chunk(b"PLTE", b"\xff\0\0") + chunk(b"tRNS", b"\0"))
    )
    lengths = {name: len(body) for name, body in png._chunks(made.png)}
    assert (lengths[b"PLTE"], lengths[b"tRNS"]) == (768, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        png.SIGNATURE,
        crafted()[:-20],
        crafted(end=b"IENX"),
        crafted((100_000, 100_000, 8, 2, 0, 0, 0)),
        crafted((0, 2, 8, 2, 0, 0, 0)),
        crafted((2**31, 1, 1, 0, 0, 0, 0)),
        crafted((2, 2, 7, 2, 0, 0, 0)),
        crafted((2, 2, 8, 5, 0, 0, 0)),
        crafted((2, 2, 8, 2, 0, 0, 1)),
        crafted((2, 2, 8, 2, 1, 0, 0)),
        crafted((2, 2, 8, 3, 0, 0, 0), bytes(6)),
        crafted((2, 2, 1, 3, 0, 0, 0), bytes(4), chunk(b"PLTE", bytes(9))),
        crafted(pixels=b"xnot zlib"),
        crafted(pixels=bytes(13)),
        crafted(pixels=bytes(15)),
        crafted(pixels=b"\x09" + bytes(13)),
        crafted(pixels=bytes(7) + b"\x05" + bytes(6)),
        crafted(pixels=bytes(400 * MIB)),
    ],
)  # fmt: skip
def test_what_is_no_honest_picture_is_refused(data):
    with pytest.raises(MalformedValueError):
        rewrite(data)


def test_pixels_that_do_not_shrink_are_bounded_in_bytes():
    noise = b"".join(b"\0" + os.urandom(3 * 1000) for _ in range(1000))
    data = crafted((1000, 1000, 8, 2, 0, 0, 0), noise)
    with pytest.raises(MalformedValueError, match="bytes"):
        rewrite(data)
    assert png.rewrite(data, max_bytes=4 * MIB).width == 1000
    small = crafted((50, 50, 8, 2, 0, 0, 0), b"".join(b"\0" + os.urandom(150) for _ in range(50)))
    with pytest.raises(MalformedValueError, match="bytes"):  # so few that they come with the last piece
        png.rewrite(small, max_bytes=1_000)


def test_a_bomb_is_inflated_no_further_than_its_header_says():
    import tracemalloc

    bomb = crafted(pixels=bytes(200 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(MalformedValueError):
            rewrite(bomb)
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()


def test_a_crafted_picture_costs_the_answer_only_that_picture():
    bad = charts.ChartParts(library="PIL", kind="image", png=b"GIF89a<script>", size=(4, 4))
    got = received({"total": 5, "scan": bad})
    assert got["total"] == 5
    assert type(got["scan"]) is Chart
    assert (got["scan"].png, got["scan"].size) == (None, None)
    assert "not a PNG file" in got["scan"].refused
    with pytest.raises(ValueTransferError, match="nothing to write"):
        got["scan"].save("scan.png")


@pytest.mark.parametrize(
    "wrong",
    [
        {"png": "text"}, {"spec": {"a": 1}}, {"size": (1, 2, 3)}, {"size": ("a", 1)}, {"labels": "ab"},
        {"title": "x" * 5_000}, {"points": "many"}, {"library": None}, {"spec": "x" * (charts.MAX_SPEC + 1)},
    ],
)  # fmt: skip
def test_parts_of_other_types_are_no_chart(wrong):
    form = {**vars(charts.ChartParts()), **wrong}

    class Forged(charts.ChartParts):
        pass

    forged = Forged()
    vars(forged).update(form)
    if type(wrong.get("spec")) is dict:  # an honest encoder writes a dict as JSON: forge the form itself
        with pytest.raises(codec.Malformed):
            charts._check(forged)
        return
    with pytest.raises(MalformedValueError):
        received(forged)


def test_words_of_a_kernel_carry_no_escape_sequences():
    chart = received(
        charts.ChartParts(library="matplotlib", kind="\x1b[2J", title="a\x1b]0;x\x07b\n", labels=("\x1b[1m",))
    )
    assert "\x1b" not in repr(chart)
    assert "\n" not in repr(chart)


# ---- specifications that were made to do harm

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"


def vega(**parts):
    rows = [{"a": 1, "b": 2}]
    encoding = {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "quantitative"}}
    return {"$schema": SCHEMA, "data": {"values": rows}, "mark": "point", "encoding": encoding, **parts}


EVIL = "http://127.0.0.1:9/x"


@pytest.mark.parametrize(
    "parts",
    [
        {"data": {"url": EVIL}},
        {"data": {"url": EVIL, "values": []}},
        {"data": "http://x"},
        {"data": {"values": "a,image\n1,http://x"}},
        {"data": {"name": "d"}, "datasets": {"d": {"url": EVIL}}},
        {"layer": [{"data": {"url": EVIL}, "mark": "point"}]},
        {"transform": [{"lookup": "a", "from": {"data": {"url": EVIL}, "key": "a"}}]},
        {"transform": [{"calculate": "datum.a", "as": "c"}]},
        {"transform": [{"filter": "datum.a > 1"}]},
        {"transform": [{"filter": {"and": ["datum.a > 1"]}}]},
        {"transform": [{"filter": {"not": "datum.a > 1"}}]},
        {"transform": [{"filter": {"param": "p"}}]},
        {"mark": {"type": "image", "url": EVIL}},
        {"mark": "image"},
        {"mark": {"type": "point", "size": {"expr": "1"}}},
        {"mark": {"type": "point", "color": "url(http://x/#a)"}},
        {"data": {"values": [{"a": 1, "b": "url( http://x)"}]}},
        {"encoding": {"url": {"field": "a"}}},
        {"encoding": {"x": {"field": "a", "axis": {"labelExpr": "datum.label"}}}},
        {"encoding": {"x": {"field": "a", "axis": {"format": '"), alert(1'}}}},
        {"encoding": {"x": {"field": "a", "axis": {"formatType": "evil"}}}},
        {"encoding": {"color": {"condition": {"test": "datum.a", "value": "red"}, "value": "blue"}}},
        {"encoding": {"color": {"condition": {"param": "p", "value": "red"}, "value": "blue"}}},
        {"params": [], "width": {"signal": "1"}},
        {"config": {"axis": {"labelFontSize": {"expr": "1"}}}},
        {"$schema": "https://vega.github.io/schema/vega/v5.json"},
        {"$schema": EVIL},
    ],
)  # fmt: skip
def test_a_vega_lite_specification_that_loads_or_computes_is_refused(parts):
    with pytest.raises(SpecRefused):
        clean_vega_lite(vega(**parts))
    chart = received(charts.ChartParts(library="altair", kind="point", spec=json.dumps(vega(**parts))))
    assert type(chart) is Chart
    assert chart.spec is None
    assert chart.refused in repr(chart)
    assert chart.refused


def test_what_a_chart_does_not_depend_on_is_taken_out_of_a_vega_lite_specification():
    encoding = {
        **vega()["encoding"],
        "href": {"value": EVIL},
        "tooltip": {"field": "a", "type": "quantitative"},
    }
    params = [{"name": "p", "select": "interval", "bind": "scales"}]
    options = {"embedOptions": {"loader": {"baseURL": EVIL}, "sourceHeader": "<script>"}}
    cleaned = clean_vega_lite(vega(encoding=encoding, params=params, usermeta=options))
    assert cleaned == vega(encoding={**vega()["encoding"], "tooltip": encoding["tooltip"]})
    assert type(received(charts.ChartParts(library="altair", spec=json.dumps(cleaned)))) is alt.Chart


@pytest.mark.parametrize(
    "parts",
    [
        {"data": {"values": [{"a": 1, "b": 2, "image": EVIL}]}},
        {"encoding": {"x": {"field": "a", "title": "image"}}},
        {"transform": [{"pivot": "k", "value": "a"}], "data": {"values": [{"k": "image", "a": EVIL}]}},
    ],
)
def test_tooltips_that_would_load_a_picture_are_taken_out(parts):
    cleaned = clean_vega_lite(vega(mark={"type": "point", "tooltip": {"content": "data"}}, **parts))
    assert cleaned["mark"] == {"type": "point"}


def test_rows_may_have_columns_of_any_name_and_addresses_as_text():
    rows = [{"url": "http://example.org", "href": "x", "expr": "y", "a": 1}]
    assert clean_vega_lite(vega(data={"values": rows}))["data"]["values"] == rows
    got = sent(
        alt.Chart(pd.DataFrame({"url": ["http://a", "http://b"], "n": [1, 2]}))
        .mark_bar()
        .encode(x="url", y="n")
        .interactive()
    )
    assert type(got) is alt.Chart
    assert next(iter(got.to_dict()["datasets"].values()))[0]["url"] == "http://a"


def trace(**parts):
    return {"type": "scatter", "x": [1, 2], "y": [3, 4], **parts}


@pytest.mark.parametrize(
    "spec",
    [
        {"data": [trace(type="image", source=EVIL)]},
        {"data": [trace(type="choropleth", geojson=EVIL)]},
        {"data": [trace(type="scattermapbox")]},
        {"data": [trace(type="densitymap")]},
        {"data": [trace(type="scattergeo")]},
        {"data": [trace(type=["scatter"])]},
        {"data": ["scatter"]},
        {"data": {}},
        {"data": [], "layout": []},
        {"data": [trace(marker={"color": "url(http://x#a)"})]},
        {"data": [trace(text=["<span style='cursor:url(http://x)'>a</span>"])]},
        {"data": [trace()], "layout": {"font": {"family": "@import 'http://x'"}}},
        {"data": [trace(text="<a href='javascript:alert(1)'>a</a>")]},
    ],
)
def test_a_figure_of_plotly_that_loads_something_is_refused(spec):
    with pytest.raises(SpecRefused):
        clean_plotly(spec)


def test_what_a_figure_of_plotly_does_not_depend_on_is_taken_out():
    layout = {
        "title": {"text": "<b>Refunds</b><br><a href='http://x'>a</a><img src=x onerror=alert(1)>"},
        "images": [{"source": EVIL}],
        "updatemenus": [{"buttons": [{"method": "relayout", "args": [{"images[0].source": EVIL}]}]}],
        "sliders": [{"steps": [{"method": "relayout", "args": ["images[0].source", EVIL]}]}],
        "mapbox": {"style": EVIL}, "map": {"style": EVIL}, "geo": {},
        "template": {"layout": {"images": [{"source": EVIL}], "mapbox": {"style": EVIL}}},
        "images[0].source": EVIL,
    }  # fmt: skip
    frames = [{"layout": {"images": [{"source": EVIL}]}}]
    spec = {
        "data": [trace(xsrc="grid", text="a < b")],
        "layout": layout,
        "frames": frames,
        "config": {"plotlyServerURL": EVIL},
    }
    cleaned = clean_plotly(spec)
    text = "<b>Refunds</b><br>&lt;a href='http://x'>a&lt;/a>&lt;img src=x onerror=alert(1)>"
    assert cleaned == {
        "data": [trace(text="a &lt; b")],
        "layout": {"title": {"text": text}, "template": {"layout": {}}},
    }
    assert type(received(charts.ChartParts(library="plotly", spec=json.dumps(cleaned)))) is go.Figure


def test_markup_that_a_template_puts_together_is_none():
    parts = {
        "meta": ["<", "<b>", "<br"],
        "texttemplate": "%{meta[0]}a href='x'>",
        "text": ["<", "b>", "</span"],
    }
    cleaned = clean_plotly({"data": [trace(**parts)]})["data"][0]
    assert cleaned["meta"] == ["&lt;", "<b>", "&lt;br"]
    assert cleaned["text"] == ["&lt;", "b>", "&lt;/span"]


def test_a_sankey_keeps_its_sources():
    link = {"source": [0, 1], "target": [2, 2], "value": [1, 2]}
    assert clean_plotly({"data": [{"type": "sankey", "link": link}]})["data"][0]["link"] == link


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{'a': 1}",
        "[" * 100_000,
        '{"a":' * 100 + "1" + "}" * 100,
        json.dumps({"a": [0] * 2_100_000}),
    ],
)
def test_a_specification_of_no_sane_shape_is_refused(text):
    with pytest.raises(SpecRefused):
        parse(text)


def test_a_specification_of_a_library_that_has_none_is_refused():
    chart = received(charts.ChartParts(library="matplotlib", spec="{}"))
    assert chart.spec is None
    assert "no specifications" in chart.refused


# ---- saving


def test_a_chart_is_saved_as_what_it_has(tmp_path):
    chart = sent(line_figure())
    chart.save(tmp_path / "x.PNG")
    chart.save(str(tmp_path / "x.csv"))
    assert (tmp_path / "x.PNG").read_bytes() == chart.png
    assert len(pd.read_csv(tmp_path / "x.csv")) == 3
    with pytest.raises(ValueTransferError, match=r"`\.png` or `\.csv`"):
        chart.save(tmp_path / "x.json")
    with pytest.raises(ConfigError, match=r"`\.svg`"):
        chart.save(tmp_path / "x.svg")
    assert pickle.loads(pickle.dumps(chart)).png == chart.png


def test_nothing_of_the_libraries_is_imported_without_a_chart():
    code = (
        "import sys, os; import rlm_jupyter; from rlm_jupyter.values.buffer import Buffer;"
        "b = Buffer.encode({'a': [1]}); b.load(); print(sorted({n.partition('.')[0] for n in sys.modules}"
        " & {'matplotlib', 'plotly', 'altair', 'PIL'}), 'rlm_jupyter.values.charts.rebuild' in sys.modules)"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False"
