"""Results as a file, and as tables."""

from dataclasses import replace

import pytest

from benchmarks.quality.report import report, wilson
from benchmarks.quality.results import Result, append, read

RESULT = Result(
    harness="ours",
    label="",
    task="niah_word",
    family="niah",
    seed=0,
    repeat=0,
    characters=8192,
    model="small-model",
    verdict="right",
    failures=[],
    answer="Rossi",
    wanted="Rossi",
    turns=2,
    requests=3,
    prompt_tokens=1000,
    completion_tokens=50,
    estimated=False,
    seconds=12.0,
    error=None,
    log="logs/a.jsonl",
    run_log=None,
    versions={"rlm_jupyter": "0.1.0"},
    conditions={"turns": 8},
)


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [
        (7, 12, 0.3195, 0.8067),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 8, 0.0224, 0.4709),
        (0, 0, 0, 1),
    ],
)
def test_the_interval_is_that_of_wilson(right, of, low, high):
    assert wilson(right, of) == pytest.approx((low, high), abs=1e-4)


def test_results_are_read_as_they_were_written_and_the_newest_counts(tmp_path):
    path = tmp_path / "deep" / "results.jsonl"
    other = replace(RESULT, task="niah_date")
    for result in (replace(RESULT, verdict="wrong"), other, RESULT):
        append(path, result)
    assert read([path]) == [other, RESULT]


def test_a_line_that_was_cut_short_is_left_out_and_the_next_is_not_lost(tmp_path):
    path = tmp_path / "results.jsonl"
    append(path, RESULT)
    path.write_bytes(path.read_bytes() + b'{"harness": "ou')
    append(path, replace(RESULT, seed=1))
    assert [result.seed for result in read([path])] == [0, 1]


def test_runs_under_other_conditions_are_other_runs(tmp_path):
    path = tmp_path / "results.jsonl"
    different = [{"seed": 1}, {"repeat": 1}, {"model": "b"}, {"conditions": {"turns": 9}}, {"label": "new"}]
    different += [{"characters": 1}, {"harness": "rlms"}]
    for change in different:
        append(path, replace(RESULT, **change))
    assert len(read([path])) == len(different)


def test_the_summary():
    results = [
        replace(RESULT, task=f"t{n}", verdict="right" if n < 7 else "wrong", turns=n) for n in range(12)
    ]
    results[11] = replace(results[11], verdict="no answer")
    told = report(results)
    assert "| ours | 7 of 12 (58%) | 32% to 81% | 4 | 1 | 5.5 | 3 | 1,000 | 50 | 12 |" in told
    assert "- ours: rlm_jupyter 0.1.0." in told
    assert "~" not in told
    assert "cannot be compared" not in told


def test_estimated_tokens_are_marked():
    told = report([replace(RESULT, estimated=True), replace(RESULT, seed=1)])
    assert "| ~1,000 | ~50 |" in told
    assert "estimated by characters" in told


def test_harnesses_and_labels_stand_beside_each_other():
    results = [
        RESULT,
        replace(RESULT, label="short prompt", verdict="wrong", failures=["same error", "no code"]),
    ]
    results += [replace(RESULT, harness="plain", verdict="wrong", turns=None)]
    told = report(results)
    assert "| ours (short prompt) | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 |" in told
    assert "| plain | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1 |" in told
    assert "| niah_word | 1 of 1 | 0 of 1 | 0 of 1 |" in told
    assert "| plain | 0 of 1 (0%) | 0% to 79% | 1 | 0 | - |" in told


def test_what_cannot_be_compared_is_said():
    told = report([RESULT, replace(RESULT, harness="rlms", task="niah_date")])
    assert "The harnesses did not run the same tasks" in told
    assert "| niah_word | 1 of 1 | - |" in told
    assert "2 different conditions" in report([RESULT, replace(RESULT, conditions={"turns": 9})])


def test_each_model_has_tables_of_its_own():
    told = report([RESULT, replace(RESULT, model="other|\x1b[31mmodel")])
    assert told.count("| ours | 1 of 1 (100%)") == 2
    assert "## other\\|model" in told


def test_no_results():
    assert report([]) == "There are no results."
