"""The widget alone in a browser: the committed bundle, a stand-in for the kernel, any theme; without a notebook."""

from __future__ import annotations

import mimetypes
from pathlib import Path

import pytest
from lab import watch

ROOT = Path(__file__).parents[2]
ADDRESS = "http://widget.test"
AXE = ROOT / "js" / "node_modules" / "axe-core" / "axe.min.js"

VSCODE = {
    "light": {
        "vscode-foreground": "#3b3b3b",
        "vscode-descriptionForeground": "#3b3b3b",
        "vscode-editor-background": "#ffffff",
        "vscode-editor-foreground": "#3b3b3b",
        "vscode-panel-border": "#e5e5e5",
        "vscode-textCodeBlock-background": "#f8f8f8",
    },
    "dark": {
        "vscode-foreground": "#cccccc",
        "vscode-descriptionForeground": "#9d9d9d",
        "vscode-editor-background": "#1f1f1f",
        "vscode-editor-foreground": "#cccccc",
        "vscode-panel-border": "#2b2b2b",
        "vscode-textCodeBlock-background": "#2b2b2b",
    },
    "high-contrast": {
        "vscode-foreground": "#ffffff",
        "vscode-descriptionForeground": "rgba(255, 255, 255, 0.7)",
        "vscode-editor-background": "#000000",
        "vscode-editor-foreground": "#ffffff",
        "vscode-panel-border": "#6fc3df",
        "vscode-textCodeBlock-background": "#000000",
    },
    "high-contrast-light": {
        "vscode-foreground": "#292929",
        "vscode-descriptionForeground": "rgba(41, 41, 41, 0.7)",
        "vscode-editor-background": "#ffffff",
        "vscode-editor-foreground": "#292929",
        "vscode-panel-border": "#0f4a85",
        "vscode-textCodeBlock-background": "#f2f2f2",
    },
}
"""What VS Code 1.9x gives to its web views in its default themes (Light/Dark Modern, High Contrast)."""


def serve(route) -> None:
    """Answer a page's request with a file of the checkout; there is no server and no network."""
    path = ROOT / route.request.url.removeprefix(ADDRESS).partition("?")[0].lstrip("/")
    if path.is_file():
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        route.fulfill(path=path, content_type=kind)
    else:
        route.fulfill(status=404)


@pytest.fixture
def alone(browser):
    """Open a scene of `js/dev/fake.js`; gives the page."""
    contexts = []

    def show(scene="run", theme="light", *, width=1100, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        watch(page)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.route(f"{ADDRESS}/**", serve)
        page.goto(f"{ADDRESS}/js/dev/harness.html?scene={scene}&theme={theme}")
        page.get_by_role("treeitem").first.wait_for()
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.fixture
def from_disk(browser):
    """Open a file from the disk; what it asks for and what goes wrong is in `page.asked` and `page.errors`."""
    contexts = []

    def show(path, *, width=1200, scheme="light", tree_item=True):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.errors, page.asked = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda message: page.errors.append(message.text))
        page.on("dialog", lambda dialog: (page.errors.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: page.asked.append(request.url))
        page.own = path.as_uri()
        page.goto(page.own)
        if tree_item:
            page.get_by_role("treeitem").first.wait_for()
        return page

    yield show
    for context in contexts:
        context.close()


def in_vscode(page, theme: str) -> None:
    """Dress a page as VS Code dresses its web views: variables and classes."""
    variables = "".join(f"--{name}: {value};" for name, value in VSCODE[theme].items())
    page.add_style_tag(
        content=f"html {{ {variables} --vscode-font-family: 'Segoe UI', sans-serif; }}"
        "body[data-jp-theme-light] { background: var(--vscode-editor-background);"
        " --jp-layout-color0: initial; --jp-content-font-color1: initial; --jp-content-font-color2: initial; }"
    )
    kind = "vscode-high-contrast" if "contrast" in theme else f"vscode-{theme}"
    extra = " vscode-high-contrast-light" if theme == "high-contrast-light" else ""
    page.evaluate(
        "([kind, extra]) => { document.body.className = kind + extra; delete document.body.dataset.jpThemeLight; }",
        [kind, extra],
    )


def violations(page, part: str = ".rlm") -> list[tuple[str, str, str]]:
    """Let axe-core look at a part of a page; give what it finds."""
    assert AXE.exists(), "axe-core is missing: run `npm ci` in js/"
    page.add_script_tag(path=AXE)
    found = page.evaluate("part => axe.run(part)", part)["violations"]
    return [(item["id"], item["nodes"][0]["html"], item["nodes"][0]["failureSummary"]) for item in found]
