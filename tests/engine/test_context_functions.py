"""Functions on the data: known to each kernel, bound when a cell calls them, and told of only where that is wanted."""

import pytest
from run_parts import asking
from scripts import by_question

from rlm_jupyter.engine.error_hints.failure import Failure
from rlm_jupyter.engine.error_hints.hints import LONGEST, hint

TEXT = "".join(
    f"{n:04d} order {n}\n" + (f"{n:04d} refund of {n}.50 paid\n" if n % 100 == 0 else "") for n in range(1000)
)


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    with asking(tmp_path_factory.mktemp("functions")) as ask:
        yield ask


def outputs(run):
    return [cell.output for turn in run.tree.agents["0"].turns for cell in turn.cells]


def test_a_cell_may_call_them_and_cite_what_they_find(ask):
    script = {
        "root": [
            "print([name in globals() for name in ('grep', 'chunks', 'peek')])\nSHOW_VARS()",
            "found = grep(context, r'refund of (\\d+)')\nprint(len(found), found[1])\npeek(context, 10, 20)",
            (
                "parts = chunks(context, 5000)\nprint(len(parts), all(context[a:b] == part for a, b, part in parts))\n"
                "help(grep)"
            ),
            "start, end, line = found[-1]\nFINAL({'where': cite(context, start, end), 'parts': len(parts)})",
        ]
    }
    run = ask(script, "root", TEXT)
    assert run.error is None, run.error
    said = outputs(run)
    assert said[0].startswith("[False, False, False]")
    assert "10 (1" in said[1]
    assert "0100 refund of 100.50 paid" in said[1]
    assert "[characters 10 to 30 of" in said[1]
    assert "True" in said[2]
    assert "Returns the lines in which a regular expression is found" in said[2]
    assert str(run.value["where"]) == "0900 refund of 900.50 paid"
    assert set(run.tree.agents["0"].variables) >= {"found", "parts", "start"}
    assert not {"grep", "chunks", "peek"} & set(run.tree.agents["0"].variables)
    assert "chunks" not in "".join(message["content"] for message in run.messages()[:2])


def test_the_code_behind_an_answer_has_what_it_calls(ask):
    script = {
        "root": [
            "rows = [line for _, _, line in grep(context, 'refund')]\nprint(rows[:2])\npeek(context)",
            "total = sum(float(row.split()[3]) for row in rows)\nsizes = [len(part) for *_, part in chunks(context, 3000)]",
            "FINAL([total, len(sizes)])",
        ]
    }
    run = ask(script, "root", TEXT)
    code = run.code()
    assert code.verdict == "reproduced", code.detail
    assert "def grep(" in str(code)
    assert "def chunks(" in str(code)


def test_names_of_the_code_and_of_the_data_stay_theirs(ask):
    def peek(text: str) -> str:
        """Returns a tool's word."""
        return f"the tool's {text}"

    script = {
        "root": [
            "print(len(context))\nchunks = [1, 2]\nprint(chunks)",
            "def grep(a, b):\n    return 'mine'\nprint(grep(context, 'x'), chunks, peek('word'))",
            "try:\n    found\nexcept NameError:\n    found = grep\nprint(found(1, 2))",
            "try:\n    describe\nexcept NameError:\n    print('not bound')",
            "try:\n    find_lines(context, 'x')\nexcept NameError:\n    find_lines = 'own'\nprint(find_lines)",
            "FINAL(grep(1, 2))",
        ]
    }
    run = ask(script, "root", TEXT, tools=[peek])
    assert run.value == "mine"
    said = outputs(run)
    assert "[1, 2]" in said[0]
    assert "mine [1, 2] the tool's word" in said[1]
    assert "mine" in said[2]
    assert "not bound" in said[3]
    assert said[4] == "own"


def test_the_prompt_names_them_only_where_it_is_told_to(ask):
    script = {"root": ["FINAL(len(context))"]}
    told = {}
    for wanted in (False, True):
        model = by_question(script)
        ask({}, "root", TEXT, model=model, settings={"context_functions": wanted, "require_look": False})
        told[wanted] = "".join(message["content"] for message in model.requests[0].messages)
    assert "grep" not in told[False]
    assert "grep(text, pattern, most=50, ignore_case=False)" in told[True]
    assert 300 < len(told[True]) - len(told[False]) < 900


@pytest.mark.parametrize(
    ("name", "text", "code", "wanted"),
    [
        (
            "AttributeError",
            "'str' object has no attribute 'grep'",
            "context.grep('x')",
            "grep(context, r'pattern')",
        ),
        (
            "AttributeError",
            "'dict' object has no attribute 'chunks'",
            "context.chunks(3)",
            "chunks(context, 50_000",
        ),
        ("NameError", "name 'chunk_text' is not defined", "chunk_text(context)", "chunks(context, 50_000"),
        ("NameError", "name 'search_text' is not defined", "search_text (context)", "grep(context"),
    ],
)
def test_names_of_other_harnesses_get_a_hint(name, text, code, wanted):
    found = hint(Failure(name, text, code))
    assert wanted in found
    assert len(found) <= LONGEST


def test_a_forgotten_variable_of_such_a_name_gets_no_such_hint():
    found = hint(Failure("NameError", "name 'chunk' is not defined", "print(chunk)"))
    assert found is None or "chunks(context" not in found
