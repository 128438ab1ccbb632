"""What is left of a tree where there is no kernel and no script: converted notebooks, GitHub, the saved file itself."""

import json
import re
import subprocess
import sys
from pathlib import Path

import bleach
import nbformat
import pytest
from lab import Page, opening
from playwright.sync_api import expect
from run_story import example

from rlm_jupyter.views.static_html import static_html

pytestmark = pytest.mark.browser

TESTS = Path(__file__).parents[1]
SOON = 60_000
ERRORS = re.compile("model not found|Error displaying widget|Loading widget|Waiting for the kernel")
DEMO = """\
import pandas as pd
orders = pd.DataFrame({"supplier": ["North", "South", "North"] * 40, "refund": [3.0, 0.5, 4.0] * 40})"""


def convert(path, *options):
    """Make an HTML page of a notebook, as a user does; give its path."""
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", *options, str(path)]
    done = subprocess.run(command, capture_output=True, timeout=200, cwd=path.parent, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return path.with_suffix(".html")


def no_error_box(page):
    for shown in page.get_by_text(ERRORS).all():
        expect(shown).not_to_be_visible(timeout=60_000)


@pytest.fixture
def offline(page):
    """A page without a network."""
    page.route(re.compile("^https?:"), lambda route: route.abort())
    return page


def test_a_notebook_that_nbconvert_executes_has_the_whole_tree_and_no_error_box(offline, tmp_path):
    cells = [
        "%load_ext rlm_jupyter",
        DEMO,
        "%%rlm orders -m demo -o answer\nWhich supplier has the highest refunds?",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in [*cells, "answer"]])
    path = tmp_path / "asked.ipynb"
    nbformat.write(book, path)
    offline.goto(convert(path, "--execute").as_uri())
    static = offline.locator(".rlm-static")
    expect(static).to_have_count(1)
    expect(static).to_be_visible(timeout=SOON)
    for text in ("Which supplier has the highest refunds?", "done", "scripted", "Turn 1"):
        expect(static).to_contain_text(text)
    static.get_by_text("How it came about").click()
    static.locator("summary").filter(has_text="Turn 1").first.click()
    expect(static.locator("pre.rlm-s-code").first).to_be_visible()
    no_error_box(offline)
    area = offline.locator(".jp-OutputArea").filter(has=offline.locator(".rlm-static"))
    box = area.locator(".jp-OutputArea-child").first.bounding_box()
    assert box is None or box["height"] < 4, "nothing is left of the widget above the static tree"


@pytest.fixture(scope="module")
def hundred(lab, left_page, request):
    """The saved notebook of a run of a hundred agents; its kernel has ended."""
    lines = [f"import sys; sys.path.append({str(TESTS / 'support')!r})", "import browser_views as b"]
    with opening(lab, left_page, request.session) as opened:
        book = opened("hundred.ipynb", ["\n".join([*lines, "b.shown(b.hundred())"])])
        expect(book.agent("0")).to_be_visible(timeout=SOON)
        expect(book.page.locator(".rlm-static")).to_be_hidden()
        book.save()
    return lab.notebooks / book.name


def whole_static_tree(page):
    static = page.locator(".rlm-static")
    expect(static).to_be_visible(timeout=SOON)
    expect(static.locator("details.rlm-s-agent")).to_have_count(100)
    no_error_box(page)


def test_a_hundred_agents_take_at_most_300_kb_of_the_saved_notebook(hundred):
    assert hundred.stat().st_size <= 300_000, "the file itself, with all that Lab writes into it"
    saved = json.loads(hundred.read_text())
    assert len(saved["cells"][0]["outputs"]) == 2
    markup = "".join(saved["cells"][0]["outputs"][1]["data"]["text/html"])
    assert len(re.findall('<details class="rlm-s-agent"', markup)) == 100, "each agent has its row"


def test_a_saved_notebook_of_a_hundred_agents_has_the_whole_tree_when_it_is_converted(
    hundred, offline, tmp_path
):
    (tmp_path / "hundred.ipynb").write_bytes(hundred.read_bytes())
    offline.goto(convert(tmp_path / "hundred.ipynb").as_uri())
    whole_static_tree(offline)


def test_a_saved_notebook_of_a_hundred_agents_shows_the_whole_tree_at_once_when_it_is_reopened(
    hundred, lab, page
):
    page.add_init_script(FLASHES)
    Page(lab, page, hundred.name).open()
    whole_static_tree(page)
    page.wait_for_timeout(3000)
    assert page.evaluate("window.flashes") == [], "nothing flashes before the static tree"


FLASHES = """
window.flashes = [];
const look = () => {
  for (const node of document.querySelectorAll('.jp-OutputArea-output')) {
    const text = node.childElementCount === 0 ? node.textContent : '';
    if (/Loading widget|Error displaying/.test(text) && node.getBoundingClientRect().height > 0)
      window.flashes.push(`${text} ${node.outerHTML} ${document.querySelector(".rlm-static")}`);
  }
  requestAnimationFrame(look);
};
look();
"""


# What GitHub leaves of a notebook's HTML: https://github.com/gjtorikian/html-pipeline, its `SanitizationFilter`;
# no class, no style, no script.
TAGS = "a b blockquote br code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li ol p pre q s samp span"
TAGS += " strike strong sub summary sup table tbody td tfoot th thead tr tt ul var"


def as_on_github(markup):
    bare = re.sub(r"<(style|script)\b.*?</\1>", "", markup, flags=re.DOTALL)
    return bleach.clean(bare, tags=TAGS.split(), attributes={"details": ["open"]}, strip=True)


@pytest.mark.parametrize("told", ["example", "failed batch"])
def test_on_github_without_styles_classes_and_scripts_the_tree_is_still_read(offline, told):
    if told == "example":
        story = example()
    else:
        import browser_views

        story = browser_views.failure()
    markup = as_on_github(static_html(story.state, after_widget=True))
    assert not re.search("class=|style=|<style|<script|data-", markup)
    offline.set_content(f"<!doctype html><title>x</title><body>{markup}")
    body = offline.locator("body")
    assert "{" not in body.inner_text().split("\n")[0], "no style sheet is read as text"
    offline.get_by_text("How it came about").click()
    rows = offline.locator("details > summary:has(code)")
    assert [row.locator("code").first.inner_text() for row in rows.all()] == list(story.state.agents)
    for row, agent in zip(rows.all(), story.state.agents.values(), strict=True):
        expect(row).to_be_visible()
        assert agent.status in row.inner_text()
        assert f"{agent.id} {agent.status} " in row.inner_text(), "words stand apart without a style sheet"
    depth = [row.evaluate("e => { let n = 0; while ((e = e.parentElement)) n += e.localName === 'details'; return n }")
             for row in rows.all()]  # fmt: skip
    left = [row.bounding_box()["x"] for row in rows.all()]
    depths = [agent.depth for agent in story.state.agents.values()]
    assert sorted(set(left)) == [left[depths.index(level)] for level in sorted(set(depths))], (
        "set in by their depth"
    )
    assert depth == [agent.depth + 2 for agent in story.state.agents.values()], "nested as the agents are"
    turn = offline.locator("summary").filter(has_text="Turn 1").first
    turn.click()
    code = offline.locator("pre").first
    expect(code).to_be_visible()
    expect(offline.locator("body")).to_contain_text(story.state.question)
    if told == "failed batch":
        expect(offline.get_by_text("used more than its 2 GB of memory").first).to_be_visible()
