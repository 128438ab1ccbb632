"""The widget's snapshot, patches and details: complete, bounded, cheap, and of the types a page expects."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_story import FRAME, Story, calls_of_all_kinds, example

from rlm_jupyter.errors import AgentNotFoundError
from rlm_jupyter.events import events as ev
from rlm_jupyter.values.describe.api import describe
from rlm_jupyter.views.agent_page import description, detail, prompt
from rlm_jupyter.views.protocol import AGENT_DEFAULTS
from rlm_jupyter.views.widget_messages import MAX_BYTES, Patcher, rows, run_fields


class Page:
    """What a browser's page makes of messages: snapshots replace, patches merge, a gap is an error."""

    def __init__(self):
        self.seq, self.run, self.agents, self.parts = None, {}, {}, []

    def take(self, message):
        assert len(json.dumps(message, ensure_ascii=False).encode()) <= MAX_BYTES + 200
        if message["kind"] == "snapshot":
            assert message["part"] == len(self.parts)
            self.parts.append(message)
            if len(self.parts) < message["parts"]:
                return
            self.seq, self.run, self.agents = message["seq"], dict(self.parts[0]["run"]), {}
            changes = {id_: row for part in self.parts for id_, row in part["agents"].items()}
            self.parts = []
        else:
            assert message["seq"] == self.seq + 1, "a patch was lost"
            self.seq = message["seq"]
            self.run.update(message["run"])
            changes = message["agents"]
        for id_, change in changes.items():
            self.agents.setdefault(id_, dict(AGENT_DEFAULTS)).update(change)

    def catch_up(self, patcher):
        while patcher.pending:
            message = patcher.patch()
            if message:
                self.take(message)


def whole(state, **more):
    return {**run_fields(state, **more), "paused": False}


def cost_with_children(tree, agent_id):
    """The spend of an agent and all its descendants, added up anew; None if a part is not known."""
    agent = tree.agents[agent_id]
    parts = [agent.cost, *(cost_with_children(tree, child) for child in agent.children)]
    return None if None in parts else sum(parts)


def test_a_row_tells_an_agents_state_spend_and_result():
    found = rows(example().state)
    root, done, failed = found["0"], found["0.1"], found["0.2"]
    assert (root["parent"], root["depth"], root["turns"], root["cells"], root["sub_calls"]) == (
        None,
        0,
        1,
        1,
        1,
    )
    assert (done["name"], done["status"], done["value"], done["variables"]) == (
        "profile",
        "done",
        FRAME["summary"],
        1,
    )
    assert (done["cost"], done["cost_total"], done["input_tokens"]) == (0.002, 0.002, 100)
    assert failed["error"] == "KernelDiedError: its kernel died.\nStart it again."
    assert failed["cost"] is None, "an unknown price is not 0"
    assert root["cost"] == 0.0015
    assert root["cost_total"] is None, "a sum with an unknown part is unknown"
    assert done["elapsed"] == 6.0
    assert [span[0] for span in done["spans"]] == ["model", "code"]


def test_the_head_line_tells_limits_data_and_what_the_model_saw():
    run = run_fields(example().state, clicks=False, notices=["no clicks"])
    assert run["question"] == "Which supplier explains the rise?"
    assert (run["agents"], run["depth"], run["calls"], run["in_flight"]) == (3, 1, 4, 0)
    assert (run["cost"], run["cost_limit"], run["token_limit"]) == (None, 1.0, None)
    assert (run["context_bytes"], run["context_summary"]) == (48_000, "DataFrame 1,000 x 6")
    assert run["seen_tokens"] == (3 * len("the question") + len("and this?")) // 4
    assert (run["clicks"], run["notices"], run["value"]) == (False, ["no clicks"], "'North'")


def test_a_patch_names_only_what_changed_and_the_totals_above_it():
    story = Story()
    for id_ in ("0", "0.1", "0.1.1", "0.2"):
        story.agent(id_)
    patcher = Patcher(story.state)
    patcher.snapshot()
    story.prompt("0.1.1")
    assert patcher.patch()["agents"].keys() == {"0.1.1"}
    story.reply("0.1.1", cost=0.25)
    patch = patcher.patch()
    assert patch["agents"]["0"] == {"cost_total": 0.25}
    assert patch["agents"]["0.1"] == {"cost_total": 0.25}
    assert patch["agents"].keys() == {"0", "0.1", "0.1.1"}
    assert patch["run"].keys() == {"cost", "input_tokens", "output_tokens", "elapsed", "in_flight"}
    assert patcher.patch() is None
    assert not patcher.pending


ids = st.integers(1, 12)
steps = st.lists(st.tuples(st.sampled_from("aaprrcvnefx"), ids, st.booleans()), max_size=60)


def act(story, step):
    """Do one random thing; `a` starts an agent below the agent number `n`."""
    what, number, flag = step
    known = list(story.state.agents)
    agent = known[number % len(known)]
    match what:
        case "a":
            story.agent(f"{agent}.{len(story.state.agents[agent].children) + 1}", "q" * number)
        case "p":
            story.prompt(agent, purpose="turn" if flag else "llm_query")
        case "r" if story.calls:
            story.reply(story.asker, "t" * number, cost=None if number == 12 and flag else number / 7)
        case "c":
            story.cell(agent, output="o" * number, finish=flag)
        case "v":
            story.variables(agent, **{f"v{number}": FRAME})
        case "n":
            story.tell(ev.Notice, agent if flag else "", text="n" * number)
        case "e":
            story.end_agent(agent, "failed" if flag else "done", error="e" if flag else None)
        case "f":
            story.tell(ev.StepPending, agent, cell=1, code="x = 1")
        case "x":
            story.tell(ev.Waiting, agent, reason="rate_limit", seconds=None if flag else 0)


@settings(max_examples=150, deadline=None)
@given(steps, st.lists(ids, max_size=20), st.integers(500, 6000))
def test_patches_replayed_give_the_snapshot_whatever_happened(steps, cuts, max_bytes):
    story = Story()
    story.agent("0")
    patcher = Patcher(story.state)
    page, late = Page(), Page()
    for part in patcher.snapshot(max_bytes):
        page.take(part)
    for number, step in enumerate(steps):
        act(story, step)
        if number % 12 in cuts and (message := patcher.patch(max_bytes)):
            page.take(message)
    for part in patcher.snapshot(max_bytes):
        late.take(part)
    for reader in (page, late):
        assert reader.agents == page.agents
    while patcher.pending:
        if message := patcher.patch(max_bytes):
            page.take(message)
            late.take(message)
    expected = rows(story.state)
    assert page.agents == late.agents == expected
    assert page.run == late.run == whole(story.state)
    for id_ in expected:
        total = cost_with_children(story.state, id_)
        assert expected[id_]["cost_total"] == (None if total is None else pytest.approx(total, abs=1e-9))


def test_ten_thousand_agents_come_in_parts_of_bounded_size_and_a_change_costs_only_itself():
    story = Story("q" * 5000)
    story.agent("0")
    for number in range(1, 10_000):
        story.agent(f"0.{number}", "Ein Stück: " + "ü" * 300)
    patcher, page = Patcher(story.state), Page()
    parts = patcher.snapshot()
    for part in parts:
        page.take(part)
    assert len(page.agents) == 10_000
    assert page.agents == rows(story.state)
    story.prompt("0.5000")
    message = patcher.patch()
    assert len(json.dumps(message)) < 1000
    page.take(message)
    assert page.agents["0.5000"]["activity"] == "model"


def test_more_news_than_fit_wait_for_the_next_message_and_are_new_then():
    story = Story()
    story.agent("0")
    patcher, page = Patcher(story.state), Page()
    page.take(*patcher.snapshot())
    for number in range(1, 1001):
        story.agent(f"0.{number}", "q" * 200)
    first = patcher.patch()
    assert patcher.pending
    page.take(first)
    story.end_agent("0.1000", "failed", error="late")
    page.catch_up(patcher)
    assert page.agents == rows(story.state)
    assert page.seq > 2


def test_a_patch_that_nothing_changed_costs_no_walk_over_the_agents(monkeypatch):
    story = Story()
    for number in range(50):
        story.agent(f"0.{number}")
    patcher = Patcher(story.state)
    patcher.snapshot()
    monkeypatch.setattr("rlm_jupyter.views.widget_messages.row", lambda *_: pytest.fail("a row was made"))
    assert patcher.patch() is None


def test_texts_of_rows_are_short_clean_and_can_be_encoded():
    story = Story("a\x1b[31mb\x00\u202ec" + "x" * 10_000)
    story.agent("0", "line\none\ud800 " + "y" * 10_000)
    story.end_agent("0", "failed", error="e\x1b]0;title\x07" + "z" * 10_000)
    (message,) = Patcher(story.state).snapshot()
    sent = json.dumps(message, ensure_ascii=False, allow_nan=False).encode()
    assert len(sent) < 10_000
    assert message["run"]["question"].startswith("ab␀⟨U+202E⟩cxx")
    assert message["agents"]["0"]["question"].startswith("line one\ufffd yy")
    assert message["agents"]["0"]["error"].startswith("ezz")


def test_a_page_has_turns_cells_calls_variables_and_the_value():
    state = example().state
    page = detail(state, "0")
    (turn,) = page["turns"]
    assert (turn["reply"], turn["sent_chars"], turn["streaming"]) == ("I divide.", len("the question"), False)
    assert turn["cells"][0]["code"].startswith("a = rlm_query")
    (call,) = page["sub_calls"]
    assert (call["prompt"], call["purpose"], call["cached"], call["estimated"]) == (
        "and this?",
        "llm_query",
        False,
        False,
    )
    assert page["value"]["preview"] == "North"
    (variable,) = detail(state, "0.1")["variables"]
    assert (variable["name"], variable["shape"], variable["turn"]) == ("counts", [3, 2], 1)
    assert variable["columns"][1] == {"name": "refunds", "dtype": "int64", "nulls": 1}
    assert detail(state, "0.2")["error"].startswith("KernelDiedError")
    with pytest.raises(AgentNotFoundError, match=r"`0`, `0.1`, `0.2`"):
        detail(state, "9")


def test_a_streaming_turn_is_marked_and_shows_what_has_come():
    story = Story()
    story.agent("0")
    story.prompt("0")
    story.tell(ev.ReplyDelta, "0", call=1, text="thin")
    story.tell(ev.ReplyDelta, "0", call=1, text="king")
    (turn,) = detail(story.state, "0")["turns"]
    assert (turn["reply"], turn["streaming"], turn["seconds"]) == ("thinking", True, None)


def test_a_page_is_bounded_with_the_newest_turns_whole_and_the_rest_counted():
    story = Story()
    story.agent("0", "Q" * 100_000)
    for number in range(1, 400):
        story.turn("0", f"reply {number} " + "r" * 5000, "c" * 3000, "o" * 3000, turn=number)
    story.variables("0", **{f"v{n}": {**FRAME, "preview": "p" * 9000} for n in range(3000)})
    page = detail(story.state, "0")
    assert len(json.dumps(page)) <= MAX_BYTES
    assert page["turns"][-1]["reply"] == "reply 399 " + "r" * 5000
    assert "left out" in page["turns"][0]["reply"]
    assert page["cut"]["turns"] == 399 - len(page["turns"]) > 0
    assert page["cut"]["variables"] == 3000 - len(page["variables"]) > 0
    chosen = detail(story.state, "0", turn=2)
    assert next(t for t in chosen["turns"] if t["turn"] == 2)["reply"] == "reply 2 " + "r" * 5000
    assert len(json.dumps(chosen)) <= MAX_BYTES


def test_the_prompt_is_put_together_from_what_each_turn_added():
    story = Story()
    story.agent("0")
    story.prompt("0", "first")
    story.reply("0")
    story.prompt("0", "second", start=1, turn=2)
    assert [message["content"] for message in prompt(story.state, "0")] == ["first", "second"]
    assert [turn["sent_chars"] for turn in detail(story.state, "0")["turns"]] == [5, 11]


@pytest.mark.parametrize("count", [1, 3, 2000])
def test_a_long_prompt_is_cut_to_one_message_with_its_first_and_last_messages(count):
    story = Story()
    story.agent("0")
    for number in range(count):
        story.prompt("0", f"<{number}>" + "w" * (200_000 // count), start=number, turn=number + 1)
    shown = prompt(story.state, "0")
    assert len(json.dumps(shown)) <= MAX_BYTES
    assert shown[0]["content"].startswith("<0>")
    assert shown[-1]["content"].startswith(f"<{count - 1}>")
    assert any("left out" in message["content"] for message in shown)


HOSTILE = [
    {"type": 5, "summary": ["x"], "bytes": float("nan"), "shape": "abc", "columns": {"a": 1}, "rows": "xyz"},
    {
        "summary": "s" * 10**6,
        "shape": [10**400, None, "7"],
        "columns": [None, {"name": {"deep": []}, "nulls": "1"}],
    },
    {"items": [7, {"key": ["x"], "summary": None}, {"summary": "s" * 10**6}] * 1000},
    {"rows": [[{"a": 1}, "\x00", 10**30], "no list", None], "preview": 7, "length": True, "truncated": "yes"},
    {"type": "<b>", "columns": [{"name": "\u202e" * 500}] * 5000, "rows": [["x" * 10**5] * 5000] * 5000},
]


@pytest.mark.parametrize("given_", HOSTILE)
def test_a_description_forged_by_an_agents_kernel_keeps_its_types_and_size(given_):
    made = description(given_, items=30)
    assert len(json.dumps(made, allow_nan=False)) < 100_000
    assert all(isinstance(made[name], str) for name in ("type", "summary", "preview"))
    assert all(isinstance(made[name], (int, type(None))) for name in ("bytes", "length", "turn"))
    assert all(isinstance(n, (int, type(None))) for n in made["shape"] or [])
    assert all(isinstance(item, str) for row in made["rows"] for item in row)
    assert all(isinstance(column["name"], str) for column in made["columns"])
    assert all(isinstance(item["summary"], str) for item in made["items"])
    story = Story(context=given_)
    story.agent("0", context=given_)
    story.variables("0", **{f"v{number}": given_ for number in range(100)})
    story.end_agent("0", value=given_)
    assert len(json.dumps(detail(story.state, "0"))) <= MAX_BYTES


def test_what_is_in_a_dict_or_a_list_has_key_type_size_and_beginning():
    told = describe({"orders": list(range(3)), "note": "x"})
    assert [
        (item["key"], item["type"], item["bytes"] > 0, item["summary"])
        for item in description(told, items=9)["items"]
    ] == [
        ("orders", "list", True, "[0, 1, 2]"),
        ("note", "str", True, "'x'"),
    ]
    made = description(describe([1.5]), items=9)
    assert (made["items"][0]["key"], made["items"][0]["type"], made["preview"]) == (None, "float", "")
    assert description(told)["preview"] == "orders: [0, 1, 2]\nnote: 'x'"


def test_a_log_that_goes_in_a_circle_still_gives_rows():
    story = Story()
    story.tell(ev.AgentStarted, "a", parent="b", depth=0, question="", model="m")
    story.tell(ev.AgentStarted, "b", parent="a", depth=1, question="", model="m")
    story.prompt("a")
    story.reply("a", cost=1.0)
    assert rows(story.state)["b"]["cost_total"] == 1.0


def test_a_page_tells_what_a_plain_call_was_for_and_the_head_counts_what_was_sent():
    state = calls_of_all_kinds().state
    calls = detail(state, "0")["sub_calls"]
    assert [(call["purpose"], call["cached"]) for call in calls] == [
        ("llm_query", True),
        ("repair", False),
        ("fallback", False),
    ]
    assert run_fields(state)["calls"] == state.requests == 1 + 0 + 3 + 2
    assert (state.calls, state.cached) == (4, 1)
