"""Follow-up questions to the demo model, in real kernels: `run.ask` goes on where the last question ended."""

import pandas as pd
import pytest
from demo_data import QUESTION, TEXTS, near, planted

from rlm_jupyter import RLM, Limits
from rlm_jupyter.demo_model.model import PROVENANCE
from rlm_jupyter.errors import ModelError


@pytest.fixture
def ask(tmp_path):
    """Ask the demo a question and more; the values of all, and the last run as `ask.run`."""
    runs = []

    def all_of(question, data, *more, names=(), **options):
        run = RLM("demo", log_dir=tmp_path, **options).run(question, data, names=names)
        runs.append(run)
        values = [run.value]
        for one in more:
            asked, added, called = one if isinstance(one, tuple) else (one, None, ())
            run = run.ask(asked, added, names=called)
            runs.append(run)
            values.append(run.value)
        all_of.run = run
        return values

    yield all_of
    for run in runs:
        run.close()


def test_a_follow_up_is_answered_by_itself_in_the_same_kernel_with_sub_agents_of_its_own(ask):
    orders, guilty, since = planted(22)
    first, rows, mean = ask(
        QUESTION, orders, "How many orders per country?", "What is the mean price?", names=("orders",)
    )
    assert (first["supplier"], near(first["since"], since)) == (guilty, True)
    most = orders.country.value_counts()
    assert (rows["country"], rows["amount"]) == (most.index[0], most.iloc[0])
    assert mean["amount"] == pytest.approx(orders.price.mean(), abs=1e-3)
    assert {first["provenance"], rows["provenance"], mean["provenance"]} == {PROVENANCE}
    assert len(ask.run.agents) >= 4


def test_a_follow_up_that_names_a_group_alone_is_read_with_the_question_before_it(ask):
    orders, guilty, _ = planted(22)
    orders["country"] = orders["supplier"].map({guilty: "NL"}).fillna("DE")
    first, by_country, by_supplier = ask(QUESTION, orders, "And by country?", "And which supplier?")
    assert first["supplier"] == by_supplier["supplier"] == guilty
    assert by_country["country"] == "NL"
    assert by_country["since"] == first["since"]
    assert by_country["answer"].startswith(
        "The script read this together with the question before it. NL has"
    )


def test_data_that_comes_with_a_follow_up_is_read_beside_the_earlier_data(ask):
    orders, guilty, _ = planted(24)
    refunds = orders.loc[orders.refunded, ["order_id", "date"]]
    first, joined = ask(
        "How many orders per supplier?",
        orders[["order_id", "supplier"]],
        (QUESTION, refunds, ("refunds",)),
        names=("orders",),
    )
    assert first["amount"] == orders.supplier.value_counts().iloc[0]
    assert joined["supplier"] == guilty


@pytest.mark.parametrize("data", [None, 5])
def test_a_follow_up_may_bring_the_first_data_that_it_can_read(ask, data):
    first, second = ask("How many?", data, ("How many classes?", TEXTS, ("texts",)))
    assert first["provenance"] == PROVENANCE
    assert second["total"] == 3


def test_texts_are_asked_again(ask):
    classes, functions = ask("How many classes?", TEXTS, "And how many functions?", names=("texts",))
    whole = "\n".join(TEXTS.values())
    assert classes["total"] == 3
    assert functions["total"] == whole.count("def ")


@pytest.mark.parametrize("question", ["Why?", "Tell me more.", "And what is the weather like?"])
def test_a_follow_up_that_no_script_understands_is_told_so(ask, question):
    _, value = ask("How many rows?", pd.DataFrame({"a": ["x", "y", "x"] * 20}), question)
    assert "outside of what the scripted demo can do" in value["answer"]


def test_a_typed_follow_up_is_refused_and_the_next_one_answered(ask):
    orders = planted(1)[0]
    ask(QUESTION, orders)
    with pytest.raises(ModelError, match="cannot give a typed answer") as caught:
        ask.run.ask("How many?", schema=int)
    assert caught.value.run.ask("How many orders per country?").value["table"]["rows"].sum() == len(orders)


def test_one_turn_is_too_few_for_a_follow_up_too(ask):
    (first,) = ask("How many x?", [{"a": "x"}] * 30, limits=Limits(calls_per_agent=3))
    value = ask.run.ask("How many x?", limits=Limits(calls_per_agent=1)).value
    assert first["amount"] == 30
    assert "one turn" in value["answer"]
