"""Operators against a real HTTP server: its count of tokens, its failures, and the cache of replies."""

import re

import pandas as pd
import pytest
from openai_server import OpenAIServer
from operator_parts import good_reply, tickets
from run_parts import until

from rlm_jupyter import RLM, LimitReachedError, Limits
from rlm_jupyter.models.openai.chat import OpenAIChat


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Starts verbs of an `RLM` of a server; the runs are closed at the end."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    runs = []

    def ask(server, verb, *arguments, limits=None, **options):
        model = OpenAIChat("test-model", base_url=server.url, api_key="sk-test-0123456789")
        rlm = RLM(model=model, price=(1.0, 4.0), log_dir=None, limits=limits)
        runs.append(getattr(rlm.in_background, verb)(*arguments, **options))
        return runs[-1]

    yield ask
    for run in runs:
        run.close()


def good(request):
    return good_reply(request["messages"])


PRODUCTS = pd.DataFrame({"name": [f"p{n}" for n in range(30)]})


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("top", (tickets(700), "Which has the highest score?", 5)),
        ("join", (tickets(120), PRODUCTS, "About it")),
        ("reduce", (tickets(2500), "The sum?")),
        ("group", (tickets(200), "what went wrong")),
    ],
)
def test_the_cost_told_after_the_first_request_is_about_right_and_nothing_is_paid_twice(
    asked, verb, arguments
):
    with OpenAIServer(good) as server:
        run = asked(server, verb, *arguments)
        until(lambda: run.waits or run.done)
        told = run.tree.agents["0"].wait_text
        price = re.search(r"about \$(\S+?)[ ;]", told)
        assert price, told
        first = run.cost
        run.next()
        run.wait(60)
        assert run.error is None
        assert float(price[1]) == pytest.approx(run.cost - first, rel=0.5)
        calls, value = server.calls, run.value
        again = asked(server, verb, *arguments, confirm=False)
        again.wait(60)
        pd.testing.assert_frame_equal(again.value, value)
        assert server.calls == calls
        assert again.cost == 0


def test_a_limit_of_money_ends_it_and_what_was_paid_for_is_kept(asked):
    with OpenAIServer(good) as server:
        arguments = (tickets(400), PRODUCTS, "About it")
        run = asked(server, "join", *arguments, confirm=False, limits=Limits(cost=0.02, concurrency=1))
        run.wait(60)
        assert isinstance(run.error, LimitReachedError)
        assert run.cost <= 0.02
        found = run.value
        assert 0 < len(found) < 400
        assert all(name in text.split() for text, name in zip(found["text"], found["name"], strict=True))
