"""The tree for keyboards, screen readers, narrow cells, every theme; hostile text; ten thousand agents."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TESTS = Path(__file__).parents[1]
AXE = TESTS.parent / "js" / "node_modules" / "axe-core" / "axe.min.js"
SOON = 60_000
THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")


@pytest.fixture
def shown(notebook):
    """Open a notebook with a widget on a made-up run."""

    def show(story, name):
        lines = [
            f"import sys; sys.path.append({str(TESTS / 'support')!r})",
            "import browser_views as b",
            f"story = b.{story}()",
        ]
        book = notebook(name, ["\n".join([*lines, "b.widget(story)"]), "1"])
        expect(book.agent("0")).to_be_visible(timeout=SOON)
        return book

    return show


def focused(page):
    return page.evaluate(
        "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
    )


def test_the_tree_is_walked_by_keyboard_alone_and_lab_takes_none_of_the_keys(shown):
    book = shown("going_on", "keys.ipynb")
    page, keys = book.page, book.page.keyboard
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    book.agent("0").focus()
    for key, id_ in (
        *(("ArrowDown", "0.1"), ("ArrowDown", "0.1.1"), ("ArrowLeft", "0.1"), ("ArrowUp", "0")),
        *(("End", "0.3"), ("Home", "0"), ("ArrowRight", "0.1"), ("ArrowDown", "0.1.1"), ("PageDown", "0.3")),
    ):
        keys.press(key)
        expect(book.agent(id_)).to_be_focused()
    keys.press("Home")
    keys.press("ArrowDown")
    keys.press("ArrowLeft")
    expect(book.agent("0.1")).to_have_attribute("aria-expanded", "false")
    expect(book.agent("0.1.1")).to_have_count(0)
    keys.press("*")
    expect(book.agent("0.1.1")).to_be_visible()
    page.wait_for_timeout(900)  # the end of a type-ahead
    keys.type("find")
    expect(book.agent("0.2")).to_be_focused()
    page.wait_for_timeout(900)
    keys.press("Home")
    keys.press("ArrowDown")
    keys.press("p")
    expect(book.panel("0.1").get_by_role("textbox", name="Pull as")).to_be_focused()
    keys.press("Escape")
    expect(book.agent("0.1")).to_be_focused()
    keys.press("s")
    expect(book.panel("0.1").get_by_role("button", name="Stop")).to_be_focused()
    keys.press("Escape")
    keys.press("Enter")
    expect(book.panel("0.1").get_by_role("heading", name="profile")).to_be_focused()
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells, "Lab took a key for a command of its own"
    assert page.errors == []


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_in_any_theme_tab_or_width(shown, theme):
    assert AXE.exists(), "axe-core is missing: run `npm ci` in js/"
    book = shown("going_on", "axe.ipynb")
    page = book.page
    book.theme(theme)
    page.add_script_tag(path=AXE)

    def violations():
        found = page.evaluate("axe.run('.rlm')")["violations"]
        return [(item["id"], item["nodes"][0]["html"], item["nodes"][0]["failureSummary"]) for item in found]

    book.choose("0.1")
    expect(book.variables("0.1").get_by_role("option", name=re.compile("counts"))).to_be_visible(timeout=SOON)
    assert violations() == []
    book.choose("0.2")
    page.get_by_role("tab", name="Timeline").click()
    assert violations() == []
    page.set_viewport_size({"width": 520, "height": 900})
    page.get_by_role("tab", name="Tree").click()
    assert violations() == []
    book.theme("JupyterLab Light")


def test_in_a_cell_of_400_pixels_nothing_is_cut_off(shown):
    book = shown("going_on", "narrow.ipynb")
    page = book.page
    page.locator(".rlm").evaluate("element => element.style.width = '400px'")
    book.choose("0.1")
    expect(book.variables("0.1").get_by_role("option", name=re.compile("counts"))).to_be_visible(timeout=SOON)
    over = page.evaluate(
        """() => { const right = document.querySelector('.rlm').getBoundingClientRect().right;
        return [...document.querySelectorAll('.rlm :is(button, input, h3, [role=treeitem], .rlm-fact)')]
        .filter(e => e.offsetParent && e.getBoundingClientRect().right > right + 1).map(e => e.outerHTML.slice(0, 100)) }"""
    )
    assert over == []
    for button in ("Stop", "Pull", "Run", "Prompt", "Close"):
        shown_button = book.panel("0.1").get_by_role("button", name=button, exact=True)
        shown_button.scroll_into_view_if_needed()
        expect(shown_button).to_be_in_viewport()


def test_sixty_hostile_texts_are_shown_as_text_wherever_they_stand(shown):
    seen = []
    book = shown("hostile", "hostile.ipynb")
    page = book.page
    page.on("dialog", lambda dialog: (seen.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on(
        "request", lambda request: None if request.url.startswith(book.lab.url) else seen.append(request.url)
    )
    tags = set()
    opened = 0
    for pack in range(1, 7):
        row = book.agent(f"0.{pack}")
        row.scroll_into_view_if_needed()
        if row.get_attribute("aria-expanded") == "false":
            row.locator(".rlm-twisty").click()
        for at in range(1, 11):
            id_ = f"0.{pack}.{at}"
            book.choose(id_)
            expect(book.panel(id_).locator(".rlm-turn").first).to_be_visible(timeout=SOON)
            opened += 1
            tags |= set(
                page.evaluate("[...new Set([...document.querySelectorAll('.rlm *')].map(e => e.localName))]")
            )
            bad = page.evaluate(
                """[...document.querySelectorAll('.rlm *')].flatMap(e => [...e.attributes])
                .filter(a => /^on|^href|^src|^action/.test(a.name) || a.name === 'style' && /url|import/.test(a.value))
                .map(a => a.name + '=' + a.value)"""
            )
            assert bad == [], id_
    assert opened == 60
    assert seen == []
    known = "b button code details div form h3 h4 i input label li option p path pre section select small "
    known += "span summary svg table tbody td textarea th thead tr ul"
    assert tags <= set(known.split())
    assert page.title().startswith("hostile"), "an escape code set the title"
    assert page.errors == []


def test_ten_thousand_agents_need_few_rows_and_the_page_answers(shown):
    book = shown("many", "many.ipynb")
    page = book.page
    expect(book.head.get_by_text("10,000")).to_be_visible(timeout=60_000)
    rows = page.get_by_role("treeitem")
    book.agent("0").focus()
    for _ in range(4):  # open level by level
        page.keyboard.press("*")
        page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    last = page.locator("[role=treeitem]:focus")
    expect(last).to_be_in_viewport()
    assert rows.count() < 120
    page.keyboard.press("Home")
    expect(book.agent("0")).to_be_focused()
    expect(book.agent("0")).to_be_in_viewport()
    box = book.agent("0").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 5)
    page.mouse.wheel(0, 5000)
    expect(book.agent("0.1.1")).not_to_be_in_viewport()
    assert rows.count() < 120
    assert page.errors == []
