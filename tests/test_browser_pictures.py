"""What the tree looks like, photographed; `RLM_JUPYTER_SCREENSHOTS=1` keeps the pictures in `docs/images`.

Without that the same is done and looked at only by machine: everything is there, nothing is cut off.
"""

import os
import re
from pathlib import Path

import pytest
from browser_story import REFUNDS
from lab import Page
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

IMAGES = Path(__file__).parents[1] / "docs" / "images"
QUESTION = "Which supplier explains the rise in refunds, and why?"
LARGEST = 150_000
"""Bytes of a picture."""


@pytest.fixture
def keep(tmp_path):
    """Photograph a page, or a part of it."""
    directory = IMAGES if os.environ.get("RLM_JUPYTER_SCREENSHOTS") else tmp_path
    directory.mkdir(parents=True, exist_ok=True)

    def shoot(name, shown, **options):
        path = directory / f"{name}.png"
        shown.screenshot(path=path, animations="disabled", caret="hide", **options)
        assert path.stat().st_size < LARGEST, "a picture of the README must load at once"

    return shoot


@pytest.fixture
def refunds(lab, page):
    """The question, half answered: some agents wait for `late`."""
    (lab.notebooks / "late").unlink(missing_ok=True)
    lab.script("story", REFUNDS)
    cells = [
        "%load_ext rlm_jupyter\nfrom story import orders, script",
        f"%%rlm orders -m script --max-cost 0.5 -o suspects\n{QUESTION}",
        "suspects",
    ]

    def ask(width=1180, theme="JupyterLab Light"):
        page.set_viewport_size({"width": width, "height": 940})
        lab.shut_kernels()
        lab.write("refunds.ipynb", cells)
        book = Page(lab, page, "refunds.ipynb").open().wait_for_kernel()
        book.theme(theme)
        book.hide_sidebar()
        book.run_first()
        book.run(1, wait=False)
        expect(book.agent("0.3.2")).to_be_visible(timeout=60_000)
        for done in ("0.1", "0.2", "0.4", "0.6", "0.3.1"):
            expect(book.agent(done)).to_have_accessible_name(re.compile("done"), timeout=60_000)
        return book

    yield ask
    lab.open_gate("late")


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_a_running_tree(refunds, page, keep, theme):
    book = refunds(theme=theme)
    book.choose("0.4")
    variables = book.variables("0.4")
    variables.get_by_role("option", name="refunds").click()
    expect(variables.get_by_text("int64").first).to_be_visible()
    keep("dark" if "Dark" in theme else "light", book.notebook)
    assert page.errors == []
