"""Code that failed is not run again: it leaves the chat, a line says what was wrong, and the request is warmer."""

import pytest
from openai_server import error
from run_parts import asking
from scripts import cell

from rlm_jupyter.engine.agent.attempts import Attempt, Attempts, key_of, may_differ
from rlm_jupyter.errors import AgentFailedError
from rlm_jupyter.models import OpenAIChat, Price, ScriptedModel


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


def temperatures(model):
    return [request.parameters.get("temperature") for request in model.requests]


def test_the_same_failing_code_is_not_run_twice_and_asked_warmer(ask):
    model = ScriptedModel([cell("1 / 0"), cell("1  /  0"), cell("1 / 0"), cell("FINAL(7)")])
    run = ask({}, model=model, settings={"temperature": 0.0})
    assert run.raise_for_error().value == 7
    assert run.tree.agents["0"].cells == 2
    assert temperatures(model) == [0.0, 0.0, 0.7, 0.9]
    last = model.requests[-1].messages
    assert [m["role"] for m in last] == ["system", "user", "assistant", "user"]
    assert last[-1]["content"].count("This code failed, so do not send it again") == 1
    assert "ZeroDivisionError: division by zero" in last[-1]["content"]
    assert any("do not send it again" in notice for notice in run.tree.agents["0"].notices)


def test_a_model_that_has_no_temperature_is_asked_without_one_and_the_run_goes_on(ask, openai_server):
    replies = iter([cell("1 / 0")] * 3 + [cell("FINAL(7)")])

    def script(request):
        if "temperature" in request:
            said = "Unsupported value: 'temperature' does not support 0.7 with this model."
            return error(400, said, "unsupported_value", param="temperature")
        return next(replies)

    openai_server.script = script
    model = OpenAIChat("m", base_url=openai_server.url, api_key="none", price=Price(0, 0))
    run = ask({}, model=model)
    assert run.raise_for_error().value == 7
    assert [request.get("temperature") for request in openai_server.requests].count(0.7) == 1


def test_what_the_log_tells_of_such_a_chat_is_what_was_sent(ask):
    model = ScriptedModel([cell("1 / 0"), cell("1 / 0"), cell("print(3)"), cell("FINAL(7)")])
    run = ask({}, model=model)
    sent = [dict(message) for message in model.requests[-1].messages]
    assert [dict(message) for message in run.messages()[: len(sent)]] == sent


def test_after_code_that_ran_the_same_code_may_succeed(ask):
    replies = [cell("FINAL(total)"), cell("total = 3"), cell("FINAL(total)")]
    assert ask({}, model=ScriptedModel(replies)).raise_for_error().value == 3


def test_who_goes_on_repeating_is_ended_as_before(ask):
    run = ask({}, model=ScriptedModel(lambda _: cell("1 / 0")))
    assert isinstance(run.error, AgentFailedError)
    assert run.tree.agents["0"].cells == 1


def test_an_error_is_followed_by_the_question(ask):
    model = ScriptedModel([cell("1 / 0"), cell("print(1)"), cell("FINAL(2)")])
    ask({}, "How many are there?", model=model)
    assert model.requests[1].messages[-1]["content"].endswith("The question is still: How many are there?")
    assert "The question is still" not in model.requests[2].messages[-1]["content"]


def test_a_reply_without_code_is_answered_with_code_to_begin_with_and_the_question(ask):
    model = ScriptedModel(["I shall look.", cell("FINAL(2)")])
    ask({}, "How many are there?", context="some text", model=model, settings={"require_look": False})
    said = model.requests[1].messages[-1]["content"]
    assert "```repl\nprint(len(context), context[:1000])\n```" in said
    assert said.endswith("The question is still: How many are there?")


def test_a_reasoning_model_is_asked_as_it_is(ask):
    model = ScriptedModel([cell("1 / 0"), cell("1 / 0"), cell("FINAL(7)")])
    ask({}, model=model, settings={"reasoning_effort": "low"})
    assert temperatures(model) == [None, None, None]


def test_code_is_compared_by_what_it_does():
    assert key_of("x=1  # one") == key_of("x = 1")
    assert key_of("x = 1") != key_of("x = 2")
    assert key_of("%time x ") == "%time x"
    assert may_differ("llm_query('x')")
    assert may_differ("await f()")
    assert not may_differ("print(1)")


def test_attempts_know_what_failed_since_something_ran():
    attempts = Attempts()
    attempts.add(Attempt(key_of("a"), 2, "NameError: a", "a"))
    attempts.add(Attempt(key_of("b"), 4, "NameError: b", "b"))
    assert attempts.same_code("a").failure == "NameError: a"
    assert attempts.same_failure("NameError: b").line == "b"
    assert attempts.drop_failed() == 2
    assert attempts.drop_failed() is None
    assert attempts.same_code("b") is not None
    attempts.add(Attempt(key_of("a = 1"), 2))
    assert attempts.same_code("a") is None
    assert attempts.same_code("a=1").failure == ""
    assert attempts.same_failure("NameError: b") is None
