"""Better instructions from examples with known answers: by reflection, on examples held out, within a budget."""

import random

import pytest

from rlm_jupyter import RLM, Limits, tune
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.models import Price, ScriptedModel
from rlm_jupyter.tuning.candidates import Candidate, best_of, choose_parent, pareto_front
from rlm_jupyter.tuning.examples import Example, read_examples, score_of, split
from rlm_jupyter.tuning.reflection import instructions_in

DATA = [{"gross": 12, "tax": 2}, {"gross": 6, "tax": 1}]
EXAMPLES = [(f"How much did we sell, in shop {n}?", 15, DATA) for n in range(6)]
RULE = "Amounts are net: subtract `tax` from `gross`."
GROSS = "print(context)\ntotal = sum(row['gross'] for row in context)"
NET = "print(context)\ntotal = sum(row['gross'] - row['tax'] for row in context)"


class Teachable:
    """A scripted model whose code is right once its instructions have a rule, which it proposes when it reflects."""

    def __init__(self, proposals=(RULE,)):
        self.proposals = list(proposals)
        self.reflections, self.asked = [], 0
        self.model = ScriptedModel(self.reply, name="teachable")

    def reply(self, messages):
        said = "\n".join(message["content"] for message in messages)
        if "write better instructions" in said:
            self.reflections.append(said)
            return self.proposals[min(len(self.reflections), len(self.proposals)) - 1]
        self.asked += 1
        if sum(message["role"] == "assistant" for message in messages):
            return "```repl\nFINAL(total)\n```"
        return f"```repl\n{NET if 'subtract `tax`' in messages[0]['content'] else GROSS}\n```"


def teach(tmp_path, teachable, **settings):
    return RLM(model=teachable.model, log_dir=tmp_path / "logs", cache=False, **settings)


def test_a_rule_that_helps_on_examples_held_out_is_returned_and_nothing_changed(tmp_path):
    teachable, told = Teachable(), []
    rlm = teach(tmp_path, teachable, instructions="Be brief.")
    found = tune(rlm, EXAMPLES, budget=Limits(calls=200), rounds=3, tell=told.append)
    assert (found.before, found.after, found.improved) == (0.0, 1.0, True)
    assert found.instructions == RULE
    assert [(row["before"], row["after"]) for row in found.rows] == [(0.0, 1.0)] * 2
    assert list(found.frame().columns) == ["question", "before", "after"]
    assert rlm.settings.instructions == "Be brief."
    assert "limit for all together: calls 200" in told[0]
    assert len(teachable.reflections) == 1  # then no example failed any more
    shown = teachable.reflections[0]
    assert "Be brief." in shown
    assert "The right answer: 15" in shown
    assert "total = sum(row['gross'] for row in context)" in shown
    assert "[answer] 18" in shown
    held = {row["question"] for row in found.rows}
    assert not any(question in shown for question in held)
    assert "0.00 before, 1.00 after" in str(found)
    assert found.runs == 4 + 2 + 1 + 4 + 2


def test_instructions_that_do_not_help_are_not_returned(tmp_path):
    teachable = Teachable(["Try harder.", "Think."])
    found = tune(teach(tmp_path, teachable), EXAMPLES[:4], budget={"calls": 200}, rounds=2, tell=None)
    assert (found.improved, found.instructions) == (False, "")
    assert (found.before, found.after) == (0.0, 0.0)
    assert len(found.candidates) == 1
    assert "No better ones were found" in str(found)


def test_what_helps_only_where_it_was_learnt_is_not_returned(tmp_path):
    teachable = Teachable()
    held = {example.question for example in split(read_examples(EXAMPLES[:4]), 0.34, 0)[1]}
    examples = [(question, 18 if question in held else 15, data) for question, _, data in EXAMPLES[:4]]
    found = tune(teach(tmp_path, teachable), examples, budget={"calls": 200}, rounds=1, tell=None)
    assert [candidate.mean for candidate in found.candidates] == [0.0, 1.0]
    assert (found.before, found.after) == (1.0, 0.0)
    assert (found.improved, found.instructions) == (False, "")


@pytest.mark.parametrize("calls", [1, 9, 16])
def test_the_budget_is_never_passed(tmp_path, calls):
    teachable = Teachable()
    found = tune(teach(tmp_path, teachable), EXAMPLES[:4], budget={"calls": calls}, tell=None)
    assert teachable.asked + len(teachable.reflections) <= calls
    assert "budget" in found.ended
    assert not found.improved


def test_money_is_a_budget_too(tmp_path):
    teachable = Teachable()
    rlm = teach(
        tmp_path, teachable, price=Price(1_000.0, 1_000.0), completion_tokens=100, limits=Limits(cost=9.0)
    )
    found = tune(rlm, EXAMPLES[:4], budget={"cost": 15.0}, tell=None)
    assert 0 < found.cost <= 15.0
    assert "budget" in found.ended


def test_a_run_without_an_answer_scores_nothing_and_is_learnt_from(tmp_path):
    teachable = Teachable(["```text\n" + RULE + "\n```"])
    rlm = teach(tmp_path, teachable, limits=Limits(calls_per_agent=1, cost=None))
    found = tune(rlm, EXAMPLES[:4], budget={"calls": 100}, rounds=1, tell=None)
    assert found.before == 0.0
    assert "used its 1 turns" in teachable.reflections[0]


def test_what_cannot_be_is_refused_before_anything_is_asked(tmp_path):
    teachable = Teachable()
    rlm = teach(tmp_path, teachable)
    with pytest.raises(ConfigError, match="at least 4 examples"):
        tune(rlm, EXAMPLES[:3], budget={"calls": 9})
    with pytest.raises(ConfigError, match="An example is"):
        tune(rlm, [*EXAMPLES, "question"], budget={"calls": 9})
    with pytest.raises(ConfigError, match="must limit"):
        tune(rlm, EXAMPLES, budget={"seconds": 9})
    with pytest.raises(ConfigError, match="between 0 and 1"):
        tune(rlm, EXAMPLES, budget={"calls": 9}, held_out=1)
    with pytest.raises(ConfigError, match="`hide`"):
        tune(teach(tmp_path, teachable, hide=("tax",)), EXAMPLES, budget={"calls": 9})
    assert teachable.asked == 0


def test_candidates_with_different_strengths_stay():
    one, two = Candidate("a", (1.0, 0.0, 0.0)), Candidate("b", (0.0, 1.0, 1.0))
    worse, best = Candidate("c", (0.0, 1.0, 0.0)), Candidate("dd", (1.0, 1.0, 0.0))
    assert pareto_front([one, two, worse]) == {0: 1, 1: 2}
    assert pareto_front([one, two, worse, best]) == {1: 2, 3: 2}
    assert {choose_parent([one, two, worse], random.Random(seed)) for seed in range(40)} == {0, 1}
    assert best_of([best, two]) is two  # as good, and shorter


def test_answers_are_scored_as_objects():
    example = Example("q", {"a": 1.0, "b": [1, 2]})
    assert score_of({"b": (1, 2), "a": 1}, example, None) == 1.0
    assert score_of({"a": 1}, example, None) == 0.0
    assert score_of("x", example, lambda value, answer: value == "x") == 1.0
    assert score_of("x", example, lambda value, answer: 7) == 1.0
    assert instructions_in("```\nRule.\n```") == "Rule."
    assert instructions_in(None) == ""
    assert len(instructions_in("x" * 9000)) == 3000
