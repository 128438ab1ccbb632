"""Replies on disk: a run that is repeated asks nobody, costs nothing and gives the same."""

import contextlib

import pytest
from openai_server import Reply, fault
from scripts import cell

from rlm_jupyter import RLM, Limits, registry, rlm
from rlm_jupyter.engine.agent import prompt
from rlm_jupyter.engine.budget.ledger import Left
from rlm_jupyter.engine.completions.cache_key import cache_request
from rlm_jupyter.engine.completions.sampling import Sampling
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.retry import RetryPolicy

TURNS = [
    "print(len(context))",
    "notes = llm_query_batched(['same', 'same', 'other'])\nprint(notes)",
    "part = rlm_query('part', context=context[:2])",
    "print(part)",
    "FINAL([part, notes])",
]


def script(request):
    """Answer the root, its sub-agent and plain calls; each reply differs from all others."""
    first = request["messages"][1]["content"] if len(request["messages"]) > 1 else ""
    turn = sum(message["role"] == "assistant" for message in request["messages"])
    if not first:
        return f"note {script.count()}"
    return cell("FINAL(sum(context))" if first.startswith("Question:\npart\n") else TURNS[turn])


@pytest.fixture
def asked(openai_server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    numbers = iter(range(1000))
    script.count = lambda: next(numbers)
    openai_server.script = script
    opened = contextlib.ExitStack()

    def ask(**options):
        options = {"price": (1.0, 2.0), "limits": Limits(cost=1.0, calls_per_agent=6), **options}
        model = OpenAIChat("test-model", base_url=openai_server.url, api_key="sk-test")
        run = RLM(model=model, log_dir=tmp_path / "logs", **options).start("root", context=[1, 2, 3])
        opened.callback(run.close)
        run.wait(60).raise_for_error()
        return run

    with opened:
        yield ask, openai_server
    rlm.stop_all()


def test_a_run_that_is_repeated_sends_nothing_costs_nothing_and_gives_the_same(asked):
    ask, server = asked
    first = ask()
    assert server.calls == 9
    assert first.value[0] == 3
    assert len(set(first.value[1])) == 3  # two samples of one prompt stay two
    assert any("Left to spend" in m["content"] for m in first.messages()[4:])
    again = ask()
    assert server.calls == 9
    assert again.value == first.value
    assert again.cost == 0
    assert first.cost > 0
    agents = again.tree.agents.values()
    calls = [call for agent in agents for call in [*agent.calls, *(t.call for t in agent.turns)]]
    assert len(calls) == 9
    assert all(call.cached and call.status == "done" for call in calls)


def test_a_cache_that_is_not_wanted_is_neither_read_nor_written(asked):
    ask, server = asked
    ask(cache=False)
    ask()
    assert server.calls == 18
    ask(cache=False)
    assert server.calls == 27


def test_other_parameters_make_another_request(asked):
    ask, server = asked
    ask()
    ask(temperature=0.5)
    assert server.calls == 18
    ask(temperature=0.5)
    assert server.calls == 18


def test_a_process_has_one_connection_to_the_replies_and_closes_it_at_its_end(asked):
    ask, _ = asked
    ask()
    caches = [cache for path, cache in registry._replies.items() if path.exists()]
    ask()
    assert [cache for path, cache in registry._replies.items() if path.exists()] == caches
    assert caches[-1]._connection is not None
    rlm.stop_all()
    assert caches[-1]._connection is None


@pytest.mark.parametrize("turn", ["first", "later"])
def test_what_is_left_to_spend_makes_no_other_request(turn):
    def messages(left):
        if turn == "first":
            return prompt.chat("rules", prompt.first_message("q", None, left=left))
        text = prompt.observation(["7"], total=1, left=left)
        return [*prompt.chat("rules", "Question:\nq"), {"role": "user", "content": text}]

    asked, later = (messages(Left(cost=c, calls=3, seconds=c)) for c in (1.0, 0.5))
    assert asked != later
    keys = [cache_request(m, Sampling(100)).messages for m in (asked, later)]
    assert keys[0] == keys[1]
    assert keys[0][0] == asked[0]
    if turn == "later":
        assert keys[0] == cache_request(messages(None), Sampling(100)).messages


@pytest.mark.parametrize("broken", ["reset_mid_body", "truncated"])
def test_a_reply_that_is_sent_again_is_not_shown_twice(openai_server, broken):
    text = cell("FINAL('" + "x" * 300 + "')")
    openai_server.script = [fault(broken, text="begun and " + "lost " * 50, pieces=2), Reply(text, pieces=2)]
    model = OpenAIChat(
        "test-model",
        base_url=openai_server.url,
        api_key="sk-test",
        retry=RetryPolicy(first_wait=0.01),
    )
    asking = RLM(model=model, price=(0, 0), log_dir=None, cache=False)
    state, shown = TreeState(), []

    def fold(event):
        state.apply(event)
        if event.kind == "reply_delta":
            shown.append(state.agents["0"].turns[0].call.text)

    run = asking.start("root", on_event=fold)
    with run:
        run.wait(60).raise_for_error()
    assert openai_server.calls == 2
    assert any(piece.startswith("begun and lost") for piece in shown)
    assert "" in shown
    for piece in shown[shown.index("") + 1 :]:
        assert text.startswith(piece)


def test_a_run_in_which_a_call_failed_and_was_tried_again_is_repeated_for_nothing(asked):
    ask, server = asked
    code = (
        "for _ in range(2):\n    try:\n        said = llm_query('same')\n        break\n"
        "    except RLMQueryError:\n        pass\nFINAL(said)"
    )
    numbers = iter(range(99))

    def reply(request):
        if len(request["messages"]) > 1:
            return cell(code)
        return fault("bad_request") if next(numbers) == 0 else "said at last"

    server.script = reply
    assert ask().value == "said at last"
    assert server.calls == 3
    again = ask()
    assert again.value == "said at last"
    assert (server.calls, again.cost) == (3, 0)
