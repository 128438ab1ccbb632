"""Several agents for one question: blind, under one ledger, compared as objects, reconciled where they differ."""

import json

import pandas as pd
import pytest
from run_parts import asking, until
from scripts import cell

from rlm_jupyter import (
    RLM,
    ConfigError,
    KernelDiedError,
    LimitReachedError,
    Limits,
    NoAnswerCodeError,
    Samples,
)
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records.reader import load

ORDERS = pd.DataFrame({"supplier": ["Acme", "Borg", "Acme", "Core"], "refund": [3.0, 4.0, 5.0, 1.0]})
RIGHT = "FINAL(context.groupby('supplier')['refund'].sum())"
WRONG = "FINAL(context.groupby('supplier')['refund'].max())"
LOOK = "print(context.shape)"
CHECK = "print(context[context.supplier == 'Acme'].refund.sum(), candidate_1['Acme'], candidate_2['Acme'])"


def by_agent(script, **options):
    """A model that answers each agent by its id; an id that is not there is answered as `None` is."""

    def reply(messages, request):
        turns = script.get(request.agent, script.get(None))
        turn = sum(message["role"] == "assistant" for message in messages)
        said = turns[min(turn, len(turns) - 1)]
        return said if isinstance(said, Exception) or "```" in said else cell(said)

    return ScriptedModel(reply, **options)


def verdict(take, **more):
    return f"FINAL({ {'take': take, 'why': 'the sum of Acme is 8', 'check': 8, **more}!r})"


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:

        def ask(script, samples=3, context=ORDERS, **options):
            model = script if isinstance(script, ScriptedModel) else by_agent(script)
            return start({}, "refunds by supplier?", context, model=model, samples=samples, **options)

        yield ask


def test_samples_are_roots_that_know_nothing_of_each_other_in_one_tree(ask):
    model = by_agent({None: [LOOK, RIGHT]})
    run = ask(model, names=("orders",), limits=Limits(depth=0))
    assert run.error is None
    assert run.value.to_dict() == {"Acme": 8.0, "Borg": 4.0, "Core": 1.0}
    assert run.agreement == 1.0
    assert run.agreement.text == "3 of 3 agree"
    assert run.agreement.frame().empty
    assert list(run.agents) == ["0", "0.1", "0.2", "0.3"]
    first = {json.dumps(run.messages(f"0.{n}")[:2]) for n in (1, 2, 3)}
    assert len({text.partition("You may spend")[0] for text in first}) == 1
    assert "orders" in run.messages("0.1")[1]["content"]
    assert run.tree.agents["0"].turns == []
    assert run.tree.calls == 6  # one ledger, one log
    assert load(run.log_path).tree.agreement == run.tree.agreement


def test_without_samples_there_is_no_agreement(ask):
    run = ask({None: [LOOK, RIGHT]}, samples=1)
    assert list(run.agents) == ["0"]
    assert run.agreement is None


def test_the_answer_of_most_is_taken_and_the_difference_is_told(ask):
    run = ask({None: [LOOK, RIGHT], "0.2": [LOOK, WRONG]})
    assert run.value["Acme"] == 8.0
    assert run.agreement == pytest.approx(2 / 3)
    assert run.agreement.text == "2 of 3 agree"
    rows = run.agreement.frame().to_dict("records")
    assert rows == [{"where": "supplier Acme · refund", "samples 1, 3": "8.0", "sample 2": "5.0"}]
    assert run.value.attrs["agreement"] == pytest.approx(2 / 3)
    assert run.value["Acme"] == run.agents["0.1"].value["Acme"]


def test_samples_that_all_differ_say_so(ask):
    run = ask({f"0.{n}": [LOOK, f"FINAL({n} * len(context))"] for n in (1, 2, 3)})
    assert run.value == 4
    assert run.agreement == pytest.approx(1 / 3)
    assert run.agreement.text == "No two of 3 agree"


def test_a_wrong_sample_is_found_and_reconciled_by_a_check_within_the_limit(ask):
    script = {None: [LOOK, RIGHT], "0.2": [LOOK, WRONG]}
    at_once = f"n = len(context)\n{verdict(1)}"
    script["0.4"] = [at_once, "print(candidate_code[1])\nprint(candidate_code[2])", CHECK, verdict(1)]
    model = by_agent(script, price=(1.0, 1.0))
    run = ask(model, verify=True, limits=Limits(cost=0.5, calls=20))
    assert run.error is None
    assert run.value.to_dict() == {"Acme": 8.0, "Borg": 4.0, "Core": 1.0}
    assert run.agreement.text == "2 of 3 agree"
    assert (run.agreement.why, run.agreement.check) == ("the sum of Acme is 8", "8")
    assert 0 < run.cost <= 0.5
    verifier = run.tree.agents["0.4"]
    assert verifier.name == "verification"
    assert any(
        "No check was computed" in text for text in verifier.notices
    )  # a verdict without one is sent back
    outputs = [c.output for turn in verifier.turns for c in turn.cells]
    assert ".sum()" in outputs[1]  # the code behind each candidate
    assert ".max()" in outputs[1]
    assert "8.0 8.0 5.0" in outputs[2]  # the candidates are objects
    asked = run.messages("0.4")[1]["content"]
    assert "supplier Acme · refund | 8.0 | 5.0" in asked
    assert "refunds by supplier?" in asked


@pytest.mark.parametrize(
    "cell_before",
    ["n = len(context)", "print(context.nothing, candidate_1)", "print(candidate_1)", "print('checked')"],
)
def test_a_check_reads_the_data_ends_well_and_shows_what_it_has_found(ask, cell_before):
    script = {
        None: [LOOK, RIGHT],
        "0.2": [LOOK, WRONG],
        "0.4": [cell_before, f"context\n{verdict(1)}", CHECK, verdict(1)],
    }
    run = ask(script, verify=True)
    assert run.agreement.verified
    assert len(run.tree.agents["0.4"].turns) == 4
    assert any("No check was computed" in text for text in run.tree.agents["0.4"].notices)


def test_the_candidate_of_the_fewer_may_be_the_right_one(ask):
    script = {None: [LOOK, WRONG], "0.2": [LOOK, RIGHT], "0.4": [CHECK, verdict(2)]}
    run = ask(script, samples=None, verify=True)
    assert run.value["Acme"] == 8.0
    assert run.agreement == pytest.approx(1 / 3)
    assert run.code().reproduced is True
    assert "sum()" in run.code(prove=False)


def test_it_stops_early_when_a_further_sample_could_change_nothing(ask):
    run = ask({None: [LOOK, RIGHT]}, verify=True)
    assert list(run.agents) == ["0", "0.1", "0.2"]
    assert run.agreement == 1.0
    assert run.agreement.text == "2 of 2 agree (1 more could not change that)"


def test_an_answer_of_the_verification_s_own_is_marked_as_one(ask):
    own = verdict(0, value={"Acme": 9})
    script = {None: [LOOK, RIGHT], "0.1": [LOOK, WRONG], "0.4": [CHECK, verdict(0), own]}
    run = ask(script, verify=True)
    assert run.value == {"Acme": 9}
    assert run.agreement == 0
    assert run.agreement.text == "0 of 3 agree with the answer that the verification found"
    assert any('there is no "value"' in text for text in run.tree.agents["0.4"].notices)
    with pytest.raises(NoAnswerCodeError, match="reconciled"):
        run.code()


def test_a_verification_that_fails_leaves_the_answer_of_most(ask):
    script = {None: [LOOK, RIGHT], "0.1": [LOOK, WRONG], "0.4": ["no code", "none", "still none"]}
    script["0.4"] = [f"{text}\n```text\nx\n```" for text in script["0.4"]]
    run = ask(script, verify=True)
    assert run.error is None
    assert run.value["Acme"] == 8.0
    assert run.agreement.why == ""
    assert any("could not be reconciled" in text for text in run.tree.notices)


def test_a_sample_without_an_answer_agrees_with_none(ask):
    script = {None: [LOOK, RIGHT], "0.3": ["```text\nnothing\n```"]}
    run = ask(script)
    assert run.error is None
    assert run.agreement.text == "2 of 3 agree; 1 gave no answer"
    assert run.agreement == pytest.approx(2 / 3)


def test_without_any_answer_the_run_fails_and_keeps_what_there_was(ask):
    script = {None: [LOOK, "FINAL('no number')"]}
    run = ask(script, samples=2, schema=int, limits=Limits(calls_per_agent=3))
    assert isinstance(run.error, LimitReachedError)
    assert run.value == "no number"


def test_all_samples_are_under_the_limits_of_one_run(ask):
    run = ask({None: [LOOK, LOOK, RIGHT]}, limits=Limits(calls=5))
    assert isinstance(run.error, LimitReachedError)
    assert run.tree.requests <= 5


def test_without_room_for_a_verification_the_answer_of_most_is_partial(ask):
    script = {None: [LOOK, RIGHT], "0.2": [LOOK, WRONG], "0.4": [CHECK, verdict(2)]}
    run = ask(script, verify=True, limits=Limits(calls=7))
    assert isinstance(run.error, LimitReachedError)
    assert run.status == "limit"
    assert run.value["Acme"] == 8.0
    assert run.agreement.text == "2 of 3 agree"
    assert run.tree.requests <= 7


def test_levels_of_sub_agents_count_from_the_samples(ask):
    deep = ["part = rlm_query('sum', context=[1, 2])\nprint(part)", "FINAL(part)"]
    script = {"0.1": deep, "0.2": deep, None: ["FINAL(sum(context))"]}
    run = ask(script, samples=2, limits=Limits(depth=1))
    assert run.value == 3
    assert "0.1.1" in run.agents


def test_one_sample_can_be_stopped_and_the_others_go_on(ask):
    slow = by_agent({None: [LOOK, RIGHT], "0.2": ["import time\ntime.sleep(60)"]})
    run = ask(slow, wait=False)
    until(lambda: "0.2" in run.agents and run.tree.agents["0.2"].cells)
    run.stop("0.2")
    assert run.wait(60).error is None
    assert run.agreement.text == "2 of 3 agree; 1 gave no answer"


def test_a_run_of_samples_is_stopped_whole(ask):
    run = ask({None: ["import time\ntime.sleep(60)"]}, wait=False)
    until(lambda: len(run.agents) == 4)
    run.stop()
    assert run.wait(60).status == "stopped"
    assert {agent.status for agent in run.agents.values()} == {"stopped"}


def test_a_follow_up_goes_on_with_the_sample_whose_answer_was_taken(ask):
    script = {None: [LOOK, "mine = context\n" + WRONG], "0.2": [LOOK, "found = 8\n" + RIGHT]}
    script |= {"0.4": [CHECK, verdict(2)], "0": ["FINAL(found + 1)"]}
    run = ask(script, verify=True)
    with run.ask("and one more?") as follow_up:
        assert follow_up.value == 9
    with pytest.raises(ConfigError, match="leave out `samples`"):
        run.follow_up("again?", samples=2)


def test_a_run_of_samples_that_is_resumed_asks_no_model(ask, tmp_path):
    run = ask({None: [LOOK, RIGHT], "0.2": [LOOK, WRONG], "0.4": [CHECK, verdict(1)]}, verify=True)
    none = ScriptedModel([])
    again = RLM(model=none, log_dir=tmp_path / "logs", cache=False).resume(run.log_path)
    with again:
        assert again.wait(60).error is None
        assert none.requests == []
        assert again.agreement.text == run.agreement.text
        assert again.value.to_dict() == run.value.to_dict()


def test_a_run_of_samples_that_was_resumed_can_be_asked_on(ask, tmp_path):
    run = ask(
        {None: [LOOK, RIGHT], "0.2": [LOOK, "found = 1\n" + WRONG], "0.4": [CHECK, verdict(2)]}, verify=True
    )
    model = by_agent({"0": ["FINAL(found + 1)"]})
    with RLM(model=model, log_dir=tmp_path / "logs", cache=False).resume(run.log_path) as again:
        assert again.wait(60).value["Acme"] == 5.0
        with again.ask("and one more?") as follow_up:
            assert follow_up.value == 2


def test_no_value_of_sensitive_data_is_quoted_to_the_verification(ask):
    script = {None: [LOOK, RIGHT], "0.2": [LOOK, WRONG], "0.4": [CHECK, verdict(1)]}
    run = ask(script, verify=True, settings={"sample_rows": 0})
    assert run.error is None
    asked = run.messages("0.4")[1]["content"]
    assert "in 1 place" in asked
    assert "Acme" not in asked


def test_the_root_of_samples_has_no_kernel_and_says_who_has(ask):
    run = ask({None: [LOOK, RIGHT]}, samples=2)
    with pytest.raises(KernelDiedError, match=r"`0\.1`, `0\.2`"):
        run.agents["0"].pull("context")
    assert len(run.agents["0.2"].pull("context")) == len(ORDERS)
    assert run.agents["0"].pull().to_dict() == run.value.to_dict()


def test_texts_are_compared_exactly_unless_a_judge_is_asked_for(ask):
    script = {"0.1": ["FINAL('Acme Ltd.')"], "0.2": ["FINAL('Acme')"]}
    run = ask(script, samples=2, context=None)
    assert run.agreement.text == "No two of 2 agree"
    script["0"] = ["```json\ntrue\n```"]
    run = ask(script, samples=Samples(2, judge="the same company"), context=None)
    assert run.agreement.text == "2 of 2 agree"
    (call,) = run.tree.agents["0"].calls
    assert "the same company" in call.messages[0]["content"]
    assert '["Acme Ltd.", "Acme"]' in call.messages[0]["content"]


def test_numbers_are_the_same_within_the_tolerance_that_was_asked_for(ask):
    script = {"0.1": [LOOK, "FINAL(len(context) * 100)"], "0.2": [LOOK, "FINAL(len(context) * 100 + 1)"]}
    assert ask(script, samples=2).agreement.text == "No two of 2 agree"
    assert ask(script, samples=Samples(2, relative=0.01)).agreement.text == "2 of 2 agree"


def test_a_temperature_of_zero_is_told_of(ask):
    run = ask({None: [LOOK, RIGHT]}, samples=2, settings={"temperature": 0})
    assert any("temperature is 0" in text for text in run.tree.notices)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": 0}, "from 1 to 25"),
        ({"samples": 99}, "from 1 to 25"),
        ({"samples": True}, "takes a number"),
        ({"samples": "3"}, "takes a number"),
        ({"samples": 1, "verify": True}, "nothing to be compared with"),
        ({"verify": 3}, "True or False"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_started(ask, options, said):
    with pytest.raises(ConfigError, match=said):
        ask({}, **{"samples": None, **options})


@pytest.mark.parametrize(
    "fields", [{"key": 3}, {"key": ()}, {"relative": -1}, {"absolute": float("nan")}, {"judge": 3}]
)
def test_samples_take_what_they_can_use(fields):
    with pytest.raises(ConfigError):
        Samples(3, **fields)
