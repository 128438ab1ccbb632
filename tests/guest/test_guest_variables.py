"""Variables of an agent: told after each cell, bound, described and given on request, in a real kernel."""

import threading
import time

import pytest
from guest_kernel import GuestKernel

from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError


@pytest.fixture(scope="module")
def shared():
    kernel = GuestKernel()
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(shared):
    shared.clear()
    shared.reset()
    return shared


def names(change):
    return sorted(item["name"] for item in change["variables"]), sorted(change["removed"])


# -- after each cell


@pytest.mark.parametrize(
    ("first", "second", "changed", "removed"),
    [
        ("x = 1", "y = 2", ["y"], []),
        ("x = 1", "x = 2", ["x"], []),
        ("x = 1", "x = 'one'", ["x"], []),
        ("x = 1", "x = 1", [], []),
        ("x = 1; y = 2", "del x", [], ["x"]),
        ("x = [1]", "x.append(2)", ["x"], []),
        ("x = {}", "x['k'] = 1", ["x"], []),
        ("import pandas as pd; d = pd.DataFrame({'n': [1]})", "d['m'] = 2", ["d"], []),
        ("import os; from json import dumps; _x = 1", "import sys", [], []),
        ("1", "def f(): pass\nclass A: pass\ng = lambda: 1", ["A", "f", "g"], []),
        ("1", "SHOW_VARS = 5", ["SHOW_VARS"], []),
        ("1", "answer = [1]", ["answer"], []),
        ("1", "x = 1\n1 / 0", ["x"], []),
        ("1", "x = llm_query('a')", ["x"], []),
    ],
)
def test_only_what_changed_is_told(kernel, first, second, changed, removed):
    kernel.run(first)
    kernel.run(second)
    assert names(kernel.changes[-1]) == (changed, removed)


def test_a_change_has_a_description_and_the_number_of_the_cell(kernel):
    kernel.run("x = [1, 2, 3]")
    (item,) = kernel.changes[-1]["variables"]
    assert (item["name"], item["type"], item["length"]) == ("x", "list", 3)
    number = kernel.changes[-1]["cell"]
    kernel.run("1")
    assert kernel.changes[-1]["cell"] == number + 1


def test_no_more_than_a_bounded_number_is_described_at_a_time(kernel):
    kernel.run("for i in range(1000): globals()[f'v{i}'] = i")
    assert len(kernel.changes[-1]["variables"]) == 200
    assert len(kernel.ask("describe")[0]["variables"]) == 200


def test_hostile_objects_break_nothing(kernel):
    code = (
        "class H:\n"
        "    def __getattribute__(self, name): raise RuntimeError('no')\n"
        "    def __repr__(self): raise RuntimeError('no')\n"
        "    def __eq__(self, other): raise RuntimeError('no')\n"
        "    def __len__(self): return 'many'\n"
        "h = H(); hs = [h]; answer = h\nglobals()[3] = 'odd'\nr = llm_query('a')"
    )
    ran = kernel.run(code)
    assert (ran.error, ran.stderr) == ("", "")
    assert names(kernel.changes[-1]) == (["H", "answer", "h", "hs", "r"], [])
    kernel.run("del globals()[3], answer")
    assert names(kernel.changes[-1]) == ([], ["answer"])


def test_a_silent_cell_tells_nothing(kernel):
    kernel.on_loop(kernel._execute("x = 1", silent=True))
    assert kernel.changes == []


# -- what the engine asks for


def test_data_is_bound_to_its_names_and_not_told_until_it_changes(kernel):
    description = kernel.load({"orders": [1, 2], "users": "u"}, "context", item_names=["orders", "users"])
    assert (description["type"], description["length"]) == ("dict", 2)
    assert kernel.run("context['orders'] is orders, users").result == "(True, 'u')"
    assert names(kernel.changes[-1]) == ([], [])
    kernel.run("orders.append(3)")
    assert names(kernel.changes[-1])[0] == ["context", "orders"]
    assert {item["name"] for item in kernel.ask("describe")[0]["variables"]} == {"context", "orders", "users"}


def test_one_name_carries_the_data_besides_context(kernel):
    kernel.load([1], "context", "orders")
    assert kernel.run("context is orders").result == "True"


def test_a_variable_is_given_with_its_description(kernel):
    kernel.run("import pandas as pd\nd = pd.DataFrame({'n': [1, 2]})")
    body, value = kernel.pull("d", allow_pickle=False)
    assert (body["kind"], body["description"]["shape"]) == ("safe", [2, 1])
    assert value["n"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [("y", "missing", "no variable `y`"), ("llm_query", "missing", "llm_query"), ("f", "unencodable", "`f`")],
)
def test_what_cannot_be_given_is_an_error_that_says_why(kernel, name, kind, words):
    kernel.run("x = 1\ndef f(): pass")
    with pytest.raises(BridgeError, match=words) as caught:
        kernel.pull(name, allow_pickle=False)
    assert caught.value.kind == kind
    assert kind != "missing" or caught.value.data == ["x", "f"]


@pytest.mark.parametrize(
    "wait", ["while not go: pass", "while not go: time.sleep(0.01)", "llm_query('until')"]
)
def test_the_engine_is_answered_while_a_cell_runs(kernel, wait):
    async def until(op, body, fds):
        while not hasattr(kernel, "gone_on"):
            await __import__("asyncio").sleep(0.01)
        return "", []

    kernel.handler = until
    kernel.run("import time\nx = [1]\ngo = []")
    thread = threading.Thread(target=lambda: kernel.run(f"started = True\n{wait}"))
    thread.start()
    while "started" not in {item["name"] for item in kernel.ask("describe")[0]["variables"]}:
        time.sleep(0.01)
    assert kernel.pull("x")[1] == [1]
    kernel.load([True], "go")
    kernel.gone_on = True
    thread.join(60)
    assert not thread.is_alive()


def test_an_unknown_request_is_an_error(kernel):
    with pytest.raises(BridgeError, match="does not know `dance`"):
        kernel.ask("dance")


def test_with_no_rows_no_data_is_quoted(kernel):
    kernel.ask("configure", {"leaf": False, "words": {"rows": 0}})
    try:
        kernel.run(
            "x = ['secret-value'] * 3\nimport pandas as pd\nd = pd.DataFrame({'n': ['secret-value']})\nrlm_query('q', x)"
        )
        assert names(kernel.changes[-1])[0] == ["d", "x"]
        assert "secret-value" not in str(kernel.changes) + str(kernel.ops)
        assert "secret-value" not in kernel.run("SHOW_VARS()").stdout
    finally:
        kernel.ask("configure", {"leaf": False, "words": {"rows": 3}})


def test_a_dropped_value_of_many_bytes_gives_its_memory_back_after_the_cell(kernel):
    pytest.importorskip("pandas")
    mapped = "sum('memfd' in line for line in open('/proc/self/maps'))"
    before = int(kernel.run(mapped).result)
    kernel.run(
        "import numpy as np\nr = rlm_query('q', {'a': np.zeros(1_000_000)})['context']\nloop = [r]; loop.append(loop)"
    )
    assert int(kernel.run(mapped).result) > before
    kernel.run("del r, loop")
    assert int(kernel.run(mapped).result) == before
