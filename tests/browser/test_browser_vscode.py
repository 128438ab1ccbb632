"""The widget in VS Code's web view, as far as that is its variables and classes: light, dark, high contrast."""

import pytest
from playwright.sync_api import expect
from widget_page import VSCODE, in_vscode, violations

pytestmark = pytest.mark.browser


def colour(page, selector, name):
    return page.locator(selector).first.evaluate("(e, name) => getComputedStyle(e)[name]", name)


def rgb(text):
    """The channels of `#rrggbb` or `rgb(…)`."""
    if text.startswith("#"):
        return [int(text[at : at + 2], 16) for at in (1, 3, 5)]
    return [
        round(float(part))
        for part in text.removeprefix("rgba(").removeprefix("rgb(").rstrip(")").split(",")[:3]
    ]


@pytest.mark.parametrize("theme", VSCODE)
def test_the_widget_takes_vs_codes_colours_and_axe_finds_nothing(alone, theme, tmp_path):
    page = alone("done")
    in_vscode(page, theme)
    page.get_by_role("treeitem", name="0.1.1 ").click()
    expect(page.get_by_role("region", name="Agent 0.1.1", exact=True)).to_be_visible()
    assert rgb(colour(page, ".rlm", "color")) == rgb(VSCODE[theme]["vscode-foreground"])
    assert rgb(colour(page, ".rlm", "backgroundColor")) == rgb(VSCODE[theme]["vscode-editor-background"])
    assert "Segoe UI" in colour(page, ".rlm", "fontFamily")
    assert violations(page) == []
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".rlm-tick").first).to_be_visible()
    assert violations(page) == []
    page.screenshot(path=tmp_path / f"vscode-{theme}.png")
    assert page.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_with_the_systems_high_contrast_colours_everything_is_still_told_apart(alone, scheme):
    page = alone("run", forced_colors="active", color_scheme=scheme)
    fore, back = colour(page, ".rlm", "color"), colour(page, ".rlm", "backgroundColor")
    assert rgb(fore) != rgb(back)
    chosen = page.locator('[role=treeitem][aria-selected="true"]').first
    assert chosen.evaluate("e => getComputedStyle(e).outlineStyle") == "solid", "not by its background alone"
    page.get_by_role("tab", name="Timeline").click()
    expect(page.locator(".rlm-tick").first).to_be_visible()
    bars = page.locator("[role=treeitem] .rlm-bar-model, [role=treeitem] .rlm-bar-code")
    shown = {bar.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).backgroundImage].join()")
             for bar in bars.all()}  # fmt: skip
    assert len(shown) >= 2, "the model's time and the code's look different"
    assert violations(page) == []
