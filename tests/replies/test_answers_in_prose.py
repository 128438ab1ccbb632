"""A `FINAL(...)` in prose, in real runs: names that the kernel knows are code, other words are the text they are."""

import pytest
from scripts import Raw
from tool_runs import asking

from rlm_jupyter.engine.reply.parse import parse_reply

LOOK = "print(context)\nrows = [1, 2]\nParis = 'the city'"


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


def observation(run, turn):
    """What the model was shown after a turn."""
    return run.messages()[2 * turn + 1]["content"]


WORDS = [
    "A|B",
    "The answer is A|B",
    "yes",
    "No",
    "March 2026",
    "2026-03",
    "2026-10",
    "2026-10-05",
    "10/05/2026",
    "555-1234",
    "1,234,567",
    "Smith, John",
    "N/A",
    "the total is 5",
    "total = 5",
    "Berlin",
    "Berlin (Germany)",
    "positive",
    "Failed",
    "sum",
    "budget",
    "not found",
    "covid-19",
    "someone@example.com",
    "www.example.com",
    "Ann, Bob and Cecil",
    "[Ann, Bob]",
    "A > B > C",
    "12:30",
    "5 apples",
    "it's (mostly) over",
]
FORMS = ["FINAL({})", "I am done.\n\nFINAL({})\n", "The answer is: FINAL({})"]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("form", FORMS)
def test_a_call_in_prose_is_read_alike_in_any_form(words, form):
    read, plain = parse_reply(form.format(words)), parse_reply(f"FINAL({words})")
    assert (read.blocks, read.text, read.problem) == (plain.blocks, plain.text, None)
    assert len(read.blocks) == 1


@pytest.mark.parametrize(
    ("words", "form"),
    [*((words, FORMS[at % 3]) for at, words in enumerate(WORDS)), ("yes", FORMS[0]), ("yes", FORMS[1])],
)
def test_words_that_name_nothing_are_the_answer(ask, words, form):
    run = ask({"root": [LOOK, Raw(form.format(words))]})
    assert run.raise_for_error().value == words


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("Paris", "the city"),
        ("rows", [1, 2]),
        ("Paris, rows", ("the city", [1, 2])),
        ("len(rows)", 2),
        ("sum(rows)", 3),
        ("rows[0]", 1),
        ("{'a': rows}", {"a": [1, 2]}),
        ("A|B", {1, 2, 3}),
        ("100 - 1", 99),
        ("3.5", 3.5),
        ("None", None),
        ("'Berlin'", "Berlin"),
        ("math.floor(2.5)", 2),
    ],
)
def test_names_that_the_kernel_knows_are_code(ask, words, value):
    run = ask({"root": [f"{LOOK}\nA, B = {{1, 2}}, {{3}}\nimport math", Raw(f"So it is:\n\nFINAL({words})")]})
    assert run.raise_for_error().value == value


@pytest.mark.parametrize("call", ["FINAL(final_answer)", "FINAL(total)", "FINAL(len(hits))", "FINAL(x + 1)"])
def test_what_can_only_be_a_variable_is_told_to_be_missing(ask, call):
    run = ask({"root": [LOOK, Raw(call), "FINAL(3)"]})
    assert "NameError" in observation(run, 2)
    assert run.raise_for_error().value == 3


@pytest.mark.parametrize("call", ["FINAL_VAR(Berlin)", "FINAL_VAR('Berlin')"])
def test_a_missing_variable_of_final_var_is_an_error(ask, call):
    run = ask({"root": [LOOK, Raw(call), "FINAL(3)"]})
    assert "Berlin" in observation(run, 2)
    assert "NameError" in observation(run, 2)
    assert run.raise_for_error().value == 3


def test_the_first_turn_may_answer_by_words_before_the_kernel_has_its_data(ask):
    run = ask({"root": [Raw("FINAL(Berlin)")]}, settings={"require_look": False})
    assert run.raise_for_error().value == "Berlin"


def test_the_log_and_a_rejected_answer_show_the_text_that_was_run(ask):
    run = ask({"root": [Raw("FINAL(Berlin)"), "print(context)\nFINAL('Bonn')"]}, context=list(range(9999)))
    shown = observation(run, 1)
    assert "Look at the data first" in shown
    assert "name no variables" in shown
    codes = [event.code for event in run.events if event.kind == "code_started"]
    assert codes[0] == "FINAL('Berlin')"
    assert run.raise_for_error().value == "Bonn"


def test_the_dict_answer_stands_for_its_content_and_is_no_answer_while_it_is_empty(ask):
    run = ask({"root": [LOOK, Raw("FINAL(answer)"), "answer['content'] = 7", Raw("FINAL(answer)")]})
    assert "`answer` is empty" in observation(run, 2)
    assert run.raise_for_error().value == 7


@pytest.mark.parametrize(
    "reply",
    [
        "print(FINAL(rows))",
        "return FINAL(rows)",
        "answer = FINAL(rows)",
        "FINAL = rows",
        "if rows:\n    return FINAL(rows)\nFINAL('none')",
        "for row in rows:\n    if row == 2:\n        return FINAL(rows)\nraise ValueError",
        ">>> n = len(rows)\n>>> if n:\n...     m = n\n2\n>>> FINAL(rows)",
        "In [1]: n = len(rows)\n   ...: n\nOut[1]: 2\n\nIn [2]: FINAL(rows)",
        "python\nFINAL(rows)",
    ],
)
@pytest.mark.parametrize("fence", ["```repl\n{}\n```", "{}", "```\n{}\n```"])
def test_odd_ways_to_answer_end_the_run(ask, reply, fence):
    if not (fence == "{}" and reply.startswith("python")):
        assert ask({"root": [LOOK, Raw(fence.format(reply))]}).raise_for_error().value == [1, 2]


def test_a_function_called_final_is_no_answer(ask):
    run = ask({"root": [f"{LOOK}\ndef FINAL(x):\n    return x\nFINAL(5)", "FINAL(6)"]})
    assert run.raise_for_error().value == 6


def test_a_block_with_an_answer_in_prose_goes_on_and_the_line_ends_the_run(ask):
    run = ask({"root": [LOOK, Raw("```repl\ntotal = sum(rows)\n```\nFINAL_VAR(total)"), "FINAL_VAR(total)"]})
    assert "outside of the code block and was not run" in observation(run, 2)
    assert run.raise_for_error().value == 3


def test_a_made_up_output_does_not_end_the_run(ask):
    run = ask(
        {"root": [LOOK, Raw("```repl\nprint(sum(rows))\n```\nOutput:\n99\n\nFINAL(99)"), "FINAL(sum(rows))"]}
    )
    assert observation(run, 2).startswith("Output:\n3\n")
    assert "you wrote that" in observation(run, 2)
    assert run.raise_for_error().value == 3


def test_an_announced_answer_does_not_end_the_run(ask):
    run = ask({"root": [LOOK, Raw("I will check the totals and call FINAL(rows)."), "FINAL(sum(rows))"]})
    assert run.raise_for_error().value == 3


def test_what_the_kernel_decides_is_marked_in_the_reply():
    assert parse_reply("FINAL(A|B)").text.names == ("A", "B")
    assert parse_reply("FINAL(A|B)").blocks == ("FINAL(A|B)",)
    assert parse_reply("FINAL(total)").text is None
    assert parse_reply("```repl\nFINAL(Paris)\n```").text is None
