"""The documentation site, built for real: its pages, notebooks with outputs, runs to open, and no address of a network."""

import os
import re
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lab import launched
from lessons import committed

ROOT = Path(__file__).parents[2]
LOADS = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src", "srcdoc"),
    "embed": ("src",),
    "object": ("data",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "use": ("href",),
}
"""Elements whose attribute makes a browser fetch something; `<link>` is told apart by its `rel`."""


class Loads(HTMLParser):
    """What a page makes a browser fetch, and where its links lead."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.links, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids |= {found.get("id"), found.get("name")}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "link" and found.get("rel") not in ("canonical", "next", "prev"):
            self.fetched.append(found.get("href"))
        self.fetched += [found[name] for name in LOADS.get(tag, ()) if found.get(name)]


@pytest.fixture(scope="module")
def browser():
    with launched() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site, without a network: what asks for one fails."""
    place = tmp_path_factory.mktemp("site")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RLM_")}
    environment |= {
        "NO_MKDOCS_2_WARNING": "1",
        "https_proxy": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)]
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def pages(site):
    return {
        path.relative_to(site).as_posix(): Loads(path.read_text("utf-8")) for path in site.rglob("*.html")
    }


def test_nothing_is_fetched_from_elsewhere(site, pages):
    for name, page in pages.items():
        for address in page.fetched:
            assert not re.match(r"(?i)\s*(https?:)?//", address), f"{name} fetches {address}"
    for sheet in site.rglob("*.css"):
        for address in re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s]+)", sheet.read_text("utf-8")):
            assert not re.match(r"(?i)(https?:)?//", address), f"{sheet.name} fetches {address}"
    assert not list(site.rglob("*.py"))


def test_what_is_fetched_or_linked_within_the_site_is_there(site, pages):
    for name, page in pages.items():
        if name == "404.html":  # its addresses are those of a server's root
            continue
        for address in [*page.fetched, *page.links]:
            if re.match(r"(?i)[a-z]+:", address):
                continue
            path, _, anchor = address.partition("#")
            target = (site / name).parent / path if path else site / name
            assert target.exists(), f"{name} names {address}"
            known = pages.get(target.resolve().relative_to(site.resolve()).as_posix())
            if anchor and known is not None:
                assert anchor in known.ids, f"{name} names {address}"


def test_each_document_and_notebook_is_a_page_of_the_menu(pages):
    start = {link for link in pages["index.html"].links if not link.startswith(("#", "http"))}
    documents = {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")}
    notebooks = {
        f"{path.parent.name}/{path.stem}.html"
        for path in (ROOT / "notebooks").rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    }
    assert documents | notebooks | {"runs.html"} <= start


def test_a_notebook_has_its_outputs(site):
    for name, book in committed().items():
        page = (site / "lessons" / name.replace(".ipynb", ".html")).read_text("utf-8")
        with_outputs = [cell for cell in book.cells if cell.cell_type == "code" and cell.outputs]
        assert page.count('<div class="notebook-output">') == len(with_outputs)
        assert 'id="output-' not in page
    first = (site / "lessons" / "1_what_is_an_rlm.html").read_text("utf-8")
    assert "312421.35" in first
    assert "no-run" not in (site / "remote.html").read_text("utf-8")


def test_search_and_the_dark_mode_are_there(site):
    index = (site / "search" / "search_index.json").read_text("utf-8")
    assert "What is an RLM?" in index
    assert "swordfish" in index
    start = (site / "index.html").read_text("utf-8")
    assert 'data-md-color-scheme="slate"' in start
    assert 'data-md-component="search"' in start


@pytest.mark.browser
@pytest.mark.needs_program("chromium")
def test_a_run_is_opened_from_the_disk_in_its_page_and_nothing_is_asked_of_a_network(site, browser):
    context = browser.new_context(offline=True)
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "runs.html").as_uri())
    demo = page.frame_locator('iframe[title="A run of the demo model"]')
    demo.get_by_role("treeitem").first.click(timeout=60_000)
    demo.get_by_text("average of price by city").first.wait_for(timeout=60_000)
    recorded = page.frame_locator('iframe[title="A recorded run of a language model"]')
    recorded.get_by_text("312421.35").first.wait_for(timeout=60_000)
    assert asked
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
    context.close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(site):
    """The address of the site on a server of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.browser
@pytest.mark.needs_program("chromium")
def test_the_search_finds_a_lesson_and_the_dark_mode_is_switched(served, browser):
    context = browser.new_context(color_scheme="light", viewport={"width": 1400, "height": 900})
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served}/index.html")
    body = page.locator("body")
    page.locator("input.md-search__input").click()
    page.keyboard.type("swordfish")
    page.locator("a.md-search-result__link", has_text="When it goes wrong").first.click(timeout=60_000)
    page.get_by_role("heading", name="A hostile text in the data").wait_for(timeout=60_000)
    assert body.get_attribute("data-md-color-scheme") == "default"
    page.locator("label[title=Dark]").click()
    page.locator("body[data-md-color-scheme=slate]").wait_for(timeout=60_000)
    assert {url for url in asked if not url.startswith((served, "data:", "blob:"))} == set()
    context.close()
