"""What an agent waits for is told by its true name: in events, in the tree, in words."""

import asyncio

import pytest
from openai_server import Reply, fault
from run_story import Story
from scripts import cell, question_of

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.budget.ledger import Ledger
from rlm_jupyter.engine.completions.retry_waits import reason_of
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.events import events as ev
from rlm_jupyter.models.base import Completion, Price
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.failures import Kind
from rlm_jupyter.models.retry import RetryPolicy
from rlm_jupyter.views import text_tree

FAULTS = {
    "rate_limit": "rate_limit",
    "server_error": "server_error",
    "html_503": "server_error",
    "overloaded_529": "server_error",
    "hang": "connection",
    "reset": "connection",
    "truncated": "connection",
    "malformed_json": "bad_reply",
    "empty_choices": "bad_reply",
}


def ask(server, script, seen=None, *, timeout=60, **limits):
    server.script = script
    model = OpenAIChat(
        "m", base_url=server.url, api_key="sk-test", timeout=timeout, retry=RetryPolicy(first_wait=0.05)
    )
    rlm = RLM(model=model, log_dir=None, cache=False, limits=Limits(cost=None, **limits))
    run = rlm.start("root", on_event=seen)
    with run:
        run.wait(60)
    engine().submit(model.aclose()).result(60)
    return run


@pytest.mark.parametrize(("name", "reason"), FAULTS.items())
def test_each_fault_is_waited_for_under_its_own_name_and_the_wait_ends(openai_server, name, reason):
    script = [fault(name), Reply(cell("FINAL(1)"), latency=0.1)]
    run = ask(openai_server, script, timeout=2 if name == "hang" else 60)
    assert run.raise_for_error().value == 1
    begun, ended = [event for event in run.events if event.kind == "waiting" and event.reason != "kernel"]
    assert (begun.reason, begun.call) == (reason, 1)
    assert begun.seconds > 0
    assert begun.text
    assert (ended.reason, ended.seconds, ended.call) == (reason, 0, 1)
    replied = next(event for event in run.events if event.kind == "reply_finished")
    assert begun.seq < ended.seq < replied.seq


def test_all_kinds_of_failure_that_are_waited_for_have_a_name():
    assert {reason_of(kind.value) for kind in Kind if kind.recoverable} == {
        "rate_limit",
        "server_error",
        "connection",
        "bad_reply",
    }
    assert reason_of("the moon is full") == "provider"


def test_a_model_of_the_users_own_may_wait_for_its_own_reasons():
    class Own:
        name, scripted, price = "own", False, Price(0, 0)

        async def complete(self, request):
            await request.on_wait("the moon is full", 0.01)
            await asyncio.sleep(0.03)
            return Completion(cell("FINAL(1)"))

    with RLM(model=Own(), log_dir=None, cache=False).run("q") as run:
        waits = [event for event in run.events if event.kind == "waiting" and event.reason != "kernel"]
    assert [(event.reason, event.text) for event in waits] == [
        ("provider", "the moon is full"),
        ("provider", ""),
    ]


def test_a_place_among_the_requests_in_flight_is_waited_for_as_such(openai_server):
    def script(request):
        if question_of(request["messages"]):
            return cell("parts = llm_query_batched(['a'] * 2)\nFINAL(parts)")
        return Reply("said", latency=0.2)

    run = ask(openai_server, script, concurrency=1)
    assert run.raise_for_error().value == ["said", "said"]
    assert {event.reason for event in run.events if event.kind == "waiting"} - {"kernel"} == {"concurrency"}


async def test_the_ledger_tells_what_holds_a_request_back():
    ledger = Ledger(Limits(cost=None, tokens=1000, concurrency=2))
    first = await ledger.reserve("0", 10, 900, None)
    waiting = asyncio.ensure_future(ledger.reserve("0", 10, 900, None))
    await asyncio.sleep(0)
    assert ledger.held_back_by == "budget"
    ledger.release(first)
    second = await ledger.reserve("0", 10, 10, None)
    assert ledger.held_back_by == "concurrency"
    ledger.rate_limited(second)
    assert ledger.held_back_by == "rate_limit"
    ledger.release(second)
    ledger.release(await waiting)


def activity(story):
    return story.state.activity(story.state.agents["0"])


def wait(story, reason, seconds, call=None):
    story.tell(ev.Waiting, "0", reason=reason, seconds=seconds, call=call)


def test_an_agent_is_held_only_while_all_its_requests_are():
    story = Story()
    story.agent("0")
    story.prompt("0")
    story.reply("0")
    story.cell("0", finish=False)
    for _ in range(2):
        story.prompt("0", purpose="llm_query")
    assert activity(story) == "code"
    wait(story, "server_error", 2.0, call=2)
    assert activity(story) == "code"
    wait(story, "connection", 2.0, call=3)
    assert activity(story) == "connection"
    assert "0 waiting after a lost connection" in text_tree.tree(story.state)
    wait(story, "connection", 0, call=3)
    assert activity(story) == "code"
    wait(story, "concurrency", None)
    assert activity(story) == "code"  # another one of its requests is being served
    story.reply("0", call=3)
    assert activity(story) == "server_error"
    story.reply("0", call=2)
    assert activity(story) == "concurrency"
    wait(story, "concurrency", 0)
    assert activity(story) == "code"


def test_a_wait_of_a_log_from_before_calls_were_named_is_still_told():
    story = Story()
    story.agent("0")
    story.prompt("0")
    wait(story, "rate_limit", 2.0)
    assert activity(story) == "rate_limit"
    story.reply("0")
    assert activity(story) == ""


def test_every_reason_has_its_words():
    for reason in ev.WaitReason.__args__:
        story = Story()
        story.agent("0")
        wait(story, reason, None)
        assert text_tree.doing(story.state, story.state.agents["0"]) not in ("running", reason)
