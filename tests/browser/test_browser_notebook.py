"""The same in Notebook 7, which has no file browser beside the notebook and settings of its own."""

import re

import pytest
from browser_story import COMMANDS
from lab import Lab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SETUP = "%load_ext rlm_jupyter\nfrom commands import script, table"
SOON = 60_000


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A Notebook 7 in the place of JupyterLab."""
    with Lab(tmp_path_factory.mktemp("notebook"), application="notebook") as running:
        running.script("commands", COMMANDS)
        yield running


def test_in_notebook_7_a_branch_is_stopped_a_variable_pulled_and_the_saved_tree_shown(lab, notebook):
    book = notebook("seven.ipynb", [SETUP, "%%rlm table -m script -o parts\ndivide", "parts, taken.shape"])
    book.ask(1)
    expect(book.agent("0.2")).to_have_accessible_name(re.compile("running code"), timeout=SOON)
    book.choose("0.2").get_by_role("button", name="Stop", exact=True).click()
    expect(book.agent("0.2")).to_have_accessible_name(re.compile("stopped"), timeout=SOON)
    book.choose("0.1")
    book.pull("0.1", "first", "taken")
    expect(book.variables("0.1").get_by_text("taken = DataFrame 2 x 2")).to_be_visible(timeout=SOON)
    assert book.busy(1)
    lab.open_gate("gate-siblings")
    book.wait_done(1)
    book.run(2)
    assert "[True, False, True], (2, 2)" in book.output(2)
    assert book.page.errors == []

    book.save()
    lab.shut_kernels()
    book.page.goto("about:blank")
    book.open()
    static = book.page.locator(".rlm-static")
    expect(static).to_be_visible(timeout=SOON)
    expect(static).to_contain_text("quick a")
    for error in book.page.get_by_text(
        re.compile("model not found|Error displaying widget|Loading widget")
    ).all():
        expect(error).not_to_be_visible(timeout=60_000)
