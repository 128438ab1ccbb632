"""The tree in other places than below its cell: in tabs and captured outputs, in two views, after a restart."""

import re

import pytest
from browser_story import COMMANDS
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

SETUP = "%load_ext rlm_jupyter\nfrom commands import script, table"
SOON = 60_000
LIVE = """
from rlm_jupyter import RLM
live = RLM(model=script, log_dir=None, cache=False).start("divide", context=table)
"""


@pytest.fixture(autouse=True)
def story(lab):
    lab.script("commands", COMMANDS)


def test_trees_in_a_tab_are_there_alone_and_go_on_after_their_cell(lab, notebook):
    cells = [
        SETUP,
        "import ipywidgets\nout = ipywidgets.Output()\ndisplay(ipywidgets.Tab([out], titles=['Trees']))",
        f"{LIVE}\nwith out:\n    %rlm tree\n    display(live)\nprint('below')",
        "live.wait(60).status",
        "with out:\n    display(live)\nprint('again')",
    ]
    book = notebook("tabs.ipynb", cells)
    book.run(1)
    book.run(2)
    tab = book.cell(1).locator(".jp-OutputArea").first
    tree = tab.get_by_role("tree", name="divide")
    expect(tree).to_be_visible(timeout=SOON)
    expect(tab.get_by_text(re.compile(r"Question: divide")).first).to_be_attached(timeout=SOON)
    assert book.output(2).strip() == "below"
    expect(tab.get_by_role("treeitem", name=re.compile(r"^0\.2\s"))).to_have_accessible_name(
        re.compile("running code"), timeout=SOON
    )
    tab.get_by_role("button", name="Stop").first.click()
    root = tab.get_by_role("treeitem", name=re.compile(r"^0\s"))
    expect(root).to_have_accessible_name(re.compile("stopped"), timeout=SOON)
    book.run(3)
    assert "stopped" in book.output(3)
    book.run(4)
    expect(tab.get_by_role("tree", name="divide")).to_have_count(2, timeout=SOON)
    assert book.output(4).strip() == "again"
    assert book.page.errors == []


def test_a_captured_tree_is_shown_where_it_is_shown_later(notebook):
    cells = [SETUP, f"%%capture held\n{LIVE}\nlive.stop(); live.wait(60)\ndisplay(live)", "held.show()"]
    book = notebook("capture.ipynb", cells)
    book.run(1)
    assert book.output(1).strip() == ""
    book.run(2)
    expect(book.cell(2).get_by_role("tree", name="divide")).to_be_visible(timeout=SOON)


def test_a_run_that_is_a_cells_value_is_its_tree(notebook):
    book = notebook(
        "value.ipynb",
        [SETUP, f"{LIVE}\nlive.stop(); live.wait(60)\nlive", "%%rlm table -m script --bg\nteach"],
    )
    book.run(1)
    expect(book.cell(1).get_by_role("tree", name="divide")).to_have_count(1, timeout=SOON)
    book.run(2)
    expect(book.cell(2).get_by_role("tree", name="teach")).to_have_count(1, timeout=SOON)
    assert "<Run " in book.output(2)


def test_what_is_done_in_one_of_two_views_is_done_once_and_seen_in_both(notebook):
    cells = [
        "%%rlm table -m script -o answer --step\nteach",
        "[name for name in dir() if 'taken' in name], number_of_turns()",
    ]
    counted = "\ndef number_of_turns():\n    run = get_ipython().run_line_magic('rlm', 'last')\n    return sum(e.kind == 'code_started' for e in run.events)"
    book = notebook("two.ipynb", [SETUP + counted, *cells])
    page = book.page
    book.ask(1)
    page.evaluate("void jupyterapp.commands.execute('notebook:create-output-view')")
    second = page.locator(".jp-LinkedOutputView")
    first = book.cell(1)
    expect(second.get_by_role("tree", name="teach")).to_be_visible(timeout=SOON)
    for view in (first, second):
        expect(view.get_by_role("treeitem", name=re.compile(r"^0\s")).first).to_be_attached()
    second.get_by_role("treeitem", name=re.compile(r"^0\s")).click()
    code = second.get_by_role("textbox", name="Code to run")
    expect(code).to_have_value("number = len(context) - 1179", timeout=SOON)
    second.get_by_role("button", name="Next").first.click()
    expect(code).to_have_value("FINAL(number * 2)", timeout=SOON)
    part = second.get_by_role("region", name="Variables")
    part.get_by_role("option", name=re.compile(r"^number\b")).click()
    part.get_by_role("textbox", name="Pull as").fill("taken")
    part.get_by_role("button", name="Pull", exact=True).click()
    expect(part.get_by_text("taken = ")).to_be_visible(timeout=SOON)
    second.get_by_role("button", name="Stop").first.click()
    for view in (first, second):
        item = view.get_by_role("treeitem", name=re.compile(r"^0\s")).first
        expect(item).to_have_accessible_name(re.compile("stopped"), timeout=SOON)
    page.evaluate(
        "[...jupyterapp.shell.widgets('main')].find(w => w.node.querySelector('.jp-LinkedOutputView')).dispose()"
    )
    book.wait_done(1)
    expect(first.get_by_role("tree", name="teach")).to_be_visible()
    book.run(2)
    assert "(['taken'], 1)" in book.output(2)
    assert page.errors == []


RESTARTED = {
    # By another page or program: nobody tells this one.
    "elsewhere": (
        (
            "async () => { const m = jupyterapp.serviceManager.sessions.running().next().value;"
            " await fetch(`/api/kernels/${m.kernel.id}/restart`, {method: 'POST'}); }"
        ),
        "The kernel has not answered for a while.*or gone",
    ),
    "here": (
        (
            "async () => { const panel = [...jupyterapp.shell.widgets('main')].find(w => w.sessionContext);"
            " await panel.sessionContext.session.kernel.restart(); }"
        ),
        "The kernel was restarted or shut down: buttons no longer work",
    ),
}


@pytest.mark.parametrize("where", RESTARTED)
def test_after_a_restart_the_open_page_says_that_the_kernel_is_gone(notebook, where):
    script, text = RESTARTED[where]
    book = notebook(f"restart_{where}.ipynb", [SETUP, "%%rlm table -m script --bg\ndivide", "1 + 1"])
    book.ask(1)
    expect(book.agent("0.2")).to_have_accessible_name(re.compile("running code"), timeout=SOON)
    book.page.evaluate(script)
    expect(book.page.get_by_text(re.compile(text)).first).to_be_visible(timeout=SOON)
    for shown in book.page.get_by_text(re.compile("model not found|Error displaying widget")).all():
        expect(shown).not_to_be_visible()
