"""Follow-up questions to the demo model, in real kernels: `run.ask` goes on where the last question ended."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from demo_data import QUESTION, TEXTS, near, planted
from demo_talk import Talk
from matplotlib import pyplot as plt

from rlm_jupyter import RLM, Limits
from rlm_jupyter.demo_model.follow_ups import TOGETHER
from rlm_jupyter.demo_model.model import PROVENANCE
from rlm_jupyter.errors import ModelError

mpl.use("agg")


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


def test_a_follow_up_is_answered_by_itself_in_the_same_kernel(ask):
    orders, guilty, since = planted(22)
    first, rows, mean = ask(
        QUESTION, orders, "How many orders per country?", "What is the mean price?", names=("orders",)
    )
    assert (first["supplier"], near(first["since"], since)) == (guilty, True)
    most = orders.country.value_counts()
    assert (rows["country"], rows["amount"]) == (most.index[0], most.iloc[0])
    assert mean["amount"] == pytest.approx(orders.price.mean(), abs=1e-3)
    assert {first["provenance"], rows["provenance"], mean["provenance"]} == {PROVENANCE}
    assert len(ask.run.agents) == 1


def test_a_follow_up_on_a_large_table_has_sub_agents_of_its_own(ask):
    orders, _, _ = planted(22, n=250_000)
    _, rows = ask("What is the mean price?", orders, "How many orders per country?", names=("orders",))
    assert rows["table"].to_dict() == orders.country.value_counts().to_dict()
    assert len(ask.run.agents) == 5


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
    assert caught.value.run.ask("How many orders per country?").value["table"].sum() == len(orders)


def test_a_follow_up_needs_no_look_of_its_own_so_one_turn_is_enough(ask):
    (first,) = ask("How many x?", [{"a": "x"}] * 30, limits=Limits(calls_per_agent=3))
    value = ask.run.ask("How many x?", limits=Limits(calls_per_agent=1)).value
    assert first["amount"] == value["amount"] == 30


def test_new_data_with_a_follow_up_needs_a_look_for_which_one_turn_is_too_few(ask):
    ask("How many x?", [{"a": "x"}] * 30, limits=Limits(calls_per_agent=3))
    value = ask.run.ask(
        "How many x?", [{"b": "x"}] * 5, names=("more",), limits=Limits(calls_per_agent=1)
    ).value
    assert "one turn" in value["answer"]


# ---- what a follow-up changes of the question before it

ORDERS = planted(14)[0]
ORDERS["status"] = np.where(ORDERS["refunded"], "returned", "kept")
MARCH, APRIL = ORDERS[ORDERS.date.dt.month == 3], ORDERS[ORDERS.date.dt.month == 4]


def _sums(rows, by, what="price", how="sum"):
    return getattr(rows.groupby(by)[what], how)().to_dict()


@pytest.mark.parametrize(
    "question",
    [
        "And the lowest?",
        "the least",
        "Which is the lowest?",
        "and which one has the smallest?",
        "And the minimum?",
    ],
)
@pytest.mark.parametrize("how", ["total", "mean"])
def test_the_other_end_is_answered_with_the_same_groups(question, how):
    talk = Talk(f"What is the {how} price per supplier?", ORDERS, names=("orders",))
    value = talk.ask(question)
    means = _sums(ORDERS, "supplier", how="sum" if how == "total" else "mean")
    assert value["table"].to_dict() == pytest.approx(means)
    assert value["supplier"] == min(means, key=means.get)
    assert value["answer"].startswith(TOGETHER)
    assert talk.ask("and the highest?")["supplier"] == max(means, key=means.get)


@pytest.mark.parametrize(
    "question",
    [
        "only in March",
        "Only March?",
        "just for march",
        "And in March?",
        "What about March?",
        "in March 2025",
        "but only Mar",
    ],
)
@pytest.mark.parametrize(
    "first", ["What is the total price per supplier?", "Which supplier has the highest total price?"]
)
def test_rows_are_restricted_to_a_month(question, first):
    talk = Talk(first, ORDERS, names=("orders",))
    assert talk.ask(question)["table"].to_dict() == pytest.approx(_sums(MARCH, "supplier"))
    assert talk.ask("and in April?")["table"].to_dict() == pytest.approx(_sums(APRIL, "supplier"))


def test_restrictions_of_other_columns_add_up_and_those_of_the_same_replace_each_other():
    talk = Talk("What is the total price per supplier?", ORDERS, names=("orders",))
    talk.ask("only in March")
    both = talk.ask("and only for DE")
    assert both["table"].to_dict() == pytest.approx(_sums(MARCH[MARCH.country == "DE"], "supplier"))
    assert "DE" in both["answer"]
    other = talk.ask("And for NL?")
    assert other["table"].to_dict() == pytest.approx(_sums(MARCH[MARCH.country == "NL"], "supplier"))
    assert talk.ask("by country?")["table"].to_dict() == pytest.approx(_sums(MARCH, "country"))


@pytest.mark.parametrize(
    "question", ["by country?", "And by country?", "per country", "and for each country?"]
)
@pytest.mark.parametrize(
    ("first", "truth"),
    [
        ("What is the total price per supplier?", _sums(ORDERS, "country")),
        ("What is the average price?", _sums(ORDERS, "country", how="mean")),
        ("How many orders per supplier?", ORDERS.country.value_counts().to_dict()),
        ("How many orders were refunded?", _sums(ORDERS, "country", "refunded")),
    ],
)
def test_another_group_keeps_what_was_computed(question, first, truth):
    talk = Talk(first, ORDERS, names=("orders",))
    assert talk.ask(question)["table"].to_dict() == pytest.approx(truth)


@pytest.mark.parametrize(
    "question", ["plot it", "Plot that.", "and as a chart?", "draw it please", "Can you visualise this?"]
)
def test_what_was_answered_is_drawn(question):
    talk = Talk("What is the total price per supplier?", ORDERS, names=("orders",))
    first = talk.value["table"]
    value = talk.ask(question)
    assert [bar.get_height() for bar in value["chart"].axes[0].patches] == pytest.approx(first.tolist())
    assert "chart" not in talk.ask("and by country?")
    plt.close("all")


def test_a_change_is_drawn_over_time_and_a_mean_as_a_histogram():
    talk = Talk(QUESTION, ORDERS, names=("orders",))
    assert len(talk.ask("plot it")["chart"].axes[0].lines) == 5
    talk = Talk("What is the mean price?", ORDERS, names=("orders",))
    value = talk.ask("plot it")
    assert sum(bar.get_height() for bar in value["chart"].axes[0].patches) == len(ORDERS)
    assert value["amount"] == pytest.approx(ORDERS.price.mean())
    plt.close("all")


@pytest.mark.parametrize(
    ("question", "expect"),
    [
        ("And the average?", _sums(ORDERS, "supplier", how="mean")),
        ("how many?", ORDERS.supplier.value_counts().to_dict()),
        ("and the refunds?", _sums(ORDERS, "supplier", "refunded")),
    ],
)
def test_another_figure_keeps_the_groups(question, expect):
    talk = Talk("What is the total price per supplier?", ORDERS, names=("orders",))
    assert talk.ask(question)["table"].to_dict() == pytest.approx(expect)


def test_a_question_that_no_script_understands_does_not_part_those_around_it():
    talk = Talk("What is the total price per supplier?", ORDERS, names=("orders",))
    assert "outside of what" in talk.ask("Why?")["answer"]
    assert talk.ask("only in March")["table"].to_dict() == pytest.approx(_sums(MARCH, "supplier"))
    talk = Talk("List the classes", TEXTS)
    assert "outside of what" in talk.ask("Why?")["answer"]
    assert talk.ask("how many?")["answer"].startswith(f"{TOGETHER}3 matches")


def test_the_extremes_of_one_figure_are_values_of_the_column():
    talk = Talk("What is the mean price?", ORDERS, names=("orders",))
    assert talk.ask("And the lowest?")["amount"] == ORDERS.price.min()
    assert talk.ask("and the highest")["amount"] == ORDERS.price.max()
    assert talk.ask("only in March")["amount"] == MARCH.price.max()


def test_a_follow_up_looks_again_only_where_columns_are_missing():
    talk = Talk("What is the mean price?", ORDERS, names=("orders",))
    talk.ask("by country?")
    assert len(talk.replies) == 3  # compute, check, answer
    wide = pd.concat(
        [pd.DataFrame(0, index=ORDERS.index, columns=[f"x_{i}" for i in range(90)]), ORDERS], axis=1
    )
    talk = Talk("What is the mean price?", wide)
    assert talk.ask("by supplier?")["table"].to_dict() == pytest.approx(_sums(ORDERS, "supplier", how="mean"))


@pytest.mark.parametrize(
    ("question", "expect"),
    [
        ("And the fewest?", {"fewest": "three.txt"}),
        ("and functions?", {"total": 1}),
        ("only in two.py", {"total": 1}),
        ("list them", {"total": 3}),
    ],
)
def test_follow_ups_on_texts(question, expect):
    talk = Talk("How many classes are there?", TEXTS, names=("texts",))
    value = talk.ask(question)
    assert expect.items() <= value.items()
    assert value["answer"].startswith(TOGETHER)


def test_counts_of_documents_are_drawn():
    talk = Talk("How many classes are there?", TEXTS, names=("texts",))
    assert [bar.get_height() for bar in talk.ask("plot it")["chart"].axes[0].patches] == [2, 1, 0]
    plt.close("all")
