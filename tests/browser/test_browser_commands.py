"""What a user does with a running tree, in JupyterLab: stop a branch, pull, run code, step, retry, raise a limit."""

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


def state(words):
    return re.compile(rf"\b{words}\b")


def test_a_stopped_branch_ends_while_its_siblings_go_on_to_their_answers(lab, notebook):
    book = notebook("branch.ipynb", [SETUP, "%%rlm table -m script -o parts\ndivide", "parts"])
    book.ask(1)
    expect(book.agent("0.2")).to_have_accessible_name(state("running code"), timeout=SOON)
    book.choose("0.2").get_by_role("button", name="Stop", exact=True).click()
    expect(book.agent("0.2")).to_have_accessible_name(state("stopped"), timeout=SOON)
    for sibling in ("0.1", "0.3"):
        expect(book.agent(sibling)).not_to_have_accessible_name(state("stopped|done|failed"))
    assert book.busy(1)
    lab.open_gate("gate-siblings")
    book.wait_done(1)
    for sibling in ("0.1", "0.3"):
        expect(book.agent(sibling)).to_have_accessible_name(state("done"))
    book.run(2)
    assert "[True, False, True]" in book.output(2)


def test_a_variable_is_pulled_and_code_run_while_the_agent_waits_for_its_sub_agents(lab, notebook):
    cells = [SETUP + "\ntaken = 'mine'", "%%rlm table -m script\ndivide", "taken.shape, taken.price.sum()"]
    book = notebook("pull.ipynb", cells)
    book.ask(1)
    expect(book.agent("0.2")).to_have_accessible_name(state("running code"), timeout=SOON)
    book.choose("0.1")
    book.pull("0.1", "first", "taken")
    asked = book.panel("0.1").get_by_role("button", name="Overwrite")
    expect(asked).to_be_visible(timeout=SOON)
    expect(book.panel("0.1").get_by_text("choose another name")).to_be_visible()
    asked.click()
    expect(book.variables("0.1").get_by_text("taken = DataFrame 2 x 2")).to_be_visible(timeout=SOON)

    field = book.panel("0.1").get_by_role("textbox", name="Code for the kernel of 0.1")
    field.fill("print('sum is', first['price'].sum() + 41)")
    book.panel("0.1").get_by_role("button", name="Run", exact=True).click()
    expect(book.panel("0.1").get_by_text("sum is 42")).to_be_visible(timeout=SOON)
    assert book.busy(1), "all of this happened while the cell ran"

    book.head.get_by_role("button", name="Stop").click()
    book.wait_done(1)
    book.run(2)
    assert "(2, 2)" in book.output(2)


def test_in_step_mode_each_cell_waits_and_runs_as_it_was_edited(notebook):
    book = notebook("step.ipynb", [SETUP, "%%rlm table -m script -o answer --step\nteach", "answer"])
    book.ask(1)
    code = book.panel("0").get_by_role("textbox", name="Code to run")
    expect(code).to_have_value("number = len(context) - 1179", timeout=SOON)
    code.fill("number = len(context) - 1150")
    book.panel("0").get_by_role("button", name="Next").click()
    expect(code).to_have_value("FINAL(number * 2)", timeout=SOON)
    expect(book.panel("0").get_by_role("button", name="Next")).to_be_focused()
    expect(book.panel("0").get_by_text("number = len(context) - 1150")).to_be_visible()
    book.page.keyboard.press("Enter")
    book.wait_done(1)
    book.run(2)
    assert "100" in book.output(2)


def test_a_person_writes_the_replies_in_the_tree(notebook):
    setup = f"{SETUP}\nfrom rlm_jupyter.models import InteractiveModel\nyou = InteractiveModel()"
    book = notebook("reply.ipynb", [setup, "%%rlm table -m you -o answer\nteach", "answer"])
    book.ask(1)
    panel = book.panel("0")
    reply = panel.get_by_role("textbox", name="The model's reply")
    expect(reply).to_be_visible(timeout=SOON)
    reply.fill("number = len(context)\nprint('<b>')")
    panel.get_by_role("button", name="Send").click()
    expect(panel.get_by_text("<b>", exact=True)).to_be_visible(timeout=SOON)
    expect(reply).to_have_value("", timeout=SOON)
    expect(book.agent("0")).to_have_accessible_name(state("waiting for your reply"), timeout=SOON)
    panel.get_by_role("button", name="Prompt").click()
    expect(panel.locator(".rlm-messages")).to_contain_text("1,200", timeout=SOON)
    reply.fill("FINAL(number - 1100)")
    reply.press("Control+Enter")
    book.wait_done(1)
    book.run(2)
    assert "100" in book.output(2)


def test_what_an_agent_asks_is_answered_in_the_head_of_the_tree(notebook):
    book = notebook("ask.ipynb", [SETUP, "%%rlm table -m script -o answer\nasks", "answer"])
    book.ask(1)
    asked = book.head.get_by_role("region", name="Question to you")
    expect(asked.get_by_text("Is the price in cents?")).to_be_visible(timeout=SOON)
    expect(book.agent("0")).to_have_accessible_name(state("asking you"), timeout=SOON)
    asked.get_by_role("button", name="euros").click()
    book.wait_done(1)
    expect(asked).to_be_hidden()
    book.run(2)
    assert "euros" in book.output(2)


@pytest.mark.parametrize("when", ["while its run goes on", "after the end of its run"])
def test_a_failed_sub_agent_is_asked_again_and_its_value_pulled(lab, notebook, when):
    book = notebook("retry.ipynb", [SETUP, "%%rlm table -m script\nfragile", "found.shape"])
    book.ask(1)
    expect(book.agent("0.1")).to_have_accessible_name(state("failed"), timeout=SOON)
    if "after" in when:
        lab.open_gate("gate-fragile")
        book.wait_done(1)
    panel = book.choose("0.1")
    expect(panel.get_by_text("bad day").first).to_be_visible()
    panel.get_by_role("button", name="Retry").click()
    expect(book.agent("0.2")).to_have_accessible_name(state("done"), timeout=SOON)
    book.choose("0.2")
    book.pull("0.2", "found", "found")
    expect(book.variables("0.2").get_by_text("found = DataFrame 4 x 2")).to_be_visible(timeout=SOON)
    lab.open_gate("gate-fragile")
    book.wait_done(1)
    book.run(2)
    assert "(4, 2)" in book.output(2)


def test_a_limit_is_raised_while_the_run_goes_on(lab, notebook):
    book = notebook(
        "limit.ipynb", [SETUP, "%%rlm table -m script -o total --max-calls 3\nmany calls", "total"]
    )
    book.ask(1)
    expect(book.agent("0")).to_have_accessible_name(state("2 turns"), timeout=SOON)
    book.head.get_by_role("button", name=re.compile("^. 3$")).click()
    book.head.get_by_role("textbox", name="New limit: calls").fill("50")
    book.page.keyboard.press("Enter")
    expect(book.head.get_by_text("/ 50")).to_be_visible(timeout=SOON)
    lab.open_gate("gate-calls")
    book.wait_done(1)
    book.run(2)
    assert book.output(2).strip().endswith("10")


def test_a_paused_run_waits_until_it_is_resumed(lab, notebook):
    book = notebook("pause.ipynb", [SETUP, "%%rlm table -m script -o total\nmany calls", "total"])
    book.ask(1)
    expect(book.agent("0")).to_have_accessible_name(state("2 turns"), timeout=SOON)
    book.head.get_by_role("button", name="Pause").click()
    expect(book.head.get_by_text("paused")).to_be_visible(timeout=SOON)
    lab.open_gate("gate-calls")
    code = book.panel("0").get_by_role("textbox", name="Code to run")
    expect(code).to_have_value("b = 2", timeout=SOON)
    assert book.busy(1)
    book.head.get_by_role("button", name="Resume").click()
    book.wait_done(1)
    book.run(2)
    assert book.output(2).strip().endswith("10")
