"""A run as a Mermaid diagram: each agent once, and no text of a model, of data or of a log as syntax."""

import contextlib
import io
import re

import pytest
from hostile_text import PAYLOADS
from made_events import MadeRun
from magics_parts import terminal_shell, without_settings
from run_parts import asking

from rlm_jupyter.cli import main
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.export_file import export_run
from rlm_jupyter.records.mermaid_diagram import MOST_AGENTS, to_mermaid

LABEL = r"(?:[^\W_]|[ .,:·=?!_-]|#\d+;|<br/>)*"
LINES = re.compile(
    r"---|title: \"RLM run [\w-]*\"|flowchart TD"
    r"|    classDef (?:done|failed|limit|stopped|running) [\w:#,]+"
    rf"|    agent\d+\[\"{LABEL}\"\]:::(?:done|failed|limit|stopped|running)"
    r"|    agent\d+ --> agent\d+"
    rf"|    (?:more|run)\[\"{LABEL}\"\]"
)
"""All that a diagram may have: what stands outside of quotes is written by this package alone."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    script = {
        "root": ["FINAL(rlm_query_batched(['part', 'other'], [context[:1], context[1:]]))"],
        "part": ["FINAL(context)"],
        "other": ["FINAL('\"];x[\"')"],
    }
    with asking(tmp_path_factory.mktemp("mermaid")) as ask:
        yield ask(script, "root", [1, 2, 3])


def boxes(text):
    return re.findall(r"^    (agent\d+)\[", text, re.MULTILINE)


def test_a_real_run_is_drawn(run):
    text = to_mermaid(run.tree)
    assert all(LINES.fullmatch(line) for line in text.splitlines())
    assert boxes(text) == ["agent0", "agent1", "agent2"]
    assert re.findall(r"^    (\w+) --> (\w+)$", text, re.MULTILINE) == [
        ("agent0", "agent1"),
        ("agent0", "agent2"),
    ]
    assert re.search(r'agent0\["0 · done<br/>1 turn · [\d,]+ tokens · .*<br/>root<br/>= list of 2', text)
    assert text.count(":::done") == 3


def test_the_commands_write_it(run, tmp_path, monkeypatch):
    assert main(["export", str(run.log_path), "-o", str(tmp_path / "log.mmd")]) == 0
    without_settings(monkeypatch)
    monkeypatch.chdir(tmp_path)
    with terminal_shell(tmp_path) as shell, contextlib.redirect_stdout(io.StringIO()):
        shell.run_line_magic("rlm", "export run.mmd")
        shell.run_line_magic("rlm", "export bare.mmd --level structure")
    assert (tmp_path / "run.mmd").read_text() == (tmp_path / "log.mmd").read_text() == to_mermaid(run.tree)
    bare = (tmp_path / "bare.mmd").read_text()
    assert len(boxes(bare)) == 3
    assert "part" not in bare


@pytest.mark.parametrize("payload", [*PAYLOADS, '"]\nclick agent0 call alert()', "`**x**`", "%%{init: {}}%%"])
def test_no_text_becomes_syntax(payload):
    made = MadeRun(payload, model=payload)
    made.events[0] = made.events[0].model_copy(update={"run": payload})
    made.agent(f"0.{payload}", payload, name=payload, model=payload)
    made.add(ev.ValueReturned, "0", description={"type": "str", "summary": payload}, bytes=3)
    text = to_mermaid(TreeState.of(made.end()))
    assert [line for line in text.split("\n")[:-1] if not LINES.fullmatch(line)] == []
    assert len(boxes(text)) == 2


def test_a_word_behind_which_mermaid_reads_otherwise_is_no_word_of_a_label():
    """Mermaid takes the semicolon from `style …: … #…;`, wherever it stands: the last code of a label would be lost."""
    for word in ("style", "classDef"):
        text = to_mermaid(TreeState.of(MadeRun(f"the {word} is: <b>").end()))
        boxes = [line for line in text.splitlines() if "[" in line]
        assert not any(re.search(rf"{word}.*:\S*#.*;", line) for line in boxes)


def test_dollars_are_no_formula():
    text = to_mermaid(TreeState.of(MadeRun("$$\\\\unicode{x}$$ and $$$").end()))
    decoded = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), text)
    assert "$$" not in decoded
    assert "$ $ $" in decoded


def test_what_was_written_can_be_read():
    made = MadeRun('Is 2 < 3 & "so" on?')
    text = to_mermaid(TreeState.of(made.end()))
    decoded = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), text)
    assert 'Is 2 < 3 & "so" on?' in decoded


def test_of_many_agents_some_are_drawn_and_the_rest_is_counted():
    made = MadeRun()
    for number in range(1, 1001):
        made.agent(f"0.{number}")
    text = to_mermaid(TreeState.of(made.end()))
    assert len(boxes(text)) == MOST_AGENTS
    assert '    more["and 801 more agents"]' in text


def test_a_run_without_agents_has_a_diagram_too(tmp_path):
    written = export_run(TreeState(run="none"), tmp_path / "none.mmd")
    assert 'run["none: no agent began"]' in written.read_text()
