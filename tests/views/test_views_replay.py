"""A replay behind the widget: what a page gets at each moment, how it gets there, and what it is told."""

import random
import time

import pytest
from hostile_text import PAYLOADS
from run_story import FRAME, StandIn, Story, example

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_levels import reduced
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.records.reader import Record
from rlm_jupyter.records.replayed_run import ReplayedRun
from rlm_jupyter.views import protocol, widget_replay
from rlm_jupyter.views.agent_page import detail, prompt
from rlm_jupyter.views.replay import Replay
from rlm_jupyter.views.widget_messages import MAX_BYTES, json_size, rows, run_fields


def batch():
    """A run in which a sub-agent splits its rows, and one of its own fails."""
    story = Story("Which?", context={**FRAME, "shape": [1000, 2], "summary": "1,000 rows", "bytes": 9000})
    story.agent("0", context={**FRAME, "shape": [1000, 2], "summary": "1,000 rows", "bytes": 9000})
    story.turn("0", "I split.", "parts = rlm_query_batched(questions, contexts)", "")
    for number in (1, 2):
        part = {**FRAME, "shape": [500, 2], "summary": "500 rows", "bytes": 4500}
        story.agent(f"0.{number}", context=part)
    story.turn("0.1")
    story.variables("0.1", counts=FRAME)
    story.tell(ev.ValueReturned, "0.1", description=FRAME, bytes=10)
    story.end_agent("0.1", value=FRAME)
    story.turn("0.2", turn=1)
    story.cell("0.2", "1/0", "", status="error", error="ZeroDivisionError: division by zero")
    story.turn("0.2", turn=2)
    story.end_agent("0.2", "limit")
    story.end_agent("0", value=FRAME)
    story.end(value=FRAME)
    return story


class Page:
    """Folds what a page gets, as `run_store.ts` does."""

    def __init__(self, desk):
        self.desk, self.taken, self.run, self.agents, self.seq = desk, 0, {}, {}, -1
        self.withdrawn = {}

    def take(self):
        for message in self.desk.got[self.taken :]:
            assert json_size(message) <= MAX_BYTES
            if message["kind"] == "snapshot":
                if message.get("part", 0) == 0:
                    self.run, self.agents, self.withdrawn = dict(message["run"]), {}, {}
                self.seq = message["seq"]
                self._merge(message["agents"])
            elif message["kind"] == "patch":
                assert message["seq"] == self.seq + 1
                self.seq += 1
                self.run.update(message["run"])
                for id_ in message.get("gone", ()):
                    self.withdrawn[id_] = self.agents.pop(id_)
                for id_ in message.get("back", ()):
                    self.agents[id_] = self.withdrawn.pop(id_)
                self._merge(message["agents"])
        self.taken = len(self.desk.got)
        return self

    def _merge(self, agents):
        for id_, fields in agents.items():
            self.agents.setdefault(id_, dict(protocol.AGENT_DEFAULTS)).update(fields)

    def shows(self, state):
        told = run_fields(state)
        assert {name: self.run[name] for name in told if name not in ("replay", "notices", "clicks")} == {
            name: value for name, value in told.items() if name not in ("replay", "notices", "clicks")
        }
        assert self.agents == rows(state)


def drain(desk):
    while desk.main.waiting:
        desk.clock.now += 0.1
        desk.main.run()


def seek(desk, **wanted):
    desk.click("seek", **wanted)
    drain(desk)
    return next(message for message in reversed(desk.got) if message["kind"] in ("ok", "error"))


def test_a_page_shows_the_fold_of_the_first_events_wherever_it_goes(browse):
    story = batch()
    desk = browse(story, replay="log")
    desk.click("hello")
    page = Page(desk).take()
    end = len(story.events)
    assert page.run["replay"]["position"] == end
    for position in [0, end, 3, 9, *range(end, -1, -1), *range(end + 1)]:
        assert seek(desk, position=position)["kind"] == "ok"
        page.take().shows(TreeState.of(story.events[:position]))
        assert page.run["replay"]["position"] == position


def test_agents_that_were_told_once_are_not_told_again_when_they_come_back(browse):
    story = Story()
    story.agent("0", "The root")
    for number in range(1, 600):
        story.agent(f"0.{number}", f"Part {number} of a question that is long enough to fill a message")
        if number % 3 == 0:
            story.end_agent(f"0.{number - 1}")
    end = len(story.events)
    desk = browse(story, replay="log")
    desk.click("hello")
    drain(desk)
    page = Page(desk).take()
    dice = random.Random(3)
    for position in [0, end, 0, end, *(dice.randrange(end) for _ in range(20)), end]:
        before = len(desk.got)
        seek(desk, position=position)
        page.take().shows(TreeState.of(story.events[:position]))
        patches = [message for message in desk.got[before:] if message["kind"] == "patch"]
        assert sum(map(json_size, patches)) < 30_000, "rows that the page has had were sent again"
    seek(desk, position=0)
    desk.click("hello")  # another page, which has never had the agents
    drain(desk)
    other = Page(desk)
    other.taken = next(at for at in range(len(desk.got) - 1, -1, -1) if desk.got[at]["kind"] == "snapshot")
    seek(desk, position=end // 2)
    other.take().shows(TreeState.of(story.events[: end // 2]))


def test_the_page_of_an_agent_and_its_prompt_are_those_of_the_moment(browse):
    story = batch()
    desk = browse(story, replay="log", namespace={})
    for position in range(2, len(story.events) + 1):
        seek(desk, position=position)
        state = TreeState.of(story.events[:position])
        for agent in state.agents:
            assert desk.ask("open", agent=agent)["detail"] == detail(state, agent)
            assert desk.ask("prompt", agent=agent)["messages"] == prompt(state, agent)
    seek(desk, position=2)
    assert "no agent `0.1`" in desk.ask("open", agent="0.1")["message"]


def test_a_live_run_is_gone_back_in_while_it_goes_on_and_back_to_the_present(browse):
    story = Story()
    story.agent("0")
    story.turn("0")
    desk = browse(story)
    desk.click("hello")
    page = Page(desk)
    seek(desk, position=2)
    page.take().shows(TreeState.of(story.events[:2]))
    assert page.run["replay"]["live"]
    assert not page.run["replay"]["only"]
    story.agent("0.1")
    story.turn("0.1")
    desk.tick()
    page.take().shows(TreeState.of(story.events[:2]))
    assert page.run["replay"]["events"] == len(story.events), "the slider grows meanwhile"
    assert desk.ask("outline")["outline"]["events"] == len(story.events)
    seek(desk, step="event")
    page.take().shows(TreeState.of(story.events[:3]))
    seek(desk)
    page.take().shows(story.state)
    assert page.run["replay"] is None
    story.end_agent("0.1", value=FRAME)
    desk.tick()
    page.take().shows(story.state)


def test_commands_on_another_moment_do_not_reach_a_log(browse, tmp_path):
    record = Record(example().state, example().events, path=tmp_path / "x.jsonl")
    desk = browse(None, run=ReplayedRun(record, tmp_path / "x.jsonl"), replay="log", namespace={})
    for kind in ("retry", "pause", "resume"):
        assert "ended earlier" in desk.ask(kind, agent="0.2")["message"]


def test_steps_go_to_the_next_event_turn_and_agent_and_back():
    story = batch()
    replay = Replay(story.events)
    assert replay.position == len(story.events)

    def stops(step):
        replay.seek({"position": 0})
        found = []
        while replay.position < len(story.events):
            replay.seek({"step": step})
            found.append(replay.position)
        back = []
        while replay.position > 0:
            replay.seek({"step": step, "back": True})
            back.append(replay.position)
        assert back[:-1] == found[:-1][::-1]
        return [story.events[position - 1] for position in found[:-1]]

    assert len(stops("event")) == len(story.events) - 1
    assert [event.agent for event in stops("turn")] == ["0", "0.1", "0.2", "0.2"]
    assert {event.kind for event in stops("turn")} == {"prompt_sent"}
    assert [event.agent for event in stops("agent")] == ["0", "0.1", "0.2"]
    with pytest.raises(ConfigError, match="no step to `year`"):
        replay.seek({"step": "year"})


def test_a_place_is_named_so_that_it_is_found_again():
    replay = Replay(batch().events)
    for position in range(len(replay.history) + 1):
        replay.seek({"position": position})
        shown = replay.shown()
        replay.seek({"place": shown["place"]})
        assert replay.shown()["place"] == shown["place"]
    assert replay.find("agent 0.2, turn 2") == replay.find(" Agent 0.2,turn 2 ")
    assert replay.find("event 7") == 7
    assert replay.find("999999") == len(replay.history)
    for place, told in (
        ("agent 0.9", "no `agent 0.9`"),
        ("agent 0.2, turn 7", "has no"),
        ("here", "not a place"),
    ):
        with pytest.raises(ConfigError, match=told):
            replay.seek({"place": place})


@pytest.mark.parametrize("position", [None, "x", float("nan"), float("inf"), -3, 10**30, True, [1]])
def test_any_position_is_one_of_the_run(position):
    replay = Replay(batch().events)
    replay.seek({"position": position})
    assert 0 <= replay.position <= len(replay.history)
    replay.shown()


def test_the_caption_says_in_a_sentence_what_happens():
    replay = Replay(batch().events)
    told = []
    for position in range(len(replay.history) + 1):
        replay.seek({"position": position})
        told.append(replay.shown()["caption"])
    assert told[0] == "Nothing has happened yet."
    assert told[1] == "The question is asked. The data stays outside of the prompt: 1,000 rows."
    assert "0 splits its 1,000 rows and asks two sub-agents; 0.1 starts, with 500 rows." in told
    assert "0 splits its 1,000 rows and asks two sub-agents; 0.2 starts, with 500 rows." in told
    assert "0.1 gives a value up to 0: DataFrame 3 x 2, 216 B." in told
    assert "The code of 0.2 did not end well (error); the model is told." in told
    assert "0.2 ended at a limit." in told
    assert all(text.endswith((".", "B).", ")")) and "\n" not in text and len(text) < 400 for text in told)


def test_the_flow_of_data_is_what_stayed_what_was_sent_and_what_came_up():
    replay = Replay(batch().events)
    replay.seek({"place": "agent 0.1, turn 1"})
    flow = replay.shown()["flow"]
    assert (flow["agent"], flow["parent"], flow["kernel_bytes"], flow["value"]) == ("0.1", "0", 4500, None)
    assert flow["prompt_tokens"] == len("the question") // 4, "an estimate, before the reply"
    replay.seek({"position": len(replay.history) - 1})
    flow = replay.shown()["flow"]
    assert (flow["agent"], flow["received"], flow["prompt_tokens"]) == ("0", 1, 100)
    assert flow["value"] == FRAME["summary"]


def test_the_outline_shortens_waits_and_marks_what_is_to_be_seen():
    story = batch()
    story.events[-1] = story.events[-1].model_copy(update={"time": story.time + 3600})
    outline = Replay(story.events).outline()
    assert outline["points"][0] == (0, 0.0, 0.0)
    last = outline["points"][-1]
    assert last[0] == outline["events"] == len(story.events)
    assert last[2] > 3600
    assert last[1] < len(story.events) + 1
    kinds = {}
    for position, kind, agent in outline["marks"]:
        kinds.setdefault(kind, []).append((story.events[position - 1].kind, agent))
    assert kinds["agent"] == [("agent_started", "0"), ("agent_started", "0.1"), ("agent_started", "0.2")]
    assert kinds["error"] == [("code_finished", "0.2")]
    assert kinds["value"] == [("value_returned", "0.1")]
    assert kinds["limit"] == [("agent_finished", "0.2")]


def test_times_that_go_back_or_stand_still_do_not_break_the_outline():
    for times in ([5.0] * 30, [float(9 - n) for n in range(30)], [-(10.0**14), *[10.0**14] * 29]):
        events = [
            each.model_copy(update={"time": at}) for each, at in zip(example().events, times, strict=False)
        ]
        outline = Replay(events).outline()
        played = [point[1] for point in outline["points"]]
        assert played == sorted(played)
        assert json_size(outline)
    assert Replay([]).outline()["events"] == 0


def test_a_hundred_thousand_events_and_thousands_of_agents_are_sent_in_bounded_messages(browse):
    story = Story()
    story.agent("0")
    for number in range(1, 3000):
        story.agent(f"0.{number}")
    events = list(story.events)
    told = {"run": "7f3a", "seq": 1, "time": 2000.0, "text": "x"}
    cycle = [ev.Notice(agent=f"0.{number}", **told) for number in range(1, 3000)]
    while len(events) < 100_000:
        events += cycle
    story.events[:] = events[:100_000]
    desk = browse(story, replay="log")
    desk.click("hello")
    seek(desk, position=100_000)
    page = Page(desk)
    outline = desk.ask("outline")
    assert json_size(outline) < MAX_BYTES
    started = time.process_time()
    for position in (50_000, 2, 99_000, 1500):
        seek(desk, position=position)
        page.take()
        assert len(page.agents) == min(position - 1, 3000)
    assert time.process_time() - started < 60


def test_hostile_texts_are_data_in_captions_flows_and_marks():
    for text in PAYLOADS:
        story = Story(text, context={"summary": text, "type": text, "length": text, "shape": text})
        story.agent(text[:300] or "0", text, context={"summary": text, "shape": [text], "bytes": text})
        story.tell(ev.Notice, text=text)
        story.tell(ev.ValueReturned, text[:300] or "0", description={"summary": text}, bytes=3)
        replay = Replay(story.events)
        for position in range(len(story.events) + 1):
            replay.seek({"position": position})
            shown = replay.shown()
            assert json_size(shown) < 8000
            assert "\n" not in shown["caption"]
            assert "\x1b" not in shown["caption"]
        assert json_size(replay.outline()) < 8000


@pytest.mark.parametrize("level", ["redacted", "structure"])
def test_captions_and_flows_have_no_more_than_the_level_allows(level):
    story = Story("SECRET", context={"summary": "SECRET", "type": "str", "preview": "SECRET"})
    story.agent("0", "SECRET", context={"summary": "SECRET", "type": "str"})
    story.turn(
        "0", "SECRET" if level == "structure" else "x", "SECRET" if level == "structure" else "x", "SECRET"
    )
    story.variables("0", **({"SECRET": FRAME} if level == "structure" else {"x": {"summary": "SECRET"}}))
    story.tell(ev.Notice, "0", text="SECRET")
    story.tell(ev.Notice, text="SECRET")
    story.tell(ev.ToolCalled, "0", name="SECRET", turn=1, seconds=1.0, ok=False, error="SECRET")
    story.tell(ev.ValueReturned, "0", description={"summary": "SECRET", "type": "str"}, bytes=3)
    story.tell(ev.Command, name="SECRET", detail="SECRET")
    story.end(value={"summary": "SECRET", "type": "str"})
    replay = Replay(story.events, lambda state: reduced(state, level))
    for position in range(len(story.events) + 1):
        replay.seek({"position": position})
        assert "SECRET" not in repr(replay.shown())


def test_only_the_newest_histories_stay_in_memory_and_others_are_read_again(browse):
    widget_replay._KEPT.clear()
    desks = [browse(batch(), replay="log") for _ in range(5)]
    assert len(widget_replay._KEPT) == 3
    first = desks[0]
    seek(first, position=4)
    assert first.ask("open", agent="0")["detail"] == detail(TreeState.of(first.run.story.events[:4]), "0")


def test_a_widget_on_a_log_that_nobody_holds_reads_it_again(browse):
    story = batch()
    run = StandIn(story)
    desk = browse(story, run=run, replay="log", find=lambda _id: StandIn(batch()))
    desk.click("hello")
    page = Page(desk)
    desk.run = None
    del run
    widget_replay._KEPT.clear()
    seek(desk, position=5)
    page.take().shows(TreeState.of(story.events[:5]))
