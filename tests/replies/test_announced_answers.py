"""`FINAL(...)` in a sentence: an answer is run, what is announced, planned or shown is not."""

import pytest

from rlm_jupyter.engine.reply.parse import parse_reply

ANNOUNCED = [
    "I will check the totals and call FINAL(answer).",
    "I will check the totals: count, sum, and call FINAL(answer).",
    "I'll return FINAL(answer).",
    "I\u2019ll submit the list with FINAL(answer).",
    "Let me call FINAL(answer).",
    "Let's finish with FINAL(answer).",
    "Now we call FINAL(answer).",
    "Next, FINAL(answer).",
    "The next step is to sum them and pass the sum to FINAL(answer).",
    "To answer, use FINAL(answer).",
    "To answer the question, I use FINAL(answer).",
    "I am going to use FINAL(answer).",
    "I'm ready to call FINAL(answer).",
    "It is time to call FINAL(answer).",
    "I plan on calling FINAL(answer).",
    "I have the totals and return FINAL(answer).",
    "We shall end this by FINAL(answer).",
    "After that, FINAL(answer).",
    "Finally, call FINAL(answer).",
    "Call FINAL(answer).",
    "Please use FINAL(answer) in the last turn.",
    "Use the format: FINAL(answer)",
    "I answer in the form FINAL(answer), such as FINAL(answer).",
    "Once the totals are there, I will call: FINAL(answer)",
    "FINAL(answer) will be called in the last turn.",
    "The FINAL(answer) function ends the work.",
    "My next action: call FINAL(answer).",
    "In the following turn I'm calling FINAL(answer).",
    "First I look, and FINAL(answer) comes last.",
    "Step 1: look. Step 2: FINAL(answer)",
    "The plan: look, count, FINAL(answer).",
    "1. Count the lines.\n2. Sum them.\n3. FINAL(answer)",
    "My plan:\n- count the lines\n- sum them\n- FINAL(answer)",
    "I look at all of the lines of the text first, I count them, and will\nreturn FINAL(answer) with the count.",
]


@pytest.mark.parametrize("text", ANNOUNCED)
def test_an_announced_call_is_not_run_and_the_model_is_told(text):
    reply = parse_reply(text)
    assert reply.blocks == ()
    assert "no code block" in reply.problem


@pytest.mark.parametrize("text", ANNOUNCED)
def test_an_announced_call_beside_a_block_is_no_answer_left_out(text):
    reply = parse_reply(f"{text}\n\n```repl\nprint(1)\n```")
    assert (reply.blocks, reply.notices) == (("print(1)",), ())


@pytest.mark.parametrize(
    "text",
    [
        "FINAL(42)",
        "The answer is: FINAL(42)",
        "The answer is FINAL(42).",
        "We counted five lines, so the answer is FINAL(42).",
        "To answer your question, the result is FINAL(42).",
        "**Answer:** FINAL(42)",
        "I'll answer: FINAL(42)",
        "So FINAL(42).",
        "Finally, FINAL(42).",
        "In conclusion, FINAL(42)",
        "I return FINAL(42).",
        "Returning FINAL(42).",
        "Return FINAL(42)",
        "I will return FINAL(42) now",
        "I found it. FINAL(42)",
        "I will count them.\n\nFINAL(42)",
        "I will now return\nFINAL(42)",
        "Once counted, it is clear:\n\n`FINAL(42)`",
        "The refunds rose in May: FINAL(42)",
        "My final answer = FINAL(42)",
        "I'm going with FINAL(42).",
        "Based on the data above, I conclude FINAL(42).",
        "FINAL(42) is the answer.",
        "1. We counted.\n2. The answer is FINAL(42).",
        "Done.\nreturn FINAL(42)",
        "Done.\nanswer = FINAL(42)",
        "Done.\nprint(FINAL(42))",
        "- FINAL(42)",
    ],
)
def test_a_call_that_answers_is_run(text):
    assert parse_reply(text).blocks == ("FINAL(42)",)


def test_a_call_on_its_own_line_goes_before_what_was_announced():
    assert parse_reply("I will call FINAL(answer).\n\nFINAL(42)").blocks == ("FINAL(42)",)


@pytest.mark.parametrize(
    ("prose", "line"),
    [
        ("FINAL_VAR(total)", "FINAL_VAR(total)"),
        ("FINAL(total)", "FINAL(total)"),
        ("The answer is: FINAL(total)", "FINAL(total)"),
        ("FINAL(the total is 5)", "FINAL('the total is 5')"),
    ],
)
@pytest.mark.parametrize("order", ["after", "before"])
def test_an_answer_outside_of_the_block_is_told_with_the_line_to_send(prose, line, order):
    parts = ["```repl\ntotal = 5\n```", prose]
    reply = parse_reply("\n\n".join(parts if order == "after" else parts[::-1]))
    assert reply.blocks == ("total = 5",)
    (notice,) = reply.notices
    assert "outside of the code block and was not run" in notice
    assert f"```repl\n{line}\n```" in notice


def test_a_long_answer_outside_of_the_block_is_not_repeated():
    (notice,) = parse_reply(f"```repl\nx = 1\n```\nFINAL('{'a' * 5000}')").notices
    assert len(notice) < 300


@pytest.mark.parametrize(
    "text",
    [
        "```repl\nFINAL(x)\n```\nFINAL(x)",
        "```repl\nprint(x)\n```\n`FINAL(value)` ends the work.",
        "```repl\nprint(x)\n```\n> FINAL(x)",
    ],
)
def test_a_call_that_a_block_makes_too_or_that_is_only_spoken_of_is_no_answer_left_out(text):
    assert parse_reply(text).notices == ()
