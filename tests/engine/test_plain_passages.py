"""A plain call over passages: which are sent, that the rest is said not to be read, and what is refused."""

import json

import pandas as pd
import pytest
from run_parts import asking

from rlm_jupyter import RLM, ConfigError
from rlm_jupyter.engine.plain import passages
from rlm_jupyter.models import ScriptedModel

FILLER = "river stone lamp ladder cloud\n" * 60
MEMOS = {f"memo {n}": FILLER for n in range(40)} | {
    "memo 7": f"{FILLER}The valve of boiler 3 was replaced on 4 May.\n{FILLER}",
    "memo 9": f"{FILLER}{FILLER}Nobody decided about the boiler.\n",
}


@pytest.fixture
def ask(tmp_path):
    with asking(tmp_path) as start:

        def ask(context, *replies, question="When was the valve replaced?", **options):
            model = ScriptedModel(list(replies) or ["4 May"])
            run = start({}, question, context, model=model, **{"plain": "passages", **options})
            run.requests = model.requests
            return run

        yield ask


def test_the_passages_that_fit_best_are_sent_with_their_places(ask):
    run = ask(MEMOS)
    assert run.value == "4 May"
    (request,) = run.requests
    system, sent = (message["content"] for message in request.messages)
    assert "The valve of boiler 3 was replaced on 4 May." in sent
    assert "# memo 7, lines " in sent
    assert "memo 12" not in sent
    assert "say that it was not found" in system
    assert "given whole" not in system
    assert run.tree.plain == "passages"
    (told,) = [text for text in run.tree.notices if "passages" in text]
    assert "was not read" in told
    assert not [event for event in run.events if event.kind == "kernel_started"]


def test_places_name_the_lines_and_long_lines_are_divided():
    parts = list(passages._parts("a", FILLER))
    assert parts[0][0].startswith("a, lines 1-")
    assert "\n".join(text for _, text in parts) == FILLER.rstrip("\n")
    long = list(passages._parts("a", "x" * 2_500))
    assert [len(text) for _, text in long] == [1000, 1000, 500]
    assert {place for place, _ in long} == {"a, line 1"}


def test_no_more_is_sent_than_fits(ask, monkeypatch):
    monkeypatch.setattr(passages, "_SENT_CHARS", 2_500)
    run = ask({f"memo {n}": f"valve {n}\n" + FILLER for n in range(40)})
    sent = run.requests[0].messages[1]["content"]
    assert sent.count("# memo") == 2
    assert len(sent) < 4_000


def test_a_text_and_a_list_of_texts(ask):
    assert "4 May" in ask(MEMOS["memo 7"]).requests[0].messages[1]["content"]
    assert "# context[1], line 1\n" in ask(["lamp", "valve", "cloud"]).requests[0].messages[1]["content"]


@pytest.mark.parametrize(
    ("context", "match"),
    [
        (pd.DataFrame({"a": [1]}), "is a `DataFrame`"),
        ([1, 2], "is a `list`"),
        ({"a": 1}, "is a `dict`"),
        (FILLER, "holds a word of the question"),
        ("", "holds a word of the question"),
    ],
)
def test_what_has_no_passages_is_refused(ask, context, match):
    with pytest.raises(ConfigError, match=match):
        ask(context)


def test_too_much_text_is_refused(ask, monkeypatch):
    monkeypatch.setattr(passages, "MOST_CHARS", 100)
    with pytest.raises(ConfigError, match="at most 100 characters"):
        ask(FILLER)


def test_what_needs_a_kernel_and_other_words_are_refused(ask):
    with pytest.raises(ConfigError, match="`checks`"):
        ask(MEMOS, checks=[lambda value: True])
    with pytest.raises(ConfigError, match="'passages'"):
        ask(MEMOS, plain="some")


def test_a_run_that_was_over_or_whose_reply_was_lost_is_resumed(ask, tmp_path):
    first = ask(MEMOS)
    log = first.log_path
    sent = first.requests[0].messages
    first.close()

    def resumed(reply):
        model = ScriptedModel([reply])
        run = RLM(model=model, log_dir=tmp_path / "logs", cache=False).resume(str(log)).wait(120)
        try:
            return run.value, run.tree.plain, model.requests
        finally:
            run.close()

    assert resumed("never asked") == ("4 May", "passages", [])
    lines = log.read_bytes().split(b"\n")
    end = next(at for at, line in enumerate(lines) if line and json.loads(line)["kind"] == "agent_started")
    log.write_bytes(b"\n".join(lines[: end + 1]) + b"\n")
    value, plain, requests = resumed("5 May")
    assert (value, plain) == ("5 May", "passages")
    assert [request.messages for request in requests] == [sent]
