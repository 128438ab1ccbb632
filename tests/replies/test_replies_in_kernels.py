"""Hairy replies and outputs in real kernels: what the reader of replies gives is run, and the run goes on."""

import pandas as pd
import pytest
from scripts import Raw
from tool_runs import asking


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


FENCE = "```"
NESTED = Raw(f'''\
I ask for JSON:

{FENCE}repl
prompt = """Answer in
{FENCE}json
{{"a": 1}}
{FENCE}
"""
said = llm_query(prompt)
print(said)
{FENCE}
{FENCE}
''')


def test_a_fence_in_a_string_with_a_doubled_closer_reaches_the_sub_call_whole(ask):
    run = ask({"root": [NESTED, "FINAL(said)"]}, plain=lambda prompt: f"got {prompt}")
    assert run.value == f'got Answer in\n{FENCE}json\n{{"a": 1}}\n{FENCE}\n'


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (f"<think>I could\n{FENCE}repl\nran.append(1)\n{FENCE}\nbut wait", "ended inside its thinking"),
        (f"<think>\n{FENCE}repl\nran.append(1)\n{FENCE}\n</think>\nLet me see.", "has no code block"),
        (f"{FENCE}repl\n1 / 0\n{FENCE}\nSo:\n{FENCE}repl\nFINAL('guess')\n{FENCE}", "block 1 failed"),
        (f"{FENCE}repl\nif True:\n    1 / 0\nFINAL('guess')\n{FENCE}", "ZeroDivisionError"),
        (f"{FENCE}repl\nprint(2)\n{FENCE}\nOutput:\n{FENCE}\nran.append(2)\n{FENCE}", "Output:\n2"),
    ],
)
def test_what_must_not_run_does_not_and_the_model_is_told(ask, reply, told):
    run = ask({"root": ["ran = []", Raw(reply), "FINAL(ran)"]})
    assert run.value == []
    assert told in run.messages()[5]["content"]


@pytest.mark.parametrize(
    "code",
    [
        r"print('a\ud800b')",
        r"'a\ud800b'",
        r"import sys; sys.stderr.write('a\ud800b')",
        r"raise ValueError('a\ud800b')",
        r"from IPython.display import display; display('a\ud800b')",
        "print('a\ud800b')",
    ],
    ids=["print", "result", "stderr", "error", "display", "code"],
)
def test_half_a_surrogate_pair_in_output_or_code_hangs_nothing(ask, code):
    run = ask({"root": [code, "print('and more')", "FINAL('a\\ud800b')"]})
    seen = [message["content"] for message in run.messages()[3::2]]
    assert "a" in seen[0]
    assert "b" in seen[0]
    assert "\ufffd" in seen[0] or "\\ud800" in seen[0]
    assert "and more" in seen[1]
    assert run.value == "a\ud800b"


@pytest.mark.parametrize(
    "data", [["\ud800"], {"\ud800": 1}, pd.Series(["\ud800"], dtype=object), "\ud800" * 9]
)
def test_data_of_half_characters_is_described_and_handed_over(ask, data):
    run = ask({"root": ["print(context)", "FINAL(len(context))"]}, context=data)
    assert run.value == len(data)
