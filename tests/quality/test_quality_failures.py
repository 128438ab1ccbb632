"""What is said to have gone wrong in a run."""

import pytest

from benchmarks.quality.exchange import Exchange
from benchmarks.quality.failures import failures
from benchmarks.quality.harness import Outcome

NOTICE = "The reply has no code block, so nothing was run."
LOOK = "```repl\nprint(context[:100])\n```"


def chat(*turns):
    """Exchanges of a chat that grows: what the model was told, and its reply, in turn."""
    messages, found = [{"role": "system", "content": "You have a REPL."}], []
    for told, reply in turns:
        messages = [*messages, {"role": "user", "content": told}]
        found.append(Exchange(messages, reply))
        messages = [*messages, {"role": "assistant", "content": reply}]
    return found


def kinds(exchanges, verdict="wrong", with_code=True, **outcome):
    return failures(verdict, Outcome(**{"answer": "5", **outcome}), exchanges, with_code=with_code)


def test_a_right_run_has_no_failures():
    assert kinds(chat(("How many?", "no code")), "right") == []


def test_an_honest_wrong_answer_has_none_either():
    assert kinds(chat(("How many?", LOOK), ("Output: 5", "```repl\nFINAL(5)\n```"))) == []


def test_no_code():
    prose = chat(("How many?", "I would look."), ("Go on.", "Then I would count."), ("Go on.", LOOK))
    assert kinds(prose) == ["no code"]
    assert kinds(prose, with_code=False) == []
    assert kinds(chat(("How many?", "I would look."), ("Go on.", LOOK), ("5", "FINAL(x)"))) == []


def test_the_same_error_twice_in_a_chat_that_grows():
    error = "Traceback:\nValueError: DataFrame constructor not properly called!"
    once = chat(("How many?", LOOK), (error, LOOK), ("fine", LOOK), ("fine", LOOK))
    assert kinds(once) == []
    assert kinds(chat(("How many?", LOOK), (error, LOOK), (error, LOOK))) == ["same error"]


def test_the_same_error_twice_in_a_prompt_that_is_written_anew():
    """As dspy does: one message with the history in it."""
    error = "Output:\n[Error] NameError: name 'm' is not defined\n"
    prompts = ["How many?", f"How many?\n{error}", f"How many?\n{error}{error}"]
    assert kinds([Exchange([{"role": "user", "content": prompt}], LOOK) for prompt in prompts]) == []
    error = error.replace("[Error] ", "")
    prompts = ["How many?", f"How many?\n{error}", f"How many?\n{error}{error}"]
    assert kinds([Exchange([{"role": "user", "content": prompt}], LOOK) for prompt in prompts]) == [
        "same error"
    ]


def test_an_invented_answer_was_written_and_never_seen():
    invented = chat(("How many?", '```repl\nFINAL("1234567890")\n```'))
    assert kinds(invented, answer="1234567890") == ["invented answer"]
    seen = chat(("How many?", LOOK), ("1234567890", '```repl\nFINAL("1234567890")\n```'))
    assert kinds(seen, answer="1234567890") == []
    computed = chat(("How many?", "```repl\nFINAL(len(context))\n```"))
    assert kinds(computed, answer=1234567890) == []


def test_an_echo_of_a_notice():
    assert kinds(chat(("How many?", LOOK), (NOTICE, f'```repl\nprint("{NOTICE}")\n```'))) == [
        "echo of a notice"
    ]
    assert kinds(chat((f"How many? {NOTICE}", f"```repl\n# {NOTICE}\n```"))) == []


@pytest.mark.parametrize(
    ("verdict", "outcome", "expected"),
    [
        ("wrong type", {"answer": True}, ["wrong type"]),
        (None, {"answer": None, "error": "no turns left", "limited": True}, ["limit"]),
        (None, {"answer": None, "error": "HTTP 500"}, ["error"]),
    ],
)
def test_what_the_outcome_says(verdict, outcome, expected):
    assert kinds(chat(("How many?", LOOK)), verdict, **outcome) == expected
