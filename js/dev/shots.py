"""Photograph the bundle alone, with a stand-in for the kernel: ``python js/dev/shots.py OUT [NAME ...]``."""

import functools
import http.server
import sys
import threading
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the checkout without a log."""

    def log_message(self, *_: object) -> None:
        """Reports nothing."""


def timeline(page: Page) -> None:
    page.get_by_role("tab", name="Timeline").click()


def failed(page: Page) -> None:
    page.get_by_role("treeitem", name="0.2 ").click()


def group(page: Page) -> None:
    page.get_by_role("treeitem", name="48 agents").click()


def pull(page: Page) -> None:
    page.get_by_role("textbox", name="Pull as").fill("orders")
    page.get_by_role("button", name="Pull", exact=True).click()
    page.get_by_role("textbox", name="Code for the kernel of 0").fill("by_week.head(3)")
    page.keyboard.press("Enter")


def leaf(page: Page) -> None:
    page.get_by_role("treeitem", name="0.1.1 ").click()


def long_line(page: Page) -> None:
    page.get_by_role("treeitem", name="14 agents").click()
    page.get_by_role("treeitem", name="0.13 ").click()


SHOTS = {
    "light": ("run", "light", 1100, None),
    "dark": ("run", "dark", 1100, None),
    "narrow": ("run", "light", 400, None),
    "narrow-page": ("run", "dark", 400, leaf),
    "middle": ("run", "light", 720, None),
    "huge-screen": ("done", "light", 1700, None),
    "done": ("done", "light", 1100, leaf),
    "failed": ("fail", "light", 1100, failed),
    "noclicks": ("noclicks", "light", 1100, None),
    "step": ("step", "light", 1100, None),
    "wide": ("wide", "light", 1100, group),
    "wide-closed": ("wide", "dark", 1100, None),
    "huge": ("huge", "light", 1100, None),
    "timeline": ("run", "light", 1100, timeline),
    "timeline-dark": ("done", "dark", 720, timeline),
    "pull": ("run", "light", 1100, pull),
    "hostile": ("hostile", "light", 1100, None),
    "hostile-page": ("hostile", "dark", 1100, long_line),
}


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    names = sys.argv[2:] or list(SHOTS)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(ROOT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for name in names:
            scene, theme, width, act = SHOTS[name]
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("console", lambda message, name=name: print(name, "console:", message.text))
            page.on("pageerror", lambda error, name=name: print(name, "error:", error))
            page.goto(
                f"http://127.0.0.1:{server.server_port}/js/dev/harness.html?scene={scene}&theme={theme}"
            )
            page.get_by_role("tree").wait_for()
            page.wait_for_timeout(300)
            if act:
                act(page)
                page.wait_for_timeout(400)
            page.screenshot(path=out / f"{name}.png", full_page=True)
            page.close()
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
