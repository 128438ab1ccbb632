"""The card of an answer in a real browser: each kind in each theme and width, hostile values, and in JupyterLab.

`RLM_JUPYTER_SCREENSHOTS=1` keeps pictures in `docs/images`; `RLM_JUPYTER_CARDS=DIRECTORY` keeps one of each kind,
theme and width there, to be looked at.
"""

import os
import re
from pathlib import Path

import pytest
from answer_stories import (
    answers,
    failed,
    hostile_answers,
    sampled,
    static_page,
    stopped,
    story_of,
    widget_page,
)
from lab import watch
from playwright.sync_api import expect
from widget_page import ADDRESS, serve, violations

pytestmark = pytest.mark.browser

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGEST = 150_000
"""Bytes of a picture for the documentation."""
LOOKS = {
    "light": (760, False, widget_page),
    "dark": (760, True, widget_page),
    "narrow": (400, False, widget_page),
    "static": (760, False, static_page),
    "static-dark": (760, True, static_page),
}


@pytest.fixture(scope="module")
def stories():
    found = {kind: story_of(value) for kind, value in answers().items()}
    return {**found, "failed": failed(), "stopped": stopped(), "sampled": sampled(8.0)}


@pytest.fixture(scope="module")
def hostile():
    return {kind: story_of(value) for kind, value in hostile_answers().items()}


@pytest.fixture
def opened(browser):
    """Open a page that was made here; `page.asked` are the addresses beside the widget's own files."""
    contexts = []

    def show(body, *, width=760, dark=False):
        scheme = "dark" if dark else "light"
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        watch(page)
        page.asked = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("dialog", lambda dialog: (page.errors.append(dialog.message), dialog.dismiss()))

        def answer(route):
            url = route.request.url
            if url == f"{ADDRESS}/card":
                route.fulfill(body=body, content_type="text/html; charset=utf-8")
            elif url.startswith(f"{ADDRESS}/rlm_jupyter/views/static/"):
                serve(route)
            else:
                page.asked.append(url)
                route.abort()

        page.route("**/*", answer)
        page.goto(f"{ADDRESS}/card")
        page.locator(".rlm-card:visible, .rlm-s-card").first.wait_for()
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize("look", LOOKS)
def test_each_kind_is_readable_complete_and_within_its_width(opened, stories, look, tmp_path):
    width, dark, made = LOOKS[look]
    keep = Path(os.environ.get("RLM_JUPYTER_CARDS", tmp_path))
    images = IMAGES if os.environ.get("RLM_JUPYTER_SCREENSHOTS") else tmp_path
    for kind, story in stories.items():
        page = opened(made(story, dark=dark), width=width, dark=dark)
        part = ".rlm-card" if made is widget_page else ".rlm-static"
        card = page.locator(part)
        card.screenshot(path=keep / f"{look}-{kind}.png")
        if kind == "report" and look in ("light", "dark"):
            card.screenshot(path=images / f"card-{look}.png")
            assert (images / f"card-{look}.png").stat().st_size < LARGEST
        assert violations(page, part) == [], kind
        over = page.evaluate(
            """part => { const right = document.querySelector(part).getBoundingClientRect().right;
            return [...document.querySelectorAll(`${part} *`)].filter(e => e.getClientRects().length
              && !e.closest(".rlm-frame *, .rlm-s-wide *, .rlm-text-code *, pre *, table *")
              && e.getBoundingClientRect().right > right + 1).map(e => e.outerHTML.slice(0, 100)) }""",
            part,
        )
        assert over == [], kind
        pictures = page.locator(f"{part} img").evaluate_all("all => all.map(one => one.naturalWidth)")
        assert len(pictures) == (kind in ("chart", "report")), kind
        assert all(each > 300 for each in pictures)
        if kind == "sampled":
            told = page.locator(f"{part} :is(.rlm-agreement, .rlm-s-agreement)")
            for words in (
                "2 of 3 agree",
                "the sum of <b>Acme</b> is 8",
                "supplier Acme · refund",
                "<i>5.0</i>",
            ):
                expect(told).to_contain_text(words)
        assert page.asked == page.errors == [], kind
        page.close()


@pytest.mark.parametrize("look", ["light", "static"])
def test_hostile_values_run_nothing_and_fetch_nothing(opened, hostile, look):
    width, dark, made = LOOKS[look]
    for kind, story in hostile.items():
        page = opened(made(story, dark=dark), width=width, dark=dark)
        part = ".rlm" if made is widget_page else ".rlm-static"
        found = page.evaluate(
            """part => [...document.querySelectorAll(`${part} :is(a, script, iframe, object, form[action], link)`)]
            .map(e => e.outerHTML)""",
            part,
        )
        assert found == [], kind
        images = page.locator(f"{part} img").evaluate_all("all => all.map(one => one.src)")
        assert all(image.startswith("data:image/png;base64,") for image in images), kind
        names = page.evaluate(
            """part => [...new Set([...document.querySelectorAll(`${part} *`)].flatMap(e => e.getAttributeNames()))]""",
            part,
        )
        assert not [name for name in names if name.startswith("on")], kind
        page.wait_for_timeout(
            100
        )  # for what would be fetched late; a request that comes later is one that is missed
        assert page.asked == page.errors == [], kind
        page.close()


SCRIPT = r'''
import pandas as pd
from rlm_jupyter.models import ScriptedModel

orders = pd.DataFrame({"supplier": ["Corvus", "Heron"] * 500, "refunds": range(1000)})
REPORT = """```repl
import matplotlib.pyplot as plt
totals = context.groupby("supplier")["refunds"].sum()
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.bar(totals.index, totals)
axes.set(title="Refunds by supplier", ylabel="refunds")
figure
```"""
FINAL = """```repl
FINAL({
    "summary": "**Heron** has the most refunds: see [the report](http://evil.test/x) <img src=http://evil.test/i.png>",
    "share of Heron": {"value": 50.05, "unit": "%"},
    "chart": figure,
    "totals": totals,
})
```"""
script = ScriptedModel([REPORT, FINAL])
big = ScriptedModel(["```repl\nFINAL(context)\n```"])
'''


@pytest.fixture
def asked(lab, notebook):
    lab.script("reports", SCRIPT)
    cells = [
        "%load_ext rlm_jupyter\nfrom reports import big, orders, script",
        "%%rlm orders -m script -o report\nWhich supplier has the most refunds?",
        "%%rlm orders -m big -o table\nGive me all.",
    ]
    book = notebook("card.ipynb", cells)
    book.theme("JupyterLab Light")
    book.hide_sidebar()
    return book


def test_in_lab_the_card_is_the_answer_and_nothing_is_printed_twice(asked, lab):
    book, page = asked, asked.page
    book.ask(1)
    book.wait_done(1)
    card = book.cell(1).get_by_role("region", name="Answer", exact=True)
    expect(card).to_be_visible()
    for words in (
        "Heron has the most refunds",
        "50.05",
        "Corvus",
        "249500",
        "[the report](http://evil.test/x)",
    ):
        expect(card).to_contain_text(words)
    expect(card.locator("strong")).to_have_text("Heron")
    image = card.locator("img")
    expect(image).to_have_count(1)
    assert image.evaluate("one => one.naturalWidth") > 300
    expect(book.cell(1).locator(".jp-OutputArea-executeResult")).to_have_count(0)
    names = book.variables("0")
    book.choose("0")
    thumbnail = names.get_by_role("option", name=re.compile("^figure")).locator("img")
    expect(thumbnail).to_be_visible()
    assert thumbnail.evaluate("one => one.naturalWidth") > 50
    label = card.locator("dt button").first
    lines = "e => { const all = document.createRange(); all.selectNodeContents(e); return all.getClientRects().length }"
    assert label.evaluate(lines) == 1, "JupyterLab's own styles of lists must not break a key"
    card.get_by_role("button", name="Pull the answer").click()
    expect(card.get_by_role("status")).to_contain_text("value_0")
    assert page.errors == []
    book.save()
    lab.shut_kernels()
    page.goto("about:blank")
    book.open()
    static = page.locator(".rlm-static").first
    expect(static).to_be_visible()
    expect(static.locator(".rlm-s-card")).to_contain_text("Heron has the most refunds")
    expect(static.get_by_text("Turn 1")).to_be_hidden()
    static.get_by_text("How it came about").click()
    expect(static.get_by_text("Turn 1")).to_be_visible()
    assert page.errors == []


def test_in_lab_a_value_that_the_card_cannot_show_whole_stands_below_it(asked):
    book = asked
    book.ask(2)
    book.wait_done(2)
    card = book.cell(2).get_by_role("region", name="Answer", exact=True)
    expect(card).to_contain_text("988 more rows not shown")
    expect(book.cell(2).locator(".jp-OutputArea-executeResult")).to_be_visible()
