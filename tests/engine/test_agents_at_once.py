"""Fifty agents at once that print, work and print again: nothing is lost, and nothing goes astray."""

import re

import pytest
from scripts import by_question

from rlm_jupyter import RLM, Limits

WIDTH = 50
MARK = re.compile(r"<(\d+):(\w+)>")

FIRST = """\
import sys, subprocess, time
print(f"<{context}:begin>")
print(f"<{context}:error>", file=sys.stderr)
answer_of_model = llm_query(f"agent {context}")
print(f"<{context}:model>", answer_of_model)
total = sum(i * i for i in range(20_000))
for n in range(20):
    print(f"<{context}:line{n}>")
    time.sleep(0.001)
print(f"<{context}:end>")
f"<{context}:shown>\""""
SECOND = """\
import threading
thread = threading.Thread(target=lambda: print(f"<{context}:thread>"))
thread.start()
thread.join()
print(f"<{context}:again>")"""
MARKS = ["begin", "error", "model", *[f"line{n}" for n in range(20)], "end", "shown"]


@pytest.fixture(scope="module")
def run():
    root = (
        "print('<root:begin>')\n"
        f"parts = rlm_query_batched(['part'] * {WIDTH}, contexts=list(range({WIDTH})))\n"
        "print('<root:end>', len(parts))"
    )
    script = {"root": [root, "FINAL(parts)"], "part": [FIRST, SECOND, "FINAL([context, answer_of_model])"]}
    model = by_question(script, plain=lambda prompt: f"reply to {prompt}")
    rlm = RLM(model=model, log_dir=None, cache=False, limits=Limits(depth=1))
    with rlm.start("root").wait(120) as run:
        yield run


def test_each_agent_gives_its_own_value(run):
    assert run.raise_for_error().value == [[n, f"reply to agent {n}"] for n in range(WIDTH)]


def test_no_output_is_lost_and_none_is_in_another_agents_prompt(run):
    of_agent = {}
    for agent_id in run.agents:
        if agent_id == "0":
            continue
        messages = run.messages(agent_id)
        shown = [MARK.findall(messages[index]["content"]) for index in (3, 5)]
        owners = {owner for marks in shown for owner, _ in marks}
        assert len(owners) == 1
        of_agent[owners.pop()] = agent_id
        assert sorted(mark for _, mark in shown[0]) == sorted(MARKS)
        printed = [mark for _, mark in shown[0] if mark not in ("error", "shown")]
        assert printed == [mark for mark in MARKS if mark not in ("error", "shown")]
        assert sorted(mark for _, mark in shown[1]) == ["again", "thread"]
    assert len(of_agent) == WIDTH


def test_what_sub_agents_print_is_not_in_their_parents_prompt(run):
    assert not MARK.search("".join(message["content"] for message in run.messages("0")[1:]))
    assert "<root:end> 50" in run.messages("0")[3]["content"]


def test_the_tree_has_the_same_outputs(run):
    for agent in list(run.tree.agents.values())[1:]:
        marks = MARK.findall(agent.turns[0].cells[0].output)
        assert len(marks) == len(MARKS)
        assert len({number for number, _ in marks}) == 1
