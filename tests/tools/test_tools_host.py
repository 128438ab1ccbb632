"""Functions that run in the notebook's process when an agent calls them."""

import asyncio
import inspect
import os
import threading
import time

import pandas as pd
import pytest
from tool_runs import asking, told

from rlm_jupyter import host_tool
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.records import load
from rlm_jupyter.settings import Limits
from rlm_jupyter.tools.functions import read_tools

HERE = os.getpid()


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


@host_tool
def where(*parts: object, by: "tuple[int, ...]" = (1, 2), **more: object) -> list:
    """Returns where it runs, and what it was given."""
    assert threading.current_thread().name == "rlm-host-tools"
    return [os.getpid(), list(parts), by, more]


@host_tool
async def sleepy(seconds: float = 0.01) -> str:
    """Sleep, and tell on which loop."""
    await asyncio.sleep(seconds)
    return f"{threading.current_thread().name} {id(asyncio.get_running_loop())}"


def calls(run, agent="0"):
    return [event for event in run.events if event.kind == "tool_called" and event.agent == agent]


def test_a_host_tool_runs_in_this_process_and_gives_values_both_ways(ask):
    frame = pd.DataFrame({"a": [1, 2]})
    code = "import pandas as pd\nFINAL(where(1, pd.DataFrame({'a': [1, 2]}), by=(3,), more={'k': b'v'}))"
    run = ask({"root": [code]}, tools=[where])
    pid, (one, table), by, more = run.value
    assert (pid, one, by, more) == (HERE, 1, (3,), {"more": {"k": b"v"}})
    pd.testing.assert_frame_equal(table, frame)
    (call,) = calls(run)
    assert (call.name, call.ok, call.error, call.server) == ("where", True, None, None)
    assert call.seconds >= 0
    state = run.tree.agents["0"].tools["where"]
    assert (state.calls, state.failed) == (1, 0)


def test_in_the_kernel_it_has_the_same_signature_and_docstring(ask):
    code = (
        "import inspect\n"
        "FINAL([str(inspect.signature(where)), inspect.signature(where).parameters['by'].default, "
        "where.__name__, inspect.getdoc(where), callable(where)])"
    )
    run = ask({"root": [code]}, tools=[where])
    assert run.value == [str(inspect.signature(where)), (1, 2), "where", inspect.getdoc(where), True]
    assert f"def where{inspect.signature(where)}" in run.messages()[1]["content"]


def test_it_blocks_or_is_awaited_as_the_code_needs_it(ask):
    code = (
        "import asyncio\n"
        "one = await where(1)\n"
        "two, three = await asyncio.gather(where(2), where(3))\n"
        "def plain():\n    return [where(n)[1] for n in (4, 5)]\n"
        "FINAL([one[1], two[1], three[1], plain()])"
    )
    assert ask({"root": [code]}, tools=[where]).value == [[1], [2], [3], [[4], [5]]]


def test_async_functions_run_on_the_threads_own_loop_which_stays(ask):
    run = ask({"root": ["FINAL([sleepy(), sleepy()])"]}, tools=[sleepy])
    one, two = run.value
    assert one == two
    assert one.startswith("rlm-host-tools ")
    assert "\ndef sleepy" in run.messages()[1]["content"]


def test_calls_run_one_at_a_time_also_of_two_runs(ask):
    inside, most = 0, []
    lock = threading.Lock()

    @host_tool
    def alone():
        nonlocal inside
        with lock:
            inside += 1
            most.append(inside)
        time.sleep(0.02)
        with lock:
            inside -= 1

    code = "import asyncio\nawait asyncio.gather(*(alone() for _ in range(5)))\nFINAL(1)"
    runs = [ask({"root": [code]}, tools=[alone], wait=False) for _ in range(2)]
    for run in runs:
        assert run.wait(60).value == 1
    assert most == [1] * 10


class OutOfStockError(LookupError):
    pass


@host_tool
def broken(kind: str) -> None:
    """Raise."""
    error = {
        "own": OutOfStockError("no more apples"),
        "value": ValueError("not this one"),
        "key": KeyError("apples"),
        "os": FileNotFoundError(2, "no such file", "/data/apples"),
        "exit": SystemExit(3),
        "stop": StopIteration("early"),
        "interrupt": KeyboardInterrupt(),
        "empty": ArithmeticError(),
    }[kind]
    raise error


@pytest.mark.parametrize(
    ("kind", "caught", "says"),
    [
        ("own", "RLMQueryError", "`broken` raised OutOfStockError: no more apples"),
        ("value", "ValueError", "`broken` raised ValueError: not this one"),
        ("key", "KeyError", "`broken` raised KeyError: 'apples'"),
        ("os", "FileNotFoundError", "no such file"),
        ("exit", "RLMQueryError", "`broken` raised SystemExit: 3"),
        ("stop", "RLMQueryError", "`broken` raised StopIteration: early"),
        ("interrupt", "RLMQueryError", "`broken` raised KeyboardInterrupt."),
        ("empty", "ArithmeticError", "`broken` raised ArithmeticError."),
    ],
)
def test_what_it_raises_arrives_as_type_and_message_without_a_traceback_of_the_notebook(
    ask, kind, caught, says
):
    code = f"try:\n    broken({kind!r})\nexcept {caught} as e:\n    FINAL([str(e), e.kind, isinstance(e, RLMQueryError)])"
    run = ask({"root": [f"broken({kind!r})", code]}, tools=[broken])
    text, error_kind, ours = run.value
    assert says in text
    assert (error_kind, ours) == ("tool", True)
    assert __file__ not in told(run)
    assert "raise error" not in told(run)
    assert [call.ok for call in calls(run)] == [False, False]
    assert calls(run)[0].error in run.messages()[3]["content"]
    assert run.tree.agents["0"].tools["broken"].failed == 2


def test_secrets_of_the_notebook_are_taken_out_of_what_it_raises(ask, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "open-sesame-1")

    @host_tool
    def connect():
        raise ConnectionError("refused: user=me password=open-sesame-1")

    run = ask(
        {"root": ["try:\n    connect()\nexcept ConnectionError as e:\n    FINAL(str(e))"]}, tools=[connect]
    )
    assert "refused: user=me password=«redacted»" in run.value


def test_wrong_arguments_are_told_in_the_kernel_and_nothing_is_called(ask):
    @host_tool
    def two(a, b):
        raise AssertionError

    run = ask({"root": ["try:\n    two(1)\nexcept TypeError as e:\n    FINAL(str(e))"]}, tools=[two])
    assert run.value == "two(a, b): missing a required argument: 'b'"
    assert calls(run) == []


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("give(lambda: 1)", "Only plain data can go to `give`"),
        ("give(type('Evil', (), {})())", "Only plain data can go to `give`"),
        ("give('thread')", "cannot leave the notebook"),
    ],
)
def test_only_plain_data_crosses(ask, call, says):
    @host_tool
    def give(what):
        return threading.Lock() if what == "thread" else what

    run = ask({"root": [f"try:\n    {call}\nexcept RLMQueryError as e:\n    FINAL(str(e))"]}, tools=[give])
    assert says in run.value


def test_a_pickle_that_an_agent_forges_is_not_opened(ask):
    seen = []

    @host_tool
    def give(what):
        seen.append(what)

    forged = (
        "import _rlm.values.codec.api as codec, _rlm.guest.agent_side, os\n"
        "class Evil:\n    def __reduce__(self):\n        return (print, ('pwned',))\n"
        "guest = _rlm.guest.agent_side._here()\n"
        "def ask(value, name='give'):\n"
        "    fd, kind = codec.dump(value, allow_pickle=True)\n"
        "    number, future = guest.link.submit('tool', {'name': name}, [fd])\n"
        "    return [kind, future.result().error['message']]\n"
        "FINAL([ask({'args': (Evil(),), 'named': {}}), ask([1]), ask({'args': (), 'named': {}}, 'other')])"
    )
    run = ask({"root": [forged]}, tools=[give])
    pickled, malformed, unknown = run.value
    assert pickled[0] == "pickle"
    assert "no form as plain data" in pickled[1]
    assert "malformed" in malformed[1]
    assert "has no tool `other`" in unknown[1]
    assert seen == []


def test_time_in_a_host_tool_does_not_count_as_the_cells(ask):
    @host_tool
    def slow():
        time.sleep(4)
        return "waited"

    run = ask({"root": ["x = slow()", "FINAL(x)"]}, tools=[slow], limits=Limits(cell_seconds=3))
    assert run.value == "waited"


TRY = "{0} = 'none'\ntry:\n    {0} = {1}()\nexcept (TimeoutError, RLMQueryError) as e:\n    {0} = str(e)\n"


@pytest.mark.parametrize("by_setting", [False, True])
def test_a_tool_that_never_returns_is_given_up_the_others_go_on_and_the_user_is_told_once(ask, by_setting):
    release = threading.Event()
    seconds, settings = (None, {"tool_seconds": 0.2}) if by_setting else (0.2, {"tool_seconds": 100})

    @host_tool(seconds=seconds)
    def stuck():
        release.wait(600)
        return "late"

    code = "".join(TRY.format(*pair) for pair in [("a", "stuck"), ("b", "stuck"), ("c", "where")])
    again = TRY.format("d", "stuck")
    try:
        run = ask({"root": [code, f"{again}FINAL([a, b, c, d])"]}, tools=[stuck, where], settings=settings)
        late, busy, other, still = run.value
        said = [note for note in run.tree.notices if "`stuck`" in note]
    finally:
        release.set()
    assert "`stuck` took longer than 0.2 s in the notebook and was given up" in late
    assert "`stuck` still runs in the notebook from an earlier call" in busy
    assert still == busy
    assert other[0] == HERE
    (note,) = said
    assert "did not return in 0.2 s and still runs" in note
    assert "tool_seconds" in note
    state = run.tree.agents["0"].tools["stuck"]
    assert (state.calls, state.failed) == (3, 3)
    until(
        lambda: ask({"root": [f"{again}FINAL(d)"]}, tools=[stuck]).value == "late"
    )  # it is free once it returned


def test_an_awaiting_tool_whose_time_is_up_is_ended_and_can_be_called_again(ask):
    code = (
        "try:\n    sleepy(60)\nexcept TimeoutError as e:\n    a = str(e)\n"
        "FINAL([a, sleepy(), 0 < len(sleepy())])"
    )
    run = ask({"root": [code]}, tools=[sleepy], settings={"tool_seconds": 0.3})
    late, again, _ = run.value
    assert "took longer than 0.3 s" in late
    assert again.startswith("rlm-host-tools")
    assert run.tree.notices == []


def test_a_stopped_call_that_does_not_end_leaves_the_others_their_turn(ask):
    release, begun = threading.Event(), threading.Event()

    @host_tool
    def stuck():
        begun.set()
        release.wait(600)

    try:
        run = ask({"root": ["stuck()"]}, tools=[stuck], wait=False)
        assert begun.wait(60)
        run.stop()
        run.wait(60)
        code = TRY.format("a", "stuck")
        other = ask({"root": [f"{code}FINAL([a, where()[0]])"]}, tools=[stuck, where])
        busy, pid = other.value
    finally:
        release.set()
    assert "or that was stopped" in busy
    assert pid == HERE


def test_stop_ends_a_run_that_waits_for_a_host_tool_and_cancels_what_awaits(ask):
    begun, ended = threading.Event(), threading.Event()

    @host_tool
    async def endless():
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    run = ask({"root": ["endless()"]}, tools=[endless], wait=False)
    assert begun.wait(60)
    run.stop()
    run.wait(60)
    assert run.status == "stopped"
    assert ended.wait(60)
    until(lambda: calls(run))
    assert [call.ok for call in calls(run)] == [False]
    assert ask({"root": ["FINAL(where()[0])"]}, tools=[where]).value == HERE


def test_an_ended_run_calls_nothing_any_more(ask):
    run = ask({"root": ["FINAL(1)"]}, tools=[where])
    assert "`0` has ended: its code asks nothing any more" in run.agents["0"].execute("where()").traceback
    assert calls(run) == []


def test_it_is_handed_to_sub_agents_by_name_or_as_itself(ask):
    script = {
        "root": [
            (
                "a = rlm_query('with', tools=['where'])\nb = rlm_query('with', tools=[where])\n"
                "c = rlm_query('without')\ndef f():\n    return where()[0]\n"
                "d = rlm_query('through', tools=[f])\nFINAL([a, b, c, d])"
            )
        ],
        "with": ["FINAL(where()[0])"],
        "without": ["FINAL('where' in globals())"],
        "through": ["try:\n    f()\nexcept RLMQueryError as e:\n    FINAL(str(e))"],
    }
    run = ask(script, tools=[where])
    assert run.value[:3] == [HERE, HERE, False]
    assert "was not handed `where`" in run.value[3]
    assert len(calls(run, "0.1")) == 1


def test_a_method_keeps_its_object_and_stays_callable_here(ask):
    class Store:
        def __init__(self):
            self.lock = threading.Lock()
            self.pieces = {"apples": 3}

        def stock(self, article: str) -> int:
            """Returns the pieces in store."""
            with self.lock:
                return self.pieces[article]

    tool = host_tool(Store().stock)
    assert tool("apples") == 3
    run = ask({"root": ["FINAL(stock('apples'))"]}, tools=[tool])
    assert run.value == 3
    assert "def stock(article: str) -> int" in run.messages()[1]["content"]


def test_a_default_that_cannot_travel_is_shown_and_stays_here(ask):
    base = threading.Lock()

    @host_tool
    def use(a: int, lock=base):
        return [a, lock is base]

    code = "import inspect\nFINAL([use(1), str(inspect.signature(use))])"
    value, signature = ask({"root": [code]}, tools=[use]).value
    assert value == [1, True]
    assert signature.startswith("(a: int, lock=<unlocked _thread.lock")


@pytest.mark.parametrize(
    ("make", "says"),
    [(lambda: host_tool(3), "a function"), (lambda: host_tool(seconds=0), "positive")],
)
def test_what_cannot_be_a_host_tool_is_named(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


def test_marking_leaves_the_function_as_it_is():
    def f(a):
        return a

    assert host_tool(f) is f
    assert host_tool(seconds=5)(f) is f
    (tool,) = read_tools([f]).values()
    assert tool.options.seconds == 5
    assert list(tool.forms) == ["host"]


def until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_tree_names_what_each_agent_was_handed_and_the_log_gives_it_back(ask):
    def clean(text):
        return text.strip()

    script = {
        "root": ["a = where(1)\nFINAL(rlm_query('sub', tools=['where']))"],
        "sub": ["FINAL(where(2)[1])"],
    }
    run = ask(script, tools=[where, clean])
    assert run.value == [2]
    for tree in (run.tree, load(run.log_path).tree):
        assert {id_: agent.handed for id_, agent in tree.agents.items()} == {
            "0": ("where", "clean"),
            "0.1": ("where",),
        }
        (call,) = tree.agents["0.1"].turns[0].tool_calls
        assert (call.name, call.ok) == ("where", True)
