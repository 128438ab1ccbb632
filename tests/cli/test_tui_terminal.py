"""`--tui` in a real terminal (tmux): what is on the screen, what it leaves behind, and what goes to stdout."""

import io
import re
import sys
from pathlib import Path

import pytest
from openai_server import Reply
from programs import needs_program
from run_story import Story, example
from scripts import cell
from terminal import COMMAND, Terminal

from rlm_jupyter import cli
from rlm_jupyter.records.log import LogWriter

pytestmark = [
    needs_program("tmux"),
    pytest.mark.skipif(sys.platform == "win32", reason="tmux runs on POSIX systems"),
]
LOG = Path(__file__).parents[1] / "logs" / "pairs.jsonl"


def written(story, path):
    with LogWriter(path) as log:
        for event in story.events:
            log.write(event)
    return path


@pytest.fixture
def ask(openai_server, tmp_path):
    """Starts a question in a terminal, whose agents run this code; stdout goes to the file `value`."""

    def start(code, **options):
        openai_server.script = lambda _request: Reply(cell(code))
        words = (
            f"{COMMAND} run -q 'What is it?' -m test-model --base-url {openai_server.url} --no-cache --tui"
        )
        return Terminal(f"{words} > value", tmp_path, **options)

    return start


def test_a_log_is_read_with_the_keyboard_and_the_screen_is_given_back(tmp_path):
    with Terminal([COMMAND, "log", LOG, "--tui"], tmp_path) as terminal:
        shown = terminal.wait("[1 Agents]")
        assert "RLM run" in shown
        assert "? help" in shown
        assert "events" in shown
        terminal.keys("2")
        assert "█ code" in terminal.wait("[2 Timeline]")
        terminal.keys("3")
        assert "[3 Answer]" in terminal.wait("╭─ Answer")
        terminal.keys("1", "<")
        terminal.wait("Before the first event.")
        terminal.keys(".")
        terminal.wait("The run starts:")
        terminal.keys("q")
        shown = terminal.wait("exit code 0")
        assert "Agents]" not in shown


def test_a_terminal_that_is_resized_is_filled_anew(tmp_path):
    log = written(example(), tmp_path / "run.jsonl")
    with Terminal([COMMAND, "log", log, "--tui"], tmp_path) as terminal:
        terminal.wait("Question: Which")
        terminal.resize(44, 12)
        shown = terminal.wait("0.1 profile", without="Question: Which")
        assert max(map(len, shown.splitlines())) <= 44
        terminal.resize(130, 40)
        terminal.wait("Question: Which")
        # tmux shows what the program draws piece by piece, so that the last line may come later
        shown = terminal.wait("f follow: on  q close")
        assert "0.1 profile" in shown
        assert "f follow: on  q close" in shown.rstrip("\n").split("\n")[39]


@pytest.mark.parametrize("term", ["xterm", "linux", "xterm-256color"])
def test_no_more_than_the_sixteen_colours_of_the_terminal_are_used(tmp_path, term):
    log = written(example(), tmp_path / "run.jsonl")
    with Terminal([COMMAND, "log", log, "--tui"], tmp_path, env={"TERM": term}) as terminal:
        for key, text in (
            ("Down", "Profile the refunds"),
            ("2", "█ code"),
            ("3", "Answer ─"),
            ("?", "Replay"),
        ):
            terminal.keys(key)
            terminal.wait(text)
            styled = terminal.screen(styles=True)
            codes = {
                code for found in re.findall("\x1b\\[([0-9;:]*)m", styled) for code in re.split("[;:]", found)
            }
            assert codes
            assert not codes & {"38", "48"}


def test_a_hostile_log_changes_nothing_of_the_terminal(tmp_path):
    text = "\x1b]0;taken over\x07\x1b]52;c;cm0gLXJm\x07\x1b[2J\x1b[H\x1b[?1049l[bold]wiped[/]\x9b2J\r\n\tend"
    story = Story(text)
    story.agent("0", text, name=text)
    story.turn("0", text, text, text)
    story.variables("0", **{text: {"type": "str", "summary": text, "preview": text}})
    story.end("failed", error=text, value={"type": "str", "summary": text, "preview": text})
    log = written(story, tmp_path / "run.jsonl")
    with Terminal([COMMAND, "log", log, "--tui"], tmp_path) as terminal:
        terminal.wait("[bold]wiped[/]")
        before = terminal.title()
        for key, wanted in (
            ("v", "[v Var"),
            ("m", "[m Mes"),
            ("2", "[2 Time"),
            ("3", "[3 Ans"),
            ("1", "[1 Ag"),
        ):
            terminal.keys(key)
            shown = terminal.wait(wanted)
            assert "RLM run 7f3a" in shown.split("\n")[0]
            assert "? help" in shown.split("\n")[23]
        assert "taken over" not in terminal.title()
        assert terminal.title() == before
        assert terminal.clipboard() == ""


def test_a_torn_log_opens_and_says_so(tmp_path):
    path = tmp_path / "torn.jsonl"
    path.write_bytes(LOG.read_bytes()[:-40])
    with Terminal([COMMAND, "log", path, "--tui"], tmp_path) as terminal:
        terminal.wait("Note: the log ends in the middle")


def test_an_agent_that_is_named_is_shown_first_and_one_that_is_not_there_is_told(tmp_path):
    log = written(example(), tmp_path / "run.jsonl")
    with Terminal([COMMAND, "log", log, "--tui", "--agent", "0.2"], tmp_path) as terminal:
        terminal.wait("Start it again.")
    with Terminal([COMMAND, "log", log, "--tui", "--agent", "9"], tmp_path) as terminal:
        terminal.wait("has no agent `9`")
        terminal.wait("exit code 1")


def test_a_run_is_shown_live_and_its_value_goes_to_stdout_at_the_end(ask, tmp_path):
    with ask("import time\ntime.sleep(3)\nFINAL({'it': 7})") as terminal:
        terminal.wait("● live")
        terminal.wait("time.sleep(3)")
        terminal.wait("The run has ended. Press q to close")
        assert (tmp_path / "value").read_text() == ""
        terminal.keys("q")
        shown = terminal.wait("exit code 0")
        assert "Question: What is it?" in shown
        assert (tmp_path / "value").read_text() == '{"it": 7}\n'


def test_a_run_is_stopped_after_it_was_confirmed(ask):
    with ask("import time\ntime.sleep(600)") as terminal:
        terminal.wait("time.sleep(600)")
        terminal.keys("S")
        terminal.wait("Stop the run?")
        terminal.keys("n")
        terminal.wait("● live", without="Stop the run?")
        terminal.keys("S")
        terminal.wait("Stop the run?")
        terminal.keys("y")
        terminal.wait("The run has ended.")
        terminal.keys("q")
        assert "stopped" in terminal.wait("exit code 130")


def test_a_viewer_that_is_closed_lets_the_run_go_on(ask, tmp_path):
    with ask("import time\ntime.sleep(5)\nFINAL(7)") as terminal:
        terminal.wait("time.sleep(5)")
        terminal.keys("q")
        terminal.wait("Close the viewer?")
        terminal.keys("y")
        terminal.wait("exit code 0")
        assert (tmp_path / "value").read_text() == "7\n"


def test_without_a_terminal_nothing_is_sent(openai_server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.__stdin__", io.StringIO())
    words = ["-q", "What?", "-m", "test-model", "--base-url", openai_server.url, "--no-cache", "--tui"]
    assert cli.main(["run", *words]) == cli.USAGE
    assert cli.main(["log", str(LOG), "--tui"]) == cli.USAGE
    assert capsys.readouterr().err.count("`--tui` needs a terminal") == 2
    assert openai_server.calls == 0
