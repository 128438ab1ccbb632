"""Measure the bundle with 10,000 agents in a real browser, and let axe-core look at each scene.

``python js/dev/measure.py`` prints the script time of an update and of a scrolled frame in milliseconds.
"""

import functools
import http.server
import threading

from playwright.sync_api import Page, sync_playwright
from shots import FLAGS, ROOT, SHOTS, Quiet

TIMER = """
window.frames_ = [];
const ask = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (call) => ask((time) => {
  const from = performance.now();
  call(time);
  window.frames_.push(performance.now() - from);
});
"""

UPDATE = """async () => {
  const rest = () => new Promise((done) => setTimeout(done, 40));
  const spent = [];
  for (let round = 0; round < 60; round += 1) {
    const agents = {};
    for (let at = 0; at < 60; at += 1) {
      const id = `0.4.${1 + ((round * 61 + at * 7) % 9900)}`;
      agents[id] = { turns: round, cost_total: round / 100, status: round % 2 ? "done" : "running", rev: round };
    }
    window.frames_.length = 0;
    const from = performance.now();
    window.model.patch({ run: { elapsed: 14 + round / 10, cost: round }, agents });
    const folded = performance.now() - from;
    await rest();
    spent.push(folded + window.frames_.reduce((sum, each) => sum + each, 0));
  }
  return spent;
}"""

GROW = UPDATE.replace("0.4.${1 + ((round * 61 + at * 7) % 9900)}", "0.4.${9901 + round * 60 + at}").replace(
    "agents[id] = {", 'agents[id] = { id, parent: "0.4", question: "new", started: 1, elapsed: 1, '
)

SCROLL = """async () => {
  const box = document.querySelector(".rlm-scroll");
  const times = [];
  window.frames_.length = 0;
  let last = performance.now();
  for (let at = 0; at < 120; at += 1) {
    box.scrollTop += 600;
    await new Promise((done) => setTimeout(() => requestAnimationFrame(done)));
    times.push(performance.now() - last);
    last = performance.now();
  }
  return [window.frames_.filter((each) => each > 0.02), times];
}"""

AXE = "async () => (await axe.run('#host')).violations.map((v) => [v.id, v.impact, v.nodes.map((n) => n.target.join(' '))])"


def quantiles(values: list[float]) -> str:
    ordered = sorted(values)
    return " ".join(
        f"p{q}={ordered[min(len(ordered) - 1, len(ordered) * q // 100)]:.2f}" for q in (50, 95, 99)
    )


def measure(page: Page) -> None:
    page.get_by_role("treeitem", name="9,900 agents").click()
    page.wait_for_timeout(300)
    for tab in ("Tree", "Timeline"):
        page.get_by_role("tab", name=tab).click()
        print(tab, "update ms:", quantiles(page.evaluate(UPDATE)))
        frames, times = page.evaluate(SCROLL)
        print(tab, "scrolled frame, script ms:", quantiles(frames), "| frame interval ms:", quantiles(times))
    page.get_by_role("tab", name="Tree").click()
    print("60 new agents, ms:", quantiles(page.evaluate(GROW)))
    print("row elements:", page.get_by_role("treeitem").count())


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(ROOT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/js"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.add_init_script(TIMER)
        page.goto(f"{address}/dev/harness.html?scene=huge")
        measure(page)
        page.close()
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
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
