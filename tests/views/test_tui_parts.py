"""The parts of the terminal's viewer that draw nothing: moments of a run, rows, lanes, wrapping."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from run_story import Story, calls_of_all_kinds, example

from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.records import load
from rlm_jupyter.views.tui import log_playback
from rlm_jupyter.views.tui.agent_rows import agent_rows, path_to
from rlm_jupyter.views.tui.event_caption import caption
from rlm_jupyter.views.tui.lane_cells import lane
from rlm_jupyter.views.tui.log_playback import AGENTS, TURNS, Clock, Playback
from rlm_jupyter.views.tui.shown_run import ShownRun
from rlm_jupyter.views.tui.wrapping import Line, fitted, wrapped

LOGS = sorted((Path(__file__).parents[1] / "logs").glob("*.jsonl"))


def odd():
    """A run as nobody's engine tells it: replies that come twice, or of another agent; numbers used again."""
    story = Story()
    story.agent("0")
    story.agent("0.1")
    story.turn("0")
    story.turn("0.1")
    story.reply("0", "of the other", call=2)
    story.reply("0.1", "once more", call=1)
    story.tell(ev.PromptSent, "0.1", call=1, purpose="turn", turn=2, model="m")
    story.reply("0", "which?", call=1)
    story.agent("0")
    story.agent("0.1.1")
    story.end_agent("0.1.1")
    story.end_agent("0.1")
    story.variables("0", x={"type": "int", "summary": "1"})
    story.tell(ev.Waiting, "0", reason="rate_limit", seconds=3.0, call=1)
    story.tell(ev.ToolCalled, "0", name="t", turn=1, seconds=0.1, ok=True)
    story.tell(ev.Notice, text="careful")
    story.tell(ev.Command, name="limit", detail="cost=2")
    story.end()
    return story


def runs():
    yield from ((path.stem, load(path).events) for path in LOGS)
    yield from ((make.__name__, make().events) for make in (example, calls_of_all_kinds, odd))


@pytest.mark.parametrize(("name", "events"), [pytest.param(*run, id=run[0]) for run in runs()])
@pytest.mark.parametrize("every", [3, 2000])
def test_each_moment_is_what_the_first_events_give(name, events, every, monkeypatch):
    monkeypatch.setattr(log_playback, "_EVERY", every)
    whole = TreeState.of(events)
    before = TreeState.of(events)
    playback = Playback(events, whole)
    order = [*range(len(events), -1, -7), *range(0, len(events) + 1, 5)]
    order += random.Random(1).choices(range(len(events) + 1), k=30)
    for number, position in enumerate(order):
        playback.seek(position)
        if number % 3 == 0:
            playback.prepare()
        assert playback.position == position
        assert playback.state == TreeState.of(events[:position]), position
    assert whole == before


def test_a_run_that_grows_is_played_on():
    events = example().events
    known = TreeState.of(events[:9])
    playback = Playback(events[:9], known)
    playback.grow(events)
    playback.seek(11)
    assert playback.state == TreeState.of(events[:11])
    assert known == TreeState.of(events[:9])
    playback = Playback(events[:9])
    playback.seek(9)
    playback.grow(events)
    playback.seek(7)
    assert playback.state == TreeState.of(events[:7])
    playback.seek(10**9)
    assert (playback.position, playback.state) == (len(events), TreeState.of(events))


def test_steps_go_from_turn_to_turn_and_from_agent_to_agent():
    story = example()
    playback = Playback(story.events, story.state)

    def places(kinds, by):
        found = []
        while not found or found[-1] not in (0, len(story.events)):
            playback.seek(playback.next_of(kinds) if by > 0 else playback.previous_of(kinds))
            found.append(playback.position)
        return found

    back = places(TURNS, -1)
    turns = [
        n + 1 for n, e in enumerate(story.events) if isinstance(e, ev.PromptSent) and e.purpose == "turn"
    ]
    assert back == [*reversed(turns), 0]
    assert places(TURNS, 1) == [*turns, len(story.events)]
    playback.seek(0)
    assert len(places(AGENTS, 1)) == 3 + 3 + 1


def test_the_clock_plays_at_its_speed_and_shortens_what_is_silent():
    story = Story()
    story.agent(after=1.0)
    story.time += 1000.0
    story.prompt()
    story.reply()
    clock, position = Clock(), 0
    clock.start()
    position = clock.advance(story.events, position, 0.01)
    assert position == 1
    position = clock.advance(story.events, position, 0.5)
    assert position == 1
    position = clock.advance(story.events, position, 0.5)
    assert position == 2
    assert clock.advance(story.events, position, 1.0) == 2
    clock.change_speed(1)
    assert clock.speed == 2.0
    assert clock.advance(story.events, 2, 10.0) == 4
    assert not clock.playing
    for _ in range(20):
        clock.change_speed(-1)
    assert clock.speed == log_playback.SPEEDS[0]


def test_rows_of_a_damaged_tree_hold_each_agent_once():
    story = Story()
    story.tell(ev.AgentStarted, "b", parent="a", depth=1, question="q", model="m")
    story.tell(ev.AgentStarted, "a", parent="b", depth=1, question="q", model="m")
    story.tell(ev.AgentStarted, "c", parent="c", depth=1, question="q", model="m")
    story.tell(ev.AgentStarted, "d", parent="gone", depth=9, question="q", model="m")
    rows = agent_rows(story.state, ())
    assert sorted(row.id for row in rows) == ["a", "b", "c", "d"]
    assert all(len(path_to(story.state, row.id)) <= 4 for row in rows)
    assert [row.id for row in agent_rows(story.state, {"b"})] == ["b", "c", "d"]


def test_rows_of_a_tree_of_any_depth_stay_short():
    story = Story()
    for depth in range(3000):
        parent = str(depth - 1) if depth else None
        story.tell(ev.AgentStarted, str(depth), parent=parent, depth=depth, question="q", model="m")
    rows = agent_rows(story.state, ())
    assert len(rows) == 3000
    assert max(len(row.lines) for row in rows) < 50
    assert "2,999" in rows[-1].lines
    assert len(path_to(story.state, "2999")) == 2999


@given(st.text(max_size=200), st.integers(4, 40), st.sampled_from(["", "│ "]))
def test_no_row_is_wider_than_the_page_and_no_character_is_lost(text, width, margin):
    text = text.replace("\t", "    ")
    rows = list(wrapped(Line(text, margin=margin), width))
    assert rows
    assert all(cell_len(row) <= width for row in rows)
    assert all(row.startswith(margin) for row in rows)
    joined = "".join(row.removeprefix(margin) for row in rows)
    assert "".join(joined.split()) == "".join(text.split())
    assert cell_len(fitted(text, width)) <= width


def test_a_line_is_broken_at_a_space():
    assert list(wrapped(Line("one two three"), 8)) == ["one two", "three"]
    assert list(wrapped(Line(""), 8)) == [""]
    assert list(wrapped(Line("a\tb"), 80)) == ["a   b"]


def test_a_lane_shows_model_code_and_waiting():
    story = example()
    root, failed = story.state.agents["0"], story.state.agents["0.2"]
    start, end = story.state.started, story.state.finished
    drawn = lane(story.state, root, start, end, 44, end)
    assert len(drawn) == 44
    assert drawn.startswith("  ──░")
    assert "█" in drawn
    assert drawn.count("█") < 5
    late = lane(story.state, failed, start, end, 44, end)
    assert late.startswith(" " * 20)
    assert late.rstrip() != late
    assert set(lane(story.state, root, end + 5, end + 6, 10, end)) == {" "}


def test_every_kind_of_event_has_a_caption_in_words():
    for _, events in runs():
        for event in events:
            told = caption(event)
            assert told.startswith((event.agent, "The run"))
            assert event.kind not in told
    assert caption(None) == "Before the first event."
    kinds = {one for one in vars(ev).values() if isinstance(one, type) and issubclass(one, ev.Event)}
    from rlm_jupyter.views.tui import event_caption

    assert kinds - set(event_caption._TOLD) == {ev.Event, *ev.PASSING}


def test_the_bar_marks_failures_and_fits_any_width():
    story = example()
    shown = ShownRun(story.events, story.state)
    assert "!" in shown.bar(80)
    for width in range(1, 200):
        assert cell_len(shown.bar(width)) <= width
    shown.seek(0)
    assert "━" not in shown.bar(80)
