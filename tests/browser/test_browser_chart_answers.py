"""Charts in JupyterLab: the answer of a question, the picture at the turn that made it, the saved notebook."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SCRIPT = r'''
import pandas as pd
from rlm_jupyter.models import ScriptedModel

orders = pd.DataFrame({"month": ["Jan", "Feb", "Mar", "Apr"], "refunds": [12, 15, 31, 44]})
DRAW = """I draw the refunds of each month.
```repl
import matplotlib.pyplot as plt
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.plot(context["month"], context["refunds"], marker="o")
axes.set(title="Refunds by month", xlabel="month", ylabel="refunds")
plt.show()
```"""
script = ScriptedModel([DRAW, "```repl\nFINAL(figure)\n```"])
'''


def test_a_chart_is_the_answer_and_its_picture_stands_at_the_turn_that_drew_it(lab, notebook, tmp_path):
    lab.script("draws", SCRIPT)
    cells = [
        "%load_ext rlm_jupyter\nfrom draws import orders, script",
        "%%rlm orders -m script -o chart\nPlot the refunds over time.",
        "chart",
    ]
    book = notebook("charts.ipynb", cells)
    book.theme("JupyterLab Light")
    book.hide_sidebar()
    book.ask(1)
    expect(book.agent("0")).to_be_visible(timeout=60_000)
    book.choose("0")
    thumbnail = book.notebook.locator(".rlm-cell .rlm-pictures img").first
    expect(thumbnail).to_be_visible(timeout=60_000)
    assert thumbnail.evaluate("(image) => image.naturalWidth") > 300
    assert thumbnail.get_attribute("alt").startswith('<line chart, "Refunds by month"')
    answer = book.notebook.locator(".rlm-card img")
    expect(answer).to_be_visible(timeout=60_000)
    expect(book.notebook.locator(".jp-RenderedImage img")).to_have_count(0)
    assert answer.evaluate("(image) => image.naturalWidth") > 300
    where = IMAGES if os.environ.get("RLM_JUPYTER_SCREENSHOTS") else tmp_path
    book.page.set_viewport_size({"width": 1180, "height": 1600})
    thumbnail.scroll_into_view_if_needed()
    box = book.notebook.bounding_box()
    clip = {**box, "height": min(box["height"], 1270)}
    book.page.screenshot(path=where / "chart.png", clip=clip, animations="disabled", caret="hide")
    assert (where / "chart.png").stat().st_size < 180_000
    assert book.page.errors == []


LIBRARIES = {
    "seaborn": """
import seaborn
axes = seaborn.barplot(context, x="month", y="refunds")
axes.figure.set_size_inches(5, 2.6)
axes.set_title("seaborn")
FINAL(axes.figure)
""",
    "plotly": """
import plotly.express as px
FINAL(px.bar(context, x="month", y="refunds", title="plotly", width=520, height=300))
""",
    "altair": """
import altair as alt
FINAL(alt.Chart(context, title="altair", width=360, height=160).mark_bar().encode(x=alt.X("month", sort=None), y="refunds"))
""",
    "Pillow": """
from PIL import Image, ImageDraw
image = Image.new("RGB", (360, 90), "white")
ImageDraw.Draw(image).text((20, 30), f"Pillow, {len(context)} months", fill="navy", font_size=28)
FINAL(image)
""",
}


DRAWN = {"plotly": ".js-plotly-plot", "altair": "canvas, svg.marks"}
"""Where the picture is no image."""


def test_figures_of_each_library_are_shown_as_answers_and_as_variables(lab, notebook, tmp_path):
    scripts = {name: f"```repl{code}```" for name, code in LIBRARIES.items()}
    parts = [f"{name.lower()}_script = ScriptedModel([{code!r}])" for name, code in scripts.items()]
    lab.script("libraries", "\n".join([SCRIPT, *parts]))
    names = ", ".join(f"{name.lower()}_script" for name in LIBRARIES)
    # altair's scripts come from the network unless one says this, and JupyterLab has none for its newest charts
    offline = 'import altair\naltair.renderers.enable("jupyter", offline=True)'
    cells = [f"%load_ext rlm_jupyter\nfrom libraries import orders, {names}\n{offline}"]
    for name in LIBRARIES:
        line = f"%%rlm orders -m {name.lower()}_script -o chart --no-cache"
        cells += [f"{line}\nPlot the refunds with {name}.", "chart"]
    book = notebook("libraries.ipynb", cells)
    book.theme("JupyterLab Light")
    book.hide_sidebar()
    book.page.set_viewport_size({"width": 1180, "height": 1700})
    where = IMAGES if os.environ.get("RLM_JUPYTER_SCREENSHOTS") else tmp_path
    for number, name in enumerate(LIBRARIES):
        book.ask(1 + 2 * number)
        expect(book.cell(1 + 2 * number).locator(".rlm-card")).to_be_visible(timeout=60_000)
        book.run(2 + 2 * number)
        drawn = book.cell(2 + 2 * number).locator(".jp-OutputArea").locator(DRAWN.get(name, "img")).first
        expect(drawn).to_be_visible(timeout=60_000)
        path = where / f"chart-{name.lower()}.png"
        drawn.scroll_into_view_if_needed()
        book.cell(2 + 2 * number).locator(".jp-OutputArea").first.screenshot(
            path=path, animations="disabled", caret="hide"
        )
        assert path.stat().st_size < 60_000
    assert book.page.errors == []
