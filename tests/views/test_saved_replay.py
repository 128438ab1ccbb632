"""The moments in a saved page: each is the state of the events before it, all of them are bounded, by level."""

import json
import random

import pytest
from run_story import FRAME, Story, example

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_levels import reduced
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.views import protocol, saved_replay
from rlm_jupyter.views.agent_page import detail, prompt
from rlm_jupyter.views.json_delta import delta, patched
from rlm_jupyter.views.saved_page import saved_page
from rlm_jupyter.views.saved_replay import positions
from rlm_jupyter.views.saved_replay import saved_replay as made
from rlm_jupyter.views.widget_messages import rows, run_fields


def folded(saved, position):
    """Returns the run and the rows at a moment, as `saved_moments.ts` folds them."""
    run, agents = {}, {}
    for frame in saved["frames"]:
        if frame["at"] > position:
            break
        run.update(frame.get("run", {}))
        for id_, fields in frame.get("agents", {}).items():
            agents[id_] = {**agents.get(id_, protocol.AGENT_DEFAULTS), **fields}
    return run, agents


def page_of(changes, position):
    """Returns an agent's page or prompt at a moment."""
    page = None
    for at, change in changes:
        if at <= position:
            page = patched(page, change)
    return page


def long(count=400):
    """A run of some agents that take turns."""
    story = Story(context={"summary": "list of 9", "bytes": 900})
    story.agent("0")
    for number in range(1, count // 10):
        story.agent(f"0.{number}", context={"summary": "list of 3", "bytes": 300})
        for turn in (1, 2):
            story.turn(f"0.{number}", f"Turn {turn}", turn=turn)
            story.variables(f"0.{number}", **{f"v{turn}": FRAME})
        story.end_agent(f"0.{number}", value=FRAME)
    story.end(value=FRAME)
    return story


@pytest.mark.parametrize("level", ["all", "redacted", "structure"])
def test_each_moment_is_what_its_events_make(level):
    events = long(60).events
    saved = json.loads(json.dumps(made(events, level)))
    assert [frame["at"] for frame in saved["frames"]] == list(range(len(events) + 1))
    for position in range(1, len(events) + 1):
        state = reduced(TreeState.of(events[:position]), level)
        run, agents = folded(saved, position)
        told = json.loads(json.dumps(run_fields(state)))
        assert {**run, "replay": None} == told
        assert agents == json.loads(json.dumps(rows(state)))
        for id_ in state.agents:
            assert page_of(saved["details"][id_], position) == json.loads(json.dumps(detail(state, id_)))
            if level == "all":
                assert (page_of(saved["prompts"].get(id_, []), position) or []) == prompt(state, id_)
    assert saved["until"] == {}
    assert bool(saved["prompts"]) == (level == "all")


@pytest.mark.parametrize("level", ["redacted", "structure"])
def test_a_level_holds_at_every_moment(level):
    story = Story("Why?", context={"summary": "DATA", "preview": "DATA", "type": "str"})
    story.agent("0", "Why?")
    story.prompt("0", "DATA")
    story.reply("0", "I look.")
    story.cell("0", "context", "DATA")
    story.variables("0", x={"summary": "DATA", "preview": "DATA", "type": "str"})
    story.tell(ev.Notice, "0", text="DATA")
    story.prompt("0", "DATA", purpose="llm_query")
    story.reply("0", "DATA")
    story.tell(ev.ValueReturned, "0", description={"summary": "DATA", "type": "str"}, bytes=3)
    story.end_agent("0", "failed", error="ValueError: DATA")
    story.end("failed", error="ValueError: DATA")
    assert "DATA" not in json.dumps(made(story.events, level))
    assert "DATA" in json.dumps(made(story.events, "all"))
    assert "DATA" not in saved_page(story.state, level=level, events=story.events)


def test_a_long_run_has_fewer_moments_than_events_with_the_first_and_the_last(monkeypatch):
    monkeypatch.setattr(saved_replay, "MAX_MOMENTS", 50)
    monkeypatch.setattr(saved_replay, "_FEWEST", 10)
    events = long(600).events
    saved = made(events, "all")
    chosen = [frame["at"] for frame in saved["frames"]]
    assert len(chosen) <= 51
    assert (chosen[0], chosen[-1]) == (0, len(events))
    for position in chosen[1:]:
        assert folded(saved, position)[1] == rows(TreeState.of(events[:position]))
    assert positions(10, 2000) == list(range(11))
    assert positions(100_000, 2000)[-1] == 100_000


def test_what_does_not_fit_is_left_out_and_told():
    events = long(600).events
    small = made(events, "all", max_bytes=60_000)
    chosen = [frame["at"] for frame in small["frames"]]
    assert (chosen[0], chosen[-1]) == (0, len(events)), "all of the run"
    assert 10 <= len(chosen) < len(events)
    assert folded(small, len(events))[1] == rows(TreeState.of(events))
    assert small["until"], "some agents have no page from some moment on"
    whole = made(events, "all")
    assert whole["until"] == {}


def test_a_file_without_events_has_no_replay():
    assert made([], "all") is None
    assert '"replay":null' in saved_page(example().state)


def test_documents_are_put_together_from_their_changes():
    dice = random.Random(3)

    def document(depth=0):
        kind = dice.randrange(6 if depth < 3 else 3)
        match kind:
            case 0:
                return dice.choice([None, True, False, 0, 1, 1.0, "", "x"])
            case 1 | 2:
                return dice.choice("abc")
            case 3 | 4:
                return {dice.choice("abcd"): document(depth + 1) for _ in range(3)}
            case _:
                return [document(depth + 1) for _ in range(dice.randrange(4))]

    for _ in range(3000):
        old, new = document(), document()
        change = delta(old, new)
        if change is None:
            assert json.dumps(old) == json.dumps(new)
        else:
            assert json.dumps(patched(old, json.loads(json.dumps(change))), sort_keys=True) == json.dumps(
                new, sort_keys=True
            )
