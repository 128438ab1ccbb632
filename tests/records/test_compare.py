"""Runs compared: a table for all, and two side by side with agents, turns and lines of code matched."""

import re

import pytest
from hostile_text import PAYLOADS
from scripts import by_question

from rlm_jupyter import RLM
from rlm_jupyter.errors import ConfigError, LogError, RunNotFoundError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.records import compare, load
from rlm_jupyter.records.compare import Comparison
from rlm_jupyter.records.matching import MOST_AGENTS, MOST_TURNS, match_agents


class Story:
    """A tree, told event by event."""

    def __init__(self, run="one", question="How many?"):
        self.seq, self.call, self.cell, self.run = 0, 0, 0, run
        self.tree = TreeState()
        self.tell(
            ev.RunStarted, "", question=question, model=f"model-{run}", sub_model="m", scripted=False, limits={}, context=None
        )  # fmt: skip
        self.agent("0", None, question)

    def tell(self, kind, agent, **fields):
        self.seq += 1
        self.tree.apply(kind(run=self.run, agent=agent, seq=self.seq, time=1000.0 + self.seq, **fields))

    def agent(self, agent, parent, question):
        depth = agent.count(".")
        self.tell(ev.AgentStarted, agent, parent=parent, depth=depth, question=question, model="m")
        return self

    def turn(self, agent, code, output="", tokens=10):
        self.call += 1
        self.cell += 1
        turn = len(self.tree.agents[agent].turns) + 1
        self.tell(ev.PromptSent, agent, call=self.call, purpose="turn", turn=turn, model="m")
        self.tell(
            ev.ReplyFinished, agent, call=self.call, text=code, model="m", finish_reason="stop", input_tokens=tokens,
            output_tokens=1, cost=0.5, seconds=1.0,
        )  # fmt: skip
        self.tell(ev.CodeStarted, agent, cell=self.cell, turn=turn, code=code)
        self.tell(ev.CodeFinished, agent, cell=self.cell, status="ok", output=output, seconds=0.5)
        return self

    def end(self, agent, preview):
        value = {"type": "str", "summary": "str", "preview": preview}
        self.tell(ev.AgentFinished, agent, status="done", value=value)
        if agent == "0":
            self.tell(ev.RunFinished, "", status="done", value=value)
        return self


def marks(tree, other, agent=0):
    pairs, _ = match_agents(tree, other)
    return [
        (p.left.turn if p.left else None, p.right.turn if p.right else None, p.verdict)
        for p in pairs[agent].turns
    ]


def test_turns_are_matched_by_their_code_and_what_is_between_in_order():
    one = Story().turn("0", "a").turn("0", "b").turn("0", "c")
    other = Story().turn("0", "a").turn("0", "new").turn("0", "b").turn("0", "changed").turn("0", "more")
    assert marks(one.tree, other.tree) == [
        (1, 1, "same"), (None, 2, "right"), (2, 3, "same"), (3, 4, "changed"), (None, 5, "right"),
    ]  # fmt: skip
    assert marks(other.tree, one.tree)[1] == (2, None, "left")


def test_sub_agents_are_matched_by_their_question_before_their_order():
    one = Story().agent("0.1", "0", "north").agent("0.2", "0", "south").agent("0.2.1", "0.2", "deep")
    other = Story().agent("0.1", "0", "south").agent("0.2", "0", "north").agent("0.3", "0", "west")
    pairs, left_out = match_agents(one.tree, other.tree)
    found = [(p.left.id if p.left else None, p.right.id if p.right else None, p.depth) for p in pairs]
    assert found == [
        ("0", "0", 0),
        ("0.1", "0.2", 1),
        ("0.2", "0.1", 1),
        ("0.2.1", None, 2),
        (None, "0.3", 1),
    ]
    assert left_out == 0


def test_the_text_has_the_table_and_both_trees_in_columns():
    one = Story("one").turn("0", "n = 1\nprint(n)", "1").turn("0", "FINAL(n)").end("0", "'1'")
    other = Story("two").turn("0", "n = 2\nprint(n)", "2", tokens=90).turn("0", "FINAL(n)").end("0", "'2'")
    text = str(Comparison([one.tree, other.tree]))
    lines = text.splitlines()
    assert lines[0].split() == [
        "run",
        "model",
        "status",
        "agents",
        "turns",
        "calls",
        "tokens",
        "cost",
        "time",
        "answer",
    ]
    assert re.match(r"one +model-one +done +1 +2 +2 +22 +\$1.00 +\d+\.\d s +'1'", lines[1])
    assert re.match(r"two +model-two +done +1 +2 +2 +102 ", lines[2])
    assert "Question: How many?" in text
    assert "The answers differ." in text
    assert re.search(r"^ +n = 1 +≠ +n = 2$", text, re.MULTILINE)
    assert re.search(r"^ +print\(n\) +=  +print\(n\)$", text, re.MULTILINE)
    assert re.search(r"^ +turn 2 .* =  +turn 2 ", text, re.MULTILINE)
    assert re.search(r"^ += '1' +≠ += '2'$", text, re.MULTILINE)
    assert "another output" in text


def test_of_three_there_is_one_table_and_it_is_a_data_frame_too():
    trees = [Story(name).turn("0", "x").end("0", "'1'").tree for name in ("one", "two", "three")]
    made = Comparison(trees)
    assert made.agents == []
    assert made.same_answer
    frame = made.frame()
    assert frame.run.tolist() == ["one", "two", "three"]
    assert frame.tokens.tolist() == [11, 11, 11]
    assert "The answers look the same" in str(made)


def test_the_questions_of_runs_that_were_asked_others_are_told():
    text = str(Comparison([Story(question="How many?").tree, Story(question="How much?").tree]))
    assert "The questions differ:\n  How many?\n  How much?" in text


@pytest.mark.parametrize("text", PAYLOADS)
def test_hostile_text_stays_text(text):
    one = Story(question=text).turn("0", text, text).end("0", text)
    other = Story("two", question=text + "!").turn("0", text + "\n1", text + "2").end("0", text + "3")
    made = Comparison([one.tree, other.tree])
    page = made._repr_html_()
    inside = page.split("</style>", 1)[1]
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z!][\w-]*)", inside))
    assert tags <= {
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "p",
        "strong",
        "span",
        "details",
        "summary",
        "pre",
        "div",
    }
    assert not re.search(r"<[^>]*\son\w+=", inside)
    assert "\x1b" not in str(made)
    assert "\u202e" not in str(made) + page


def test_a_large_log_is_bounded_and_says_what_was_left_out():
    one, other = Story("one"), Story("two")
    for story in (one, other):
        for number in range(MOST_TURNS + 7):
            story.turn("0", f"x = {number}\n" * 50)
        for number in range(1, MOST_AGENTS + 30):
            story.agent(f"0.{number}", "0", f"part {number} of {story.run}")
    made = Comparison([one.tree, other.tree])
    assert len(made.agents) <= MOST_AGENTS
    assert made.left_out > 0
    assert "Not compared, because there are many:" in str(made)
    assert len(made._repr_html_()) < 3_000_000


def test_an_agent_that_is_its_own_child_ends():
    story = Story()
    story.tree.agents["0"].children.append("0")
    pairs, _ = match_agents(story.tree, story.tree)
    assert len(pairs) <= MOST_AGENTS


def test_runs_records_and_logs_are_compared_alike(tmp_path):
    rlm = RLM(model=by_question({"q": ["n = 1", "FINAL(n)"]}), log_dir=tmp_path, cache=False)
    with rlm.run("q") as run, rlm.run("q") as other:
        made = compare(run, load(other.log_path), str(run.log_path))
        assert [row.run for row in made.rows] == [run.id, other.id, run.id]
        assert {row.tokens for row in made.rows} == {run.usage.prompt_tokens + run.usage.completion_tokens}
        assert [pair.verdict for pair in compare(run, other.log_path).agents] == ["same"]


def test_what_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="takes 2 to 50 runs, not 1"):
        compare(tmp_path / "a.jsonl")
    with pytest.raises(RunNotFoundError):
        compare(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    (tmp_path / "a.jsonl").write_text("nothing")
    with pytest.raises(LogError):
        compare(tmp_path / "a.jsonl", tmp_path / "a.jsonl")
