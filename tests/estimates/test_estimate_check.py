"""`python -m benchmarks.estimates`: how good estimates are, by leave-one-out over a directory of logs."""

import json
import random

import pytest

from benchmarks.estimates import check, main, runs_below


def write(path, name, model, question, size, tokens, seconds, started):
    begun = {
        "kind": "run_started", "run": name, "time": started, "question": question, "model": model,
        "sub_model": model, "scripted": False, "context": {"type": "str", "bytes": size},
    }  # fmt: skip
    reply = {"kind": "reply_finished", "gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 10}
    ended = {"kind": "run_finished", "time": started + seconds, "status": "done"}
    path.mkdir(exist_ok=True)
    (path / f"{name}.jsonl").write_text("".join(json.dumps(event) + "\n" for event in (begun, reply, ended)))


@pytest.fixture
def logs(tmp_path):
    """Forty runs of two questions, whose figures lie within a factor of 1.5; and others of another model."""
    draw = random.Random(7)
    for number in range(40):
        cheap = number % 2
        question, size, tokens = (
            ("How many lines?", 5_000, 900) if cheap else ("Which words rhyme?", 9_000_000, 60_000)
        )
        factor = draw.uniform(0.8, 1.2)
        write(
            tmp_path / f"part{number % 3}",
            f"r{number}",
            "m",
            question,
            size,
            int(tokens * factor),
            factor,
            number,
        )
    for number in range(5):
        write(tmp_path / "other", f"x{number}", "other", "How many lines?", 5_000, 10**6, 1.0, number)
    return tmp_path


def test_runs_that_are_alike_are_estimated_well_and_their_kinds_are_told_apart(logs):
    runs = runs_below([logs], "m")
    assert len(runs) == 40
    for after in (False, True):
        for one in check(runs, after=after):
            assert one.within == 1.0 or (after and one.within >= 0.9), one.line()
            assert one.ratios[-1] < 2 or after
            assert one.below >= 0.75


def test_questions_that_were_not_asked_before_can_be_left_out(logs):
    write(logs / "part0", "new", "m", "Why?", 70, 3, 1.0, 1000)
    runs = runs_below([logs], "m")
    assert [len(one.ratios) for one in check(runs, again=True)] == [40] * 3
    assert [len(one.ratios) for one in check(runs, after=True, again=True)] == [38] * 3
    assert [len(one.ratios) for one in check(runs)] == [41] * 3


def test_the_figures_are_printed_and_too_few_logs_are_refused(logs, capsys):
    assert main([str(logs), "--model", "m"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["tokens", "cost", "seconds"]
    assert "40 runs: within a factor of 2: 100.0%" in lines[0]
    with pytest.raises(SystemExit, match="fewer than two"):
        main([str(logs), "--model", "none"])
