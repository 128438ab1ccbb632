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
from rlm_jupyter.views import text_tree, widget_messages
from rlm_jupyter.views.static_html import static_html

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

OTHERS = {"kernel", "reading"}
"""What a busy machine makes an agent wait for besides: a reply that takes seconds is told as the reading of its prompt."""


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
    begun, ended = [event for event in run.events if event.kind == "waiting" and event.reason not in OTHERS]
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
    assert {event.reason for event in run.events if event.kind == "waiting"} - OTHERS == {"concurrency"}


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


# ---- a prompt that is read


def reading(run):
    return [event for event in run.events if event.kind == "waiting" and event.reason == "reading"]


def test_a_long_read_is_told_once_with_its_tokens_and_then_with_its_rate(openai_server):
    script = [
        Reply(cell("print('first')"), latency=3.5),
        Reply(cell("FINAL(1)"), latency=3.5),
    ]
    seen = []

    def look(event):
        if event.kind == "waiting" and event.reason == "reading":
            seen.append(event)

    run = ask(openai_server, script, look)
    assert run.raise_for_error().value == 1
    told = reading(run)
    assert [event.seconds == 0 for event in told] == [False, True, False, True]
    first, _, second, _ = told
    size = openai_server.prompt_tokens / 2
    count = int(first.text.split()[2].replace(",", ""))
    assert count == pytest.approx(size, rel=0.25)
    assert first.text == f"reading about {count:,} tokens"
    assert first.seconds is None
    assert second.text.startswith("reading about ")
    assert "a second" in second.text
    assert 2 <= second.seconds <= 8
    assert {event.call for event in told} == {1, 2}
    assert seen == told


@pytest.mark.parametrize("latency", [0.0, 1.0])
def test_a_short_read_is_not_told(openai_server, latency):
    run = ask(openai_server, [Reply(cell("FINAL(1)"), latency=latency)])
    assert run.raise_for_error().value == 1
    assert reading(run) == []


def test_a_thought_ends_the_reading_and_so_does_a_failure(openai_server):
    thought = Reply(cell("print(1)"), latency=3.0, message={"reasoning_content": "hm"})
    run = ask(openai_server, [thought, fault("reset", latency=3.0), Reply(cell("FINAL(1)"))])
    assert run.raise_for_error().value == 1
    told = reading(run)
    assert [event.seconds == 0 for event in told] == [False, True, False, True]
    kinds = [event.kind for event in run.events if getattr(event, "call", None) == 2]
    assert kinds[-1] == "reply_finished", "nothing is told of a completion after its end"


def test_a_server_that_does_not_stream_is_not_said_to_read(openai_server):
    openai_server.refuse = {"stream"}
    run = ask(openai_server, lambda _: Reply(cell("FINAL(1)"), latency=3.0))
    assert run.raise_for_error().value == 1
    assert len(reading(run)) <= 2  # of the first request, which was refused for its stream


def story_of_reading():
    story = Story()
    story.agent("0")
    story.prompt("0")
    return story


def test_reading_is_shown_in_the_tree_with_how_long_it_takes_and_ends_with_the_reply():
    story = story_of_reading()
    said = "reading about 1,700 tokens: about 68 s at 25 a second"
    story.tell(ev.Waiting, "0", reason="reading", seconds=68.0, text=said, call=story.calls)
    agent = story.state.agents["0"]
    assert story.state.activity(agent) == "reading"
    assert said in text_tree.tree(story.state)
    assert said in static_html(story.state)
    assert widget_messages.row(story.state, agent, None)["wait"] == said
    story.tell(ev.ReplyDelta, "0", call=story.calls, text="I")
    assert story.state.activity(agent) == "model"
    assert widget_messages.row(story.state, agent, None)["wait"] is None
    assert agent.held_text == {}


@pytest.mark.parametrize("call", [None, 1, 99])
def test_what_a_log_says_of_reading_is_text_and_bounded(call):
    story = story_of_reading()
    story.tell(ev.Waiting, "0", reason="reading", seconds=None, text="<b>x</b>\n" * 1000, call=call)
    agent = story.state.agents["0"]
    row = widget_messages.row(story.state, agent, None)
    assert row["wait"] is None or len(row["wait"]) <= 330
    assert "<b>x</b>" not in static_html(story.state)
    assert all(len(line) < 1000 for line in text_tree.tree(story.state).splitlines())
