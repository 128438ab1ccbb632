"""The widget over a fake comm: messages in, messages out; and every command that a click can ask for."""

import json
import threading
from types import SimpleNamespace

import comm
import comm.base_comm
import pytest
from run_story import FRAME, StandIn, Story, example

from rlm_jupyter.engine import events as ev
from rlm_jupyter.errors import UnsafeValueError
from rlm_jupyter.views.commands import free_name
from rlm_jupyter.views.wire import rows

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

    def __init__(self, story, monkeypatch, *, namespace=None, has_loop=True, **options):
        from rlm_jupyter.views.widget import RunWidget

        monkeypatch.setattr(comm, "create_comm", FakeComm)
        SENT.clear()
        self.main, self.clock, self.run = Main(has_loop), Clock(), StandIn(story)
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

    def pull(self, name):
        value = self.variables[name]
        if isinstance(value, Exception):
            raise value
        return value() if callable(value) else value

    def execute(self, code):
        self.ran.append(code)
        return SimpleNamespace(status="ok", output="x" * 100_000 + "\x1b[31mend")


def test_the_widget_carries_its_code_and_no_state(browse):
    browser = browse(example())
    states = [data["state"] for kind, data in browser.opened if kind == "comm_open"]
    (state,) = [state for state in states if "_esm" in state]
    assert "export" in state["_esm"]
    assert state["_css"]
    ours = {name for name in state if not name.startswith("_")} - {"layout", "tabbable", "tooltip"}
    assert not ours
    assert repr(browser.widget) == "RLM run · 3 agents · ? · done"
    bundle = browser.widget._repr_mimebundle_()
    assert "RLM run · 3 agents · ? · done" in json.dumps(bundle, ensure_ascii=False)


def test_hello_is_answered_with_everything_and_news_follow_in_numbered_patches(browse):
    story = Story()
    story.agent("0")
    browser = browse(story, clicks=False, notices=["no clicks"])
    browser.click("hello")
    (snapshot,) = browser.got
    assert (snapshot["kind"], snapshot["agents"]["0"]["id"]) == ("snapshot", "0")
    assert (snapshot["run"]["clicks"], snapshot["run"]["notices"]) == (False, ["no clicks"])
    story.agent("0.1")
    browser.tick()
    story.end_agent("0.1")
    browser.tick()
    browser.tick()
    assert [message["seq"] for message in browser.got] == [0, 1, 2]
    assert browser.got[2]["agents"]["0.1"]["status"] == "done"
    story.end()
    browser.widget.finish()
    last = browser.got[-1]
    assert (last["run"]["status"], last["run"]["clicks"], last["run"]["notices"]) == ("done", True, [])


def test_there_are_at_most_ten_messages_a_second_of_64_kb_whatever_the_engine_does(browse):
    story = Story()
    story.agent("0")
    browser = browse(story)
    browser.click("hello")
    for number in range(1, 3001):
        story.agent(f"0.{number}", "q" * 200)
        browser.clock.now += 0.001
        browser.widget.flush()
    assert len(browser.got) <= 1 + 3.0 / 0.095
    story.end()
    browser.widget.finish()
    while browser.main.waiting:
        before = len(browser.got)
        browser.clock.now += 0.1
        browser.main.run()
        assert len(browser.got) <= before + 1
    assert max(len(json.dumps(message, ensure_ascii=False).encode()) for message in browser.got) <= 64_500
    agents = {}
    for message in browser.got:
        for id_, change in message["agents"].items():
            agents.setdefault(id_, {}).update(change)
    assert agents.keys() == rows(story.state).keys()


def test_a_page_that_reloads_gets_all_parts_before_any_patch_and_a_second_hello_waits(browse):
    story = Story()
    for number in range(2000):
        story.agent(f"0.{number}", "q" * 200)
    browser = browse(story)
    browser.click("hello")
    first = browser.got[0]
    assert first["parts"] > 5
    story.agent("1")
    browser.click("hello")
    for _ in range(3 * first["parts"]):
        browser.tick()
    kinds = [message["kind"] for message in browser.got]
    assert kinds == ["snapshot"] * 2 * first["parts"] + ["patch"]
    assert [message["part"] for message in browser.got[:-1]] == 2 * list(range(first["parts"]))


def test_after_the_end_nothing_needs_to_flush(browse):
    browser = browse(example())
    for number in range(3, 3000):
        browser.run.story.agent(f"0.{number}", "q" * 200)
    browser.click("hello")
    while browser.main.waiting:
        browser.clock.now += 0.1
        browser.main.run()
    assert len(browser.got) == browser.got[0]["parts"] > 3


def test_without_a_loop_all_is_told_at_once(browse):
    story = Story()
    browser = browse(story, has_loop=False)
    browser.click("hello")
    for number in range(2000):
        story.agent(f"0.{number}", "q" * 200)
    browser.widget.finish()
    assert sum(len(message["agents"]) for message in browser.got) == 2000


def test_opening_an_agent_gives_its_page_and_its_prompt(browse):
    browser = browse(example(), namespace={"counts": 1})
    page = browser.ask("open", agent="0.1")
    assert (page["kind"], page["agent"]) == ("detail", "0.1")
    (variable,) = page["detail"]["variables"]
    assert (variable["name"], variable["as"]) == ("counts", "counts_0_1")
    assert browser.ask("open", agent="0.1", turn=1)["detail"]["turns"]
    shown = browser.ask("prompt", agent="0.1")
    assert (shown["kind"], shown["messages"]) == ("prompt", [{"role": "user", "content": "the question"}])


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("open", {"agent": "9"}, "has no agent `9`. Agents are: `0`, `0.1`, `0.2`."),
        ("prompt", {"agent": None}, "has no agent `None`"),
        ("stop", {"agent": "9"}, "has no agent `9`"),
        ("format_disk", {}, "There is no command `format_disk`."),
        (None, {}, "There is no command `None`."),
        ("exec", {"agent": "0", "code": "  "}, "There is no code to run"),
        ("exec", {"agent": "0", "code": 7}, "There is no code to run"),
        ("exec", {"agent": "0", "code": "1"}, "KeyError: '0'"),
        ("limit", {"name": "cost", "value": "lots"}, "needs a number"),
        ("limit", {"name": "cost", "value": True}, "needs a number"),
        ("limit", {"name": "cost", "value": 2}, "cannot be changed"),
        ("retry", {"agent": "0.2"}, "cannot be asked again"),
        ("next", {"agent": "0"}, "has no cell that waits for `Next`"),
        ("pull", {"agent": "0.1", "name": "counts", "as": "no name"}, "`no name` is no name for a variable"),
        ("pull", {"agent": "0.1", "name": "counts", "as": "class"}, "`class` is no name for a variable"),
        ("pull", {"agent": "0.1", "name": "counts", "as": "__builtins__"}, "one of Python's own names"),
        ("pull", {"agent": "0.1", "name": "counts", "as": {"x": 1}}, "is no name for a variable"),
    ],
)
def test_what_cannot_be_done_is_answered_in_words(browse, capfd, kind, fields, said):
    browser = browse(example(), namespace={})
    answer = browser.ask(kind, **fields)
    assert answer["kind"] == "error"
    assert said in answer["message"]
    assert capfd.readouterr() == ("", ""), "a handler must not print"
    assert browser.run.commands == []


@pytest.mark.parametrize("content", [None, "text", 7, [], {"kind": ["hello"]}, {}])
def test_what_is_no_message_at_all_is_answered_too(browse, content):
    browser = browse(example())
    browser.widget.comm.handle_msg(
        {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
    )
    assert [message["kind"] for message in browser.got] == ["error"]


def test_stop_pause_resume_and_limits_reach_the_run(browse):
    browser = browse(example())
    browser.run.set_limit = lambda name, value: browser.run.commands.append(("limit", name, value))
    browser.run.retry = lambda agent: browser.run.commands.append(("retry", agent))
    answers = [
        browser.ask("stop", agent=None),
        browser.ask("stop", agent="0.1"),
        browser.ask("pause"),
        browser.ask("resume"),
        browser.ask("limit", name="cost", value=2.5),
        browser.ask("limit", name="cost", value=None),
        browser.ask("retry", agent="0.2"),
    ]
    assert {answer["kind"] for answer in answers} == {"ok"}
    assert answers[0]["message"] == "The run is stopping."
    assert browser.run.commands == [("stop", None), ("stop", "0.1"), ("pause",), ("resume",), ("limit", "cost", 2.5),
                                    ("limit", "cost", None), ("retry", "0.2")]  # fmt: skip


def test_a_pulled_value_is_decoded_on_a_thread_and_assigned_on_the_main_one(browse):
    namespace, threads = {}, []

    def decode():
        threads.append(threading.current_thread())
        return ["the value"]

    browser = browse(example(), namespace=namespace)
    browser.run.agents["0.1"] = Agent(counts=decode)
    browser.click("pull", agent="0.1", name="counts", **{"as": "c"}, overwrite=False)
    assert browser.main.added.wait(20)
    assert namespace == {}
    assert browser.got == []
    assert threads[0] is not threading.current_thread()
    browser.main.run()
    assert namespace == {"c": ["the value"]}
    assert browser.got == [{"kind": "ok", "request": "r1", "message": "c = DataFrame 3 x 2, 216 B"}]


@pytest.mark.parametrize("name", ["taken", "print"])
def test_a_name_that_is_taken_is_overwritten_only_when_asked(browse, name):
    namespace = {"taken": 1}
    browser = browse(example(), namespace=namespace)
    browser.run.agents["0.1"] = Agent(counts="new")
    answer = browser.ask("pull", agent="0.1", name="counts", **{"as": name}, overwrite="yes")
    assert (answer["kind"], answer["reason"]) == ("error", "exists")
    assert f"`{name}`" in answer["message"]
    assert namespace == {"taken": 1}
    browser.click("pull", agent="0.1", name="counts", **{"as": name}, overwrite=True)
    assert browser.main.added.wait(20)
    browser.main.run()
    assert namespace[name] == "new"


def test_a_name_that_was_taken_while_the_value_travelled_is_not_overwritten(browse):
    namespace = {}
    browser = browse(example(), namespace=namespace)
    browser.run.agents["0.1"] = Agent(counts="new")
    browser.click("pull", agent="0.1", name="counts")
    assert browser.main.added.wait(20)
    namespace["counts"] = "mine"
    browser.main.run()
    assert namespace == {"counts": "mine"}
    assert browser.got[0]["reason"] == "exists"


def test_a_value_that_is_not_safe_and_a_place_without_notebook_are_refused(browse):
    browser = browse(example(), namespace={})
    browser.run.agents["0.1"] = Agent(counts=UnsafeValueError("`counts` has no safe form."))
    answer = browser.ask("pull", agent="0.1", name="counts")
    assert (answer["kind"], answer["message"]) == ("error", "`counts` has no safe form.")
    assert "no notebook here" in browse(example()).ask("pull", agent="0.1", name="counts")["message"]


def test_a_cell_runs_in_the_agents_kernel_and_its_output_is_bounded_and_clean(browse):
    browser = browse(example())
    browser.run.agents["0.1"] = agent = Agent()
    answer = browser.ask("exec", agent="0.1", code="counts.head()")
    assert agent.ran == ["counts.head()"]
    assert (answer["kind"], answer["status"]) == ("ok", "ok")
    assert len(answer["output"]) < 20_000
    assert answer["output"].endswith("xend")


def test_no_more_than_eight_commands_wait_at_once_and_stop_still_works(browse):
    release = threading.Event()
    browser = browse(example(), namespace={})
    browser.run.agents["0.1"] = Agent(counts=lambda: release.wait(30))
    for number in range(8):
        browser.click("pull", agent="0.1", name="counts", **{"as": f"v{number}"})
    assert "8 commands are under way" in browser.ask("pull", agent="0.1", name="counts")["message"]
    assert browser.ask("stop", agent=None)["kind"] == "ok"
    release.set()


@pytest.mark.parametrize(
    ("shown", "sent", "runs"),
    [
        ("x = 1", "x = 1", None),
        ("x = 1", None, None),
        ("x = 1", "x = 2", "x = 2"),
        ("x = '\x00'", "x = '␀'", None),
    ],
)
def test_next_runs_the_cell_as_it_was_or_as_it_was_edited(browse, shown, sent, runs):
    story = Story(step=True)
    story.agent("0")
    story.tell(ev.StepPending, "0", cell=1, code=shown)
    browser = browse(story)
    assert rows(story.state)["0"]["pending_code"] == shown.replace("\x00", "␀")
    assert browser.ask("next", agent="0", code=sent)["kind"] == "ok"
    assert browser.run.commands == [("next", "0", runs)]


def test_a_cell_that_is_shown_cut_runs_whole_and_cannot_be_edited(browse):
    story = Story(step=True)
    story.agent("0")
    story.tell(ev.StepPending, "0", cell=1, code="x = 1\n" * 20_000)
    browser = browse(story)
    shown = rows(story.state)["0"]["pending_code"]
    assert len(shown) < 40_000
    assert "too long to be edited" in browser.ask("next", agent="0", code=shown + "y")["message"]
    assert "must be text" in browser.ask("next", agent="0", code=7)["message"]
    assert browser.ask("next", agent="0", code=shown)["kind"] == "ok"
    assert browser.run.commands == [("next", "0", None)]


def test_a_free_name_is_offered():
    assert free_name("counts", "0.1", {}) == "counts"
    assert free_name("counts", "0.1", {"counts": 1}) == "counts_0_1"
    assert free_name("counts", "0.1", {"counts": 1, "counts_0_1": 1}) == "counts_0_1_2"
    assert free_name("print", "0", {}) == "print_0"
    assert free_name("not a name", "0", {}) == "pulled"
    assert free_name("class", "0", {}) == "class_0"


def test_a_click_arrives_on_any_thread_while_the_cell_flushes(browse):
    """On ipykernel before 7.4 a subshell's thread handles it: no patch may be lost, none told twice."""
    story = Story()
    story.agent("0")
    browser = browse(story)
    browser.click("hello")
    browser.widget._clock = iter(range(10**9)).__next__
    errors = []

    def say_hello():
        try:
            for _ in range(50):
                browser.click("hello")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=say_hello) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, 200):
        with browser.run.lock:
            story.agent(f"0.{number}")
            story.variables(f"0.{number}", v=FRAME)
        browser.widget.flush()
    for thread in threads:
        thread.join()
    assert not errors
    browser.widget.finish()
    patches = [message["seq"] for message in browser.got if message["kind"] == "patch"]
    assert patches == list(range(1, len(patches) + 1))
    agents = {}
    for message in browser.got:
        if message["kind"] == "patch":
            for id_, change in message["agents"].items():
                agents.setdefault(id_, {}).update(change)
    assert agents.keys() | {"0"} == rows(story.state).keys()
