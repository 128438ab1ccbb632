"""Measure the bundle with 10,000 agents in a real browser, how soon an event is on the page, and axe-core's view.

``python js/dev/measure.py [many] [live] [axe]`` prints milliseconds. Script, style and layout are processor time of
the page's thread, so that a busy machine does not count; what is shown of `live` is the time of the clock.
"""

import contextlib
import functools
import http.server
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from shots import FLAGS, ROOT, SHOTS, Quiet

ROUNDS = 80

PREPARE = """([round, fresh]) => {
  const agents = {};
  for (let at = 0; at < 60; at += 1) {
    const id = fresh ? `0.4.${9901 + round * 60 + at}` : `0.4.${1 + ((round * 61 + at * 7) % 9900)}`;
    const born = fresh ? { id, parent: "0.4", question: "new", started: 1, elapsed: 1 } : {};
    const status = round % 2 ? "done" : "running";
    agents[id] = { ...born, turns: round, cost_total: round / 100, status, rev: round };
  }
  window.message = { kind: "patch", seq: ++window.model.seq, run: { elapsed: 14 + round / 10, cost: round }, agents };
}"""
TELL = "() => { for (const handler of window.model.handlers) handler(window.message, []); }"

COUNT_FRAMES = """() => {
  const first = window.frames_ === undefined;
  window.frames_ = 0;
  const step = () => { window.frames_ += 1; requestAnimationFrame(step); };
  if (first) step();
}"""

AXE = "async () => (await axe.run('#host')).violations.map((v) => [v.id, v.impact, v.nodes.map((n) => n.target.join(' '))])"

LIVE = """
%load_ext rlm_jupyter
from rlm_jupyter import Limits
from rlm_jupyter.models import ScriptedModel

ASK = '''import random, time
for _ in range(40):
    rlm_query(f"asked at {time.time():.4f}")
    time.sleep(random.random() / 5)
FINAL(1)'''

async def reply(messages):
    asked = any("asked at 1" in m["content"] for m in messages)
    return "I do.\\n\\n```repl\\n" + ("FINAL(1)" if asked else ASK) + "\\n```"

script = ScriptedModel(reply)
"""

WATCH = """() => {
  window.lags = [];
  const seen = new Set();
  const look = () => {
    const now = Date.now() / 1000;
    for (const row of document.querySelectorAll(".rlm [role=treeitem]")) {
      if (row.getAttribute("aria-expanded") === "false") row.click();
      const asked = /asked at ([0-9.]+)/.exec(row.textContent);
      if (!asked || seen.has(asked[1])) continue;
      seen.add(asked[1]);
      window.lags.push((now - Number(asked[1])) * 1000);
    }
    const box = document.querySelector(".rlm-scroll");
    if (box) box.scrollTop = box.scrollHeight;
    requestAnimationFrame(look);
  };
  look();
}"""


def quantiles(values: list[float]) -> str:
    """Write median, 95th and 99th percentile."""
    ordered = sorted(values)
    return " ".join(
        f"p{q}={ordered[min(len(ordered) - 1, len(ordered) * q // 100)]:.2f}" for q in (50, 95, 99)
    )


class Meter:
    """Processor time of a page's main thread by what it was spent on, in milliseconds."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def read(self) -> tuple[float, float, float]:
        """Returns script, style with layout, and all of the thread's work since the page was opened."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        told = {item["name"]: item["value"] * 1e3 for item in metrics}
        return (
            told["ScriptDuration"],
            told["LayoutDuration"] + told["RecalcStyleDuration"],
            told["TaskDuration"],
        )

    def measure(self, work: Callable[[], object]) -> tuple[float, ...]:
        """Returns what some work took."""
        before = self.read()
        work()
        return tuple(after - start for after, start in zip(self.read(), before, strict=True))

    def scroll(self, page: Page, x: float, y: float) -> None:
        """Scroll as a finger does, 16,000 pixels in four seconds, and print what a frame took."""
        page.evaluate(COUNT_FRAMES)
        gesture = {"x": x, "y": y, "yDistance": -16_000, "speed": 4000, "gestureSourceType": "mouse"}
        spent = self.measure(lambda: self._session.send("Input.synthesizeScrollGesture", gesture))
        frames = page.evaluate("window.frames_")
        script, layout, task = (each / frames for each in spent)
        print(
            f"  scrolled: {frames} frames; of each script {script:.2f}, style and layout {layout:.2f}, "
            f"all of the thread's work {task:.2f} (a frame has 16.7)"
        )


def many(browser: Browser, address: str) -> None:
    """Measure updates, growth and scrolling of 10,000 agents."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.goto(f"{address}/dev/harness.html?scene=huge")
    page.get_by_role("treeitem", name="9,900 agents").click()
    page.wait_for_timeout(500)
    meter = Meter(page)

    def update(round_: int, fresh: bool) -> tuple[float, ...]:
        page.evaluate(PREPARE, [round_, fresh])
        page.wait_for_timeout(40)
        return meter.measure(lambda: (page.evaluate(TELL), page.wait_for_timeout(60)))

    for tab, fresh in (("Tree", False), ("Timeline", False), ("Tree", True)):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(200)
        spent = [update(round_, fresh) for round_ in range(ROUNDS)]
        print(f"{tab}, {'60 new agents' if fresh else 'update of 60 agents'}:")
        print(
            "  script",
            quantiles([each[0] for each in spent]),
            "| style and layout",
            quantiles([each[1] for each in spent]),
        )
        if not fresh:
            box = page.locator(".rlm-scroll").bounding_box()
            assert box is not None
            meter.scroll(page, box["x"] + 100, box["y"] + 100)
    print("row elements:", page.get_by_role("treeitem").count())
    page.close()


def live(browser: Browser) -> None:
    """Measure from a call in an agent's kernel to its sub-agent's row on the page, in a real JupyterLab."""
    sys.path.append(str(ROOT / "tests"))
    from lab import Lab, watch
    from lab import Page as Notebook

    with tempfile.TemporaryDirectory() as directory, Lab(Path(directory) / "lab") as lab:
        lab.write("live.ipynb", [LIVE, "%%rlm -m script\nhow soon"])
        page = browser.new_page(viewport={"width": 1300, "height": 1000})
        watch(page)
        book = Notebook(lab, page, "live.ipynb").open().wait_for_kernel()
        book.run_first()
        page.evaluate(WATCH)
        book.ask(1)
        book.wait_done(1, 120)
        lags = page.evaluate("window.lags")
        print(
            f"from call to row on the page: {len(lags)} agents,", quantiles(lags), f"max={max(lags):.0f} ms"
        )
        page.close()
        lab.shut_kernels()


def axe(browser: Browser, address: str) -> None:
    """Let axe-core look at each scene."""
    for name, (scene, theme, width, act) in SHOTS.items():
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(f"{address}/dev/harness.html?scene={scene}&theme={theme}")
        page.get_by_role("tree").wait_for()
        page.wait_for_timeout(300)
        if act:
            act(page)
            page.wait_for_timeout(300)
        page.add_script_tag(url=f"{address}/node_modules/axe-core/axe.min.js")
        print("axe", name, page.evaluate(AXE), "hacked:", page.evaluate("window.hacked"))
        page.close()


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve the checkout; give the address of `js`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(ROOT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/js"
    server.shutdown()


def main() -> None:
    """Measure what was asked for, or all."""
    asked = sys.argv[1:] or ["many", "live", "axe"]
    with served() as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        if "many" in asked:
            many(browser, address)
        if "live" in asked:
            live(browser)
        if "axe" in asked:
            axe(browser, address)
        browser.close()


if __name__ == "__main__":
    main()
