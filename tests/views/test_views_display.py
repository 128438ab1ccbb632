"""How a run is shown: the mode, and a real notebook kernel that shows one, takes clicks and leaves a static tree."""

import os
import sys
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyter_client.manager import KernelManager
from run_story import StandIn, Story, example

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.views import display
from rlm_jupyter.views.display import clicks_arrive, display_mode, show
from rlm_jupyter.views.terminal import PlainView

KERNEL = SimpleNamespace(kernel=object())


@pytest.mark.parametrize(
    ("variable", "shell", "comm", "mode"),
    [
        ("", None, True, "text"),
        ("auto", SimpleNamespace(), True, "text"),
        ("auto", KERNEL, True, "widget"),
        ("auto", KERNEL, False, "html"),
        ("text", KERNEL, True, "text"),
        (" HTML ", KERNEL, True, "html"),
        ("widget", None, False, "widget"),
    ],
)
def test_the_mode_is_what_the_variable_says_else_what_the_place_can(monkeypatch, variable, shell, comm, mode):
    monkeypatch.setenv("RLM_JUPYTER_DISPLAY", variable)
    monkeypatch.setattr(display, "_has_comm", lambda: comm)
    assert display_mode(shell) == mode


def test_a_mode_that_is_none_is_refused_with_those_there_are(monkeypatch):
    monkeypatch.setenv("RLM_JUPYTER_DISPLAY", "gui")
    with pytest.raises(ConfigError, match="cannot be `gui`: use `auto`, `widget`, `html` or `text`"):
        show(StandIn(Story()))


@pytest.mark.parametrize(
    ("version", "cell", "arrive"),
    [((7, 4, 0), "awaited", True), ((7, 3, 0), "awaited", False), ((6, 29, 5), "awaited", False),
     ((7, 4, 0), "blocking", False), ((6, 29, 5), "background", True), ((8, 0, 0), "awaited", True)],
)  # fmt: skip
def test_whether_clicks_arrive_depends_on_the_cell_and_on_ipykernel(monkeypatch, version, cell, arrive):
    monkeypatch.setattr("ipykernel._version.version_info", version)
    assert clicks_arrive(cell) is arrive


def test_outside_of_a_notebook_it_is_text(monkeypatch, capsys):
    monkeypatch.delenv("RLM_JUPYTER_DISPLAY", raising=False)
    view = show(StandIn(example()))
    assert isinstance(view, PlainView)
    view.finish()
    assert "Answer: North" in capsys.readouterr().out


SETUP = """
import asyncio, os, sys
sys.path.insert(0, TESTS)
from run_story import StandIn, Story, example, FRAME
from types import SimpleNamespace
from rlm_jupyter.events.events import Notice
from rlm_jupyter.views.display import show

class Agent:
    def pull(self, name):
        return f"the value of {name}"

    def execute(self, code):
        event = self.story.tell(Notice, "0", text=code)
        for listener in list(self.run.listeners):
            listener(event)
        return SimpleNamespace(status="ok", output="")

def start():
    story = Story("Why?")
    story.agent("0", "Why?")
    run = StandIn(story)
    run.agents["0"] = Agent()
    run.agents["0"].run, run.agents["0"].story = run, story
    def stop(agent=None):
        story.end_agent("0", "stopped")
        event = story.end("stopped")
        for listener in list(run.listeners):
            listener(event)
    run.stop = stop
    return story, run

async def awaiting(run, view, ticks=100):
    for _ in range(ticks):
        if run.done:
            break
        view.flush()
        await asyncio.sleep(0.05)
    view.finish()
"""


class Notebook:
    """A real kernel, and what a front end would keep of its messages."""

    def __init__(self, directory):
        self.manager = KernelManager(kernel_name="python3", transport="ipc", ip=str(directory / "k"))
        path = os.pathsep.join([str(Path(display.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
        self.manager.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.manager.start_kernel(env={**os.environ, "PYTHONPATH": path, "IPYTHONDIR": str(directory)})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.comms, self.custom, self.outputs, self.by_id = {}, [], [], {}
        self.run(f"TESTS = {str(Path(__file__).parents[1] / 'support')!r}\n{SETUP}")

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def take(self, message):
        kind, content = message["msg_type"], message["content"]
        if kind == "comm_open":
            self.comms[content["comm_id"]] = content["data"].get("state", {})
        elif kind == "comm_msg" and content["data"].get("method") == "custom":
            self.custom.append(content["data"]["content"])
        elif kind == "display_data":
            self.outputs.append(content["data"])
            if (id_ := content["transient"].get("display_id")) is not None:
                self.by_id[id_] = len(self.outputs) - 1
        elif kind == "update_display_data":
            self.outputs[self.by_id[content["transient"]["display_id"]]] = content["data"]
        elif kind == "stream":
            self.outputs.append({"text/plain": content["text"]})
        elif kind == "error":
            pytest.fail("\n".join(content["traceback"]))

    def until(self, reached, seconds=30):
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, "it did not come"
            self.take(self.client.get_iopub_msg(timeout=seconds))

    def begin(self, code):
        self.custom.clear()
        self.outputs.clear()
        self.by_id.clear()
        self.ended = None
        request = self.client.execute(code)
        take = self.take

        def note(message):
            take(message)
            idle = message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
            if idle and message["parent_header"].get("msg_id") == request:
                self.ended = time.monotonic()

        self.take = note

    def finish(self):
        self.until(lambda: self.ended)
        return self.client.get_shell_msg(timeout=60)["content"]

    def run(self, code):
        self.begin(code)
        return self.finish()

    def click(self, kind, **fields):
        (comm_id,) = [id_ for id_, state in reversed(self.comms.items()) if "_esm" in state][:1]
        data = {"method": "custom", "content": {"kind": kind, "request": uuid.uuid4().hex, **fields}}
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self.client.shell_channel.send(message)

    def answers(self, kind):
        return [message for message in self.custom if message["kind"] == kind]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    opened = Notebook(tmp_path_factory.mktemp("nb"))
    yield opened
    opened.close()


def static(notebook):
    (found,) = [data for data in notebook.outputs if "rlm-static" in data.get("text/html", "")]
    return found


def test_clicks_are_answered_while_an_awaited_cell_runs_and_a_static_tree_stays(notebook):
    notebook.begin("story, run = start()\nview = show(run)\nawait awaiting(run, view)")
    notebook.until(lambda: len(notebook.outputs) == 2)
    widget, placeholder = notebook.outputs
    assert "application/vnd.jupyter.widget-view+json" in widget
    assert widget["text/plain"] == "RLM run 7f3a", "it stays as it is: no state that passes"
    assert "rlm-static" in placeholder["text/html"], "the static tree follows the widget at once"
    notebook.click("hello")
    notebook.until(lambda: notebook.answers("snapshot"))
    assert notebook.answers("snapshot")[0]["run"]["clicks"] is True
    notebook.click("pull", agent="0", name="counts", target="pulled")
    notebook.until(lambda: notebook.answers("ok"))
    assert notebook.ended is None, "the cell still runs"
    notebook.click("stop", agent=None)
    assert notebook.finish()["status"] == "ok"
    assert len(notebook.outputs) == 2
    final = static(notebook)
    assert '<b class="rlm-s-stopped">stopped</b>' in final["text/html"]
    assert final["text/plain"].startswith("RLM run 7f3a · stopped")
    assert notebook.answers("patch")[-1]["run"]["status"] == "stopped"
    reply = notebook.client.execute("", user_expressions={"pulled": "pulled"}, reply=True, timeout=60)
    assert "the value of counts" in str(reply["content"]["user_expressions"])


def test_after_the_cell_clicks_still_work_and_news_still_arrive(notebook):
    notebook.run("story, run = start()\nview = show(run)\nrun.stop()\nview.finish()")
    notebook.click("hello")
    notebook.until(lambda: notebook.answers("snapshot"))
    notebook.run(
        "for n in range(3): run.listeners[0](story.tell(__import__('rlm_jupyter.events.events').events.events.Notice, '0', text=f'news {n}'))"
    )
    notebook.until(lambda: notebook.answers("patch"))
    assert notebook.answers("patch")[-1]["agents"]["0"]["rev"] > 0
    notebook.click("open", agent="0")
    notebook.until(lambda: notebook.answers("detail"))
    assert notebook.answers("detail")[-1]["detail"]["notices"][-1] == "news 2"


def test_a_run_that_ends_after_its_interrupted_cell_still_fills_the_static_tree(notebook):
    notebook.run("story, run = start()\nview = show(run)\nview.finish()")
    assert "rlm-s-stopped" not in static(notebook)["text/html"].split("</style>")[1]
    notebook.client.execute("import threading; threading.Thread(target=run.stop).start()")
    notebook.until(lambda: "rlm-s-stopped" in static(notebook)["text/html"].split("</style>")[1])


def test_a_blocking_cell_says_that_clicks_must_wait(notebook):
    notebook.run("story, run = start()\nview = show(run, cell='blocking')")
    notebook.click("hello")
    notebook.until(lambda: notebook.answers("snapshot"))
    run = notebook.answers("snapshot")[0]["run"]
    assert run["clicks"] is False
    assert "`--bg`" in run["notices"][0]


@pytest.mark.parametrize("mode", ["html", "text"])
def test_without_widgets_html_is_redrawn_and_text_grows(notebook, mode):
    notebook.run(
        f"os.environ['RLM_JUPYTER_DISPLAY'] = {mode!r}\n"
        "story, run = start()\nview = show(run)\nview.flush()\nrun.stop()\nview.flush()\nview.finish()\n"
        "del os.environ['RLM_JUPYTER_DISPLAY']"
    )
    assert not any("application/vnd.jupyter.widget-view+json" in data for data in notebook.outputs)
    if mode == "html":
        assert "rlm-s-stopped" in static(notebook)["text/html"].split("</style>")[1]
        assert len(notebook.outputs) == 1
    else:
        printed = "".join(data["text/plain"] for data in notebook.outputs).splitlines()
        assert printed[0].startswith("0 starting its kernel")
        assert printed[2].startswith("RLM run 7f3a · stopped")


ENGINE = """
from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel
slow = ScriptedModel(["```repl\\ncounts = [1, 2, 3]\\nprint('counted')\\n```", "```repl\\nimport time\\ntime.sleep(600)\\n```"])
run = RLM(model=slow, log_dir=None, cache=False).start("Count.", context=[1, 2])
view = show(run)
while not run.done:
    view.flush()
    await asyncio.sleep(0.1)
view.finish()
"""


def test_an_event_of_an_awaited_cell_is_told_though_nobody_flushes(notebook):
    notebook.begin(
        "story, run = start()\nview = show(run)\nwhile not run.done: await asyncio.sleep(0.05)\nview.finish()"
    )
    notebook.until(lambda: len(notebook.outputs) == 2)
    notebook.click("hello")
    notebook.until(lambda: notebook.answers("snapshot"))
    notebook.click("exec", agent="0", code="tell")
    notebook.until(lambda: notebook.answers("patch"))
    assert notebook.answers("patch")[0]["agents"]["0"]["rev"] > 0
    assert notebook.ended is None
    assert len(notebook.outputs) == 2
    notebook.click("stop", agent=None)
    assert notebook.finish()["status"] == "ok"


def test_a_click_on_stop_ends_a_real_run_in_an_awaited_cell_and_its_variables_can_be_pulled_after(notebook):
    notebook.begin(ENGINE)
    notebook.until(lambda: notebook.outputs)
    notebook.click("hello")
    notebook.until(
        lambda: any(message.get("agents", {}).get("0", {}).get("cells") == 2 for message in notebook.custom)
    )
    assert notebook.ended is None
    notebook.click("stop", agent=None)
    assert notebook.finish()["status"] == "ok"
    assert "rlm-s-stopped" in static(notebook)["text/html"].split("</style>")[1]
    notebook.click("pull", agent="0", name="counts", target="mine")
    notebook.until(lambda: len(notebook.answers("ok")) == 2)
    assert notebook.answers("ok")[1]["message"].startswith("mine = ")
    notebook.click("exec", agent="0", code="len(counts)")
    notebook.until(lambda: len(notebook.answers("ok")) == 3)
    assert notebook.answers("ok")[2]["output"].strip() == "3"
    notebook.run("assert mine == [1, 2, 3]; run.close()")


def test_html_is_redrawn_at_most_once_a_second(monkeypatch):
    drawn, clock = [], [0.0]
    monkeypatch.setattr(
        display, "StaticTree", lambda run: SimpleNamespace(update=lambda: drawn.append(run.tree.seq))
    )
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    story = Story()
    view = display.HtmlView(StandIn(story))
    for _ in range(100):
        story.agent("0")
        clock[0] += 0.1
        view.flush()
    assert 8 <= len(drawn) <= 10
    clock[0] += 5
    view.flush()
    before = len(drawn)
    clock[0] += 5
    view.flush()
    assert len(drawn) == before, "nothing changed"
