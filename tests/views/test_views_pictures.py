"""Pictures that cells have shown, in the agent's page, the static tree and the exported notebook."""

import base64
import io
import math
import os
import re
from html.parser import HTMLParser

import nbformat
import pytest
from PIL import Image
from run_story import Story

from rlm_jupyter.events import events as ev
from rlm_jupyter.records.export import to_notebook
from rlm_jupyter.values.charts.embedded import checked
from rlm_jupyter.views.agent_page import detail
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.widget_messages import json_size

HOSTILE = '"><img src=x onerror=alert(1)>'
IMAGES = re.compile(r"<img [^>]*>")


def encoded(size=(20, 10), noise=False):
    image = (
        Image.frombytes("RGB", size, os.urandom(3 * size[0] * size[1])) if noise else Image.new("RGB", size)
    )
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def picture(png=None, summary="<line chart>"):
    return ev.CellPicture(summary=summary, width=20, height=10, png=encoded() if png is None else png)


def told(*pictures, turns=1):
    story = Story("Q")
    story.agent()
    for number in range(1, turns + 1):
        story.prompt("0", turn=number, start=2 * (number - 1))
        story.reply("0", "I draw.")
        story.cell("0", "fig", "<line chart>", turn=number, pictures=pictures)
    return story.state


class Images(HTMLParser):
    def __init__(self, markup):
        super().__init__()
        self.found = []
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.found.append(dict(attrs))


def test_the_page_of_an_agent_has_them_at_the_turn_that_made_them():
    page = detail(told(picture()), "0")
    (shown,) = page["turns"][0]["cells"][0]["pictures"]
    assert shown == {"summary": "<line chart>", "width": 20, "height": 10, "png": checked(encoded())}
    assert shown["png"]


def test_the_page_keeps_its_size_and_the_newest_pictures():
    png = encoded((90, 90), noise=True)
    state = told(picture(png), turns=6)
    page = detail(state, "0")
    kept = [bool(turn["cells"][0]["pictures"][0]["png"]) for turn in page["turns"]]
    assert json_size(page) <= 64_000
    assert kept == [False] * (6 - sum(kept)) + [True] * sum(kept)
    assert 0 < sum(kept) < 6
    first = detail(state, "0", turn=1)
    assert first["turns"][0]["cells"][0]["pictures"][0]["png"]


def test_the_static_tree_has_them_as_data_with_the_line_as_their_text():
    markup = static_html(told(picture(summary=HOSTILE)))
    assert Images(markup).found == [
        {"alt": HOSTILE, "width": "20", "src": f"data:image/png;base64,{checked(encoded())}"}
    ]


@pytest.mark.parametrize("max_bytes", [270_000, 60_000, 45_000])
def test_in_the_static_tree_they_are_made_smaller_until_they_fit(max_bytes):
    state = told(picture(encoded((200, 200), noise=True)))
    markup = static_html(state, max_bytes=max_bytes)
    (image,) = Images(markup).found
    assert Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))).size[0] <= 200
    assert len(markup) < max_bytes
    assert image["alt"] == "<line chart>"


def test_where_there_is_no_room_for_a_picture_its_line_stands():
    markup = static_html(told(picture(encoded((200, 200), noise=True))), max_bytes=7_000)
    assert Images(markup).found == []
    assert "&lt;line chart&gt;" in markup


def test_a_hundred_agents_with_a_picture_each_keep_them_all():
    figure = io.BytesIO()
    drawing = Image.new("RGB", (600, 320), "white")
    for x in range(40, 560):
        for y in range(3):
            drawing.putpixel((x, 160 + y + round(100 * math.sin(x / 40))), (31, 119, 180))
    drawing.save(figure, "PNG")
    shown = picture(base64.b64encode(figure.getvalue()).decode())
    story = Story()
    story.agent("0")
    for number in range(1, 100):
        story.agent(f"0.{number}")
        story.turn(f"0.{number}", "I draw. " * 200, "draw()\n" * 300, "drawn\n" * 300)
        story.cell(f"0.{number}", "plt.show()", pictures=(shown,))
    story.end()
    markup = static_html(story.state)
    assert len(markup.encode()) + sum(map(markup.count, '"\\\n')) < 300_000
    assert len(Images(markup).found) == 99


def test_the_exported_notebook_has_them_as_outputs():
    book = nbformat.from_dict(to_notebook(told(picture())))
    nbformat.validate(book)
    outputs = next(cell for cell in book["cells"] if cell["cell_type"] == "code")["outputs"]
    assert [output["output_type"] for output in outputs] == ["stream", "display_data"]
    assert outputs[1]["data"] == {"image/png": checked(encoded()), "text/plain": "<line chart>"}


@pytest.mark.parametrize(
    "png",
    [
        "",
        "bm90IGEgcGljdHVyZQ==",
        base64.b64encode(b"<svg onload=alert(1)>").decode(),
        base64.b64encode(b"GIF89a").decode(),
        encoded((3_000, 3_000)),
        encoded((300, 300), noise=True),
    ],
)
def test_what_a_log_has_in_the_place_of_a_picture_is_shown_nowhere(png):
    state = told(picture(png))
    assert detail(state, "0")["turns"][0]["cells"][0]["pictures"][0]["png"] == ""
    assert IMAGES.findall(static_html(state)) == []
    outputs = [cell.get("outputs", []) for cell in to_notebook(state)["cells"]]
    assert "display_data" not in str(outputs)


def test_texts_hidden_in_a_picture_are_left_out():
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG", icc_profile=b"secret profile")
    png = checked(base64.b64encode(stream.getvalue() + b"trailing").decode())
    data = base64.b64decode(png)
    assert b"iCCP" not in data
    assert b"trailing" not in data


FIGURE = 'line chart, "Refunds", 20 x 10 pixels (matplotlib)'


def test_a_variable_and_the_value_have_a_thumbnail_of_what_a_cell_has_shown():
    story = Story("Q")
    story.agent()
    story.turn()
    story.cell("0", "fig", f"<{FIGURE}>", pictures=(picture(encoded((900, 400), noise=True), f"<{FIGURE}>"),))
    about = {"type": "Figure", "summary": FIGURE}
    story.variables(
        "0", fig=about, other={"type": "Figure", "summary": "bar chart"}, n={"type": "int", "summary": "1"}
    )
    story.end_agent("0", value=about)
    page = detail(story.state, "0")
    shown = {variable["name"]: variable.get("thumbnail") for variable in page["variables"]}
    assert shown["fig"] is None, "what is too large for a log has no thumbnail either"
    story.cell("0", "fig", f"<{FIGURE}>", pictures=(picture(encoded((300, 100)), f"<{FIGURE}>"),))
    page = detail(story.state, "0")
    shown = {variable["name"]: variable.get("thumbnail") for variable in page["variables"]}
    assert (shown["fig"]["width"], shown["other"], shown["n"]) == (200, None, None)
    assert page["value"]["thumbnail"] == shown["fig"]
    assert Image.open(io.BytesIO(base64.b64decode(shown["fig"]["png"]))).size == (200, 67)


def test_the_page_of_an_agent_with_a_large_picture_has_it_smaller():
    state = told(picture(encoded((220, 220), noise=True)))
    page = detail(state, "0")
    assert json_size(page) <= 64_000
    (shown,) = page["turns"][0]["cells"][0]["pictures"]
    assert Image.open(io.BytesIO(base64.b64decode(shown["png"]))).size[0] < 220
