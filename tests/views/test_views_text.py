"""Text: cleaning, numbers, the tree, one agent, the spend; and views that print it."""

import io
import os
import re
import subprocess
import sys

import pytest
from hostile_text import PAYLOADS
from run_story import FRAME, StandIn, Story, calls_of_all_kinds, example

from rlm_jupyter.errors import AgentNotFoundError
from rlm_jupyter.events import events as ev
from rlm_jupyter.text import units as fmt
from rlm_jupyter.text.sanitize import clean, head_tail, one_line
from rlm_jupyter.views import terminal
from rlm_jupyter.views.run_statistics import statistics
from rlm_jupyter.views.static_html import static_html
from rlm_jupyter.views.terminal import PlainView, RichView, terminal_view
from rlm_jupyter.views.text_tree import cost_table, count_states, show_agent, summary_line, tree

OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x\x1b]8;;u\x1b\\y", "xy"),
        ("\x9b31mx\x90payload\x9cy", "xy"),
        ("\x1b]never ended", "␛]never ended"),
        ("a\r\nb\rc\x85d\u2028e", "a\nb\nc\nd\ne"),
        ("\x00\x07\x7f", "␀␇␡"),
        ("a\u202eb\u200b", "a⟨U+202E⟩b⟨U+200B⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("\ud800x\udfff", "\ufffdx\ufffd"),
        ("Grüße 日本 👩‍🔬", "Grüße 日本 👩‍🔬"),
        (None, "None"),
        (7, "7"),
        ({"a": 1}, "<dict>"),
    ],
)
def test_what_a_reader_would_obey_becomes_visible_or_goes(given, shown):
    assert clean(given) == shown


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_hostile_text_survives_cleaning(payload):
    assert not OBEYED.search(clean(payload))
    assert clean(payload).encode()
    assert len(clean(payload, 100)) <= 100
    assert "\n" not in one_line(payload)


@pytest.mark.parametrize(
    "flood", ["\x1b]" * 500_000, "\x9d" * 500_000, "\x1b[" + "0;" * 500_000, "\x1b" * 10**6]
)
def test_cleaning_takes_time_in_proportion_to_the_text(flood):
    assert clean(flood)  # a quadratic pattern would run into the test's time limit


def test_long_text_keeps_head_and_tail_and_says_how_much_is_gone():
    cut = head_tail("a" * 6000 + "b" * 6000, 300)
    assert cut == "a" * 200 + "\n… 11,700 characters left out …\n" + "b" * 100
    assert head_tail("short", 300) == "short"
    assert len(clean("x" * 10**7, 50)) == 50


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(None, "?"), (0, "$0"), (1234.5, "$1,234.50"), (0.5, "$0.50"), (0.0421, "$0.042"), (3.1e-5, "$0.000031"),
     (0.0999, "$0.10"), (1e-12, "<$0.000000001")],
)  # fmt: skip
def test_money(usd, shown):
    assert fmt.money(usd) == shown


def test_durations_sizes_and_counts():
    given = (0.04, 59.94, 59.96, 125, 3599.7, 3720, None)
    shown = ["0.0 s", "59.9 s", "1 min 00 s", "2 min 05 s", "1 h 00 min", "1 h 02 min", "?"]
    assert [fmt.duration(seconds) for seconds in given] == shown
    assert [fmt.size(n) for n in (0, 999, 48_000_000, 999_960, None)] == [
        "0 B",
        "999 B",
        "48.0 MB",
        "1.0 MB",
        "?",
    ]
    assert [fmt.amount(n, "agent") for n in (0, 1, 12_345)] == ["0 agents", "1 agent", "12,345 agents"]


def test_the_tree_of_a_finished_run():
    assert tree(example().state).splitlines() == [
        "RLM run 7f3a · done · 3 agents · depth 1 · 4 calls · 480 tokens · ? · 22.0 s",
        "Question: Which supplier explains the rise?",
        "Answer: North",
        "Context: DataFrame 1,000 x 6 · the model has seen 11 tokens",
        "0 done · 1 turn · 240 tokens · $0.0015 · 20.0 s · Which supplier explains the rise?",
        "│     = 'North'",
        "├─ 0.1 done · 1 turn · 120 tokens · $0.002 · 6.0 s · profile",
        "│        = DataFrame 3 x 2, 216 B",
        "└─ 0.2 failed · 1 turn · 120 tokens · ? · 5.0 s · Find the date",
        "         ! KernelDiedError: its kernel died. Start it again.",
    ]


def test_the_value_of_a_table_is_shown_as_one_and_an_error_under_its_name():
    story = Story("Two\nlines")
    story.agent("0")
    story.end("limit", value=FRAME, error="`cost` reached.\nRaise it.", error_type="LimitReachedError")
    lines = tree(story.state).splitlines()
    assert lines[1:3] == ["Question: Two", "          lines"]
    assert lines[3:10] == [
        "Partial answer (DataFrame 3 x 2, 216 B):",
        "   supplier  refunds",
        "   North          12",
        "   South           7",
        "   [3 rows \u00d7 2 columns · 1 more row not shown]",
        "Error: LimitReachedError: `cost` reached.",
        "       Raise it.",
    ]


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (lambda s: None, "starting its kernel"),
        (lambda s: s.prompt("0"), "waiting for the model"),
        (lambda s: (s.turn("0"), s.cell("0", finish=False)), "running code"),
        (lambda s: (s.turn("0"), s.cell("0", finish=False), s.agent("0.1")), "waiting for sub-agents"),
        (lambda s: s.tell(ev.Waiting, "0", reason="rate_limit", seconds=2), "held by a rate limit"),
        (lambda s: s.tell(ev.StepPending, "0", cell=1, code="x"), "waiting for Next"),
        (lambda s: s.end_agent("0", "stopped"), "stopped"),
    ],
)
def test_an_agents_state_is_told_in_words(happens, said):
    story = Story()
    story.agent("0")
    happens(story)
    assert f"0 {said} · " in tree(story.state)


def test_a_scripted_model_says_so_and_notices_are_shown():
    story = Story(scripted=True)
    story.agent("0")
    story.tell(ev.Notice, text="sandbox: none")
    drawn = tree(story.state)
    assert "Note: scripted: no language model answers here\nNote: sandbox: none\n" in drawn


def test_a_wide_batch_and_a_large_tree_are_counted_not_printed():
    story = Story()
    story.agent("0")
    for number in range(1, 101):
        story.agent(f"0.{number}")
        story.end_agent(f"0.{number}", "failed" if number % 50 == 0 else "done")
    drawn = tree(story.state).splitlines()
    assert drawn[-1] == "└─ 60 more agents · 58 done · 2 failed"
    assert len(drawn) == 2 + 1 + 40 + 1
    assert len(tree(story.state, max_agents=5).splitlines()) == 2 + 5 + 1
    assert count_states(story.state, ["0.1"]) == "1 more agent · 1 done"


def test_a_log_of_any_depth_or_in_a_circle_is_still_drawn():
    story = Story()
    for depth in range(2000):
        story.agent("0" + ".1" * depth, depth=depth)
    story.tell(ev.AgentStarted, "a", parent="b", depth=0, question="", model="m")
    story.tell(ev.AgentStarted, "b", parent="a", depth=1, question="", model="m")
    story.tell(ev.AgentStarted, "a", parent="b", depth=0, question="", model="m")
    assert "1 more agent" in tree(story.state)


def test_one_agent_turn_by_turn():
    story = example()
    told = show_agent(story.state, "0.1")
    for piece in ("Question: Profile the refunds", "Turn 1 · m-1 · 100 tokens in, 20 out · $0.002 · 1.0 s", "   I look.",
                  "   In [2] ok · 0.5 s\n      context.head()\n   Out [2]\n      3 rows",
                  "   counts: DataFrame 3 x 2, 216 B", "Value: DataFrame 3 x 2"):  # fmt: skip
        assert piece in told
    assert "1 plain completion:\n   done · $0.0005 · and this? → That." in show_agent(story.state, "0")
    with pytest.raises(AgentNotFoundError, match=r"no agent `7`. Agents are: `0`, `0.1`, `0.2`\."):
        show_agent(story.state, "7")


def test_code_that_ran_is_not_told_twice():
    story = Story()
    story.agent("0")
    story.turn("0", "First.\n```repl\nx = 1\n```\nThen.", "x = 1")
    story.turn("0", "x = 2", "x = 2", turn=2)
    told = show_agent(story.state, "0")
    assert "   First.\n   [cell 1]\n   Then.\n   In [1]" in told
    assert told.count("x = 1") == told.count("x = 2") == 1


def test_a_value_of_parts_shows_them():
    items = [{"key": "answer", "summary": "'North'"}, {"key": "rows", "summary": "3"}]
    story = Story()
    story.end(value={"type": "dict", "summary": "dict of 2 keys", "items": items})
    assert "Answer (dict of 2 keys):\n   answer: 'North'\n   rows: 3\n" in tree(story.state) + "\n"


def test_the_spend_is_listed_with_what_is_not_known_first():
    lines = cost_table(example().state).splitlines()
    assert lines[0].split()[0] == "agent"
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["0", "$0.0015", "?"],
        ["0.2", "?", "?"],
        ["0.1", "$0.002", "$0.002"],
    ]
    assert lines[4].split()[:2] == ["all", "?"]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_hostile_text_survives_in_any_text_view(payload):
    story = Story(payload, model=payload, run=payload, context={"summary": payload})
    story.agent("0", payload, name=payload)
    story.turn("0", payload, payload, payload)
    story.variables("0", **{payload[:50]: {"summary": payload}})
    story.end_agent("0", "failed", value={"summary": payload, "preview": payload}, error=payload)
    story.end("failed", error=payload, error_type=payload[:50])
    for shown in (
        tree(story.state),
        show_agent(story.state, "0"),
        cost_table(story.state),
        summary_line(story.state),
    ):
        assert not OBEYED.search(shown)
        assert len(shown) < 60_000
    assert "\n" not in summary_line(story.state)


def test_text_cannot_pass_for_a_line_of_the_tree():
    story = Story("Q\n0 done · $0")
    story.agent("0", "real\n0.9 done · fake")
    story.end_agent("0", "failed", error="bad\n└─ 0.8 done · fake")
    lines = tree(story.state).splitlines()
    assert not [line for line in lines[2:] if line.lstrip("│├└─ ").startswith(("0.9", "0.8"))]


def test_the_plain_view_prints_starts_and_ends_and_the_tree_at_last(capsys):
    story = Story()
    run = StandIn(story)
    view = PlainView(run)
    story.agent("0", "root question")
    view.flush()
    view.flush()
    story.agent("0.1", "child")
    story.prompt("0.1")
    view.flush()
    story.end_agent("0.1", value=FRAME)
    view.flush()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(" · ")[0] for line in printed] == [
        "0 starting its kernel",
        "  0.1 waiting for the model",
        "  0.1 done",
    ]
    story.end_agent("0")
    story.end()
    view.finish()
    assert capsys.readouterr().out == tree(story.state) + "\n"


def test_the_plain_view_does_not_flood(capsys):
    story = Story()
    view = PlainView(StandIn(story))
    for number in range(5000):
        story.agent(f"0.{number}")
        if number % 10 == 0:
            view.flush()
    assert len(capsys.readouterr().out.splitlines()) == 60


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_redraws_in_place_and_keeps_the_tree(monkeypatch):
    pytest.importorskip("rich")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    story = Story("[bold]markup[/bold] :smile:")
    view = terminal_view(StandIn(story))
    assert isinstance(view, RichView)
    story.agent("0")
    view.flush()
    assert "0 starting its kernel" in screen.getvalue()
    assert "[bold]markup[/bold] :smile:" in screen.getvalue()
    view.finish()
    view.finish()
    assert screen.getvalue().endswith(tree(story.state) + "\n")


def test_nothing_is_redrawn_while_somebody_types_a_reply(monkeypatch):
    pytest.importorskip("rich")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(terminal, "_REDRAW_SECONDS", 0)
    story = Story()
    view = terminal_view(StandIn(story))
    story.agent("0")
    story.prompt("0")
    story.tell(ev.Waiting, "0", reason="reply", seconds=None, call=story.calls)
    view.flush()
    typed = len(screen.getvalue())
    view.flush()
    assert screen.getvalue()[typed:] == ""
    assert "0 waiting" not in screen.getvalue()
    story.tell(ev.Waiting, "0", reason="reply", seconds=0, call=story.calls)
    view.flush()
    assert "0 waiting for the model" in screen.getvalue()[typed:]
    view.finish()


def test_without_rich_or_a_terminal_it_is_lines(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(terminal_view(StandIn(Story())), PlainView)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.delitem(sys.modules, "rich.console")
    assert isinstance(terminal_view(StandIn(Story())), PlainView)


def test_text_views_import_nothing_heavy():
    code = (
        "import sys; import rlm_jupyter.views.text_tree, rlm_jupyter.views.display, rlm_jupyter.records; "
        "print({'pandas', 'numpy', 'anywidget', 'ipywidgets', 'rich', 'openai'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "set()"


def test_the_clocks_of_a_live_tree_go_on_where_nothing_happens_and_stand_after_the_end():
    story = Story("Q")
    story.agent("0", "Q")
    started = story.state.started
    run, _, agent = tree(story.state, at=started + 75).splitlines()
    assert "1 min 15 s" in run
    assert "1 min 14 s" in agent
    story.end_agent("0")
    story.end()
    assert tree(story.state, at=started + 500) == tree(story.state)


def test_plain_calls_tell_what_they_were_for_and_which_were_not_sent():
    story = calls_of_all_kinds()
    shown = show_agent(story.state, "0")
    assert "done · from the cache · $0 · a question → kept" in shown
    assert "done · asked again for its schema · $0.001 · again, as JSON → {}" in shown
    assert "failed · for a sub-agent, at the depth limit · $0 · a part → no credit" in shown
    assert "4 calls (1 from the cache)" in tree(story.state).splitlines()[0]
    assert "1 plain calls asked again for their schema" in statistics(story.state)
    assert "1 from the cache, 1 failed, 3 sent again" in statistics(story.state)


def test_tokens_that_no_provider_told_are_marked_as_estimated():
    story = Story()
    story.agent("0")
    story.prompt("0")
    story.reply("0")
    assert "about" not in show_agent(story.state, "0")
    assert "our estimate" not in statistics(story.state)
    story.prompt("0", turn=2)
    story.reply("0", estimated=True)
    story.prompt("0", purpose="llm_query")
    story.tell(ev.ReplyFailed, "0", call=story.calls, error="stopped", seconds=1.0, estimated=True)
    assert "Turn 2 · m-1 · about 100 tokens in, 20 out" in show_agent(story.state, "0")
    assert "about 120 tokens" in static_html(story.state)
    assert "Tokens: of 2 completions our estimate" in statistics(story.state)
    assert story.state.estimated
