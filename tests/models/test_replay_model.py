"""`ReplayModel`: a real run's log in the place of its model, and what it says where a run departs from that."""

import asyncio
import json
import random

import pytest
from run_parts import asking
from scripts import cell, question_of

from rlm_jupyter import Limits
from rlm_jupyter.errors import (
    ConfigError,
    EmptyReplyError,
    LogError,
    ModelError,
    NotRecordedError,
    RunNotFoundError,
)
from rlm_jupyter.models import CompletionRequest, ReplayModel, ScriptedModel, Usage
from rlm_jupyter.run_setup.resolve_model import choose_model

ROOT = """
parts = [context[:2], context[2:4], context[4:]]
sums = rlm_query_batched(["sum"] * 3, parts)
words = llm_query_batched([f"name {n}" for n in context])
FINAL({"sums": sums, "words": words})
"""


async def answers(messages):
    """Sub-agents and plain completions answer in any order, each by what it was asked."""
    question = question_of(messages)
    await asyncio.sleep(random.random() / 20)
    if question == "root":
        turn = sum(message["role"] == "assistant" for message in messages)
        return [cell("print(len(context))"), cell(ROOT)][turn]
    if question is not None:
        return cell(f"FINAL(sum(context) * 10)  # {messages[1]['content'][-40:]!r}")
    return f"word of {messages[-1]['content']}"


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A run of a root with sub-agents and plain completions at once: the run, and what asks again."""
    with asking(tmp_path_factory.mktemp("replayed")) as ask:
        model = ScriptedModel(answers, name="recorded-7", usage=Usage(1000, 10), price=(1.0, 1.0))
        run = ask({}, "root", [1, 2, 3, 4, 5], model=model)
        assert run.error is None
        yield run, ask


def test_a_replay_goes_the_same_way_and_costs_nothing(story):
    run, ask = story
    model = ReplayModel.from_log(run.log_path)
    again = ask({}, "root", [1, 2, 3, 4, 5], model=model)
    assert (
        again.value
        == run.value
        == {
            "sums": [30, 70, 50],
            "words": [f"word of name {n}" for n in [1, 2, 3, 4, 5]],
        }
    )
    assert (model.departures, model.unused) == ([], 0)
    assert (again.cost, again.usage.prompt_tokens) == (0.0, run.usage.prompt_tokens)
    assert run.cost > 0
    assert run.id in again.tree.provenance
    assert (again.tree.scripted, again.tree.model) == (True, "recorded-7")


def test_each_run_begins_at_the_beginning_of_the_log(story):
    run, ask = story
    model = ReplayModel.from_log(run.log_path)
    values = [ask({}, "root", [1, 2, 3, 4, 5], model=model).value for _ in range(2)]
    assert values == [run.value] * 2


def test_other_data_is_noted_and_what_the_log_does_not_hold_is_refused(story):
    run, ask = story
    model = ReplayModel.from_log(run.log_path)
    other = ask({}, "root", [9, 2, 3, 4, 5], model=model)
    first = model.departures[0]
    assert (first.agent, first.turn) == ("0", 1)
    assert "the log has" in first.text
    assert "9" in first.text
    assert "departs from its log. Agent `0`, turn 2" in str(other.value["words"][0])
    assert other.value["words"][1:] == run.value["words"][1:]
    assert any("plain completion" in one.text and "name 9" in one.text for one in model.departures)


def test_a_strict_replay_refuses_the_first_prompt_that_differs(story):
    run, ask = story
    other = ask({}, "root", [9, 2, 3, 4, 5], model=ReplayModel.from_log(run.log_path, strict=True))
    assert isinstance(other.error, NotRecordedError)
    assert "Agent `0`, turn 1: the prompt differs" in str(other.error)
    same = ask({}, "root", [1, 2, 3, 4, 5], model=ReplayModel(run.tree, strict=True))
    assert same.error is None


def test_the_shell_and_the_magics_take_a_log_for_a_model(story):
    run, _ = story
    model = choose_model(f"replay:{run.log_path}")
    assert isinstance(model, ReplayModel)
    assert model.run == run.id
    with pytest.raises(RunNotFoundError, match="There is no log"):
        choose_model("replay:nowhere.jsonl")


# ---- logs that somebody made


def log(tmp_path, *events):
    """Write a log of a root's events."""
    begun = {
        "question": "q",
        "model": "m",
        "sub_model": "m",
        "scripted": False,
        "limits": {},
        "context": None,
    }
    agent = {"parent": None, "depth": 0, "question": "q", "model": "m"}
    lines = [("run_started", "", begun), ("agent_started", "0", agent), *events]
    path = tmp_path / "made.jsonl"
    path.write_text(
        "".join(
            json.dumps({"kind": kind, "run": "r", "agent": agent, "seq": seq, "time": 1.0 + seq, **body})
            + "\n"
            for seq, (kind, agent, body) in enumerate(lines, 1)
        )
    )
    return path


def sent(call, turn, text, start=0, purpose="turn", role="user"):
    messages = [{"role": role, "content": text}]
    body = {"call": call, "turn": turn, "purpose": purpose, "start": start}
    return "prompt_sent", "0", {**body, "gen_ai.request.model": "m", "gen_ai.input.messages": messages}


def replied(call, text):
    names = {"output.text": text, "response.model": "m", "response.finish_reason": "stop"}
    told = {f"gen_ai.{name}": value for name, value in names.items()}
    tokens = {"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 1}
    return "reply_finished", "0", {"call": call, "cost": 0.1, "seconds": 1.0, **told, **tokens}


def failed(call, error):
    return "reply_failed", "0", {"call": call, "error": error, "seconds": 1.0}


def complete(model, *texts, code=True, run="now", agent="0"):
    chat = [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(texts)]
    return asyncio.run(model.complete(CompletionRequest(chat, code_block=code, run=run, agent=agent))).text


def test_plain_completions_are_found_by_their_prompt_in_any_order(tmp_path):
    ask = [sent(n, 1, f"ask {n % 4}", purpose="llm_query") for n in range(1, 6)]
    model = ReplayModel.from_log(log(tmp_path, *ask, *(replied(n, f"reply {n}") for n in range(1, 6))))
    assert [complete(model, f"ask {n}", code=False) for n in (3, 1, 2, 1, 0)] == [
        f"reply {n}" for n in (3, 1, 2, 5, 4)
    ]
    with pytest.raises(NotRecordedError, match="no plain completion with this prompt"):
        complete(model, "ask 1", code=False)


def test_of_equal_prompts_an_agent_gets_the_reply_that_it_had(tmp_path):
    asked = [sent(1, 1, "same", purpose="llm_query"), replied(1, "of the root")]
    child = {"parent": "0", "depth": 1, "question": "part", "model": "m"}
    own = [sent(2, 1, "same", purpose="llm_query"), replied(2, "of the sub-agent")]
    theirs = [("agent_started", "0.1", child), *((kind, "0.1", body) for kind, _, body in own)]
    model = ReplayModel.from_log(log(tmp_path, *asked, *theirs))
    assert complete(model, "same", code=False, agent="0.1") == "of the sub-agent"
    assert complete(model, "same", code=False, agent="0") == "of the root"


def test_after_a_refusal_no_turn_goes_on_as_if_nothing_had_happened(tmp_path):
    events = [sent(1, 1, "q"), replied(1, "one"), sent(2, 2, "then", 2), replied(2, "two")]
    model = ReplayModel.from_log(log(tmp_path, *events))
    assert complete(model, "q") == "one"
    with pytest.raises(NotRecordedError):
        complete(model, "unknown", code=False)
    with pytest.raises(NotRecordedError, match="no plain completion"):
        complete(model, "q", "one", "then")
    assert complete(model, "q", run="another") == "one"


def test_a_turn_without_text_and_one_that_failed_for_good_are_so_again(tmp_path):
    events = [
        sent(1, 1, "q"),
        failed(1, "it wrote no text"),
        sent(2, 2, "no text", 1),
        failed(2, "server broke"),
    ]
    model = ReplayModel.from_log(
        log(tmp_path, *events, sent(3, 2, "x", purpose="llm_query"), replied(3, "y"))
    )
    with pytest.raises(EmptyReplyError, match="it wrote no text"):
        complete(model, "q")
    with pytest.raises(ModelError, match="server broke") as caught:
        complete(model, "q", "", "no text")
    assert type(caught.value) is ModelError


def test_a_chat_that_was_made_shorter_is_so_again(tmp_path):
    events = [
        sent(1, 1, "q"),
        replied(1, "one"),
        sent(2, 2, "long", 2),
        failed(2, "maximum context length is 100 tokens"),
        sent(3, 2, "summary", purpose="summary"),
        replied(3, "notes"),
        sent(4, 2, "my notes", 2, role="assistant"),
        replied(4, "two"),
    ]
    model = ReplayModel.from_log(log(tmp_path, *events))
    assert complete(model, "q") == "one"
    with pytest.raises(ModelError, match="100 tokens"):
        complete(model, "q", "one", "long")
    assert complete(model, "another summary", code=False) == "notes"
    assert complete(model, "q", "x", "my notes") == "two"
    assert [one.turn for one in model.departures]  # the summary was asked in other words


def test_a_reply_that_held_a_secret_is_refused(tmp_path):
    model = ReplayModel.from_log(log(tmp_path, sent(1, 1, "q"), replied(1, "key = '«redacted»'")))
    with pytest.raises(NotRecordedError, match="held a secret"):
        complete(model, "q")


def test_a_run_that_goes_on_where_the_log_ends_is_refused(tmp_path):
    model = ReplayModel.from_log(log(tmp_path, sent(1, 1, "q"), replied(1, "one"), sent(2, 2, "then", 2)))
    assert complete(model, "q") == "one"
    with pytest.raises(NotRecordedError, match="the log ends"):
        complete(model, "q", "one", "then")
    whole = ReplayModel.from_log(log(tmp_path, sent(1, 1, "q"), replied(1, "one")))
    assert complete(whole, "q") == "one"
    with pytest.raises(
        NotRecordedError, match=r"turn 2: the log has no such turn: it has 1 turn of agent `0`"
    ):
        complete(whole, "q", "one", "then")


def test_logs_without_a_reply_and_files_that_are_no_logs_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no reply"):
        ReplayModel.from_log(log(tmp_path))
    (tmp_path / "no.jsonl").write_text("{}\n")
    with pytest.raises(LogError):
        ReplayModel.from_log(tmp_path / "no.jsonl")


def test_a_limit_is_reached_at_the_same_place(story):
    run, ask = story
    bounds = Limits(cost=None, calls_per_agent=1)
    short = ask({}, "root", [1, 2, 3, 4, 5], model=ReplayModel.from_log(run.log_path), limits=bounds)
    assert short.status == "limit"


def changed(event, **fields):
    kind, agent, body = event
    return kind, agent, {**body, **fields}


def test_a_log_that_somebody_made_gives_no_tokens_back_and_no_chat_of_other_parts(tmp_path):
    begun = sent(1, 1, "question")
    given = changed(replied(1, "the reply"), **{"gen_ai.usage.input_tokens": -5000})
    request = CompletionRequest(begun[2]["gen_ai.input.messages"], code_block=True, run="now", agent="0")
    found = asyncio.run(ReplayModel.from_log(log(tmp_path, begun, given)).complete(request))
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (0, 1)
    for message in ({"role": "assistant"}, {"content": "question"}):
        path = log(tmp_path, changed(begun, **{"gen_ai.input.messages": [message]}), replied(1, "the reply"))
        with pytest.raises(ConfigError, match="holds no reply"):
            ReplayModel.from_log(path)
