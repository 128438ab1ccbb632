"""The page of `rlm-jupyter serve` in a real browser: the token once, a question, the tree, the answer, the whole run."""

import os
from pathlib import Path

import pytest
from openai_server import OpenAIServer
from playwright.sync_api import expect
from scripts import cell, question_of
from web_server_parts import served
from widget_page import AXE

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
CODES = {
    "How many lines?": "FINAL(sum(1 for _ in open(context)))",
    "Markup?": f"print(open(context).read())\nFINAL({HOSTILE!r})",
    "Mine?": "FINAL(open(context).read())",
    "Slow?": "import time\nwhile True: time.sleep(0.1)",
}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    notes = tmp_path_factory.mktemp("web") / "notes.txt"
    notes.write_text("one\ntwo\n")
    with (
        OpenAIServer(lambda request: cell(CODES[question_of(request["messages"])])) as model,
        served(model, f"notes={notes}", token=None) as (found, _),
    ):
        yield found


@pytest.fixture
def opened(browser, address):
    with browser.new_context() as context:
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda said: page.faults.append(said.text) if said.type == "error" else None)
        page.goto(address)
        yield page
        assert page.faults == []


def ask(page, question):
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask").click()


def test_a_question_is_asked_and_the_tree_and_the_answer_are_shown(opened, address):
    assert "token" in address
    assert "token" not in opened.url
    expect(opened.get_by_label("notes (txt, 8 bytes)")).to_be_checked()
    ask(opened, "How many lines?")
    expect(opened.locator("#answer")).to_have_text("2")
    expect(opened.locator("#tree")).to_contain_text("0 done")
    expect(opened.get_by_role("status")).to_contain_text("done: 1 agent, 1 completion")
    if shots := os.environ.get("RLM_SHOTS"):
        opened.screenshot(path=Path(shots) / "web_server.png", full_page=True)
    with opened.expect_popup() as popup:
        opened.get_by_role("link", name="The whole run").click()
    whole = popup.value
    expect(whole.get_by_role("treeitem").first).to_be_visible()
    assert whole.evaluate("self.origin") == "null"


def test_markup_of_a_model_is_text(opened):
    ask(opened, "Markup?")
    expect(opened.locator("#answer")).to_have_text(HOSTILE)
    assert opened.title() == "rlm_jupyter"
    assert opened.locator("#answer *").count() == 0


def test_a_file_of_the_reader_is_handed_over(opened, tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("of mine")
    opened.get_by_label("notes").uncheck()
    opened.get_by_label("Your own files").set_input_files(mine)
    ask(opened, "Mine?")
    expect(opened.locator("#answer")).to_have_text("of mine")


def test_a_run_is_stopped_by_its_button(opened):
    ask(opened, "Slow?")
    expect(opened.locator("#tree")).to_contain_text("running code")
    opened.get_by_role("button", name="Stop").click()
    expect(opened.get_by_role("status")).to_contain_text("RunStoppedError")
    expect(opened.get_by_role("button", name="Stop")).to_be_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened, scheme):
    opened.emulate_media(color_scheme=scheme)
    ask(opened, "How many lines?")
    expect(opened.locator("#answer")).to_have_text("2")
    opened.evaluate(f"() => {{ {AXE.read_text('utf-8')}; window.axe = axe; }}")
    assert [each["id"] for each in opened.evaluate("axe.run(document)")["violations"]] == []
