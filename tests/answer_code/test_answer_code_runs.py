"""Runs of scripts: their code is sliced, runs by itself in a fresh kernel, and gives the value."""

import re

import pytest
from answer_code_runs import CASES
from answer_steps import (
    assert_parts_give_their_values,
    assert_rows_are_true,
    assert_steps_stand_in_the_code,
    runs_here,
)
from run_parts import asking
from scripts import by_question

WORDS = re.compile(r"\b(llm_\w+|rlm_\w+|FINAL\w*|SUBMIT|SHOW_VARS|get_ipython)\b")


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("code")) as start:
        yield start


@pytest.mark.parametrize("name", CASES)
def test_the_code_behind_the_answer_gives_it(ask, name):
    case = CASES[name]
    model = by_question(case.script, plain=case.plain)
    run = ask(case.script, context=case.context, names=case.names, model=model, **case.options)
    assert run.status == "done", run.error
    code = run.code()
    assert code.verdict == "reproduced", f"{code.detail}\n{code}"
    assert not code.whole or "exec" in code, code
    assert not WORDS.search(code), code
    assert compile(code, "code", "exec")
    for text in case.absent:
        assert text not in code, code
    for text in case.present:
        assert text in code, code
    if case.most is not None:
        assert code.share <= case.most, code
    assert run.events[-1].verdict == "reproduced"
    assert_steps_stand_in_the_code(code)
    if runs_here(case) and not case.options:
        assert_rows_are_true(code, run.events, case)
        assert_parts_give_their_values(code, run, case)
    run.close()
