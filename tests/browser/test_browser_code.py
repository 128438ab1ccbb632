"""The code behind an answer in JupyterLab: from the card to the code, to the lines of the agent that wrote it, to a cell.

`RLM_JUPYTER_SCREENSHOTS=1` keeps a picture in `docs/images`.
"""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from widget_page import violations

pytestmark = pytest.mark.browser

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGEST = 120_000
"""Bytes of the picture for the documentation."""
SOON = 60_000
"""Milliseconds: a bound on hangs, on a loaded machine."""

SCRIPT = r"""
import pandas as pd
import sys
sys.path.insert(0, SUPPORT)
from scripts import by_question

orders = pd.DataFrame({
    "supplier": ["Corvus", "Heron", "Kestrel", "Merlin", "Osprey"] * 1000,
    "days": [n % 29 for n in range(5000)],
    "refund": [n % 7 * 1.5 for n in range(5000)],
})
COUNT = "Sum up the refunds"
ROOT = [
    "print(orders.head())\nprint(orders.describe())",
    "late = orders[orders.days > 21]\nprint(len(late))",
    "evil = '</script><img src=http://evil.test/x onerror=alert(1)>'\n"
    f"parts = rlm_query_batched(['{COUNT}'] * 2, contexts=[late[late.supplier == 'Corvus'], late[late.supplier == 'Heron']])",
    "worst = max(zip(parts, ['Corvus', 'Heron']))[1]",
    "FINAL({'late orders': len(late), 'refunds': parts, 'worst': worst, 'note': evil})",
]
PLAIN = [*ROOT[:2], ROOT[2].partition("\n")[2], ROOT[3], "FINAL({'worst': worst, 'late orders': len(late), 'refunds': parts})"]
script = by_question({
    "Which of the two refunds more?": PLAIN,
    "Which supplier refunds the most when it is late?": ROOT,
    COUNT: ["print(context.shape)", "paid = context.query('refund > 0')\nFINAL(float(paid.refund.sum()))"],
})
"""


HOSTILE, PLAIN = "Which supplier refunds the most when it is late?", "Which of the two refunds more?"


@pytest.fixture
def book(lab, notebook, request):
    support = str(Path(__file__).parents[1] / "support")
    lab.script("late_orders", f"SUPPORT = {support!r}\n{SCRIPT}")
    cells = [
        "%load_ext rlm_jupyter\nfrom late_orders import orders, script",
        f"%%rlm orders -m script -o found\n{request.param}",
        "1 + 1",
    ]
    made = notebook("code.ipynb", cells)
    made.theme("JupyterLab Light")
    made.hide_sidebar()
    made.ask(1)
    made.wait_done(1)
    return made


def open_code(book):
    book.cell(1).get_by_role("button", name="Code behind the answer").click()
    panel = book.cell(1).get_by_role("region", name="Code behind the answer")
    expect(panel.get_by_text("def answer(orders):")).to_be_visible(timeout=SOON)
    return panel


def take_picture(book, images):
    """Keep a picture of the card and of the code below it."""
    parts = [book.cell(1).locator(part).bounding_box() for part in (".rlm-card", ".rlm-code-panel")]
    left, top = parts[0]["x"] - 6, parts[0]["y"] - 6
    height = parts[1]["y"] + parts[1]["height"] + 6 - top
    book.page.screenshot(
        path=images / "code.png",
        clip={"x": left, "y": top, "width": parts[0]["width"] + 12, "height": height},
    )
    assert (images / "code.png").stat().st_size < LARGEST


@pytest.mark.parametrize("book", [HOSTILE], indirect=True)
def test_from_the_answer_to_its_code_to_the_lines_that_an_agent_wrote_and_into_a_cell(book):
    page, panel = book.page, open_code(book)
    expect(panel.get_by_text("code reproduced")).to_be_visible()
    expect(book.cell(1).locator(".rlm-card .rlm-proof")).to_have_text("code reproduced")
    expect(panel.get_by_text("orders 5,000 → late 1,204 rows")).to_be_visible()
    expect(panel.get_by_text("where orders.days > 21")).to_be_visible()
    expect(panel.get_by_text("where refund > 0")).to_be_visible()
    book.cell(1).get_by_role("button", name="worst", exact=True).click()
    expect(panel.get_by_text("“worst” rests on the")).to_be_visible()
    expect(panel.locator("[data-marked]").filter(has_text="evil =")).to_have_count(0)
    expect(panel.locator("[data-marked]").filter(has_text="late = orders")).to_have_count(1)
    assert violations(page, ".rlm-code-panel") == []
    book.cell(1).get_by_role("button", name="note", exact=True).click()
    expect(panel.locator("[data-marked]").filter(has_text="late = orders")).to_have_count(0)
    expect(panel.locator("[data-marked]").filter(has_text="evil =")).to_have_count(1)

    panel.get_by_role("button", name="0.1 · turn 2 · line 1", exact=True).click()
    marked = book.panel("0.1").get_by_role("group", name="line 1", exact=True)
    expect(marked).to_have_text("paid = context.query('refund > 0')", timeout=SOON)
    expect(marked).to_be_focused()
    expect(marked).to_be_in_viewport()
    assert violations(page, ".rlm-panel") == []

    panel.get_by_role("button", name="To next cell").click()
    expect(panel.get_by_text("It is in the cell below.")).to_be_visible()
    expect(book.cell(2).locator(".jp-InputArea-editor")).to_contain_text("def sub_agent_1(context):")
    expect(book.cell(3).locator(".jp-InputArea-editor")).to_contain_text("1 + 1")
    book.run(2)
    assert "'worst'" in book.output(2)
    assert page.errors == []


@pytest.mark.parametrize("book", [PLAIN], indirect=True)
def test_with_the_keyboard_alone(book, tmp_path):
    page = book.page
    button = book.cell(1).get_by_role("button", name="Code behind the answer")
    button.focus()
    page.keyboard.press("Enter")
    panel = book.cell(1).get_by_role("region", name="Code behind the answer")
    expect(panel.get_by_role("heading", name="Code behind the answer")).to_be_focused()
    expect(panel.get_by_text("code reproduced")).to_be_visible(timeout=SOON)
    part = book.cell(1).get_by_role("button", name="late orders", exact=True)
    part.focus()
    page.keyboard.press("Enter")
    expect(panel.get_by_text("“late orders” rests on the 2 statements marked here.")).to_be_visible()
    take_picture(book, IMAGES if os.environ.get("RLM_JUPYTER_SCREENSHOTS") else tmp_path)
    panel.get_by_role("heading", name="Code behind the answer").focus()
    link = panel.get_by_role("button", name=re.compile(r"^0 · turn 2")).first
    for _ in range(30):
        page.keyboard.press("Tab")
        if link.evaluate("one => one === document.activeElement"):
            break
    page.keyboard.press("Enter")
    marked = book.panel("0").get_by_role("group", name="line 1", exact=True)
    expect(marked).to_be_focused(timeout=SOON)
    link.focus()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-expanded", "false")
    assert page.errors == []
