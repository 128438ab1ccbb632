"""What errors say: whole sentences around a provider's words, and figures that are not rounded to nothing."""

import re

import pytest
from openai_server import Reply, error

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.budget.limit_errors import limit_reached
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.errors import LimitReachedError, ModelError
from rlm_jupyter.models.base import CompletionRequest
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.openai.failures import Failure, Kind, error_of
from rlm_jupyter.models.retry import RetryPolicy


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("said", ["The server had an error", "It broke.", "Why?", "a long one…", ""])
def test_what_a_provider_said_is_a_sentence_of_the_message(kind, said):
    message = error_of(
        Failure(kind, said, 500), model="m", url="http://x/v1", said=said or "x", sent=2
    ).message
    assert not re.search(r"[a-z] (Try|Check|Give|Lower|Is) ", message)
    assert ".." not in message
    assert "?." not in message


@pytest.mark.parametrize(
    ("status", "says"), [(500, "error. Try again later."), (404, "error. It has `test-model`")]
)
async def test_what_a_server_said_ends_before_the_advice_begins(openai_server, status, says):
    openai_server.script = lambda _: error(
        status, "There was an error", "model_not_found" if status == 404 else ""
    )
    model = OpenAIChat(
        "m", base_url=openai_server.url, api_key="sk-test", retry=RetryPolicy(first_wait=0.001)
    )
    with pytest.raises(ModelError, match=re.escape(f"It said: There was an {says}")):
        await model.complete(CompletionRequest([{"role": "user", "content": "q"}]))
    await model.aclose()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.001, "0.001 s"), (0.25, "0.25 s"), (1.0, "1.0 s"), (90.0, "90.0 s"), (1800, "1,800.0 s")],
)
def test_seconds_of_a_limit_are_never_shown_as_none(seconds, shown):
    assert f"limit `seconds` of {shown}" in limit_reached("seconds", seconds, 2.0, 0, 0).message


def test_a_time_out_of_a_millisecond_is_told_as_one(openai_server):
    openai_server.script = lambda _: Reply("late", latency=5)
    model = OpenAIChat("m", base_url=openai_server.url, api_key="sk-test")
    with pytest.raises(LimitReachedError, match=r"`seconds` of 0\.001 s") as caught:
        RLM(model=model, log_dir=None, cache=False, limits=Limits(cost=None, seconds=0.001)).run("q")
    assert "0.0 s" not in caught.value.message
    caught.value.run.close()
    engine().submit(model.aclose()).result(60)
