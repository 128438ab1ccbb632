"""A widget over a fake comm: what a page sends it, what it got from it; and the handle of an agent."""

import threading
from types import SimpleNamespace

import comm
import comm.base_comm
import pytest
from run_story import StandIn

SENT = []


class FakeComm(comm.base_comm.BaseComm):
    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        SENT.append((msg_type, data or {}))


class Main:
    """The main thread of a test: what is to run there waits until the test runs it."""

    def __init__(self, has_loop=True):
        self.has_loop, self.waiting, self.added = has_loop, [], threading.Event()

    def soon(self, function):
        self.waiting.append(function)
        self.added.set()

    def later(self, _seconds, function):
        self.soon(function)

    def run(self):
        waiting, self.waiting = self.waiting, []
        self.added.clear()
        for function in waiting:
            function()


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Browser:
    """A widget with a fake comm, and what a page got from it."""

    def __init__(self, story, monkeypatch, *, namespace=None, has_loop=True, run=None, **options):
        from rlm_jupyter.views.widget import RunWidget

        monkeypatch.setattr(comm, "create_comm", FakeComm)
        SENT.clear()
        self.main, self.clock, self.run = Main(has_loop), Clock(), run or StandIn(story)
        self.widget = RunWidget(self.run, namespace=namespace, main=self.main, clock=self.clock, **options)
        self.opened = list(SENT)
        SENT.clear()
        self.arrived = threading.Condition()
        send = self.widget.send

        def sent(*arguments):
            with self.arrived:
                send(*arguments)
                self.arrived.notify_all()

        self.widget.send = sent

    @property
    def got(self):
        assert all(kind == "comm_msg" and data["method"] == "custom" for kind, data in SENT), (
            "a trait was set"
        )
        return [data["content"] for _, data in SENT]

    def click(self, kind, **fields):
        content = {"kind": kind, "request": "r1", **fields}
        self.widget.comm.handle_msg(
            {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
        )

    def ask(self, kind, **fields):
        """Send a command and give its answer, which may come from a thread."""
        before = len(self.got)
        self.click(kind, **fields)
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.got) > before, 20), "no answer"
        answer = self.got[before]
        assert answer["request"] == "r1"
        return answer

    def tick(self):
        self.clock.now += 0.1
        self.widget.flush()


@pytest.fixture
def browse(monkeypatch):
    opened = []

    def make(story, **options):
        opened.append(Browser(story, monkeypatch, **options))
        return opened[-1]

    yield make
    for browser in opened:
        browser.widget.close()


class Agent:
    """An agent's handle."""

    def __init__(self, **variables):
        self.variables, self.ran = variables, []

    def pull(self, name=None):
        value = self.variables[name or "FINAL"]
        if isinstance(value, Exception):
            raise value
        return value() if callable(value) else value

    def execute(self, code):
        self.ran.append(code)
        return SimpleNamespace(status="ok", output="x" * 100_000 + "\x1b[31mend")
