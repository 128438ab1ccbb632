"""Every command that a click can ask for: done, or refused in words."""

import threading

import pytest
from run_story import Story, example
from widget_parts import Agent

from rlm_jupyter.events import events as ev
from rlm_jupyter.views.widget_messages import rows


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("open", {"agent": "9"}, "has no agent `9`. Agents are: `0`, `0.1`, `0.2`."),
        ("prompt", {"agent": None}, "has no agent `None`"),
        ("stop", {"agent": "9"}, "has no agent `9`"),
        ("format_disk", {}, "There is no command `format_disk`."),
        (None, {}, "There is no command `None`."),
        ("exec", {"agent": "0", "code": "  "}, "There is no code to run"),
        ("exec", {"agent": "0", "code": 7}, "There is no code to run"),
        ("exec", {"agent": "0", "code": "1"}, "KeyError: '0'"),
        ("limit", {"name": "cost", "value": "lots"}, "needs a number"),
        ("limit", {"name": "cost", "value": True}, "needs a number"),
        ("limit", {"name": "cost", "value": 2}, "cannot be changed"),
        ("retry", {"agent": "0.2"}, "cannot be asked again"),
        ("next", {"agent": "0"}, "has no cell that waits for `Next`"),
        ("branch", {"agent": "0", "turn": 1, "change": "code", "text": "1"}, "cannot be left from here"),
        ("branch", {"agent": "0", "turn": True, "change": "code", "text": "1"}, "names a turn by its number"),
        (
            "branch",
            {"agent": "0", "turn": 1, "change": "__class__", "text": "1"},
            "names a turn by its number",
        ),
        ("branch", {"agent": "0", "turn": 1, "change": "code", "text": 7}, "names a turn by its number"),
        ("reply", {"agent": "0", "text": "x"}, "Agent `0` waits for no reply"),
        ("reply", {"agent": "0", "text": 7}, "must be text"),
        ("reply", {"agent": "0.77", "text": "x"}, "0.77"),
        (
            "pull",
            {"agent": "0.1", "name": "counts", "target": "no name"},
            "`no name` is not a name for a variable",
        ),
        (
            "pull",
            {"agent": "0.1", "name": "counts", "target": "class"},
            "`class` is not a name for a variable",
        ),
        ("pull", {"agent": "0.1", "name": "counts", "target": "__builtins__"}, "one of Python's own names"),
        ("pull", {"agent": "0.1", "name": "counts", "target": {"x": 1}}, "is not a name for a variable"),
    ],
)
def test_what_cannot_be_done_is_answered_in_words(browse, capfd, kind, fields, said):
    browser = browse(example(), namespace={})
    answer = browser.ask(kind, **fields)
    assert answer["kind"] == "error"
    assert said in answer["message"]
    assert capfd.readouterr() == ("", ""), "a handler must not print"
    assert browser.run.commands == []


def test_stop_pause_resume_and_limits_reach_the_run(browse):
    browser = browse(example())
    browser.run.set_limit = lambda name, value: browser.run.commands.append(("limit", name, value))
    browser.run.retry = lambda agent: browser.run.commands.append(("retry", agent))
    answers = [
        browser.ask("stop", agent=None),
        browser.ask("stop", agent="0.1"),
        browser.ask("pause"),
        browser.ask("resume"),
        browser.ask("limit", name="cost", value=2.5),
        browser.ask("limit", name="cost", value=None),
        browser.ask("retry", agent="0.2"),
    ]
    assert {answer["kind"] for answer in answers} == {"ok"}
    assert answers[0]["message"] == "The run is stopping."
    assert browser.run.commands == [("stop", None), ("stop", "0.1"), ("pause",), ("resume",), ("limit", "cost", 2.5),
                                    ("limit", "cost", None), ("retry", "0.2")]  # fmt: skip


def test_a_cell_runs_in_the_agents_kernel_and_its_output_is_bounded_and_clean(browse):
    browser = browse(example())
    browser.run.agents["0.1"] = agent = Agent()
    answer = browser.ask("exec", agent="0.1", code="counts.head()")
    assert agent.ran == ["counts.head()"]
    assert (answer["kind"], answer["status"]) == ("ok", "ok")
    assert len(answer["output"]) < 20_000
    assert answer["output"].endswith("xend")


def test_no_more_than_eight_commands_wait_at_once_and_stop_still_works(browse):
    release = threading.Event()
    browser = browse(example(), namespace={})
    browser.run.agents["0.1"] = Agent(counts=lambda: release.wait(60))
    for number in range(8):
        browser.click("pull", agent="0.1", name="counts", target=f"v{number}")
    assert "8 commands are under way" in browser.ask("pull", agent="0.1", name="counts")["message"]
    assert browser.ask("stop", agent=None)["kind"] == "ok"
    release.set()


@pytest.mark.parametrize(
    ("shown", "sent", "runs"),
    [
        ("x = 1", "x = 1", None),
        ("x = 1", None, None),
        ("x = 1", "x = 2", "x = 2"),
        ("x = '\x00'", "x = '␀'", None),
    ],
)
def test_next_runs_the_cell_as_it_was_or_as_it_was_edited(browse, shown, sent, runs):
    story = Story(step=True)
    story.agent("0")
    story.tell(ev.StepPending, "0", cell=1, code=shown)
    browser = browse(story)
    assert rows(story.state)["0"]["pending_code"] == shown.replace("\x00", "␀")
    assert browser.ask("next", agent="0", code=sent)["kind"] == "ok"
    assert browser.run.commands == [("next", "0", runs)]


def test_a_cell_that_is_shown_cut_runs_whole_and_cannot_be_edited(browse):
    story = Story(step=True)
    story.agent("0")
    story.tell(ev.StepPending, "0", cell=1, code="x = 1\n" * 20_000)
    browser = browse(story)
    shown = rows(story.state)["0"]["pending_code"]
    assert len(shown) < 40_000
    assert "too long to be edited" in browser.ask("next", agent="0", code=shown + "y")["message"]
    assert "must be text" in browser.ask("next", agent="0", code=7)["message"]
    assert browser.ask("next", agent="0", code=shown)["kind"] == "ok"
    assert browser.run.commands == [("next", "0", None)]
