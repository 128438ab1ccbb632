"""The comparison of speed, what of it is pure: ratios, verdicts, the table, and the replies of the scripted server."""

import ast
import json
import re

import pytest

from benchmarks.peers.adapter import check, check_parts
from benchmarks.peers.figures import FIGURES, GROUPS, Figure, Goal, Sizes
from benchmarks.peers.measure import order
from benchmarks.peers.replies import WORDS, replies
from benchmarks.peers.table import description, inside, table
from benchmarks.peers.verdict import verdict, wanted
from benchmarks.server import agent_of, turn_of

RATIOS = Figure("f", "g", "title", "s", Goal(2.0, 0.5))
LEAST = Figure("f", "g", "title", "ms", Goal(2.0, 1.0, least=1.5))
BELOW = Figure("f", "g", "title", "s", Goal(2.0, 1.0, below=True))


def samples(**of):
    return {name: {"f": values} for name, values in of.items()}


@pytest.mark.parametrize(
    ("figure", "ours", "floor", "dspy", "told"),
    [
        (RATIOS, [2.0], [1.0], [4.0], "reached"),
        (RATIOS, [2.1], [1.0], [4.3], "missed (the floor)"),
        (RATIOS, [2.0], [1.0], [3.9], "missed (DSPy)"),
        (RATIOS, [2.1], [1.0], [3.9], "missed (the floor and DSPy)"),
        (RATIOS, [2.0], [1.0], [], "not known (DSPy not measured)"),
        (RATIOS, [2.1], [1.0], [], "missed (the floor)"),
        (RATIOS, [2.0], [], [], "not known (the floor and DSPy not measured)"),
        (RATIOS, [], [1.0], [4.0], "not known (the floor and DSPy not measured)"),
        (LEAST, [3.0], [0.1], [9.0], "reached"),
        (LEAST, [3.1], [0.1], [9.0], "missed (the floor)"),
        (LEAST, [4.0], [2.0], [9.0], "reached"),
        (BELOW, [1.9], [1.0], [2.0], "reached"),
        (BELOW, [2.0], [1.0], [2.0], "missed (DSPy)"),
    ],
)
def test_a_verdict_holds_for_both_ratios(figure, ours, floor, dspy, told):
    assert verdict(figure, samples(ours=ours, floor=floor, dspy=dspy)).told == told


def test_ratios_are_those_of_the_medians():
    came = verdict(RATIOS, samples(ours=[1.0, 2.0, 90.0], floor=[0.1, 1.0, 80.0], dspy=[4.0, 8.0]))
    assert (came.floor, came.dspy, came.told) == (2.0, 2.0 / 6.0, "reached")


def test_a_figure_without_a_wanted_ratio_has_no_verdict():
    came = verdict(Figure("f", "g", "title", "MB"), samples(ours=[4.0], floor=[1.0]))
    assert (came.floor, came.dspy, came.told) == (4.0, None, "")


def test_the_wanted_ratios_are_those_of_the_goals():
    told = {figure.name: wanted(figure) for figure in FIGURES if wanted(figure)}
    assert told == {
        "batch_warm": "≤ 1.7 x floor, ≤ 0.5 x DSPy",
        "batch_fresh": "≤ 3.2 x floor, ≤ 0.8 x DSPy",
        "agents_warm": "≤ 8.3 x floor, below DSPy",
        "agents_4th": "≤ 8.3 x floor, below DSPy",
        "agents_last": "≤ 8.3 x floor, below DSPy",
        "agents_fresh": "≤ 13 x floor, ≤ 1.1 x DSPy",
        "between": "≤ 10 x floor, below DSPy",
        "before": "≤ 30 x floor (of 1 ms or more), ≤ 0.37 x DSPy",
        "after": "≤ 20 x floor (of 1 ms or more), ≤ 2.2 x DSPy",
        "after_closed": "≤ 20 x floor (of 1 ms or more), ≤ 2.2 x DSPy",
        "start": "≤ 14 x floor, ≤ 1.1 x DSPy",
        "memory": "≤ 25 x floor, ≤ 1.5 x DSPy",
    }
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)


def test_the_table_has_medians_ranges_ratios_and_what_was_not_measured():
    found = {
        "floor": {"start": [0.1, 0.13, 0.2]},
        "dspy": {"start": [1.5]},
        "ours": {"start": [1.25, 1.3, 1.7]},
    }
    head, line, row = table(found, Sizes(), ["floor", "dspy", "rlms", "ours"], ["start"]).splitlines()
    assert head == ("| figure | floor | DSPy | rlms | ours | ours / floor | ours / DSPy | wanted | verdict |")
    assert set(line) == set("| -")
    assert row == (
        "| fresh process → result of one turn, imports included | 0.13 s (0.1 to 0.2) | 1.5 s | — |"
        " 1.3 s (1.25 to 1.7) | 10 | 0.867 | ≤ 14 x floor, ≤ 1.1 x DSPy | reached |"
    )


def test_all_groups_are_one_table_with_as_many_cells_in_each_row():
    lines = table({}, Sizes(), ["floor", "ours"], list(GROUPS)).splitlines()
    assert len(lines) == 2 + len(FIGURES)
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
    assert not re.search(r"[{}]", "".join(lines))
    assert "| 200 sub-calls of 200 ms in one batch, warm |" in lines[2]


def test_other_sizes_have_no_verdict():
    found = {name: {"start": [1.0]} for name in ("floor", "dspy", "ours")}
    (row,) = table(found, Sizes(calls=2), list(found), ["start"]).splitlines()[2:]
    assert row.endswith("| none: other sizes |")


def test_what_the_calling_code_saw_is_told_beside_the_table():
    found = {"ours": {"batch_warm": [0.5], "batch_warm_inside": [0.25]}, "floor": {"batch_warm": [0.4]}}
    assert inside(found, ["floor", "ours"]) == [
        "- Of it, the warm batch as the root's code sees it: ours 0.25 s."
    ]


def test_the_machine_and_all_versions_are_told():
    about = {"processor": "P", "cores": "2", "memory": "8 GB", "system": "S 1"}
    about |= {"load": "0.1", "load at the end": "0.9"}
    told = "\n".join(description(about, {"floor": {"python": "3.12"}, "dspy": {"dspy": "3.4.1"}}, 5))
    for part in ("P, 2 cores, 8 GB, S 1", "load 0.1", "0.9 at the end", "dspy 3.4.1", "python 3.12", ": 5;"):
        assert part in told


def test_contenders_take_turns():
    assert list(order(["floor", "ours"], 2)) == [(0, "floor"), (0, "ours"), (1, "floor"), (1, "ours")]


@pytest.mark.parametrize("contender", sorted(WORDS))
def test_the_replies_of_a_contender_are_code_that_says_whose_turn_it_is(contender):
    sizes = Sizes(calls=3, agents=2, turns=4)
    made = replies(contender, sizes)
    assert json.loads(json.dumps(made)) == made
    assert len(made["turns"]) == 4
    assert [reply["latency"] for reply in made["part"]] == [0.05, 0.05]
    assert made["plain"] == [{"text": "ok", "latency": 0.2}]
    by_hand = contender in ("floor", "dspy-host")
    assert set(made) == {"one", "turns", "part", "plain"} | (set() if by_hand else {"batch", "agents"})
    for name, turns in made.items():
        for number, reply in enumerate(turns, 1):
            if name != "plain":
                (code,) = re.findall(r"```\w+\n(.*?)\n```", reply["text"], re.DOTALL)
                ast.parse(code)
                assert code.startswith(f"# turn {number}\n")


def chat(*texts):
    return {"messages": [{"role": "user", "content": text} for text in texts]}


def test_the_server_knows_an_agent_by_its_question_and_its_turn_by_its_code():
    root = chat(
        "Instructions about [lists] and x[part].", "[batch] Run the code.", '# turn 1\nf(["[part] 1"])'
    )
    assert (agent_of(chat("Data.", "[batch] Run.", '# turn 1\nf(["[part] 1"])')), turn_of(root)) == (
        "batch",
        2,
    )
    assert agent_of(chat("no name"), "plain") == "plain"
    assert turn_of(chat("[turns] Run.")) == 1
    assert turn_of(chat("[turns] Run.", "# turn 9\n...\n# turn 10\n...")) == 11
    parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "[one] Run."}]}]}
    assert (agent_of(parts), turn_of(parts)) == ("one", 1)


def test_a_contender_that_returns_something_else_has_no_figure():
    assert check_parts("20 1 0.5", 20, 1) == 0.5
    with pytest.raises(AssertionError, match="19 values, 1 of them different"):
        check_parts("19 1 0.5", 20, 1)
    with pytest.raises(AssertionError, match="20 values, 3 of them different"):
        check_parts("20 3 0.5", 20, 20)
    check(["ok"], ["ok"])
    with pytest.raises(AssertionError, match="'Error: no'"):
        check("Error: no", "ok")
