"""What a user takes out of a tree in JupyterLab: the line that pulls, what was given to FINAL, the exact prompt."""

import re

import pytest
from browser_story import COMMANDS
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SETUP = "%load_ext rlm_jupyter\nfrom commands import script, table"
SOON = 60_000
"""Milliseconds: a bound on hangs, on a loaded machine."""


@pytest.fixture(autouse=True)
def story(lab):
    lab.script("commands", COMMANDS)


@pytest.fixture
def answered(lab, notebook):
    """A notebook whose question has its answer; 0.2 was stopped, the others gave frames."""

    def ask(name, *cells):
        book = notebook(name, [SETUP, "%%rlm table -m script -o parts\ndivide", *cells])
        book.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        book.ask(1)
        expect(book.agent("0.2")).to_have_accessible_name(re.compile("running code"), timeout=SOON)
        book.choose("0.2").get_by_role("button", name="Stop", exact=True).click()
        lab.open_gate("gate-siblings")
        book.wait_done(1)
        return book

    return ask


def paste_and_run(book, number):
    book.cell(number).locator(".jp-InputArea-editor").click()
    book.page.keyboard.press("Control+v")
    book.run(number)


@pytest.mark.parametrize("taken", ["FINAL value", "first"])
def test_the_copied_line_pulls_what_was_chosen_when_it_runs_in_a_cell(answered, taken):
    book = answered("copy.ipynb", "", "mine.shape")
    book.choose("0.1")
    part = book.variables("0.1")
    part.get_by_role("option", name=re.compile(f"^{taken}")).click()
    part.get_by_role("textbox", name="Pull as").fill("mine")
    part.get_by_role("button", name="Copy as code").click()
    expect(part.get_by_role("button", name="Copied")).to_be_visible(timeout=SOON)
    paste_and_run(book, 2)
    name = "" if taken == "FINAL value" else " first"
    assert f"%rlm pull 0.1{name} -o mine" in book.cell(2).inner_text()
    book.run(3)
    assert "(2, 2)" in book.output(3)
    assert book.page.errors == []


def test_what_a_sub_agent_gave_to_final_is_pulled_by_a_click_and_asks_before_it_overwrites(answered):
    book = answered("final.ipynb", "value_0_3.shape", "table.shape")
    book.choose("0.3")
    part = book.variables("0.3")
    field = part.get_by_role("textbox", name="Pull as")
    expect(part.get_by_role("option", name=re.compile("^FINAL value"))).to_have_attribute(
        "aria-selected", "true"
    )
    expect(field).to_have_value("value_0_3")
    part.get_by_role("button", name="Pull", exact=True).click()
    expect(part.get_by_text("value_0_3 = DataFrame 2 x 2")).to_be_visible(timeout=SOON)
    field.fill("table")
    part.get_by_role("button", name="Pull", exact=True).click()
    expect(part.get_by_text("choose another name")).to_be_visible(timeout=SOON)
    book.run(2)
    assert "(2, 2)" in book.output(2)
    book.run(3)
    assert "(1200, 2)" in book.output(3), "nothing was overwritten"
    part.get_by_role("button", name="Overwrite").click()
    expect(part.get_by_text("table = DataFrame 2 x 2")).to_be_visible(timeout=SOON)
    book.run(3)
    assert "(2, 2)" in book.output(3)


def test_the_exact_prompt_of_an_agent_comes_when_it_is_asked_for(answered):
    book = answered(
        "prompt.ipynb",
        "from rlm_jupyter import rlm\nprint(rlm.runs()[-1].agents['0.1'].messages[1]['content'])",
    )
    panel = book.choose("0.1")
    panel.get_by_role("button", name="Prompt", exact=True).click()
    shown = panel.get_by_role("region", name="Prompt")
    expect(shown.get_by_role("heading", name="system")).to_be_visible(timeout=SOON)
    book.run(2)
    said = book.cell(2).locator(".jp-OutputArea-output pre").inner_text()
    assert "quick a" in said
    user = shown.locator("section").filter(has=book.page.get_by_role("heading", name="user")).first
    assert user.locator("pre").inner_text().split() == said.split(), (
        "what is shown is what was sent, to the letter"
    )
    user.get_by_role("button", name="Copy").click()
    expect(user.get_by_role("button", name="Copied")).to_be_visible(timeout=SOON)
    assert book.page.evaluate("navigator.clipboard.readText()").split() == said.split()
    panel.get_by_role("button", name="Prompt", exact=True).click()
    expect(panel.get_by_role("region", name="Turns")).to_be_visible()
