"""What a user does in JupyterLab, done by a real browser: watch, stop, pull, save, reopen."""

import re

import pytest
from lab import VIEWPORT, opening
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SETUP = """\
%load_ext rlm_jupyter
import pandas as pd
from rlm_jupyter.models import ScriptedModel

table = pd.DataFrame({"supplier": ["x", "y", "z"] * 400, "price": range(1200)})

def reply(messages):
    question = messages[1]["content"].split("\\n")[1]
    turn = sum(m["role"] == "assistant" for m in messages)
    if question == "slow" or question.startswith("part"):
        code = "import time\\nseen = len(context)\\ntime.sleep(1.0 if 'part' in %r else 60)\\nFINAL(context.head(2))" % question
    elif turn == 0:
        code = "print(context.shape)\\nsums = context.groupby('supplier', as_index=False)['price'].sum()"
    else:
        code = "parts = rlm_query_batched(['part a', 'part b'], contexts=[context, context])\\nFINAL(pd.concat(parts))"
        code = "import pandas as pd\\n" + code
    return f"I run this.\\n\\n```repl\\n{code}\\n```"

script = ScriptedModel(reply)
"""


def test_the_tree_grows_while_the_cell_runs_and_the_answer_is_in_the_notebook(notebook):
    book = notebook("grow.ipynb", [SETUP, "%%rlm table -m script -o found\nwhole question", "len(found)"])
    page = book.page
    book.ask(1)
    tree = page.get_by_role("tree", name=re.compile("whole question"))
    expect(tree.get_by_role("treeitem", name=re.compile(r"^0\b")).first).to_be_visible(timeout=60_000)
    expect(tree.get_by_role("treeitem", name=re.compile(r"^0\.1\b"))).to_be_visible(timeout=60_000)
    assert book.busy(1), "the tree grew only after the cell"
    book.wait_done(1)
    book.run(2)
    assert book.output(2).strip().endswith("4")
    assert page.errors == []


def test_stop_ends_the_running_cell(notebook):
    cells = [SETUP, "%%rlm table -m script\nslow", "print(rlm_status := 'alive')"]
    book = notebook("stop.ipynb", cells)
    page = book.page
    book.ask(1)
    item = page.get_by_role("treeitem", name=re.compile(r"^0\b"))
    expect(item).to_be_visible(timeout=60_000)
    page.wait_for_timeout(700)
    assert book.busy(1)
    page.get_by_role("button", name="Stop", exact=True).click()  # not the file `stop.ipynb`
    book.wait_done(1, seconds=15)
    assert "RunStoppedError" in book.output(1)
    assert "Traceback" not in book.output(1)
    book.run(2)
    assert "alive" in book.output(2)


def test_a_pulled_frame_is_used_in_the_next_cell_and_the_saved_tree_survives(lab, notebook):
    cells = [SETUP, "%%rlm table -m script -o found\nwhole question", "sums.shape, sums.price.sum()"]
    book = notebook("pull.ipynb", cells)
    page = book.page
    book.run(1)
    page.get_by_role("treeitem", name=re.compile(r"^0\b")).first.click()
    page.get_by_text("sums", exact=True).first.click()
    field = page.get_by_role("textbox", name="Pull as")
    field.fill("sums")
    page.get_by_role("button", name="Pull", exact=True).click()
    page.wait_for_timeout(1500)
    book.run(2)
    assert "(3, 2)" in book.output(2)
    assert str(sum(range(1200))) in book.output(2)

    static = page.locator(".rlm-static")
    expect(static).to_have_count(1)
    expect(static).not_to_be_visible()
    book.save()
    lab.shut_kernels()
    page.goto("about:blank")
    book.open()
    static = page.locator(".rlm-static")
    expect(static).to_be_visible(timeout=60_000)
    static.get_by_text("How it came about").click()
    text = static.inner_text()
    assert "whole question" in text
    assert "0.2" in text
    for error in ("model not found", "Error displaying widget", "Loading widget"):
        for shown in page.get_by_text(error).all():
            expect(shown).not_to_be_visible(timeout=60_000)


def test_a_page_is_left_to_the_next_test_as_it_was_found_and_never_after_a_reload(lab, left_page, request):
    with opening(lab, left_page, request.session) as opened:
        book = opened("left.ipynb", ["1"])
        book.theme("JupyterLab Dark")
        book.page.set_viewport_size({"width": 500, "height": 500})
        book.page.errors.append("of this test")
    page = left_page.take()
    assert page is book.page
    expect(page.locator(".jp-Notebook")).to_have_count(0)
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", "JupyterLab Light")
    assert (page.viewport_size, page.errors) == (VIEWPORT, [])
    page.reload()
    left_page.leave(page, failed=False)
    assert page.is_closed()
    new = left_page.take()
    left_page.leave(new, failed=False)
    assert new.is_closed(), "it shows no Lab"
