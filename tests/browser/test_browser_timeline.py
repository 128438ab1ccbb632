"""The timeline in a browser: drag, wheel, keys, the critical path; and a page whose reader wants no motion."""

import itertools
import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def timeline(alone):
    """The timeline of a run that has ended, after 14.2 seconds."""
    page = alone("done")
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".rlm-tick").first).to_be_visible()
    return page


def ticks(page):
    """The moments written at the top, in seconds."""
    page.wait_for_timeout(100)  # two frames
    return [float(text.removesuffix(" s")) for text in page.locator(".rlm-tick").all_inner_texts()]


def lane(page, id_):
    return page.get_by_role("treeitem", name=re.compile(rf"^{re.escape(id_)}\s")).locator(".rlm-track")


def drag(page, box, start, end, *, release=True):
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y, steps=4)
    if release:
        page.mouse.up()


def test_a_span_is_dragged_over_and_shown_alone_until_a_double_click(timeline):
    page = timeline
    whole = ticks(page)
    assert whole[0] == 0
    box = lane(page, "0.3").bounding_box()
    drag(page, box, 0.3, 0.6, release=False)
    band = page.locator(".rlm-band")
    expect(band).to_be_visible()
    expect(band).to_have_text("4.3 s")
    assert band.bounding_box()["x"] == pytest.approx(box["x"] + 0.3 * box["width"], abs=2)
    page.mouse.up()
    expect(band).to_be_hidden()
    near = ticks(page)
    assert 4 <= near[0] < near[-1] <= 8.7
    expect(page.get_by_role("region", name=re.compile("^Agent 0.3"))).to_have_count(0)
    drag(page, box, 0.6, 0.3)
    closer = ticks(page)
    assert near[0] <= closer[0] < closer[-1] <= near[-1]
    assert closer != near
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + 8)
    assert ticks(page) == whole
    assert page.errors == []


def test_escape_gives_a_drag_up_then_the_zoom(timeline):
    page = timeline
    whole = ticks(page)
    box = lane(page, "0.1").bounding_box()
    row = page.get_by_role("treeitem").first
    row.focus()
    drag(page, box, 0.2, 0.7, release=False)
    page.keyboard.press("Escape")
    expect(page.locator(".rlm-band")).to_be_hidden()
    page.mouse.up()
    assert ticks(page) == whole
    drag(page, box, 0.2, 0.7)
    assert ticks(page) != whole
    row.focus()
    page.keyboard.press("Escape")
    assert ticks(page) == whole


def test_keys_do_what_the_mouse_does(timeline):
    page, keys = timeline, timeline.keyboard
    whole = ticks(page)
    page.get_by_role("treeitem", name=re.compile(r"^0\.1\.1\s")).focus()
    keys.press("z")
    life = ticks(page)
    assert life[0] >= 6
    assert life[-1] <= 9.3
    keys.press("Shift+ArrowRight")
    assert ticks(page)[-1] > life[-1] or ticks(page)[0] > life[0]
    keys.press("-")
    keys.press("0")
    assert ticks(page) == whole
    keys.press("+")
    assert ticks(page) != whole
    keys.press("Escape")
    assert ticks(page) == whole
    page.keyboard.down("Control")
    box = lane(page, "0").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    assert ticks(page) != whole


def test_the_critical_path_goes_from_the_start_to_the_end_without_a_gap(timeline):
    pieces = timeline.evaluate(
        """() => [...document.querySelectorAll('.rlm-bar-path')].filter((e) => e.closest('[role=treeitem]'))
        .map((e) => [parseFloat(e.style.left), parseFloat(e.style.left) + parseFloat(e.style.width)])"""
    )
    assert len(pieces) > 1
    pieces.sort()
    assert pieces[0][0] == pytest.approx(0, abs=0.1)
    assert pieces[-1][1] == pytest.approx(100 / 1.01, abs=0.2)
    for (_, end), (start, _) in itertools.pairwise(pieces):
        assert start == pytest.approx(end, abs=0.2)


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_who_wants_no_motion_sees_none(alone, motion):
    page = alone("run", reduced_motion=motion)
    moving = page.evaluate(
        """() => document.getAnimations().map((each) => each.effect.target.className.baseVal || each.effect.target.className)"""
    )
    lasting = page.evaluate(
        """() => [...document.querySelectorAll('.rlm *')].filter((each) => {
          const style = getComputedStyle(each);
          const seconds = (text) => Math.max(...text.split(',').map(parseFloat));
          return seconds(style.transitionDuration) > 0 || (style.animationName !== 'none' && seconds(style.animationDuration) > 0);
        }).length"""
    )
    if motion == "reduce":
        assert (moving, lasting) == ([], 0)
        sign = page.locator(".rlm-icon-model path").first
        assert sign.evaluate("e => getComputedStyle(e).strokeDasharray") != "none", (
            "work shows by a shape instead"
        )
    else:
        assert moving
        assert lasting > 0
