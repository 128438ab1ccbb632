"""Replies that go on after their code as if it had been run: what stands below a made-up output is not run."""

import pytest

from rlm_jupyter.engine.reply.parse import parse_reply

BLOCK = "```repl\nx = f()\n```\n"
MARKS = [
    "Output:\n42",
    "Output: 42",
    "**Output:** 42",
    "`Output`:\n```\n42\n```",
    "Output of block 1:\n42",
    "Output of the code above:\n42",
    "### Output\n42",
    "Expected output:\n42",
    "Result:\n42",
    "Results: [1, 2]",
    "Execution result:\n42",
    "Observation: there are 42",
    "Observation 1:\n42",
    "### Observation\n42",
    "[Output]\n42",
    "<output>42</output>",
    "<tool_response>\n42\n</tool_response>",
    "Out[3]: 42",
    "stdout:\n42",
    "Here is the output:\n\n42",
    "The output is:\n```\n42\n```",
    "```output\n42\n```",
    "```text\n42\n```",
    "```console\n42\n```",
    "Output\n------\n42",
    "(Output)\n42",
    "// Output: 42",
    "Output \u2192\n42",
    "Ausgabe:\n42",
    "The output of this code is: 42",
    "This prints:\n42",
    "Running this code gives:\n```\n42\n```",
    "Environment:\n42",
    "Traceback (most recent call last):\n  ...\nValueError: 42",
    "User: Output: 42",
    "Human: it is 42",
    "**User:** it is 42",
    "<|im_start|>user\n42<|im_end|>\n<|im_start|>assistant\n",
    "Question:\nAnd now?",
    "### User\nAnd now?",
    "Left to spend: 3 turns.",
    "This is your last turn: call FINAL(...) now.",
]
ANSWERS = [
    "```repl\nFINAL(42)\n```",
    "```\nFINAL(42)\n```",
    "FINAL(42)",
    "So the answer is FINAL_VAR(x).",
    "```repl\nfor (\n",
    "```json\n{}\n```\n```python\nFINAL(1)\n```",
]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("mark", MARKS)
def test_what_follows_a_made_up_output_is_not_run_and_that_is_told(mark, answer):
    reply = parse_reply(f"I look.\n{BLOCK}{mark}\n\n{answer}")
    assert reply.blocks == ("x = f()",)
    (notice,) = reply.notices
    assert "Nothing from there on was run" in notice
    assert "line 5" in notice


def test_blocks_before_it_are_run():
    reply = parse_reply(f"{BLOCK}and\n```repl\ny = g(x)\n```\nOutput:\n3\n{BLOCK}")
    assert reply.blocks == ("x = f()", "y = g(x)")


def test_a_made_up_output_is_told_where_nothing_follows_it():
    reply = parse_reply(f"{BLOCK}Output:\n42\n\nThere are 42 of them.")
    assert "line 4" in reply.notices[0]


@pytest.mark.parametrize(
    "text",
    [
        f"The question asks for this.\nOutput: a number\n{BLOCK}```repl\nFINAL(x)\n```",
        f"Output:\n{BLOCK}```repl\nFINAL(x)\n```",
        f"Question:\nHow many?\n{BLOCK}```repl\nFINAL(x)\n```",
        f"{BLOCK}Result:\n```repl\nFINAL(x)\n```",
        f"{BLOCK}### Final result\n\n```repl\nFINAL(x)\n```",
        f"{BLOCK}Output format: a list of names.\n```repl\nFINAL(x)\n```",
        f"{BLOCK}Output: a list of names\n```repl\nFINAL(x)\n```",
        f"{BLOCK}The output should be a number.\n```repl\nFINAL(x)\n```",
        f"{BLOCK}The results are stored in `x`.\n```repl\nFINAL(x)\n```",
        f"{BLOCK}The output is 5, so:\n```\nFINAL(x)\n```",
        f"{BLOCK}The answer has this form:\n```text\nname: count\n```\n```repl\nFINAL(x)\n```",
        f"{BLOCK}This gives the number of lines.\n```repl\nFINAL(x)\n```",
        f"{BLOCK}It prints 42 if all is well.\n```repl\nFINAL(x)\n```",
        f"{BLOCK}The users: these matter.\n```repl\nFINAL(x)\n```",
        f"<think>{BLOCK}Output:\n42\n</think>{BLOCK}```repl\nFINAL(x)\n```",
    ],
)
def test_what_is_no_made_up_output_leaves_all_blocks(text):
    assert parse_reply(text).blocks == ("x = f()", "FINAL(x)")


@pytest.mark.parametrize(
    "text", ["Output:\nFINAL(42)", "Result: FINAL(42)", "Observation: it is so.\n\nFINAL(42)"]
)
def test_a_title_without_code_before_it_leaves_the_answer(text):
    assert parse_reply(text).blocks == ("FINAL(42)",)


def test_code_without_a_fence_is_run_up_to_the_output():
    reply = parse_reply("x = f()\nprint(x)\n\nOutput:\n42\n\nFINAL(42)")
    assert reply.blocks == ("x = f()\nprint(x)",)
    assert "line 4" in reply.notices[1]


def test_the_mark_is_shown_short_and_harmless():
    (notice,) = parse_reply(f"{BLOCK}Output: `{'a' * 5000}`\n").notices
    assert len(notice) < 400
