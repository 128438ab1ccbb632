"""`ask_user` of agents' code in real kernels: who answers, the default as an assumption, one at a time, a few in a run."""

import pytest
from run_parts import asking, until

from rlm_jupyter import RLM, ConfigError, answering
from rlm_jupyter.engine.run.run_questions import MOST_TOLD
from rlm_jupyter.events import events as ev
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.user_questions.pending import answer_question, pending_questions, wait_for_question
from rlm_jupyter.views.answer_card import answer_card
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.text_tree import tree

CENTS = "FINAL(ask_user('Is revenue in cents?', options=['cents', 'euros'], default='cents'))"


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


def in_tree(ask, code, **options):
    """Start a run whose user answers in the tree."""
    with answering("tree"):
        return ask({"root": code if isinstance(code, list) else [code]}, wait=False, **options)


def test_the_option_that_was_chosen_is_what_the_code_gets(ask):
    run = in_tree(ask, CENTS, context=[1, 2])
    asked = wait_for_question(60, run=run.id)
    assert (asked.agent, asked.question, asked.options) == ("0", "Is revenue in cents?", ("cents", "euros"))
    assert (asked.default, asked.number) == ("cents", 1)
    with run.lock:
        assert run.tree.activity(run.tree.agents["0"]) == "question"
        assert run.tree.user_question.question == "Is revenue in cents?"
        assert "asking you" in tree(run.tree)
    with pytest.raises(ConfigError, match="`yen` is not one of the options: `cents`, `euros`"):
        asked.answer("yen")
    asked.answer("euros")
    assert run.wait(60).value == "euros"
    (answered,) = run.tree.user_answers
    assert (answered.answer, answered.by, answered.option) == ("euros", "user", 1)
    assert run.tree.user_question is None
    assert "assumptions" not in answer_card(run.tree)
    assert "You were asked: Is revenue in cents? → euros" in tree(run.tree)
    with pytest.raises(ConfigError, match="waits for no answer"):
        asked.answer("cents")


def test_the_prompt_teaches_when_to_ask_only_where_somebody_can_be_asked(ask):
    attended = in_tree(ask, ["part = rlm_query('sub', context=[1])", "FINAL(1)"])
    with answering("tree"):
        off = ask({"root": ["FINAL(1)"]}, settings={"ask_user": 0})
    alone = ask({"root": ["FINAL(1)"]})
    attended.stop()
    attended.wait(60)
    taught = [run.messages()[1]["content"].count("ask_user(") for run in (attended, off, alone)]
    assert taught == [1, 0, 0]
    assert "ask_user" not in attended.messages()[0]["content"]


def test_options_and_the_default_stay_objects(ask):
    code = "FINAL([ask_user('Net?', options=[True, False], default=False), ask_user('Which?', [1.5, None])])"
    assert ask({"root": [code]}).value == [False, 1.5]
    run = in_tree(ask, code)
    for number, option in ((1, 0), (2, 1)):
        until(lambda number=number: [one.number for one in pending_questions(run.id)] == [number])
        answer_question(run.id, number, option=option)
    assert run.wait(60).value == [True, None]


def test_without_an_answer_in_time_the_default_is_an_assumption_on_every_card(ask):
    run = in_tree(ask, CENTS, settings={"ask_user_seconds": 0.3}).wait(60)
    assert run.value == "cents"
    told = "Is revenue in cents? Assumed: cents (no answer within 0.3 s)"
    assert answer_card(run.tree)["assumptions"] == [told]
    assert f"Assumptions:\n   {told}" in tree(run.tree)
    assert f"<b>Assumptions</b><ul><li>{told}</li></ul>" in static_html(run.tree)
    assert pending_questions(run.id) == []


def test_nobody_waits_where_nobody_can_be_asked(ask):
    run = ask({"root": [CENTS]}, settings={"ask_user_seconds": 10_000.0})
    assert run.value == "cents"
    assert [one.reason for one in run.tree.user_answers] == ["nobody could be asked"]
    assert not [event for event in run.events if isinstance(event, ev.QuestionAsked)]


def test_a_batch_asks_nobody(tmp_path):
    model = ScriptedModel(lambda messages: f"```repl\n{CENTS}\n```")
    rlm = RLM(model=model, log_dir=None, cache=False, ask_user_seconds=10_000.0)
    with answering("tree"):
        runs = rlm.run_batch(["a", "b"])
    assert [run.value for run in runs] == ["cents", "cents"]
    for run in runs:
        run.close()


def test_one_question_at_a_time_is_put_and_the_others_wait(ask):
    code = (
        "import asyncio\n"
        "found = await asyncio.gather(*[ask_user(f'Which {n}?', default='none') for n in range(2)])\n"
        "FINAL(list(found))"
    )
    run = in_tree(ask, code)
    first = wait_for_question(60, run=run.id)
    until(lambda: run.root.kernel.bridge.pending == 2)
    assert pending_questions(run.id) == [first]
    first.answer("this")
    until(lambda: [one.number for one in pending_questions(run.id)] == [2])
    assert len(pending_questions(run.id)) == 1
    wait_for_question(60, run=run.id).answer("that")
    assert sorted(run.wait(60).value) == ["that", "this"]


def test_the_same_question_is_put_once_whoever_asks(ask):
    code = "FINAL([ask_user('Cents?', ['yes', 'no'])] + rlm_query_batched(['sub'] * 2))"
    with answering("tree"):
        run = ask({"root": [code], "sub": ["FINAL(ask_user('Cents?', ['yes', 'no']))"]}, wait=False)
    wait_for_question(60, run=run.id).answer("no")
    assert run.wait(60).value == ["no"] * 3
    assert len(run.tree.user_answers) == 1


def test_a_run_may_ask_a_few_questions_and_not_more(ask):
    code = "FINAL([ask_user(f'{n}?', default='d') for n in range(3)])"
    run = in_tree(ask, code, settings={"ask_user": 1})
    wait_for_question(60, run=run.id).answer("x")
    assert run.wait(60).value == ["x", "d", "d"]
    assert answer_card(run.tree)["assumptions"] == [
        f"{n}? Assumed: d (1 question had been asked)" for n in (1, 2)
    ]


def test_a_loop_of_questions_is_ended(ask):
    code = f"for n in range({MOST_TOLD + 1}): ask_user(f'{{n}}?', default='d')"
    run = ask({"root": [code, "FINAL(1)"]})
    assert run.value == 1
    assert len(run.tree.user_answers) == MOST_TOLD
    error = run.tree.agents["0"].turns[0].cells[0].error
    assert f"{MOST_TOLD} questions were asked in this run" in error


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("ask_user('Which?')", "`default` is missing"),
        ("ask_user('', default=1)", "`question` must be a text"),
        ("ask_user('x' * 1001, default=1)", "has 1,001 characters; the most is 1,000"),
        ("ask_user('Which?', options='ab')", "must be a list"),
        ("ask_user('Which?', options=['a'])", "give 2 to 8"),
        ("ask_user('Which?', options=range(9))", "There are 9 options"),
        ("ask_user('Which?', options=[1, '1'])", "look the same"),
    ],
)
def test_what_cannot_be_asked_says_how_to_ask(ask, call, says):
    run = ask({"root": [call, "FINAL(1)"]})
    assert says in run.tree.agents["0"].turns[0].cells[0].error
    assert run.tree.user_answers == []


def test_a_stopped_run_waits_no_more(ask):
    run = in_tree(ask, CENTS)
    asked = wait_for_question(60, run=run.id)
    run.stop()
    run.wait(60)
    until(lambda: not asked.waits)
    assert [one.by for one in run.tree.user_answers] == ["withdrawn"]
    assert run.tree.user_question is None
    assert "assumptions" not in answer_card(run.tree)


def test_the_time_of_a_cell_stands_still_while_its_code_waits_for_an_answer(ask):
    run = in_tree(ask, CENTS, limits={"cell_seconds": 0.5})
    asked = wait_for_question(60, run=run.id)
    began = run.elapsed
    until(lambda: run.elapsed > began + 1.5)
    asked.answer("euros")
    assert run.wait(60).value == "euros"


def test_a_function_answers_and_where_it_fails_the_default_is_taken(ask):
    def answer(asked):
        return {"One?": "1", "None?": None}[asked.question]

    code = "FINAL([ask_user(q, default='d') for q in ('One?', 'None?', 'Other?')])"
    with answering(answer):
        run = ask({"root": [code]})
    assert run.value == ["1", "d", "d"]
    reasons = [one.reason for one in run.tree.user_answers]
    assert reasons[1:] == [
        "the function took the default",
        "the function that answers failed: KeyError: 'Other?'",
    ]
    with (
        pytest.raises(ConfigError, match="takes `'tree'`, `'terminal'`, a function or None"),
        answering("mail"),
    ):
        pass


def test_secrets_and_markup_in_a_question_reach_nobody(ask):
    code = (
        "import os\nkey = os.environ['THE_KEY']\n"
        "FINAL(len(ask_user(f'<img src=x onerror=alert(1)>\\x1b[31m {key}?', [key, 'no'])))"
    )
    run = in_tree(ask, code, env={"THE_KEY": "sesame-open-42"})
    asked = wait_for_question(60, run=run.id)
    assert "sesame" not in asked.question + asked.default + "".join(asked.options)
    answer_question(run.id, 1, option=0)
    assert run.wait(60).value == len("sesame-open-42"), "the code has its own object, whatever was shown"
    told = run.log_path.read_text() + tree(run.tree) + static_html(run.tree)
    assert "sesame" not in told
    assert "<img" not in static_html(run.tree)
    assert "\x1b" not in tree(run.tree)


def test_a_branch_takes_the_answers_of_its_record(tmp_path):
    script = ScriptedModel(lambda messages: f"```repl\n{CENTS}\n```")
    rlm = RLM(model=script, log_dir=tmp_path / "logs", cache=False)
    with answering(lambda asked: "euros"):
        first = rlm.start("What?").wait(60)
    assert first.value == "euros"
    other = CENTS.replace("))", ").upper())")
    with rlm.branch(first, 1, code=other) as again:
        assert again.wait(60).value == "EUROS"
    with rlm.branch(first.log_path, 1, code=other) as again:
        assert again.wait(60).value == "EUROS"
    first.close()


def test_the_code_behind_an_answer_has_what_the_user_answered(ask):
    code = (
        "unit = ask_user('In cents?', options=[True, False], default=True)\n"
        "name = ask_user('Which name?', default=None)\n"
        "FINAL([sum(context) / (100 if unit else 1), name])"
    )
    with answering(lambda asked: "False" if asked.options else None):
        run = ask({"root": [code]}, context=[100, 200])
    assert run.value == [300.0, None]
    made = run.code()
    assert (made.verdict, made.detail) == ("reproduced", "")
    assert "ask_user" not in str(made)
    assert "'In cents?': ['False']" in str(made)


def test_what_a_kernel_sends_by_itself_is_checked(ask):
    code = """
link = FINAL.__self__.link
good = {"question": "Which?", "options": ["a", "b"], "default": "a", "default_option": 0}
wrong = [{"question": ""}, {"question": "x" * 5000}, {"question": 7}, {"options": None}, {"options": ["a"] * 9}]
wrong += [{"options": ["a", 7]}, {"options": ["a", "a"]}, {"options": ["x" * 999, "b"]}, {"default": None}]
wrong += [{"default": "x" * 999}, {"default_option": 2}, {"default_option": -1}, {"default_option": True}]
found = []
for one in wrong:
    found.append((link.submit("ask_user", {**good, **one})[1].result().error or {}).get("kind"))
FINAL([found, link.submit("ask_user", good)[1].result().value])
"""
    run = ask({"root": [code]})
    found, answer = run.value
    assert found == ["internal"] * 13
    assert answer == {"option": None, "text": None}
    assert len(run.tree.user_answers) == 1
