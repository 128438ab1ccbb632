"""A replay of 100,000 events and 5,000 agents in Chromium: script of a jump, frames while it plays, Python's part.

`script` is what the page's thread computes (without waits, and without what other processes take of the machine) from
the request to the end of the drawing: in a saved page with the fold, in a notebook's widget for all messages of the jump
together. The page is that of the committed bundle.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.parts import Figure
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.export_file import export_run
from rlm_jupyter.views.replay import Replay
from rlm_jupyter.views.widget_messages import Patcher

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENTS = 5000
TURNS = 4
_KIDS = (10, 20, 25)
"""Sub-agents of the root, of each of these, and of each of these: 5,211 agents, of which `AGENTS` start."""
_SIDE_BY_SIDE = 64
_JUMPS = 24
_PLAY_SECONDS = 6
STATIC = Path(__file__).parents[1] / "rlm_jupyter" / "views" / "static"

_NOTEBOOK = """<!doctype html><link rel="stylesheet" href="widget.css"><div id="host"></div><script type="module">
import factory from "./widget.js";
const heard = [];
const model = { on: (kind, action) => kind === "msg:custom" && heard.push(action), off: () => {}, get: () => null,
                send: (message) => { window.asked = message; } };
const widget = await factory();
await widget.initialize({ model });
await widget.render({ model, el: document.getElementById("host") });
window.tell = (texts) => { for (const text of texts) for (const action of heard) action(JSON.parse(text)); };
window.ready = true;
</script>"""

_FRAMES = """seconds => new Promise((done) => {
  const gaps = []; let first = 0, last = 0;
  const step = (now) => {
    if (last) gaps.push(now - last); else first = now;
    last = now;
    if (now - first < seconds * 1000) requestAnimationFrame(step); else done(gaps);
  };
  requestAnimationFrame(step);
})"""


def made_events(agents: int = AGENTS) -> list[ev.AnyEvent]:
    """Make the log: agents on four levels, 64 at work side by side, 20 events each; the same each time."""
    told: list[ev.AnyEvent] = []
    clock = 1000.0

    def tell(kind: type, agent: str = "", **fields: Any) -> None:
        nonlocal clock
        clock += 0.02
        told.append(kind(run="replay-benchmark", agent=agent, seq=len(told) + 1, time=clock, **fields))

    started = {"question": "Which supplier explains it?", "model": "m", "sub_model": "m", "scripted": True}
    tell(ev.RunStarted, limits={"cost": 10.0}, context={"type": "str", "summary": "str of 9 MB"}, **started)
    dice = random.Random(5)
    waiting = [_life(tell, id_) for id_ in _ids(agents)]
    at_work = [waiting.pop(0)]
    next(at_work[0])
    while at_work:
        place = dice.randrange(len(at_work))
        if next(at_work[place], None) is None:
            at_work.pop(place)
        while waiting and len(at_work) < _SIDE_BY_SIDE:
            at_work.append(waiting.pop(0))
            next(at_work[-1])
    tell(ev.RunFinished, status="done", value={"type": "int", "summary": "int 7"})
    return told


def _ids(agents: int) -> list[str]:
    levels = [["0"]]
    for kids in _KIDS:
        levels.append([f"{id_}.{number}" for id_ in levels[-1] for number in range(1, kids + 1)])
    return [id_ for level in levels for id_ in level][:agents]


def _life(tell: Any, id_: str) -> Iterator[bool]:
    """Tell of one agent, an event at a time."""
    parent = id_.rpartition(".")[0] or None
    tell(ev.AgentStarted, id_, parent=parent, depth=id_.count("."), question=f"Look at part {id_}", model="m")
    yield True
    number = sum(int(part) * 100**at for at, part in enumerate(reversed(id_.split("."))))
    for turn in range(1, TURNS + 1):
        call = number * 10 + turn
        text = ({"role": "user", "content": f"Look at part {id_}, step {turn}"},)
        tell(ev.PromptSent, id_, call=call, purpose="turn", turn=turn, model="m", start=turn, messages=text)
        yield True
        reply = {"text": "```repl\nprint(len(context))\n```", "model": "m", "finish_reason": "stop"}
        usage = {"input_tokens": 900, "output_tokens": 40, "cost": 0.0001, "seconds": 0.3}
        tell(ev.ReplyFinished, id_, call=call, **reply, **usage)
        yield True
        tell(ev.CodeStarted, id_, cell=call, turn=turn, code="print(len(context))")
        yield True
        tell(ev.CodeFinished, id_, cell=call, status="ok", output="9000000", seconds=0.1)
        yield True
    named = ({"name": "part", "type": "str", "summary": "str of 1 kB"},)
    tell(ev.VariablesChanged, id_, turn=TURNS, variables=named)
    yield True
    tell(ev.ValueReturned, id_, description={"type": "int", "summary": "int 7"}, bytes=28)
    yield True
    tell(ev.AgentFinished, id_, status="done", value={"type": "int", "summary": "int 7"})


def measure() -> list[Figure]:
    """Measure in Chromium; see the module."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("This benchmark needs Playwright: `pip install playwright`, and a Chromium.")
    events = made_events()
    places = _places(len(events))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        directory = Path(name)
        export_run(TreeState.of(events), directory / "run.html", events=events)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        try:
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            figures += _saved_page(page, (directory / "run.html").as_uri(), places)
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            figures += _notebook(page, directory, events, places)
        finally:
            browser.close()
    return figures


def _places(events: int) -> list[int]:
    """Returns where to jump: from end to end first, then anywhere; a jump back and a jump ahead alternate."""
    dice = random.Random(11)
    ends = [0, events, events // 2, events, 1, events - 1, events // 3, 2 * events // 3]
    return ends + [dice.randrange(events) for _ in range(_JUMPS - len(ends))]


class _Thread:
    """What the page's main thread has computed."""

    def __init__(self, page: Any) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def read(self) -> dict[str, float]:
        found = self._session.send("Performance.getMetrics")["metrics"]
        return {each["name"]: 1000 * each["value"] for each in found if each["name"].endswith("Duration")}

    def since(self, before: dict[str, float]) -> tuple[float, float]:
        """Returns the milliseconds of script, and of style and layout."""
        now = self.read()
        # What the inspector evaluates is not counted as script: each jump is begun by a timer of the page.
        more = {name: now[name] - before[name] for name in now}
        return more["ScriptDuration"], more["RecalcStyleDuration"] + more["LayoutDuration"]


def _settle(page: Any) -> None:
    page.evaluate(
        "() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))))"
    )


def _saved_page(page: Any, address: str, places: list[int]) -> list[Figure]:
    page.goto(address)
    page.get_by_role("treeitem").first.wait_for()
    thread = _Thread(page)
    figures = []
    for tab, opened in (("Tree", False), ("Tree", True), ("Timeline", True)):
        page.get_by_role("tab", name=tab).click()
        if opened and tab == "Tree":
            _open_groups(page)
        script, layout = [], []
        for place in places:
            before = thread.read()
            page.evaluate(
                "place => { setTimeout(() => { const field = document.querySelector('.rlm-place'); field.value = place;"
                " field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true })); }); }",
                f"event {place}",
            )
            _settle(page)
            one, other = thread.since(before)
            script.append(one)
            layout.append(other)
        what = f"saved page, {tab.lower()}{', groups open' if opened else ''}"
        figures += [
            Figure(f"{what}: script of a jump", script, [], 50, "ms"),
            Figure(f"{what}: script of the worst jump", [max(script)], [], 50, "ms"),
            Figure(f"{what}: style and layout of a jump", layout, [], 50, "ms"),
        ]
        figures += _play(page, what, thread)
    return figures


def _open_groups(page: Any) -> None:
    """Open the root's sub-agents and the first groups below them, so that thousands of rows are in the tree."""
    for _ in range(12):
        closed = page.locator(".rlm-group[aria-expanded=false]")
        if closed.count() == 0:
            break
        closed.first.locator(".rlm-twisty").click()
        _settle(page)


def _play(page: Any, what: str, thread: _Thread) -> list[Figure]:
    """Play from the beginning at 20 times, and look at each frame."""
    page.get_by_role("combobox", name="Speed").select_option("20")
    page.get_by_role("slider", name="Moment of the run").press("Home")
    _settle(page)
    page.get_by_role("button", name="Play", exact=True).click()
    before = thread.read()
    gaps = page.evaluate(_FRAMES, _PLAY_SECONDS)
    busy = sum(thread.since(before)) / (sum(gaps) / 1000)
    page.get_by_role("button", name="Pause", exact=True).click()
    rate = len(gaps) / (sum(gaps) / 1000)
    dropped = sum(max(0, round(gap / (1000 / 60)) - 1) for gap in gaps)
    return [
        Figure(f"{what}: frames in a second at 20x", [rate], [], 61, "frames"),
        Figure(f"{what}: frames dropped in {_PLAY_SECONDS} s", [float(dropped)], [], 4, "frames"),
        Figure(f"{what}: computed in a second of play", [busy], [], 500, "ms"),
    ]


def _notebook(page: Any, directory: Path, events: list[ev.AnyEvent], places: list[int]) -> list[Figure]:
    for name in ("widget.js", "widget.css"):
        shutil.copy(STATIC / name, directory / name)
    (directory / "notebook.html").write_text(_NOTEBOOK)
    kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}

    def serve(route: Any) -> None:
        path = directory / route.request.url.rsplit("/", 1)[1]
        route.fulfill(path=path, content_type=kinds[path.suffix])

    page.route("http://replay.test/**", serve)
    page.goto("http://replay.test/notebook.html")
    page.wait_for_function("() => window.ready")
    replay = Replay(events)
    patcher = Patcher(replay.tree)
    patcher.show(replay.tree, replay.shown())
    page.evaluate("texts => window.tell(texts)", [json.dumps(each) for each in patcher.snapshot()])
    page.get_by_role("treeitem").first.wait_for()
    thread = _Thread(page)
    script, folded, first = [], [], []
    for place in places:
        start = time.thread_time()
        replay.seek({"position": place})
        patcher.show(replay.tree, replay.shown())
        texts = [json.dumps(patcher.patch())]
        first.append(1000 * (time.thread_time() - start))
        while patcher.pending:
            texts.append(json.dumps(patcher.patch()))
        folded.append(1000 * (time.thread_time() - start))
        page.evaluate("texts => { window.texts = texts; }", texts)
        before = thread.read()
        page.evaluate("() => { setTimeout(() => window.tell(window.texts)); }")
        _settle(page)
        script.append(thread.since(before)[0])
    return [
        Figure("notebook: script of a jump, all messages", script, [], 50, "ms"),
        Figure("notebook: script of the worst jump, all messages", [max(script)], [], 50, "ms"),
        Figure("notebook: Python's part until the first message", first, [], 500, "ms"),
        Figure("notebook: Python's part, all messages", folded, [], 3000, "ms"),
    ]
