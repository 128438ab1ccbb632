"""`AcpModel`: a real agent of the Agent Client Protocol in the place of a model, and programs that only look like one."""

import asyncio
import json
import logging
import sys
from pathlib import Path

import pytest
from run_parts import until

from rlm_jupyter import RLM, Limits, UnknownPriceError
from rlm_jupyter.errors import (
    AuthenticationError,
    ConfigError,
    EmptyReplyError,
    ModelError,
    ProviderUnreachableError,
)
from rlm_jupyter.models import AcpModel
from rlm_jupyter.models.base import CompletionRequest, Usage
from rlm_jupyter.models.images import Image

AGENT = str(Path(__file__).parents[1] / "support" / "acp_agent.py")
USER = [{"role": "user", "content": "Grüße"}]


def agent(behaviour, *arguments, **options):
    return AcpModel([sys.executable, AGENT, behaviour, *arguments], **options)


def complete(model, messages=USER, **options):
    return asyncio.run(model.complete(CompletionRequest(messages, **options)))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_message_is_the_reply_and_thoughts_and_tokens_are_counted():
    pieces, begun = [], []
    done = complete(agent("echo"), on_delta=pieces.append, on_begin=lambda: begun.append(len(pieces)))
    assert done.text == "5: Grüße" == "".join(pieces)
    assert begun == [0]
    assert done.thought_bytes == len("Hmm, ä.".encode())
    assert done.usage == Usage(140, 50, 40)
    assert done.finish_reason == "stop"
    assert done.model.startswith("acp/")
    long = "line \u2028 of text\n" * 100_000
    assert complete(agent("echo"), [{"role": "user", "content": long}]).text == f"{len(long)}: {long}"


def test_it_is_offered_nothing_and_sees_no_keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-1234567890")
    told = json.loads(complete(agent("surroundings", env={"ACP_TEST": "given"}, mode="plan")).text)
    assert told["files"] == []
    assert not Path(told["cwd"]).exists()
    assert (told["servers"], told["mode"], told["terminal"], told["read"]) == (0, "plan", False, False)
    assert (told["key"], told["given"]) == (None, "given")


def test_what_it_asks_permission_for_is_refused():
    assert complete(agent("ask for all")).text == "no cancelled -32601 -32601"


@pytest.mark.parametrize(
    ("behaviour", "error", "match"),
    [
        ("signed out", AuthenticationError, r"signed in first: Authentication required: run `agent login`"),
        ("newer", ModelError, r"version `7`"),
        ("cancelled", ModelError, "cancelled"),
        ("nothing", EmptyReplyError, "without a message"),
        ("die", ModelError, "ended before it had answered: out of memory"),
        ("flood", ModelError, "more than 4,000,000 characters"),
        ("raw lines", ModelError, "no messages of the Agent Client Protocol"),
        ("raw line", ModelError, "a line of more than 4,000,000 bytes"),
    ],
)
def test_failures_are_errors_of_a_model(behaviour, error, match, caplog):
    with caplog.at_level(logging.WARNING, "asyncio"), pytest.raises(error, match=match):
        complete(agent(behaviour))
    assert not caplog.records


def test_a_mode_that_it_does_not_have_is_told():
    with pytest.raises(ModelError, match=r"refused `session/set_mode`: .*There is no mode none"):
        complete(agent("echo", mode="none"))


@pytest.mark.parametrize(("behaviour", "reason"), [("refuse", "content_filter"), ("cut", "length")])
def test_why_it_ended_is_kept(behaviour, reason):
    assert complete(agent(behaviour)).finish_reason == reason


def test_lines_that_are_no_messages_are_passed_over():
    done = complete(agent("raw greeting"))
    assert (done.text, done.usage, done.finish_reason) == ("done", None, "stop")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_is_ended_with_its_children_when_the_time_is_over(tmp_path):
    mark = tmp_path / "mark"
    with pytest.raises(ModelError, match=r"after 15 seconds.*`timeout=`"):
        complete(agent("wait", str(mark), timeout=15))
    until(lambda: not alive(int(mark.read_text().split()[0])))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_stopping_a_run_cancels_its_turn_and_ends_it_with_its_children(tmp_path):
    mark = tmp_path / "mark"
    rlm = RLM(model=agent("wait", str(mark)), log_dir=None, cache=False)
    with rlm.start("Which?", "text", plain=True) as run:
        until(lambda: mark.exists() and mark.read_text())
        run.stop()
        run.wait(60)
        assert run.status == "stopped"
        until(lambda: not alive(int(mark.read_text().split()[0])))
    assert "cancelled" in mark.read_text()


def test_a_run_of_agents_is_answered_by_it():
    with RLM(model=agent("final"), log_dir=None, cache=False).start("How many?", [1, 2, 3]) as run:
        run.wait(60)
        assert run.value == 3
        assert run.cost is None


def test_what_cannot_be():
    with pytest.raises(UnknownPriceError, match="acp/"):
        RLM(model=agent("echo"), limits=Limits(cost=1.0))
    with pytest.raises(ConfigError, match="claude-code-acp"):
        AcpModel([])
    with pytest.raises(ProviderUnreachableError, match="cannot be started: No such file"):
        complete(AcpModel(["no-such-program-of-this-test"]))
    with pytest.raises(ModelError, match="images"):
        complete(agent("echo"), [{**USER[0], "images": (Image(b"", 1, 1),)}])
