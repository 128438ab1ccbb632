"""A branch that is begun on an agent's page in JupyterLab, and its row in the tree of the run that it leaves."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SOON = 120_000
"""Milliseconds: a bound on hangs, on a loaded machine."""

STORY = """
from rlm_jupyter.models import ScriptedModel

TURNS = ["n = len(context)\\nprint(n)", "part = rlm_query('Double it', context=n)", "FINAL(part)"]

def replies(messages):
    if "Double it" in messages[1]["content"]:
        return "```repl\\nFINAL(2 * context)\\n```"
    return f"```repl\\n{TURNS[sum(one['role'] == 'assistant' for one in messages)]}\\n```"

script = ScriptedModel(replies, name="script")
"""


def test_a_turn_is_asked_from_with_other_code_and_its_branch_stands_in_the_tree(lab, notebook, tmp_path):
    lab.script("branches", STORY)
    setup = "%load_ext rlm_jupyter\nfrom branches import script\nitems = [1, 2, 3]"
    book = notebook("branches.ipynb", [setup, "%%rlm items -m script -o answer\nHow many, twice?", "answer"])
    book.run(1)
    panel = book.choose("0")
    offered = panel.get_by_role("button", name="Ask from here instead").first
    expect(offered).to_be_visible(timeout=SOON)
    offered.click()
    form = panel.get_by_role("region", name="Ask from here instead")
    code = form.get_by_role("textbox", name="Code of the turn")
    expect(code).to_have_value("n = len(context)\nprint(n)", timeout=SOON)
    code.fill("n = 50\nprint(n)")
    form.get_by_role("button", name="Branch from here").click()
    expect(form).to_be_hidden(timeout=SOON)
    expect(book.agent("0~1")).to_have_accessible_name(
        re.compile("branch: turn 1, with other code.*done"), timeout=SOON
    )
    expect(book.agent("0~1.1")).to_have_accessible_name(re.compile("Double it"), timeout=SOON)
    expect(book.agent("0.1")).to_be_visible()
    expect(book.head.get_by_text(re.compile("Branches: 1, .*not in the figures of this run"))).to_be_visible()
    branch = panel.get_by_role("button", name="0~1 branch: turn 1, with other code")
    expect(branch).to_be_visible(timeout=SOON)
    book.page.screenshot(path=tmp_path / "branches.png")
    branch.click()
    page = book.panel("0~1")
    expect(page.get_by_text("n = 50")).to_be_visible(timeout=SOON)
    expect(page.get_by_role("button", name="Ask from here instead")).to_have_count(0)
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_hidden()
    book.run(2)
    assert "6" in book.output(2), "the run that was left is as it was"
