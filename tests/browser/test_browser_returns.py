"""The tree after a reload, in a second view, in another browser, in a saved notebook, as HTML: it is there again."""

import json
import re
import subprocess
import sys

import pytest
from browser_story import COMMANDS
from lab import Page, opening, watch
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SETUP = "%load_ext rlm_jupyter\nfrom commands import script, table"
SOON = 60_000
ERRORS = re.compile("model not found|Error displaying widget|Loading widget")


def asked(lab, opened, name):
    """A notebook whose question waits: 0.1 and 0.3 for a gate, 0.2 for ever."""
    lab.script("commands", COMMANDS)
    book = opened(name, [SETUP, "%%rlm table -m script\ndivide"])
    book.ask(1)
    expect(book.agent("0.2")).to_have_accessible_name(re.compile("running code"), timeout=SOON)
    book.save()
    return book


@pytest.fixture
def running(lab, notebook):
    """Opens a notebook whose question waits."""
    return lambda name: asked(lab, notebook, name)


def whole_tree(book, timeout=60_000):
    for id_ in ("0", "0.1", "0.2", "0.3"):
        expect(book.agent(id_)).to_be_visible(timeout=timeout)


def no_error_box(page):
    for shown in page.get_by_text(ERRORS).all():
        expect(shown).not_to_be_visible(timeout=60_000)


def test_a_page_reloaded_in_mid_run_shows_the_whole_tree_and_goes_on(lab, running):
    book = running("reload.ipynb")
    book.page.reload()
    whole_tree(book)
    no_error_box(book.page)
    book.choose("0.2").get_by_role("button", name="Stop", exact=True).click()
    expect(book.agent("0.2")).to_have_accessible_name(re.compile("stopped"), timeout=SOON)
    lab.open_gate("gate-siblings")
    expect(book.agent("0")).to_have_accessible_name(re.compile("done"), timeout=SOON)


def test_another_browser_opened_in_mid_run_shows_the_whole_tree_and_stops_it(running, browser):
    book = running("reopen.ipynb")
    book.page.close()
    other = browser.new_context(viewport={"width": 1300, "height": 1000}).new_page()
    watch(other)
    again = Page(book.lab, other, book.name).open()
    whole_tree(again)
    again.head.get_by_role("button", name="Stop").click()
    expect(again.agent("0")).to_have_accessible_name(re.compile("stopped"), timeout=SOON)
    expect(again.head.get_by_role("button", name="Stop")).not_to_be_visible()
    assert other.errors == []
    other.context.close()


def test_a_second_view_of_the_same_cell_shows_the_same_tree(running):
    book = running("second.ipynb")
    page = book.page
    page.evaluate("void jupyterapp.commands.execute('notebook:create-output-view')")
    trees = page.get_by_role("tree", name="divide")
    expect(trees).to_have_count(2, timeout=SOON)
    for tree in trees.all():
        expect(tree.get_by_role("treeitem", name=re.compile(r"^0\.3\s"))).to_be_attached(timeout=SOON)
    stop = page.locator(".jp-LinkedOutputView").get_by_role("button", name="Stop").first
    stop.click()
    for tree in trees.all():
        item = tree.get_by_role("treeitem", name=re.compile(r"^0\s"))
        expect(item).to_have_accessible_name(re.compile("stopped"), timeout=SOON)
    assert page.errors == []


@pytest.fixture(scope="module")
def saved(lab, left_page, request):
    """The file of a notebook that was saved after its run; its kernel has ended."""
    with opening(lab, left_page, request.session) as opened:
        book = asked(lab, opened, "saved.ipynb")
        book.head.get_by_role("button", name="Stop").click()
        book.wait_done(1)
        book.save()
    return lab.notebooks / book.name


def test_an_untrusted_notebook_without_a_kernel_shows_the_static_tree(saved, lab, page):
    content = json.loads(saved.read_text())
    content["cells"][1]["outputs"][1]["data"]["text/plain"] += (
        " "  # another notebook than the one that was signed
    )
    (lab.notebooks / "untrusted.ipynb").write_text(json.dumps(content))
    book = Page(lab, page, "untrusted.ipynb").open()
    name = page.locator("summary code").filter(has_text=re.compile(r"^0\.3$"))  # not a time of 0.3 s
    page.locator(".rlm-static").get_by_text("How it came about").click(timeout=SOON)
    expect(name).to_be_visible(timeout=SOON)
    shown = book.output(1)
    for text in ("divide", "0.1", "quick a", "stopped"):
        assert text in shown
    assert "model not found" not in shown
    assert "Error displaying" not in shown


def test_a_saved_notebook_becomes_html_with_a_static_tree_and_no_error_box(saved, page, tmp_path):
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "nbconvert",
        "--to",
        "html",
        f"--output-dir={tmp_path}",
        str(saved),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    page.route(re.compile("^https?:"), lambda route: route.abort())  # readers on a train have no network
    page.goto((tmp_path / "saved.html").as_uri())
    static = page.locator(".rlm-static")
    expect(static).to_be_visible(timeout=SOON)
    for text in ("divide", "0.1", "0.2", "stopped"):
        expect(static).to_contain_text(text)
    static.get_by_text("How it came about").click()
    turn = static.locator("summary").filter(has_text="Turn 1").first
    turn.click()
    expect(static.get_by_text("rlm_query_batched").first).to_be_visible()
    no_error_box(page)
    expect(
        page.locator("pre").filter(has_text="RLM run")
    ).not_to_be_visible()  # the text of the widget itself
    assert saved.stat().st_size < 300_000
