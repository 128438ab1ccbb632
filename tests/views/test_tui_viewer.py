"""The terminal's viewer, driven by keys: what is on its screen, at all sizes, for logs and for runs that go on."""

import io
import re
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hostile_text import PAYLOADS
from rich.cells import cell_len
from run_story import StandIn, Story, example
from tui_screen import Screen

from rlm_jupyter import ConfigError, RLMError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.records import load
from rlm_jupyter.records.log import LogWriter
from rlm_jupyter.views.tui import open_viewer, page_lines
from rlm_jupyter.views.tui.event_caption import caption
from rlm_jupyter.views.tui.line_pane import LinePane
from rlm_jupyter.views.tui.shown_run import ShownRun
from rlm_jupyter.views.tui.tree_pane import TreePane
from rlm_jupyter.views.tui.viewer import Viewer

BAD = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@asynccontextmanager
async def viewer(story, size=(80, 24), *, note="", live=None, selected=""):
    shown = ShownRun([], None, live=live) if live else ShownRun(story.events, story.state, note=note)
    app = Viewer(shown, selected)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Screen(app, pilot)


class Live(StandIn):
    """A run that goes on, with its events."""

    @property
    def events(self):
        return list(self.story.events)


async def test_the_tree_the_page_and_the_moment_are_on_a_screen_of_80_by_24():
    async with viewer(example()) as screen:
        lines = screen.lines
        assert len(lines) == 24
        assert lines[0].startswith("✓ RLM run 7f3a · done · 3 agents")
        assert "✓ 0.1 profile" in lines[3]
        assert "✗ 0.2 Find the date" in lines[4]
        assert "│ a = rlm_query('Profile', context)" in screen.text
        assert "The run ends (done) and gives 'North'" in lines[21]
        assert "23/23 events" in lines[22]
        assert "? help" in lines[23]


async def test_the_keyboard_alone_shows_each_agent_and_each_page():
    async with viewer(example()) as screen:
        assert "Profile the refunds" in await screen.press("down")
        assert "counts: DataFrame 3 x 2, 216 B" in await screen.press("v")
        assert "North     12" in screen.text
        assert "user · 12 characters" in await screen.press("m")
        assert "KernelDiedError: its kernel died." in await screen.press("t", "down")
        text = await screen.press("left", "left")
        assert "0.1" not in text
        assert "+ ✓ 0 Which" in text
        assert "0.1 profile" in await screen.press("right")
        assert "0.1 profile" not in await screen.press("c")
        assert "0.1 profile" in await screen.press("e")
        assert "░" in await screen.press("2")
        assert "22.0 s" in screen.lines[2]
        assert "22.0 s" not in (await screen.press("i")).split("\n")[2]
        assert "22.0 s" in (await screen.press("o")).split("\n")[2]
        text = await screen.press("3")
        assert "╭─ Answer" in text
        assert "North" in text
        assert "Agents: 2 done, 1 failed" in text
        assert "Replay" in await screen.press("question_mark")
        assert "╭─ Answer" in await screen.press("escape")
        await screen.press("q")
        assert not screen.app.is_running


async def test_tab_and_enter_move_between_the_tree_and_the_page():
    async with viewer(example()) as screen:
        assert isinstance(screen.app.focused, TreePane)
        await screen.press("enter")
        assert isinstance(screen.app.focused, LinePane)
        await screen.press("escape")
        assert isinstance(screen.app.focused, TreePane)
        await screen.press("tab")
        assert isinstance(screen.app.focused, LinePane)


@pytest.mark.parametrize("size", [(20, 6), (40, 12), (63, 24), (80, 24), (200, 60)])
async def test_every_size_shows_what_fits(size):
    async with viewer(example(), size) as screen:
        for key in ("down", "tab", "2", "3", "1", "question_mark", "escape", "s", "slash", "escape"):
            await screen.press(key)
            assert all(cell_len(line) == size[0] for line in screen.lines), key
            assert len(screen.lines) == size[1]


async def test_a_narrow_terminal_shows_the_tree_or_the_page_and_a_resize_brings_both_back():
    async with viewer(example(), (50, 20)) as screen:
        assert "0.1 profile" in screen.text
        assert "Question: Which" not in screen.text
        text = await screen.press("enter")
        assert "Question: Which" in text
        assert "0.1 profile" not in text
        await screen.pilot.resize_terminal(100, 30)
        await screen.until(lambda: "0.1 profile" in screen.text and "Question: Which" in screen.text)
        assert len(screen.lines) == 30
        await screen.pilot.resize_terminal(50, 10)
        await screen.until(lambda: "0.1 profile" not in screen.text)
        assert "0.1 profile" in await screen.press("escape")


async def test_a_page_is_wrapped_anew_when_the_terminal_is_resized():
    story = Story()
    story.agent("0", "word " * 40)
    story.end()
    async with viewer(story, (80, 24)) as screen:
        before = sum("word" in line for line in screen.lines[3:])
        await screen.pilot.resize_terminal(160, 24)
        await screen.until(lambda: 0 < sum("word" in line for line in screen.lines[3:]) < before)


# ---- replay


async def test_steps_show_the_run_as_it_was():
    async with viewer(example()) as screen:
        text = await screen.press("comma")
        assert "22/23 events" in text
        assert "● RLM run 7f3a · running" in text
        assert "0 ends (done) and gives 'North'" in text
        text = await screen.press("left_square_bracket")
        assert "0.2 asks the model m-1 (turn 1)" in text
        assert "Find the date" in text
        text = await screen.press("left_curly_bracket")
        assert "0.2 starts: Find the date" in text
        text = await screen.press("less_than_sign")
        assert "Before the first event." in text
        assert "0/23 events" in text
        assert "No agent yet." in text
        text = await screen.press("right_curly_bracket")
        assert "0 starts: Which supplier" in text
        assert "0.1" not in "".join(screen.lines[2:5])
        assert "1 turn ·" in await screen.press("right_square_bracket")
        assert "4/23" in await screen.press("full_stop")
        assert "23/23 events" in await screen.press("greater_than_sign")
        assert "done" in screen.lines[0]


async def test_play_goes_to_the_end_and_pause_holds():
    async with viewer(example()) as screen:
        await screen.press("plus", "plus", "plus", "plus", "plus", "plus", "plus")
        assert "100x" in screen.lines[22]
        await screen.press("minus", "minus", "minus", "minus", "minus")
        assert "1x" in screen.lines[22]
        await screen.press("space")
        assert "▶" in screen.lines[22]
        await screen.until(lambda: screen.app.shown.position > 0)
        await screen.press("space")
        at = screen.app.shown.position
        assert 0 < at < 23
        await screen.pilot.pause(0.5)
        assert screen.app.shown.position == at
        assert "‖" in screen.lines[22]
        await screen.press("plus", "plus", "plus", "plus", "plus", "space")
        await screen.until(lambda: "23/23" in screen.lines[22] and "‖" in screen.lines[22])


async def test_a_replay_follows_what_happens_or_stays_at_an_agent():
    async with viewer(example()) as screen:
        await screen.press("f", "comma", "left_square_bracket", "left_square_bracket")
        assert "follow: off" in screen.lines[23]
        assert screen.app.selected == "0"
        await screen.press("f")
        assert screen.app.selected == "0.1"
        assert "0.1 profile" not in await screen.press("c")
        assert "0.1 profile" in await screen.press("comma")


async def test_the_cursor_stays_on_the_screen_when_the_terminal_is_made_smaller():
    story = Story()
    story.agent("0")
    for number in range(20):
        story.agent(f"0.{number}", f"Part {number}")
    story.end()
    async with viewer(story, (80, 40)) as screen:
        assert "0.19 Part 19" in await screen.press("end")
        await screen.pilot.resize_terminal(80, 15)
        await screen.until(lambda: len(screen.lines) == 15)
        await screen.until(lambda: "0.19 Part 19" in screen.text)


# ---- search


async def test_a_search_goes_through_all_agents_and_shows_each_place():
    story = example()
    async with viewer(story) as screen:
        await screen.press("slash", *"CONTEXT.head", "enter")
        await screen.until(lambda: "of 2" in screen.text)
        assert "`CONTEXT.head` 1 of 2: agent 0.1, turn 1" in screen.text
        assert screen.app.selected == "0.1"
        assert "2 of 2: agent 0.2, turn 1" in await screen.press("n")
        assert "1 of 2" in await screen.press("n")
        assert "2 of 2" in await screen.press("N")
        marked = [s.text for strip in screen.strips for s in strip if s.style and s.style.reverse]
        assert "context.head" in marked
        assert "of 2" not in await screen.press("escape")
        await screen.press("slash", *"[bold]nothing", "enter")
        await screen.until(lambda: "`[bold]nothing` was not found" in screen.text)


async def test_a_search_shows_a_turn_of_long_ago_and_the_place_in_it():
    story = Story()
    story.agent("0")
    for turn in range(1, 251):
        said = "\n".join(f"line {n}" for n in range(80)) + f"\nneedle {turn}." if turn in (7, 240) else "x"
        story.turn("0", said, "y", "z", turn=turn)
    story.end()
    async with viewer(story) as screen:
        await screen.press("slash", *"needle 7.", "enter")
        await screen.until(lambda: "1 of 1: agent 0, turn 7" in screen.text)
        await screen.until(lambda: any("needle 7." in line[33:] for line in screen.lines[2:20]))
        assert "older turns" not in screen.text
        await screen.press("escape")
        await screen.press("slash", *"needle 240", "enter")
        await screen.until(lambda: any("needle 240." in line[33:] for line in screen.lines[2:20]))


async def test_keys_of_the_page_go_from_turn_to_turn():
    story = Story()
    story.agent("0")
    for turn in range(1, 6):
        story.turn("0", "said\n" * 30, "y", "z", turn=turn)
    story.end()
    async with viewer(story) as screen:
        await screen.press("tab", "J")
        assert "Turn 1 ·" in screen.lines[2]
        await screen.press("J")
        assert "Turn 2 ·" in screen.lines[2]
        await screen.press("K")
        assert "Turn 1 ·" in screen.lines[2]
        await screen.press("pagedown")
        assert "Turn 1 ·" not in screen.text


# ---- text of models and of data is data


def hostile(text):
    """A run in which each field that a model, a server or data fills has this text."""
    described = {
        "type": text,
        "summary": text,
        "preview": text,
        "rows": [[text]],
        "columns": [{"name": text}],
    }
    story = Story(text, run="7f3a", context=described, provenance=text)
    story.agent("0", text, name=text, model=text, context=described, tools=(text,))
    story.prompt("0", text)
    story.reply("0", text)
    story.cell("0", text, text, error=text, status="error")
    story.tell(ev.ToolCalled, "0", name=text, turn=1, seconds=0.1, ok=False, error=text)
    story.variables("0", **{text: described})
    story.prompt("0", text, purpose="llm_query")
    story.tell(ev.ReplyFailed, "0", call=story.calls, error=text, seconds=1.0)
    story.tell(ev.Notice, "0", text=text)
    story.tell(ev.Notice, text=text)
    story.tell(ev.Waiting, "0", reason="provider", seconds=1.0, text=text)
    story.agent(f"0.{text}", text)
    story.tell(ev.StepPending, "0", cell=9, code=text)
    story.end_agent("0", "failed", error=text, value=described)
    story.end("failed", value=described, error=text, error_type=text)
    return story


MARKUP = [
    "[bold red]not bold[/]",
    "[@click=app.exit]no link[/]",
    "[/]",
    "$text [reverse] \\[",
    ":smiley: [link=file:///]x[/link]",
]


def test_no_line_of_any_page_has_what_a_terminal_obeys():
    for text in [*MARKUP, *PAYLOADS]:
        story = hostile(text)
        lines = [
            line.text for agent in story.state.agents.values() for line in page_lines.variable_lines(agent)
        ]
        for agent in story.state.agents.values():
            lines += [line.text for line in page_lines.turn_lines(story.state, agent)]
            lines += [line.text for line in page_lines.message_lines(story.state, agent)]
        lines += [caption(event) for event in story.events]
        assert not [line for line in lines if BAD.search(line.replace("\t", ""))], text


async def test_hostile_text_is_shown_as_text_on_every_page():
    texts = [text[:2000] for text in [*MARKUP, *PAYLOADS]]
    async with viewer(hostile("innocent")) as screen:
        for first in range(0, len(texts), 9):
            story = hostile("\n".join(texts[first : first + 9]))
            screen.app.shown = ShownRun(story.events, story.state)
            screen.app.selected = ""
            for key in ("1", "v", "m", "2", "3", "t", "comma"):
                await screen.pilot.press(key)
                await screen.pilot.pause()
                assert len(screen.lines) == 24
                for strip in screen.strips:
                    assert not [s for s in strip if BAD.search(s.text)], (key, first)
                    assert not [s for s in strip if s.style and s.style.link], (key, first)
                assert screen.app.is_running


async def test_markup_is_shown_as_it_was_written():
    for text in MARKUP[:2]:
        async with viewer(hostile(text)) as screen:
            assert text in screen.text
            assert text in await screen.press("3")
            assert text in await screen.press("1", "comma", "greater_than_sign")


async def test_a_hostile_id_is_text_in_the_question_too():
    story = Story()
    story.agent("0")
    story.tell(ev.AgentStarted, "[red]x[/]\x1b[2J", parent="0", depth=1, question="q", model="m")
    run = Live(story)
    async with viewer(story, live=run) as screen:
        text = await screen.press("down", "s")
        assert "Stop agent [red]x[/]" in text
        assert "\x1b" not in text
        await screen.press("y")
        assert run.commands == [("stop", "[red]x[/]\x1b[2J")]


# ---- torn and large logs


def written(story, path):
    with LogWriter(path) as log:
        for event in story.events:
            log.write(event)
    return path.read_bytes()


async def test_a_log_torn_at_any_byte_opens_and_says_so(tmp_path):
    content = written(example(), tmp_path / "whole.jsonl")
    path = tmp_path / "torn.jsonl"
    first = content.index(b"\n") + 1
    for end in range(first + 50, len(content), len(content) // 5):
        path.write_bytes(content[:end])
        record = load(path)
        note = "Note: the log ends in the middle" if record.torn else ""
        shown = ShownRun(record.events, record.tree, note=note)
        app = Viewer(shown)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            screen = Screen(app, pilot)
            assert ("Note: the log ends in the middle" in screen.lines[21]) == record.torn
            for key in ("comma", "2", "greater_than_sign"):
                await screen.press(key)
            assert f"{len(record.events)}/{len(record.events)} events" in screen.lines[22]


async def test_of_thousands_of_agents_only_those_on_the_screen_are_drawn(monkeypatch):
    story = Story()
    story.agent("0")
    for number in range(3000):
        story.agent(f"0.{number}", f"Part {number}")
        story.end_agent(f"0.{number}")
    story.end()
    drawn = set()
    parts = TreePane.parts
    monkeypatch.setattr(
        TreePane, "parts", lambda self, row, *more: drawn.add(row.id) or parts(self, row, *more)
    )
    async with viewer(story) as screen:
        assert "0.15 Part 15" in screen.text
        assert len(drawn) < 60
        assert "0.2999 Part 2999" in await screen.press("end")
        assert screen.app.selected == "0.2999"
        await screen.press("pageup", "home")
        assert screen.app.selected == "0"
        assert len(drawn) < 200
        await screen.press("2", "end", "space", "space")
        assert len(drawn) < 200


# ---- a run that goes on


def going_on():
    story = Story("Why?")
    story.agent("0", "Why?")
    story.prompt("0")
    story.reply("0")
    story.agent("0.1", "A part")
    story.prompt("0.1")
    return story, Live(story)


async def test_a_run_is_shown_as_it_goes_on_and_to_its_end():
    story, run = going_on()
    async with viewer(story, live=run) as screen:
        assert screen.lines[0].startswith("● RLM run 7f3a · running · 2 agents")
        assert "● live" in screen.lines[22]
        story.tell(ev.ReplyDelta, "0.1", call=2, text="I am just writ")
        story.events.pop()
        await screen.press("down")
        await screen.until(lambda: "I am just writ" in screen.text)
        story.reply("0.1", "Written.")
        story.agent("0.2", "Another part")
        await screen.until(lambda: "0.2 Another part" in screen.text and "Written." in screen.text)
        story.end_agent("0.1")
        story.end_agent("0")
        story.end(value={"type": "str", "summary": "'North'", "preview": "North"})
        await screen.until(lambda: "The run has ended. Press q to close" in screen.text)
        assert "S stop run" not in screen.text
        assert "North" in await screen.press("3")
        await screen.press("q")
        assert not screen.app.is_running
        assert run.commands == []


async def test_one_can_go_back_while_a_run_goes_on_and_back_to_live():
    story, run = going_on()
    async with viewer(story, live=run) as screen:
        assert "5/6 events" in await screen.press("comma")
        story.reply("0.1", "Written.")
        await screen.pilot.pause(0.3)
        assert "5/6 events" in screen.lines[22]
        assert "6/7 events" in await screen.press("full_stop")
        assert "live" in await screen.press("greater_than_sign")
        assert run.tree == TreeState.of(story.events)
        await screen.press("less_than_sign", "space")
        assert run.tree == TreeState.of(story.events)


@pytest.mark.parametrize(("key", "stopped"), [("s", ("stop", "0.1")), ("S", ("stop", None))])
async def test_an_agent_and_the_run_are_stopped_only_when_that_is_confirmed(key, stopped):
    story, run = going_on()
    async with viewer(story, live=run) as screen:
        assert "y  yes" in await screen.press("down", key)
        for no in ("n", "escape", "enter"):
            await screen.press(no)
            assert run.commands == []
            await screen.press(key)
        await screen.press("y")
        assert run.commands == [stopped]
        assert screen.app.is_running
        await screen.press(key, key)
        assert run.commands == [stopped, stopped]


async def test_ctrl_c_asks_first_and_twice_stops_the_run():
    story, run = going_on()
    async with viewer(story, live=run) as screen:
        assert "Stop the run?" in await screen.press("ctrl+c")
        assert run.commands == []
        await screen.press("ctrl+c")
        assert run.commands == [("stop", None)]
        assert "Close the viewer?" in await screen.press("q")
        await screen.press("n")
        assert screen.app.is_running
        await screen.press("q", "y")
        assert not screen.app.is_running


async def test_nothing_can_be_stopped_in_a_log():
    async with viewer(example()) as screen:
        text = await screen.press("s", "S")
        assert "yes" not in text
        await screen.press("ctrl+c")
        assert not screen.app.is_running


# ---- opening it


def test_what_is_missing_is_said_before_anything_is_done(monkeypatch):
    monkeypatch.setattr("sys.__stdin__", io.StringIO())
    with pytest.raises(ConfigError, match="needs a terminal"):
        open_viewer.check_terminal()
    metadata = open_viewer.importlib.metadata
    monkeypatch.setattr(metadata, "version", lambda _name: "8.2.5")
    with pytest.raises(ConfigError, match=r"needs `textual` 8\.2\.6 or newer, and 8\.2\.5 is installed"):
        open_viewer.check_terminal()

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(ConfigError, match=r"pip install 'rlm_jupyter\[tui\]'"):
        open_viewer.check_terminal()


def test_the_oldest_textual_that_is_taken_is_the_one_that_is_declared():
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert f'tui = ["textual>={".".join(map(str, open_viewer._OLDEST))}"]' in project


def test_a_fault_of_the_viewer_is_told_without_the_data_in_it(monkeypatch, capfd):
    def fail(_self):
        secret = "the data of the user"
        raise ValueError(f"wrong {len(secret)}")

    monkeypatch.setattr(Viewer, "show", fail)
    monkeypatch.setattr(Viewer, "run", lambda self: Viewer.__mro__[1].run(self, headless=True, size=(80, 24)))
    story = example()
    with pytest.raises(RLMError, match=r"The viewer failed: ValueError: wrong 20\. This is a bug"):
        open_viewer.view_log(story.events, story.state)
    out, err = capfd.readouterr()
    assert "the data of the user" not in out + err
