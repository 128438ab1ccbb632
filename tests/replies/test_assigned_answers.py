"""`Final = value` at the end of a reply's code: the answer, where nothing else in the reply is one."""

import pytest
from run_parts import asking

from rlm_jupyter.engine.reply.parse import parse_reply


def fenced(*blocks):
    return "\n".join(f"Text.\n\n```repl\n{block}\n```" for block in blocks)


@pytest.mark.parametrize(
    "code",
    [
        "Final = 3",
        "n = len(context)\nFinal = n * 2",
        "Final = {\n    'a': 1,\n}",
        "Final: int = 3",
        "from typing import Final\nFinal: Final = 3",
        "Final = total\nprint(Final)",
        "Final = total\nFinal",
        "Final=total  # the answer\n",
    ],
)
def test_an_assignment_at_the_end_is_the_answer(code):
    reply = parse_reply(fenced(code))
    assert reply.blocks == (f"{code.rstrip()}\nFINAL(Final)",)
    assert any("was taken as the answer" in notice for notice in reply.notices)
    assert parse_reply(fenced("x = 1", code)).blocks == ("x = 1", f"{code.rstrip()}\nFINAL(Final)")


@pytest.mark.parametrize(
    "code",
    [
        "Final = 3\nx = Final + 1",  # a variable of the code
        "Final = 3\nFINAL(4)",
        "Final = 3\nSUBMIT(4)",
        "Final = 3\nanswer['content'] = 4",
        "Final(3)",
        "final = 3",
        "Final == 3",
        "Final += 3",
        "Final['a'] = 3",
        "Final = Final.dropna()",  # the data, which is called so
        "print(Final)\nFinal = 3",
        "def f():\n    Final = 3\n    return Final",
        "for i in range(3):\n    Final = i",
        "class Final:\n    pass",
        "FINAL = 3",
        "text = '''\nFinal = 3\n'''",
        "# Final = 3\nx = 1",
        "Final = (",
    ],
)
def test_other_code_is_read_as_it_was(code):
    assert not any("FINAL(Final)" in block for block in parse_reply(fenced(code)).blocks)


def test_an_answer_of_another_block_is_the_answer():
    assert parse_reply(fenced("Final = 3", "FINAL(4)")).blocks == ("Final = 3", "FINAL(4)")
    assert parse_reply(fenced("FINAL(4)", "Final = 3")).blocks == ("FINAL(4)", "Final = 3")
    assert parse_reply(fenced("Final = 3", "print(Final)")).blocks == ("Final = 3", "print(Final)")


def test_a_run_has_the_variable_as_its_value_and_code_behind_it(tmp_path):
    script = {
        "root": [
            "Final = 3",
            "print(context[:3])",
            "total = sum(context)\nFinal = {'total': total}\nprint('done')",
        ]
    }
    with asking(tmp_path) as ask:
        run = ask(script, "root", list(range(5000)))
        assert run.value == {"total": sum(range(5000))}
        first = run.tree.agents["0"].turns[0].cells[0]
        assert "Your code has not read `context` yet" in str(run.messages())  # it is checked as any answer
        assert first.status == "error"
        assert run.code().verdict == "reproduced"
