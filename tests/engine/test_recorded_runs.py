"""Runs of a real small model, replayed by the loop: how its replies are read, and what they are answered with, is pinned.

The replies in `tests/logs` are those of Qwen2.5-Coder-1.5B-Instruct (Q4_K_M) in `python -m benchmarks.quality --tasks
twelve`: right answers, and a wrong one. Where a change in the loop is meant to change what they are answered with, record
them anew; or write the logs of these replays in their place, as was last done when the first look became another one.
"""

import json
from pathlib import Path

import pytest
from run_parts import asking

from benchmarks.quality.twelve_tasks import twelve
from rlm_jupyter import Limits
from rlm_jupyter.models import ReplayModel
from rlm_jupyter.records.reader import load

TEACHING = sorted((Path(__file__).parents[1] / "logs" / "teaching").glob("*.jsonl"))
WRONG = "pairs"
LOGS = sorted((Path(__file__).parents[1] / "logs").glob("*.jsonl"))


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as ask:
        yield ask


def events_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def trajectory(events):
    """What the loop made of the replies: the code that ran, how it ended, what was said of it, what was sent."""
    steps = []
    for event in events:
        match event["kind"]:
            case "code_started":
                steps.append(("ran", event["turn"], event["code"]))
            case "code_finished":
                steps.append(("ended", event["status"], event["error"]))
            case "notice" | "value_rejected":
                steps.append(("said", event.get("text") or event.get("reason")))
            case "value_returned":
                steps.append(("answered", event["description"]["summary"]))
            case "prompt_sent":
                lines = event["gen_ai.input.messages"][-1]["content"].splitlines()
                # Seconds, and the tokens of a server that tells none, differ from run to run.
                steps.append(("sent", [line for line in lines if not line.startswith("Left to spend:")]))
    return steps


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_recorded_run_goes_the_same_way(ask, path):
    recorded = events_of(path)
    (task,) = (task for task in twelve() if task.name == path.stem)
    model = ReplayModel.from_log(path)
    bounds = Limits(cost=None, calls_per_agent=8, depth=1)
    run = ask(
        {},
        task.question,
        task.data,
        model=model,
        settings={"prompt": "small", "temperature": 0.0},
        limits=bounds,
    )
    assert trajectory(events_of(run.log_path)) == trajectory(recorded)
    assert (model.departures, model.unused) == ([], 0)
    assert (task.grader.judge(run.value) == "right") == (path.stem != WRONG)


def test_there_are_good_ones_and_a_bad_one():
    assert {path.stem for path in LOGS} > {WRONG}
    assert len(LOGS) >= 5


@pytest.mark.parametrize("path", TEACHING, ids=lambda path: path.stem)
def test_a_log_for_teaching_is_a_whole_run_of_a_real_model(path):
    record = load(path)
    assert (record.torn, record.unknown, record.damaged) == (False, 0, 0)
    assert not record.tree.scripted
    assert record.tree.status == "done"
    text = path.read_text()
    assert "http://" not in text
    assert str(Path.home()) not in text


def test_the_logs_for_teaching_show_what_they_are_named_for():
    cells = {path.name.partition(".")[0]: load(path).events for path in TEACHING}

    def ends(name):
        return [event.status for event in cells[name] if event.kind == "code_finished"]

    assert ends("error_mended")[-3:] == ["error", "ok", "ok"]
    hints = [event for event in cells["hint_ignored_wrong_total"] if event.kind == "notice"]
    assert sum("There is no file" in event.text for event in hints) >= 3
    statuses = ends("pairs_found_at_the_fifth_try")
    assert "error" in statuses
    assert statuses[-1] == "ok"
    assert len(TEACHING) >= 3
