"""A stronger model takes over where an agent's turns fail in a row: when, at what price, and how it is told."""

import pytest
from run_parts import asking
from scripts import by_question, cell

from rlm_jupyter import RLM, Limits
from rlm_jupyter.errors import ConfigError, UnknownPriceError
from rlm_jupyter.models import ScriptedModel, Usage
from rlm_jupyter.records import load

BAD, GOOD = "1 / 0  # {}", "print({})"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("strong")) as ask:
        yield ask


def weak(*codes):
    """A model whose turns are these, different texts each time, so that no guard against repetition is met."""
    return ScriptedModel([cell(code.format(n)) for n, code in enumerate(codes)], name="weak")


def strong(code="FINAL('strong')", **options):
    return ScriptedModel(lambda _messages: cell(code), name="strong", **options)


def models_of(run, agent="0"):
    return [turn.call.model for turn in run.tree.agents[agent].turns]


def test_after_failed_turns_in_a_row_the_stronger_model_is_asked_until_the_end(ask):
    better = ScriptedModel([cell(GOOD.format(1)), cell("FINAL('strong')")], name="strong")
    model = weak(BAD, "[][{}]", GOOD)
    run = ask({}, "root", [1], model=model, settings={"strong_model": better, "strong_after": 2})
    assert run.value == "strong"
    assert models_of(run) == ["weak", "weak", "strong", "strong"]
    assert len(model.requests) == 2
    assert run.tree.agents["0"].model == "strong"
    told = [text for text in run.tree.agents["0"].notices if "asks `strong`" in text]
    assert told == ["2 turns in a row failed with `weak`: from now on this agent asks `strong`."]
    record = load(run.log_path)
    assert record.events[0].strong_model == "strong"
    assert record.tree.agents["0"].model == "strong"
    chat = better.requests[0].messages
    assert any("1 / 0" in message["content"] for message in chat)  # it goes on with the same chat


def test_a_good_turn_begins_the_count_anew(ask):
    model = weak(BAD, GOOD, "[][{}]", "FINAL('weak')")
    run = ask({}, "root", [1], model=model, settings={"strong_model": strong(), "strong_after": 2})
    assert run.value == "weak"
    assert set(models_of(run)) == {"weak"}


def test_replies_without_code_and_answers_that_were_sent_back_count(ask):
    model = ScriptedModel(["I think.", cell("print(context)\nFINAL('no number')")], name="weak")
    better = strong("FINAL(7)")
    settings = {"strong_model": better, "strong_after": 2}
    run = ask({}, "root", [1], model=model, settings=settings, schema=int)
    assert run.value == 7
    assert models_of(run) == ["weak", "weak", "strong"]


def test_each_agent_is_counted_by_itself(ask):
    script = {"root": ["FINAL(rlm_query('part', context))"], "part": [BAD.format(1), "[][1]", "FINAL(0)"]}
    settings = {"strong_model": strong("FINAL('part by strong')"), "strong_after": 2}
    run = ask({}, "root", [1], model=by_question(script, name="weak"), settings=settings)
    assert run.value == "part by strong"
    assert (models_of(run), models_of(run, "0.1")) == (["weak"], ["weak", "weak", "strong"])


def test_it_is_off_by_default(ask):
    run = ask({}, "root", [1], model=weak(BAD, "[][{}]", "{{}}[{}]", "FINAL('weak')"))
    assert run.value == "weak"
    assert load(run.log_path).events[0].strong_model is None


def test_its_price_is_reserved_and_counted(ask):
    usage = Usage(1000, 1000)
    dear = strong(price=(100.0, 100.0), usage=usage)
    settings = {"strong_model": dear, "strong_after": 1, "completion_tokens": 1000}
    enough = ask({}, "root", [1], model=weak(BAD), limits=Limits(cost=5.0), settings=settings)
    assert enough.value == "strong"
    assert enough.cost == pytest.approx(0.2)
    little = ask({}, "root", [1], model=weak(BAD), limits=Limits(cost=0.01), settings=settings)
    assert little.status == "limit"
    assert len(dear.requests) == 1  # what does not fit is not sent


def test_a_limit_in_money_needs_its_price(ask):
    settings = {"strong_model": strong(price=None)}
    with pytest.raises(UnknownPriceError, match="`strong`"):
        ask({}, "root", [1], model=weak("FINAL(1)"), limits=Limits(cost=1.0), settings=settings)
    assert (
        ask({}, "root", [1], model=weak("FINAL(1)"), settings=settings).value == 1
    )  # nobody asked for a limit


def test_what_is_no_model_is_refused_before_anything_starts():
    with pytest.raises(ConfigError, match="is not a model"):
        RLM(model=weak("FINAL(1)"), strong_model=3, log_dir=None).start("root")
