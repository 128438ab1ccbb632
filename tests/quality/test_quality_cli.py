"""The command from end to end: a scripted server, real kernels, results, resumption, report and replay."""

import json

import pytest
from openai_server import Reply, fault

from benchmarks.quality.__main__ import main
from benchmarks.quality.suite import Suite

LOOK = "```repl\nimport re\nfound = re.search(r'keeper of the (\\w+) has been (\\w+)', context)\nprint(found)\n```"
ANSWER = """```repl
import re
place = {place!r}
FINAL(re.search(rf'keeper of the {{place}} has been (\\w+)', context).group(1))
```"""
KEY = "sk-quality-0123456789"


def model(request):
    """Answers as a model of each harness would: without tools at once, in a REPL after a look."""
    messages = request["messages"]
    if messages[0]["role"] == "user":
        return "Nobody knows."
    place = json.dumps(messages).partition("Who is the keeper of the ")[2].partition("?")[0]
    looked = any(message["role"] == "assistant" for message in messages)
    return ANSWER.format(place=place) if looked else LOOK


@pytest.fixture
def run(openai_server, tmp_path):
    openai_server.script = model

    def call(*more, tasks="niah_word", harness="ours,plain"):
        place = [
            "--model",
            "test-model",
            "--base-url",
            openai_server.url,
            "--api-key",
            KEY,
            "--out",
            str(tmp_path),
        ]
        return main([*place, "--harness", harness, "--tasks", tasks, "--size", "2^13", *more])

    return call


def rows(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_a_suite_from_end_to_end(run, openai_server, tmp_path, capsys):
    assert run("--window", "4000", "--seed", "0,1") == 0
    printed = capsys.readouterr().out
    ours, plain, *others = rows(tmp_path)
    assert [row["seed"] for row in others] == [1, 1]
    assert (ours["harness"], ours["verdict"], ours["turns"], ours["requests"]) == ("ours", "right", 2, 2)
    assert ours["answer"] == ours["wanted"]
    assert (plain["harness"], plain["verdict"], plain["failures"]) == ("plain", "wrong", ["wrong type"])
    assert plain["requests"] == 1
    assert sum(row["prompt_tokens"] for row in rows(tmp_path)) == openai_server.prompt_tokens
    assert sum(row["completion_tokens"] for row in rows(tmp_path)) == openai_server.completion_tokens
    assert not ours["estimated"]
    assert ours["conditions"] == {"turns": 8, "reply_tokens": 700, "seconds": 400.0, "settings": {}}
    assert "| ours | 2 of 2 (100%) | 34% to 100% | 0 | 0 | 2 | 2 |" in printed
    assert {request["max_tokens"] for request in openai_server.requests} == {700}
    assert {request["temperature"] for request in openai_server.requests} == {0.0}
    assert not [path for path in tmp_path.rglob("*.jsonl") if KEY in path.read_text()]


def test_an_interrupted_suite_goes_on_where_it_stopped(run, openai_server, tmp_path, monkeypatch, capsys):
    once = Suite._once

    def interrupted(self, harness, *rest):
        if harness.name == "plain":
            raise KeyboardInterrupt
        return once(self, harness, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Suite, "_once", interrupted)
        assert run() == 130
    assert "goes on where it stopped" in capsys.readouterr().err
    assert [row["harness"] for row in rows(tmp_path)] == ["ours"]
    calls = openai_server.calls
    assert run() == 0
    assert [row["harness"] for row in rows(tmp_path)] == ["ours", "plain"]
    assert openai_server.calls == calls + 1
    assert run() == 0
    assert openai_server.calls == calls + 1
    assert run("--anew", harness="plain") == 0
    assert openai_server.calls == calls + 2
    assert run("--turns", "9", harness="plain") == 0
    assert openai_server.calls == calls + 3


def test_reports_and_replays_read_what_was_written(run, tmp_path, capsys):
    assert run() == 0
    ours, plain = rows(tmp_path)
    capsys.readouterr()
    assert main(["report", str(tmp_path / "results.jsonl")]) == 0
    assert "| niah_word | 1 of 1 | 0 of 1 |" in capsys.readouterr().out
    assert main(["--replay", ours["run_log"]]) == 0
    told = capsys.readouterr().out
    assert "Who is the keeper of the" in told
    assert "FINAL(re.search(" in told
    assert main(["--replay", ours["log"]]) == 0
    told = capsys.readouterr().out
    assert told.count("Request ") == 2
    assert "[2 earlier messages]" in told
    assert main(["--replay", plain["log"]]) == 0
    assert "Nobody knows." in capsys.readouterr().out
    assert main(["--replay", str(tmp_path / "results.jsonl")]) == 1
    assert "is a log neither of exchanges nor of a run" in capsys.readouterr().err


def test_a_variant_is_told_apart_by_its_label_and_its_settings(run, openai_server, tmp_path):
    assert run("--label", "terse", "--set", "instructions=Be quick.", harness="ours") == 0
    (row,) = rows(tmp_path)
    assert row["label"] == "terse"
    assert row["conditions"]["settings"] == {"instructions": "Be quick."}
    assert "Be quick." in json.dumps(openai_server.requests[0]["messages"])


def test_samples_and_verification_are_counted_with_the_run(run, tmp_path):
    run("--samples", "2", "--verify", harness="ours,plain")
    ours, plain = rows(tmp_path)
    assert (ours["verdict"], ours["requests"]) == ("right", 4)
    assert (ours["conditions"]["samples"], ours["conditions"]["verify"]) == (2, True)
    assert "samples" not in plain["conditions"]


def test_a_run_that_ends_at_a_limit_has_no_answer(run, openai_server, tmp_path):
    openai_server.script = lambda _: LOOK
    assert run("--turns", "2", harness="ours") == 0
    (row,) = rows(tmp_path)
    assert (row["verdict"], row["turns"], "limit" in row["failures"]) == ("no answer", 2, True)
    assert row["error"]


def test_tokens_that_were_not_counted_are_marked(run, openai_server, tmp_path, capsys):
    openai_server.script = lambda request: Reply(model(request), usage=None)
    assert run() == 0
    assert [row["estimated"] for row in rows(tmp_path)] == [True, True]
    assert "| ~" in capsys.readouterr().out


def test_plain_sends_less_if_the_server_says_that_it_was_too_much(run, openai_server, tmp_path):
    openai_server.script = lambda request: (
        fault("context_too_long") if len(request["messages"][0]["content"]) > 5000 else "Nobody"
    )
    assert run("--window", "100000", harness="plain") == 0
    (row,) = rows(tmp_path)
    assert row["requests"] == 2
    assert row["verdict"] == "wrong"
    assert "characters of the data were left out" in openai_server.requests[-1]["messages"][0]["content"]


@pytest.mark.parametrize("harness", ["ours", "plain"])
def test_a_refused_key_stops_the_suite_and_is_no_result(run, openai_server, tmp_path, capsys, harness):
    openai_server.script = lambda _: fault("unauthorized")
    assert run(harness=harness) == 1
    assert not (tmp_path / "results.jsonl").exists()
    told = capsys.readouterr().err
    assert "The server answered no request: HTTP 401" in told
    assert KEY not in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tasks", "nia"], "There is no task `nia`"),
        (["--harness", "theirs"], "There is no harness `theirs`. There are: ours, plain, rlms, dspy."),
        (["--base-url", "localhost"], "`localhost` is not the URL of a server"),
        (["--model", ""], "Name a model and a server"),
    ],
)
def test_wrong_arguments_are_refused(arguments, told, tmp_path, capsys):
    place = [
        "--model",
        "m",
        "--base-url",
        "http://127.0.0.1:1/v1",
        "--out",
        str(tmp_path),
        "--tasks",
        "twelve/gap",
    ]
    assert main([*place, *arguments]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("size", ["2^12", "2^23", "100", "2^99999999"])
def test_sizes_out_of_range_are_refused(size, capsys):
    with pytest.raises(SystemExit):
        main(["--size", size])
    assert "2^" in capsys.readouterr().err


def test_the_names_of_tasks_are_listed(capsys):
    assert main(["--list"]) == 0
    assert len(capsys.readouterr().out.split()) == 52
