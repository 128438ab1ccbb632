"""A run as one file, opened from the disk in a browser: it shows all, makes no request, and no text becomes markup."""

import base64
import io
import itertools
import os
import re
from pathlib import Path

import pytest
from browser_story import REFUNDS
from browser_views import hostile
from magics_parts import terminal_shell
from PIL import Image
from playwright.sync_api import expect
from run_story import Story, example
from scripts import by_question
from widget_page import AXE

from rlm_jupyter import RLM, Limits
from rlm_jupyter.export_file import export_run

pytestmark = pytest.mark.browser

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGEST = 180_000
"""Bytes of a picture."""


@pytest.fixture
def opened(from_disk, tmp_path):
    """Open the file of a run, or one that is there; see `from_disk`."""
    numbers = itertools.count()

    def show(tree, *, width=1200, scheme="light", tree_item=True, **options):
        made = (
            tree
            if isinstance(tree, Path)
            else export_run(tree, tmp_path / f"{next(numbers)}.html", **options)
        )
        return from_disk(made, width=width, scheme=scheme, tree_item=tree_item)

    return show


def quiet(page):
    """Whether the page asked for nothing but itself, and nothing went wrong or was refused by its policy."""
    page.wait_for_timeout(300)
    assert page.asked == [page.own]
    assert page.errors == []


QUESTION = "Which of them is heavy?"
ROOT = [
    "print('weighed', len(context))\nkept = list(context)",
    "part = rlm_query('Only the first', context=context[:1])",
    "FINAL(part)",
]


def test_a_real_run_from_the_magic_opens_with_its_tree_code_variables_prompt_and_timeline(
    opened, tmp_path, monkeypatch
):
    with terminal_shell(tmp_path) as shell:
        monkeypatch.chdir(tmp_path)
        shell.user_ns["script"] = by_question(
            {QUESTION: ROOT, "Only the first": ["FINAL({'weight': context[0]})"]}
        )
        shell.user_ns["weights"] = [12, 2**53 + 1]
        assert shell.run_cell(f"%%rlm weights -m script\n{QUESTION}").success
        assert shell.run_cell("%rlm export -o run.html").success
    page = opened(tmp_path / "run.html")
    expect(page.get_by_role("treeitem")).to_have_count(2)
    panel = page.get_by_role("region", name="Agent 0", exact=True)
    expect(panel.get_by_text("print('weighed', len(context))")).to_be_visible()
    expect(panel.get_by_text("weighed 2")).to_be_visible()
    panel.get_by_role("option", name=re.compile("kept")).click()
    expect(panel.get_by_role("region", name="Variables").get_by_text(str(2**53 + 1))).to_be_visible()
    page.get_by_role("treeitem", name=re.compile("Only the first")).click()
    panel = page.get_by_role("region", name="Agent 0.1", exact=True)
    expect(panel.get_by_role("option", name=re.compile("FINAL value"))).to_be_visible()
    expect(panel.get_by_role("rowheader", name="weight").first).to_be_visible()
    panel.get_by_role("button", name="Prompt").click()
    expect(panel.get_by_text("You answer a question").first).to_be_visible()
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".rlm-bar-model").first).to_be_visible()
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Code behind the answer").click()
    code = page.get_by_role("region", name="Code behind the answer")
    expect(code.get_by_text("sub_agent_1(weights[:1])")).to_be_visible()
    expect(code.get_by_text("code not tried")).to_be_visible()
    code.get_by_role("button", name="0 · turn 2 · line 1", exact=True).click()
    expect(page.get_by_role("group", name="line 1", exact=True)).to_have_text(ROOT[1])
    for name in ("To next cell", "Stop", "Retry", "Pull", "Run", "Pause", "Whole turn"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    quiet(page)


def test_what_it_looks_like(opened, tmp_path, monkeypatch):
    """Photographed; `RLM_JUPYTER_SCREENSHOTS=1` keeps the picture in `docs/images`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "late").touch()
    story = {}
    exec(REFUNDS, story)
    rlm = RLM(model=story["script"], limits=Limits(cost=0.5), cache=False, log_dir=tmp_path / "logs")
    question = "Which supplier explains the rise in refunds, and why?"
    with rlm.run(question, context=story["orders"], names=("orders",)) as run:
        page = opened(run.tree)
    page.locator('[data-key="0.3"]').click()
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".rlm-bar-code").first).to_be_visible()
    expect(page.get_by_text("seal broken on arrival").first).to_be_visible()
    directory = IMAGES if os.environ.get("RLM_JUPYTER_SCREENSHOTS") else tmp_path
    page.set_viewport_size({"width": 1180, "height": 880})
    page.screenshot(path=directory / "saved-page.png", animations="disabled", caret="hide")
    assert (directory / "saved-page.png").stat().st_size < LARGEST
    quiet(page)


def test_all_is_reached_by_keyboard(opened):
    page = opened(example().state)
    page.locator("[role=treeitem][tabindex='0']").focus()
    keys = page.keyboard
    keys.press("ArrowDown")
    expect(page.get_by_role("treeitem", name=re.compile("profile"))).to_be_focused()
    keys.press("Enter")
    panel = page.get_by_role("region", name="Agent 0.1", exact=True)
    expect(panel.get_by_role("heading", name="profile")).to_be_focused()
    keys.press("Escape")
    expect(page.get_by_role("treeitem", name=re.compile("profile"))).to_be_focused()
    keys.press("p")
    expect(panel.get_by_role("heading", name="profile")).to_be_focused()
    page.get_by_role("tab", name="Tree").focus()
    keys.press("ArrowRight")
    expect(page.get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")
    quiet(page)


@pytest.mark.parametrize("static", [False, True])
def test_hostile_texts_stay_text_and_ask_for_nothing(opened, static):
    page = opened(hostile().state, static=static, tree_item=not static)
    expect(page.get_by_text("hostile").first).to_be_visible()
    for id_ in () if static else ("0.1", *(f"0.1.{at}" for at in range(1, 11))):
        row = page.locator(f'[data-key="{id_}"]')
        row.scroll_into_view_if_needed()
        if row.get_attribute("aria-expanded") == "false":
            row.locator(".rlm-twisty").click()
        row.click()
        panel = page.get_by_role("region", name=f"Agent {id_}", exact=True)
        if id_.count(".") > 1:
            expect(panel.locator(".rlm-turn").first).to_be_visible()
        bad = page.evaluate(
            """[...document.querySelectorAll('main *')].flatMap(e => [...e.attributes])
            .filter(a => /^on|^href|^src|^action/.test(a.name)).map(a => a.name + '=' + a.value)"""
        )
        assert bad == [], id_
    tags = set(page.evaluate("[...document.querySelectorAll('main *')].map(e => e.localName)"))
    assert not tags & {"script", "img", "iframe", "a", "link", "object", "embed", "video", "base", "meta"}
    quiet(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("level", ["all", "redacted", "structure"])
def test_axe_finds_nothing_in_light_and_dark_wide_and_narrow(opened, scheme, level):
    page = opened(example().state, scheme=scheme, level=level)
    page.context.set_offline(True)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    page.locator('[data-key="0.2"]').click()
    errors = list(page.errors)
    for tab in ("Timeline", "Tree"):
        page.get_by_role("tab", name=tab).click()
        assert audit(page) == []
    page.set_viewport_size({"width": 420, "height": 900})
    page.locator('[data-key="0.1"]').click()
    assert audit(page) == []
    assert errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_page_without_a_script(opened, scheme):
    page = opened(example().state, scheme=scheme, static=True, tree_item=False)
    assert audit(page) == []
    assert page.asked == [page.own]


def audit(page):
    """Let axe-core look at the page; the page's policy allows no further script, so it comes by the debugger."""
    page.evaluate(f"() => {{ {AXE.read_text('utf-8')}; window.axe = axe; }}")
    found = page.evaluate("axe.run(document)")["violations"]
    return [(item["id"], item["nodes"][0]["html"], item["nodes"][0]["failureSummary"]) for item in found]


def test_a_narrow_window_cuts_nothing_off(opened):
    page = opened(example().state, width=400)
    page.locator('[data-key="0.1"]').click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    quiet(page)


def test_a_chart_is_shown_from_the_file(opened):
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(stream, "PNG")
    png = base64.b64encode(stream.getvalue()).decode()
    story = Story()
    story.agent("0")
    story.prompt("0")
    story.reply("0", "I draw.")
    story.cell(
        "0", "draw()", "a chart", pictures=({"summary": "a chart", "width": 40, "height": 30, "png": png},)
    )
    story.end_agent("0")
    story.end()
    page = opened(story.state)
    image = page.get_by_role("img", name="a chart")
    expect(image).to_be_visible()
    assert image.evaluate("e => e.naturalWidth") == 40
    assert [url for url in page.asked if not url.startswith("data:image/png;base64,")] == [page.own]
    assert page.errors == []


def test_a_hundred_agents_with_large_texts_open(opened):
    story = Story()
    story.agent("0")
    for number in range(1, 101):
        id_ = f"0.{number}"
        story.agent(id_, after=0.01)
        for turn in range(1, 4):
            story.turn(id_, "words " * 3_000, "y = 1\n" * 3_000, "z" * 20_000, turn=turn)
        story.end_agent(id_)
    story.end_agent("0")
    story.end()
    page = opened(story.state)
    page.get_by_role("treeitem", name=re.compile("100 agents")).click()
    page.locator('[data-key="0.2"]').click()
    panel = page.get_by_role("region", name="Agent 0.2", exact=True)
    expect(panel.get_by_text("characters left out").first).to_be_visible()
    quiet(page)


def test_without_scripts_the_file_says_what_to_do(browser, tmp_path):
    path = export_run(example().state, tmp_path / "run.html")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    expect(page.get_by_text("--static")).to_be_visible()
    context.close()
