"""What the tree looks like, photographed; `RLM_JUPYTER_SCREENSHOTS=1` keeps the pictures in `docs/images`.

Without that the same is done and looked at only by machine: everything is there, nothing is cut off.
"""

import os
import re
from pathlib import Path

import pytest
from browser_story import REFUNDS
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TESTS = Path(__file__).parents[1]
IMAGES = TESTS.parent / "docs" / "images"
QUESTION = "Which supplier explains the rise in refunds, and why?"
LARGEST = 180_000
"""Bytes of a picture."""


@pytest.fixture
def keep(tmp_path):
    """Photograph a page, or a part of it."""
    directory = IMAGES if os.environ.get("RLM_JUPYTER_SCREENSHOTS") else tmp_path
    directory.mkdir(parents=True, exist_ok=True)

    def shoot(name, shown, height=2000):
        path = directory / f"{name}.png"
        shown.scroll_into_view_if_needed()
        box = shown.bounding_box()
        clip = {**box, "height": min(box["height"], height)}
        shown.page.screenshot(path=path, clip=clip, animations="disabled", caret="hide")
        assert path.stat().st_size < LARGEST, "a picture of the README must load at once"

    return shoot


@pytest.fixture
def refunds(lab, notebook):
    """The question, half answered: some agents wait for `late`."""
    (lab.notebooks / "late").unlink(missing_ok=True)
    lab.script("story", REFUNDS)
    cells = [
        "%load_ext rlm_jupyter\nfrom story import orders, script",
        f"%%rlm orders -m script --max-cost 0.5 -o suspects\n{QUESTION}",
        "suspects",
    ]

    def ask(width=1180):
        book = notebook("refunds.ipynb", cells)
        book.page.set_viewport_size({"width": width, "height": 900})
        book.theme("JupyterLab Light")
        book.hide_sidebar()
        book.ask(1)
        expect(book.agent("0.3.2")).to_be_visible(timeout=60_000)
        for done in ("0.1", "0.2", "0.4", "0.6", "0.3.1"):
            expect(book.agent(done)).to_have_accessible_name(re.compile("done"), timeout=60_000)
        return book

    yield ask
    lab.open_gate("late")


def test_a_running_tree(refunds, keep):
    book = refunds()
    book.choose("0.4")
    variables = book.variables("0.4")
    variables.get_by_role("option", name="refunds").click()
    for name, theme in (("light", "JupyterLab Light"), ("dark", "JupyterLab Dark")):
        book.theme(theme)
        expect(variables.get_by_text("int64").first).to_be_visible()
        keep(name, book.notebook)
        assert book.page.errors == [], theme


@pytest.fixture
def made_up(notebook):
    """Open a widget on a made-up run; photograph that alone."""

    def show(story, width):
        lines = [f"import sys; sys.path.append({str(TESTS / 'support')!r})", "import browser_views as b"]
        book = notebook(f"{story}.ipynb", ["\n".join([*lines, f"b.widget(b.{story}())"])])
        book.theme("JupyterLab Light")
        book.hide_sidebar()
        book.page.locator(".rlm").evaluate("(element, width) => element.style.width = `${width}px`", width)
        expect(book.agent("0")).to_be_visible(timeout=60_000)
        return book, book.page.locator(".rlm")

    return show


def test_a_wide_batch(made_up, keep):
    book, shown = made_up("wide", 960)
    group = book.page.get_by_role("treeitem", name=re.compile("48 agents"))
    expect(group).to_be_visible()
    for words in ("39 done", "7 running", "2 failed"):
        expect(group).to_have_accessible_name(re.compile(words))
    book.panel("0").get_by_role("button", name="Close", exact=True).click()
    group.click()
    expect(book.agent("0.9")).to_be_visible()
    keep("wide-batch", shown, 700)


def test_a_failure(made_up, keep):
    book, shown = made_up("failure", 960)
    book.choose("0.2")
    expect(book.panel("0.2").get_by_text("Hand it a smaller part").first).to_be_visible()
    expect(book.variables("0.2")).to_be_visible()
    keep("failure", shown)


def test_a_timeline_and_the_static_tree_and_a_narrow_cell(refunds, lab, keep):
    book = refunds()
    page = book.page
    lab.open_gate("late")
    book.wait_done(1)
    book.agent("0.3").scroll_into_view_if_needed()
    page.get_by_role("tab", name="Timeline").click()
    close = page.get_by_role("button", name="Close", exact=True)
    if close.is_visible():
        close.click()
    keep("timeline", page.locator(".rlm"))
    page.get_by_role("tab", name="Tree").click()
    page.locator(".rlm").evaluate("element => element.style.width = '400px'")
    book.choose("0.3.2")
    expect(book.variables("0.3.2")).to_be_visible()
    page.set_viewport_size({"width": 700, "height": 2100})
    keep("narrow", page.locator(".rlm"))
    page.set_viewport_size({"width": 1180, "height": 1400})
    book.save()
    lab.shut_kernels()
    page.goto("about:blank")
    book.open()
    static = page.locator(".rlm-static")
    expect(static).to_be_visible(timeout=60_000)
    static.get_by_text("How it came about").click()
    corvus = static.locator("details.rlm-s-agent").filter(has_text="Corvus").last
    corvus.get_by_text("Turn 1").first.click()
    keep("static", static, 760)
