"""A replay in a browser: in a file from the disk without a kernel, and over a log and a live run in JupyterLab."""

import itertools
import os
import re
from pathlib import Path

import pytest
from browser_story import REFUNDS
from browser_views import hostile
from playwright.sync_api import expect
from run_story import Story
from widget_page import AXE

from rlm_jupyter import RLM, Limits
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.export_file import export_run
from rlm_jupyter.views.replay import Replay
from rlm_jupyter.views.widget_messages import rows

pytestmark = pytest.mark.browser

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGEST = 150_000
"""Bytes of a picture."""


@pytest.fixture(scope="module")
def refunds(tmp_path_factory):
    """The events of a real run of scripted agents."""
    directory = tmp_path_factory.mktemp("refunds")
    before = Path.cwd()
    os.chdir(directory)
    (directory / "late").touch()
    story = {}
    try:
        exec(REFUNDS, story)
        rlm = RLM(model=story["script"], limits=Limits(cost=0.5), cache=False, log_dir=directory / "logs")
        question = "Which supplier explains the rise in refunds, and why?"
        with rlm.run(question, context=story["orders"], names=("orders",)) as run:
            return run.events, run.log_path.read_text("utf-8")
    finally:
        os.chdir(before)


@pytest.fixture
def opened(from_disk, tmp_path):
    """Open the file of a run, with its events; see `from_disk`."""
    numbers = itertools.count()

    def show(events, *, width=1200, scheme="light", **options):
        path = tmp_path / f"{next(numbers)}.html"
        export_run(TreeState.of(events), path, events=events, **options)
        return from_disk(path, width=width, scheme=scheme)

    return show


def go(page, place):
    field = page.get_by_role("textbox", name="Go to a place")
    field.fill(place)
    field.press("Enter")


def caption(page):
    return page.locator(".rlm-caption")


def test_each_moment_in_a_file_shows_what_the_events_up_to_it_make(opened, refunds):
    events, _ = refunds
    page = opened(events)
    replay = Replay(events)
    slider = page.get_by_role("slider", name="Moment of the run")
    for position in [*range(1, len(events), 7), 3, len(events)]:
        go(page, f"event {position}")
        replay.seek({"position": position})
        expect(caption(page)).to_have_text(replay.shown()["caption"])
        told = rows(TreeState.of(events[:position]))
        expect(page.get_by_role("treeitem")).to_have_count(len(told))
        shown = [item.get_attribute("data-key") for item in page.get_by_role("treeitem").all()]
        assert sorted(shown) == sorted(told)
        expect(slider).to_have_attribute("aria-valuetext", re.compile(f"^event {position} of {len(events)}"))
    assert page.asked == [page.own]
    assert page.errors == []


def test_the_page_of_an_agent_shows_what_it_held_and_had_sent_at_the_moment(opened, refunds):
    events, _ = refunds
    page = opened(events)
    go(page, "agent 0, turn 1")
    panel = page.get_by_role("region", name="Agent 0", exact=True)
    expect(panel).to_be_visible()
    expect(panel.locator(".rlm-turn")).to_have_count(1)
    assert panel.get_by_role("option").count() == 0, "no variable had been described yet"
    page.get_by_role("button", name="Next turn").click()
    expect(caption(page)).to_contain_text("asks the model")
    page.get_by_role("slider").press("End")
    expect(panel.get_by_role("option").first).to_be_visible()
    go(page, "agent 0.99, turn 4")
    expect(page.get_by_role("alert")).to_contain_text("has no")
    assert page.errors == []


def test_the_keyboard_plays_pauses_and_steps(opened, refunds):
    events, _ = refunds
    page = opened(events)
    slider = page.get_by_role("slider")
    slider.press("Home")
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^event 2 "))
    slider.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^event 1 "))
    slider.press("]")
    expect(caption(page)).to_contain_text("starts with")
    slider.press("]")
    expect(page.get_by_role("treeitem")).to_have_count(2)
    slider.press("[")
    expect(page.get_by_role("treeitem")).to_have_count(1)
    page.get_by_role("combobox", name="Speed").select_option("20")
    slider.press(" ")
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible(timeout=60_000)
    expect(slider).to_have_attribute("aria-valuetext", re.compile(f"^event {len(events)} "))
    page.get_by_role("treeitem").first.press("[")
    expect(slider).not_to_have_attribute("aria-valuetext", re.compile(f"^event {len(events)} "))
    assert page.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_photographed(opened, refunds, tmp_path, scheme):
    """`RLM_JUPYTER_SCREENSHOTS=1` keeps the pictures in `docs/images`."""
    events, _ = refunds
    page = opened(events, scheme=scheme)
    page.get_by_role("button", name="Explain").click()
    directory = IMAGES if os.environ.get("RLM_JUPYTER_SCREENSHOTS") else tmp_path
    value = next(at for at, event in enumerate(events, 1) if event.kind == "value_returned")
    places = {
        "replay-1": f"event {Replay(events).find('agent 0.2') + 1}",
        "replay-2": "agent 0.3, turn 1",
        "replay": f"event {value}",
        "replay-3": f"event {len(events)}",
    }
    for name, place in places.items():
        go(page, place)
        page.wait_for_timeout(400)
        page.get_by_role("button", name="Follow").focus()
        path = (directory if scheme == "light" else tmp_path) / f"{name}.png"
        path.write_bytes(small(page.locator(".rlm").screenshot()))
        assert path.stat().st_size < LARGEST
        page.evaluate(AXE.read_text("utf-8"))
        found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'best-practice']})")
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
    page.get_by_role("tab", name="Timeline").click()
    go(page, f"event {len(events) // 2}")
    expect(page.locator(".rlm-bar-code").first).to_be_visible()


def small(png):
    """Returns a picture in few colours."""
    import io

    from PIL import Image

    made = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("P", palette=Image.Palette.ADAPTIVE, colors=160).save(made, "PNG")
    return made.getvalue()


def test_hostile_texts_of_a_log_are_text_at_every_moment(opened):
    story = hostile()
    page = opened(story.events)
    for position in range(1, len(story.events), 23):
        go(page, f"event {position}")
        expect(page.get_by_role("slider")).to_have_attribute(
            "aria-valuetext", re.compile(f"^event {position} ")
        )
    assert page.locator(".rlm script, .rlm iframe, .rlm img[onerror]").count() == 0
    assert page.asked == [page.own]
    assert page.errors == []


def test_a_long_run_is_jumped_through(opened):
    story = Story("long")
    story.agent("0")
    for number in range(1, 3000):
        story.agent(f"0.{number}", after=0.01)
        story.end_agent(f"0.{number}", after=0.01)
    page = opened(story.events)
    for position in (10, 5900, 3000):
        go(page, f"event {position}")
        # Of a run with so many agents, the file has fewer moments than events: the next one that it has is shown.
        page.wait_for_function(
            """position => {
                const told = document.querySelector('.rlm input[type=range]').getAttribute('aria-valuetext');
                const shown = Number(/^event ([0-9,]+)/.exec(told)[1].replace(',', ''));
                return shown >= position && shown < position + 20;
            }""",
            arg=position,
        )
    spent = page.evaluate(
        """async () => {
            const slider = document.querySelector('.rlm input[type=range]');
            const text = () => slider.getAttribute('aria-valuetext');
            const frame = () => new Promise(requestAnimationFrame);
            let moves = 0;
            for (const share of [0.1, 0.9, 0.3]) {
                const before = text();
                slider.value = String(Number(slider.max) * share);
                slider.dispatchEvent(new Event('input'));
                for (let tries = 0; text() === before && tries < 600; tries += 1) await frame();
                moves += text() !== before;
            }
            return moves;
        }"""
    )
    assert spent == 3
    assert page.errors == []


LAB = """\
%load_ext rlm_jupyter
import time
from rlm_jupyter.models import ScriptedModel
def reply(messages):
    turn = sum(m["role"] == "assistant" for m in messages)
    if messages[1]["content"].split("\\n")[1].startswith("part"):
        code = "import time\\ntime.sleep(%d if 'b' in '''%s''' else 0)\\nFINAL(len(context))"
        code = code % (20, messages[1]["content"].split("\\n")[1][-1])
    else:
        code = "FINAL(rlm_query_batched(['part a', 'part b'], contexts=[[1], [2, 3]]))"
    return f"I run this.\\n\\n```repl\\n{code}\\n```"
script = ScriptedModel(reply)
numbers = list(range(50))
"""


def test_a_live_run_in_jupyterlab_is_gone_back_in_and_left_again(notebook):
    book = notebook("back.ipynb", [LAB, "%%rlm numbers -m script --bg\nwhole"])
    page = book.page
    book.ask(1)
    expect(page.get_by_role("treeitem")).to_have_count(3)
    page.get_by_role("button", name="Replay", exact=True).click()
    page.get_by_role("slider", name="Moment of the run").press("Home")
    page.get_by_role("slider").press("ArrowRight")  # at once: it begins where the key before it leads to
    expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", re.compile("^event 1 "))
    expect(page.get_by_role("treeitem")).to_have_count(0)
    page.get_by_role("slider").press("]")
    expect(page.get_by_role("treeitem")).to_have_count(1)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Back to live").click()
    expect(page.get_by_role("treeitem")).to_have_count(3)
    expect(page.locator(".rlm-replay")).to_be_hidden()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".rlm-badge").first).to_have_text("stopped")
    assert page.errors == []


def test_a_log_is_stepped_through_in_jupyterlab(lab, notebook, refunds):
    events, log = refunds
    (lab.notebooks / "someone.jsonl").write_text(log, "utf-8")
    (lab.notebooks / "torn.jsonl").write_text(log[: len(log) // 2], "utf-8")
    cells = [
        "%load_ext rlm_jupyter",
        "%rlm replay someone.jsonl",
        "from rlm_jupyter import records\nrecords.load('torn.jsonl')",
    ]
    book = notebook("log.ipynb", cells)
    page = book.page
    book.run(1)
    slider = page.get_by_role("slider", name="Moment of the run")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(f"^event {len(events)} of {len(events)}"))
    replay = Replay(events)
    for position in (1, len(events) // 2, 9):
        go(page, f"event {position}")
        replay.seek({"position": position})
        expect(caption(page)).to_have_text(replay.shown()["caption"])
        expect(page.get_by_role("treeitem")).to_have_count(len(replay.tree.agents))
    page.get_by_role("combobox", name="Speed").select_option("20")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(slider).to_have_attribute("aria-valuetext", re.compile(f"^event {len(events)} "), timeout=90_000)
    book.run(2)
    expect(page.locator(".rlm-caption").nth(1)).not_to_be_empty()
    assert page.errors == []
