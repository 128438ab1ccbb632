"""A run's branches in its tree: rows below the agent that they leave, with figures of their own."""

import json

import pytest
from hostile_text import PAYLOADS
from run_story import FRAME, Story

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_copy import BranchedTree
from rlm_jupyter.events.tree_history import TreeHistory
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.views import text_tree
from rlm_jupyter.views.agent_page import detail
from rlm_jupyter.views.branch_rows import DEEPEST, MOST, with_branches
from rlm_jupyter.views.replay import Replay
from rlm_jupyter.views.saved_page import saved_page, static_page
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.widget_messages import Patcher, Totals, rows, run_fields


def left(name="r", **started):
    """A run that has ended, with a sub-agent and two turns of the root."""
    story = Story("Which?", run=name, **started)
    story.agent("0", "Which?")
    story.turn("0", cost=0.5)
    story.agent("0.1", "A part")
    story.turn("0.1", cost=0.25)
    story.end_agent("0.1", value=FRAME)
    story.turn("0", turn=2, cost=0.25)
    story.end_agent("0", value=FRAME)
    story.end(value=FRAME)
    return story


def branch(story, other=None, *, agent="0", turn=2, live=True, whole=True, name="b", log="b.jsonl"):
    """Tell a run of a branch, as the engine does."""
    other = other or left(name)
    told = {"branch": other.run, "turn": turn, "change": "code", "log": log}
    story.tell(ev.BranchStarted, agent, **told)
    for event in other.events if live else ():
        story.tell(ev.BranchEvent, agent, branch=other.run, event=event)
    tree = other.state
    figures = {"agents": 2, "input_tokens": tree.input_tokens, "output_tokens": tree.output_tokens}
    ended = {"status": "failed", "cost": tree.cost, "seconds": tree.elapsed, "value": FRAME, "error": "Why"}
    if whole:
        story.tell(ev.BranchFinished, agent, branch=other.run, **figures, **ended)
    return other


def logged(story):
    return [event for event in story.events if not isinstance(event, ev.PASSING)]


def test_a_branch_and_its_agents_stand_below_the_agent_that_it_leaves():
    story = left()
    branch(story, agent="0.1", turn=1)
    tree = with_branches(story.state)
    assert list(tree.agents) == ["0", "0.1", "0.1~1", "0.1~1.1"]
    assert [tree.agents[id_].parent for id_ in ("0.1~1", "0.1~1.1")] == ["0.1", "0.1~1"]
    assert [tree.agents[id_].depth for id_ in ("0.1", "0.1~1", "0.1~1.1")] == [1, 2, 3]
    drawn = text_tree.tree(story.state).splitlines()
    at = next(number for number, line in enumerate(drawn) if "0.1~1 done" in line)
    assert "branch: turn 1, with other code" in drawn[at]
    assert any("run `b`, log `b.jsonl`" in line for line in drawn[at:])
    assert any(line.endswith("A part") and "0.1~1.1 done" in line for line in drawn[at:])
    assert list(story.state.agents) == ["0", "0.1"], "the run itself has no more agents"


def test_what_branches_spend_is_in_no_figure_of_the_run_but_said_beside_them():
    story = left()
    before = text_tree.summary_line(story.state)
    branch(story)
    branch(story, left("c"), live=False)
    assert text_tree.summary_line(with_branches(story.state)) == before
    drawn = text_tree.tree(story.state)
    assert "Branches: 2, $2.00, not in the figures of this run; with branches $3.00" in drawn
    told = rows(with_branches(story.state))
    assert {id_: row["cost_total"] for id_, row in told.items()} == {
        "0": 1.0,
        "0.1": 0.25,
        "0~1": 1.0,
        "0~1.1": 0.25,
        "0~2": 1.0,
    }
    assert [told[id_]["branch"] for id_ in ("0", "0~1", "0~1.1", "0~2")] == [None, "b", "b", "c"]
    fields = run_fields(with_branches(story.state))
    assert (fields["agents"], fields["depth"], fields["cost"]) == (2, 1, 1.0)
    assert fields["notices"][-1].startswith("Branches: 2, $2.00")
    totals = Totals()
    tree = with_branches(story.state)
    for agent in tree.agents.values():
        totals.update(tree, agent)
    assert {id_: totals.get(id_) for id_ in tree.agents} == {
        id_: row["cost_total"] for id_, row in told.items()
    }


def test_a_cost_that_is_not_known_is_no_sum():
    story = left()
    other = left("c")
    other.turn("0", turn=3, cost=None)
    branch(story, other)
    assert "Branches: 1, ?, not in the figures of this run; with branches ?" in text_tree.tree(story.state)


def test_a_log_alone_names_the_log_of_the_branch_and_what_it_came_to():
    story = left()
    branch(story)
    tree = TreeState.of(ev.parse_event(event.model_dump_json(by_alias=True)) for event in logged(story))
    drawn = text_tree.tree(tree)
    assert "0~1 failed · 0 turns · 360 tokens · $1.00" in drawn
    assert "branch: turn 2, with other code → b.jsonl" in drawn
    assert "! Why" in drawn
    assert "0~1.1" not in drawn
    assert "with 2 agents: see its log `b.jsonl`" in detail(tree, "0~1")["question"]


def test_the_page_of_the_agent_names_its_branches_at_their_turn():
    story = left()
    branch(story, turn=1)
    page = detail(story.state, "0")
    assert [turn.get("branches") for turn in page["turns"]] == [
        [{"agent": "0~1", "title": "branch: turn 1, with other code"}],
        None,
    ]
    assert detail(story.state, "0~1.1")["turns"][0]["cost"] == 0.25
    assert "branch: turn 1, with other code (agent 0~1)" in text_tree.show_agent(story.state, "0")


def test_a_branch_of_a_branch_stands_below_it_to_a_bounded_depth():
    story, inner = left(), left("r0")
    for level in range(1, DEEPEST + 3):
        outer = left(f"r{level}")
        branch(outer, inner)
        inner = outer
    branch(story, inner, live=True)
    ids = list(with_branches(story.state).agents)
    assert "0~1~1.1" in ids
    assert max(id_.count("~") for id_ in ids) == DEEPEST + 1
    deepest = with_branches(story.state).agents["0" + "~1" * (DEEPEST + 1)]
    assert "see its log" in deepest.question, "what is not drawn is named"


def test_many_branches_are_bounded_and_counted():
    story = left()
    for number in range(MOST + 5):
        branch(story, left(f"b{number}"), live=False)
    tree = with_branches(story.state)
    assert len(tree.agents) == 2 + MOST
    assert "5 of them have no row" in text_tree.tree(story.state)
    for number in range(1000):
        story.tell(ev.BranchStarted, "0", branch=f"more-{number}", turn=1, change="code")
    assert len(story.state.branches) == 200


def test_what_a_log_claims_of_branches_is_text_and_cannot_break_a_tree():
    story = left()
    story.agent("0~1", "An agent that is called like a row")
    for number, payload in enumerate(PAYLOADS):
        told = {"branch": f"{payload}{number}", "turn": number, "change": "code", "log": payload}
        story.tell(ev.BranchStarted, ("0", "gone", "0.1")[number % 3], **told)
        figures = {"agents": 1, "input_tokens": 1, "output_tokens": 1, "cost": 0.0, "seconds": 1.0}
        story.tell(ev.BranchFinished, "0", branch=told["branch"], status="done", error=payload, **figures)
    line = json.dumps(
        {**story.events[-1].model_dump(), "kind": "branch_event", "branch": told["branch"], "event": {"a": 1}}
    )
    story.state.apply(ev.parse_event(line))
    story.tell(ev.BranchFinished, "0", branch="never begun", status="done", **figures)
    tree = with_branches(story.state)
    assert tree.agents["0~1"].question == "An agent that is called like a row"
    assert "0~2" in tree.agents
    markup = static_html(story.state)
    for mark in ("<script>alert", "<img src=x", "<iframe", "<svg/onload"):
        assert mark not in markup
    drawn = text_tree.tree(story.state)
    assert "\x1b" not in drawn
    saved_page(story.state, events=logged(story))


@pytest.mark.parametrize("level", ["redacted", "structure"])
def test_a_level_holds_for_branches_too(level):
    story = left()
    secret = "4711-secret"
    other = left("b", limits={})
    other.turn(
        "0", f"I look at {secret}.", f"print('{secret}')" if level == "structure" else "1", secret, turn=3
    )
    other.end_agent("0", value={"type": "str", "summary": secret, "preview": secret})
    branch(story, other, log=None)
    story.tell(ev.Notice, text=secret)
    page = saved_page(story.state, level=level, events=logged(story))
    assert "branch" in page
    if level == "structure":
        assert secret not in page
    else:
        assert f'"summary":"{secret}' not in page
        assert f'"output":"{secret}' not in page


def test_static_trees_and_files_have_the_branch_too():
    story = left()
    branch(story)
    for markup in (static_html(story.state), static_page(story.state)):
        assert "0~1.1" in markup
        assert "branch: turn 2, with other code" in markup
        assert "with branches $2.00" in markup
    page = saved_page(story.state, events=logged(story))
    assert '"0~1.1"' in page


def test_a_replay_has_a_branch_from_when_it_began_and_its_agents_from_when_it_ended():
    story = left()
    ended = len(logged(story))
    branch(story)
    for trees, last in (
        (None, ["0", "0.1", "0~1"]),
        (story.state.branch_trees, ["0", "0.1", "0~1", "0~1.1"]),
    ):
        replay = Replay(logged(story), branches=trees)
        patcher = Patcher(replay.tree)
        patcher.snapshot()
        told = {}
        for position, ids in ((ended, ["0", "0.1"]), (ended + 1, ["0", "0.1", "0~1"]), (ended + 2, last)):
            replay.seek({"position": position})
            assert list(replay.tree.agents) == ids
            said = {ended: "", ended + 1: "A branch leaves the run at turn 2 of 0, with other code."}
            assert said.get(position, "The branch of 0 has failed") in replay.shown()["caption"]
            patcher.show(replay.tree, replay.shown())
            patch = patcher.patch(10**9)
            for id_ in patch.get("gone", ()):
                told.pop(id_, None)
            told.update(patch["agents"])
            assert patcher.snapshot(10**9)[0]["agents"].keys() == set(ids)
        assert patcher.snapshot(10**9)[0]["agents"]["0~1"]["status"] == ("done" if trees else "failed")


def test_a_history_folds_branches_like_the_live_tree_and_leaves_what_it_goes_on_from():
    story = left()
    base = TreeState.of(story.events)
    ended = len(story.events)
    branch(story)
    before = repr(base)
    made = BranchedTree(base)
    half = ended + 5
    for event in story.events[ended:half]:
        made.apply(event)
    middle = made.state
    told = repr(middle.branch_trees)
    more = BranchedTree(middle)
    for event in story.events[half:]:
        more.apply(event)
    assert more.state == story.state
    assert repr(base) == before
    assert repr(middle.branch_trees) == told
    assert TreeHistory(logged(story)).at(10**6).branches == TreeState.of(logged(story)).branches
