"""The figures of a log: bounded and checked, whoever wrote it; and how alike runs are."""

import json
import math
import random
from dataclasses import replace

import pytest

from rlm_jupyter.estimates.run_figures import RunFigures, kind_of, read_figures, words_of
from rlm_jupyter.estimates.similar_runs import Asked, alike, distance, weighted_quantile

STARTED = {
    "kind": "run_started", "run": "r", "agent": "", "seq": 1, "time": 100.0, "question": "How many rows?",
    "model": "m", "sub_model": "m", "scripted": False, "limits": {}, "context": {"type": "DataFrame", "bytes": 5000},
}  # fmt: skip
REPLY = {
    "kind": "reply_finished", "run": "r", "agent": "0", "seq": 3, "time": 101.0, "call": 1,
    "gen_ai.usage.input_tokens": 300, "gen_ai.usage.output_tokens": 50, "cost": 0.25, "cached": False,
}  # fmt: skip
FINISHED = {"kind": "run_finished", "run": "r", "agent": "", "seq": 9, "time": 112.5, "status": "done"}


def log(path, *events, end=b"\n"):
    path.write_bytes(b"\n".join(json.dumps(event).encode() for event in events) + end)
    return path


def test_a_log_gives_its_sums(tmp_path):
    path = log(tmp_path / "a.jsonl", STARTED, {"kind": "agent_started"}, REPLY, REPLY, FINISHED)
    found = read_figures(path)
    assert (found.tokens, found.input_tokens, found.cost, found.seconds) == (700, 600, 0.5, 12.5)
    assert (found.kind, found.bytes, found.agents, found.calls) == ("table", 5000, 1, 2)
    assert found.whole
    assert RunFigures.of_row(json.loads(json.dumps(found.row()))) == found


def test_the_instructions_of_a_run_are_told_apart_by_a_hash(tmp_path):
    def sent(text, **changed):
        messages = [{"role": "system", "content": text}, {"role": "user", "content": "x"}]
        return {
            "kind": "prompt_sent",
            "agent": "0",
            "purpose": "turn",
            "gen_ai.input.messages": messages,
        } | changed

    def instructions(*events):
        return read_figures(log(tmp_path / "a.jsonl", STARTED, *events, REPLY, FINISHED)).instructions

    other = [sent("B", agent="0.1"), sent("B", purpose="llm_query")]
    assert instructions(*other, sent("A"), sent("C")) == instructions(sent("A")) != instructions(sent("B"))
    assert instructions() == instructions(*other) == 0
    assert instructions(sent("A", **{"gen_ai.input.messages": [3]})) == 0


@pytest.mark.parametrize(
    "events",
    [
        [],
        [STARTED],
        [STARTED, REPLY],
        [REPLY, FINISHED],
        [{**STARTED, "time": "soon"}, FINISHED],
        [{**STARTED, "time": 200.0}, FINISHED],
        [STARTED, {**REPLY, "cost": -1.0}, FINISHED],
        [STARTED, {**REPLY, "cost": math.nan}, FINISHED],
        [STARTED, {**REPLY, "cost": 1e300}, FINISHED],
        [STARTED, {**REPLY, "gen_ai.usage.input_tokens": -5}, FINISHED],
        [STARTED, {**REPLY, "gen_ai.usage.input_tokens": 1e300}, FINISHED],
        [STARTED, {**REPLY, "gen_ai.usage.input_tokens": math.inf}, FINISHED],
        [STARTED, {**REPLY, "gen_ai.usage.input_tokens": [1]}, FINISHED],
        [{"kind": "run_started"}, FINISHED],
        [["run_started"], FINISHED],
    ],
)
def test_a_log_that_cannot_be_has_no_figures(tmp_path, events):
    assert read_figures(log(tmp_path / "a.jsonl", *events)) is None


def test_a_log_that_somebody_made_is_bounded(tmp_path):
    deep = tmp_path / "deep.jsonl"
    deep.write_bytes(b'{"kind": "run_started", "context": ' + b"[" * 200_000 + b"\n")
    assert read_figures(deep) is None
    digits = tmp_path / "digits.jsonl"
    digits.write_bytes(b'{"kind": "run_started", "time": ' + b"9" * 100_000 + b"}\n")
    assert read_figures(digits) is None
    one_line = tmp_path / "line.jsonl"
    with one_line.open("wb") as file:
        file.write(b'{"kind": "prompt_sent", "x": "')
        file.truncate(30 << 20)
        file.seek(0, 2)
        file.write(b'"}\n')
    assert read_figures(one_line) is None
    long_model = log(tmp_path / "long.jsonl", {**STARTED, "model": "m" * 5000}, REPLY, FINISHED)
    assert len(read_figures(long_model).model) == 120


def test_what_the_cache_spared_or_the_user_stopped_says_nothing(tmp_path):
    cached = log(tmp_path / "a.jsonl", STARTED, REPLY, {**REPLY, "cached": True}, FINISHED)
    stopped = log(tmp_path / "b.jsonl", STARTED, REPLY, {**FINISHED, "status": "stopped"})
    assert [read_figures(path).whole for path in (cached, stopped)] == [False, False]


def test_kinds_and_words():
    assert [kind_of(one) for one in (None, {"type": "str"}, {"type": "DataFrame"}, {"type": "PosixPath"}, {})] == [
        "none", "text", "table", "files", "object",
    ]  # fmt: skip
    assert words_of("How many ROWS?") == words_of("rows, how many")
    assert len(words_of(" ".join(f"w{n}" for n in range(1000)))) <= 64


def test_the_newest_runs_count_most_and_at_an_earlier_time_those_near_it():
    old = [figures(100, started=float(number)) for number in range(30)]
    new = [figures(1000, started=float(number)) for number in range(100, 130)]
    asked = Asked("m", "m", "table", 5000, words_of("How many rows?"))
    for at, tokens in ((None, 1000), (115.0, 1000), (15.0, 100)):
        found = alike(replace(asked, at=at), [*new, *old])
        assert found.spread(lambda run: float(run.tokens)).p50 == pytest.approx(tokens)


def figures(
    tokens,
    *,
    question="How many rows?",
    size=5000,
    model="m",
    kind="table",
    run="r",
    seconds=1.0,
    started=0.0,
    told=0,
):
    return RunFigures(
        run, model, model, kind, size, words_of(question), False, False, "done",
        tokens, 0, 1, 0, 1, None, seconds, started, told,
    )  # fmt: skip


def test_runs_alike_are_of_the_same_model_and_the_nearest_count_most():
    asked = Asked("m", "m", "table", 5000, words_of("How many rows?"))
    near = [figures(tokens) for tokens in (90, 100, 110)]
    far = [figures(9000, question="Who wrote the letter about the cat?", size=50_000_000, kind="text")] * 5
    other = [figures(5, model="x")] * 50
    found = alike(asked, [*far, *near, *other])
    assert found.same_model
    assert {run.model for run, _ in found.runs} == {"m"}
    assert 90 <= found.spread(lambda run: float(run.tokens)).p50 <= 110
    assert distance(asked, near[0]) == 0 < distance(asked, far[0])
    found = alike(Asked("new", "new", "table", 5000, words_of("How many rows?")), other)
    assert not found.same_model
    assert {run.model for run, _ in found.runs} == {"x"}


def tokens_of(run):
    return float(run.tokens)


def test_other_questions_do_not_outvote_the_same_one_however_many_were_asked_since():
    same = [figures(5000, started=float(number)) for number in range(3)]
    others = [figures(500, question=f"What is in box {n}?", started=100.0 + n) for n in range(200)]
    found = alike(Asked("m", "m", "table", 5000, words_of("How many rows?")), [*same, *others])
    assert found.same_question == 3
    assert found.spread(tokens_of).p50 == pytest.approx(5000)
    assert alike(Asked("m", "m", "table", 5000, words_of("What is it?")), [*same, *others]).same_question == 0


def test_runs_with_other_instructions_count_less_than_those_with_the_newest_ones():
    before = [figures(5000, started=float(number), told=1) for number in range(3)]
    since = [figures(700, started=100.0 + number, told=2) for number in range(2)]
    found = alike(Asked("m", "m", "table", 5000, words_of("How many rows?")), [*before, *since])
    assert found.same_question == 2
    assert found.spread(tokens_of).p50 == pytest.approx(700)
    earlier = alike(Asked("m", "m", "table", 5000, words_of("How many rows?"), at=1.0), [*before, *since])
    assert earlier.spread(tokens_of).p50 == pytest.approx(5000), "then they were told the other"


def test_time_is_told_at_the_pace_of_now():
    names = ("How many rows?", "Who?", "Why?")
    quiet = [
        figures(1000, run=f"q{n}", question=names[n % 3], seconds=2.0, started=float(n)) for n in range(21)
    ]
    busy = [
        figures(1000, run=f"b{n}", question=names[1 + n % 2], seconds=40.0, started=100.0 + n)
        for n in range(14)
    ]
    asked = Asked("m", "m", "table", 5000, words_of("How many rows?"))
    assert alike(replace(asked, at=10.0), quiet).seconds().p50 == pytest.approx(2.0)
    assert alike(asked, [*quiet, *busy]).seconds().p50 == pytest.approx(40.0, rel=0.01)
    assert alike(replace(asked, at=10.0), [*quiet, *busy]).seconds().p50 == pytest.approx(2.0, rel=0.01)
    assert alike(replace(asked, model="new"), quiet).seconds() is None


def test_a_question_that_takes_long_does_not_make_the_machine_slow():
    quick = [figures(1000, run=f"a{n}", seconds=2.0, started=float(n)) for n in range(20)]
    slow = [figures(1000, run=f"b{n}", question="Why?", seconds=90.0, started=100.0 + n) for n in range(20)]
    once = [
        figures(1000, run=f"c{n}", question=f"box {n}", seconds=90.0, started=200.0 + n) for n in range(20)
    ]
    asked = Asked("m", "m", "table", 5000, words_of("How many rows?"))
    assert alike(asked, [*quick, *slow, *once]).seconds().p50 == pytest.approx(2.0)


def test_quantiles_lie_between_values_and_keep_their_order():
    random.seed(5)
    for _ in range(200):
        values = [(random.lognormvariate(5, 2), random.random() + 0.01) for _ in range(random.randint(1, 9))]
        half, most = (weighted_quantile(values, share) for share in (0.5, 0.9))
        assert min(values)[0] <= half <= most <= max(values)[0] * (1 + 1e-9)
    assert weighted_quantile([(0.0, 1.0), (10.0, 1.0)], 0.5) == 5.0
    assert weighted_quantile([(1.0, 1.0), (2.0, 1e-9)], 0.5) == pytest.approx(1.0)
