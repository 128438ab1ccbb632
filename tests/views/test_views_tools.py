"""Tools in all views: which an agent was handed, what it called in the notebook, and what failed."""

import json

import pytest
from hostile_text import PAYLOADS
from run_story import Story

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agent_state import TOOL_CALLS
from rlm_jupyter.views.agent_page import detail
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.text_tree import show_agent
from rlm_jupyter.views.widget_messages import Patcher


def story(*calls, tools=("stock", "clean"), mcp=("files",), turns=1):
    told = Story()
    told.agent("0", tools=tools, mcp=mcp)
    for turn in range(1, turns + 1):
        told.turn("0", turn=turn)
    for call in calls:
        told.tell(ev.ToolCalled, "0", **{"turn": 1, "seconds": 0.25, "ok": True, **call})
    return told


FAILED = {"name": "stock", "ok": False, "error": "`stock` raised KeyError: 'pears'", "turn": 2}
CALLS = [{"name": "stock"}, {"name": "read", "server": "files", "seconds": 2.5}, FAILED]


def test_the_page_of_an_agent_names_its_tools_and_each_turn_its_calls():
    page = detail(story(*CALLS, turns=3).state, "0")
    assert page["tools"] == ["stock", "clean", "files"]
    assert [turn["tool_calls"] for turn in page["turns"]] == [
        [
            {"name": "stock", "seconds": 0.25, "ok": True},
            {"name": "files.read", "seconds": 2.5, "ok": True},
        ],
        [{"name": "stock", "seconds": 0.25, "ok": False, "error": FAILED["error"]}],
        [],
    ]
    assert [turn["tools_called"] for turn in page["turns"]] == [2, 1, 0]


def test_a_row_counts_the_calls_and_a_patch_tells_of_one_more():
    told = story(*CALLS, turns=2)
    patcher = Patcher(told.state)
    (whole,) = patcher.snapshot()
    assert whole["agents"]["0"]["tool_calls"] == 3
    told.tell(ev.ToolCalled, "0", name="stock", turn=2, seconds=0.1, ok=True)
    assert patcher.patch()["agents"]["0"]["tool_calls"] == 4


def test_text_and_html_tell_of_them():
    state = story(*CALLS, turns=2).state
    text, html = show_agent(state, "0"), static_html(state)
    for part in (
        "Tools: stock (2 calls, 1 failed), clean, files (1 call)",
        "Tool stock · 0.2 s",
        "Tool files.read · 2.5 s",
    ):
        assert part in text
        assert part in html
    assert f"   Tool stock failed · 0.2 s · {FAILED['error']}" in text.splitlines()
    assert "Tool stock failed · 0.2 s · `stock` raised KeyError: &#x27;pears&#x27;" in html


QUERY = {"source": "DuckDB database `shop`", "table": "orders", "turn": 1, "seconds": 0.25}


def test_queries_of_databases_are_lines_of_their_turn_in_all_views():
    told = story(CALLS[0])
    told.tell(ev.TableQueried, "0", **QUERY, text="SELECT id\n  FROM t", rows=12, ok=True)
    told.tell(ev.TableQueried, "0", **QUERY, text="<b>DROP", ok=False, error="`DROP` is not a query")
    state = told.state
    calls = detail(state, "0")["turns"][0]["tool_calls"]
    assert [call["name"] for call in calls] == [
        "stock",
        "orders: SELECT id FROM t (12 rows)",
        "orders: <b>DROP",
    ]
    assert calls[2]["error"] == "`DROP` is not a query"
    text, html = show_agent(state, "0"), static_html(state)
    assert "   Query orders: SELECT id FROM t · 0.2 s · 12 rows" in text.splitlines()
    assert "Query orders: SELECT id FROM t · 0.2 s · 12 rows" in html
    assert "Query orders: &lt;b&gt;DROP failed" in html
    assert state.agents["0"].turns[0].tools_called == 3


def test_an_agent_without_tools_says_nothing_of_them():
    state = story(tools=(), mcp=()).state
    assert detail(state, "0")["tools"] == []
    assert "Tool" not in show_agent(state, "0")
    assert "Tool" not in static_html(state)


def test_many_calls_are_counted_and_the_one_that_failed_is_kept_in_sight():
    calls = [{"name": f"n{number}"} for number in range(TOOL_CALLS + 50)]
    calls[100] = {"name": "bad", "ok": False, "error": "no"}
    state = story(*calls, tools=(), mcp=()).state
    (turn,) = detail(state, "0")["turns"]
    names = [call["name"] for call in turn["tool_calls"]]
    assert turn["tools_called"] == TOOL_CALLS + 50
    assert names[-1] == f"n{TOOL_CALLS + 49}"
    assert names[0] == "bad"
    assert len(names) == 40
    assert "… 110 more calls of tools" in show_agent(state, "0")


def test_pages_stay_within_their_size_however_long_names_and_errors_are():
    long = "x" * 5000
    calls = [{"name": long[:100], "ok": False, "error": long, "turn": 1 + at % 9} for at in range(900)]
    state = story(*calls, tools=tuple(f"{long}{n}" for n in range(300)), turns=9).state
    page = detail(state, "0")
    assert len(json.dumps(page)) <= 64_000
    assert all(turn["tools_called"] == 100 for turn in page["turns"])
    assert len(static_html(state).encode()) <= 270_000


@pytest.mark.parametrize("payload", PAYLOADS)
def test_names_and_errors_are_text(payload):
    state = story({"name": payload, "ok": False, "error": payload}, tools=(payload,), mcp=(payload,)).state
    html = static_html(state)
    clean = static_html(story({"name": "n", "ok": False, "error": "e"}, tools=("t",), mcp=("m",)).state)
    assert html.count("<") == clean.count("<")
