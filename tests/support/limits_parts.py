"""Runs under limits against a server that counts for itself: what the tests of limits share."""

import contextlib
import itertools
import time
from fractions import Fraction

from openai_server import Reply
from scripts import cell, question_of

from rlm_jupyter import RLM, Limits
from rlm_jupyter.engine.run.engine_thread import engine
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.retry import RetryPolicy

NONE = dict.fromkeys(Limits.model_fields)
PRICE = (2.5, 10.0)
SAID = "a reply of some length " * 4
FAULTS = ("usage_missing", "usage_null", "usage_negative", "usage_string", "usage_zero")
WIDTHS = [1, 4, 10, 50, 200]


def limits(**given):
    return Limits(**{**NONE, "calls_per_agent": 20, "depth": 2, **given})


def server_script(turns, plain):
    """Answer agents by their question's turns (a function gives those of unknown ones), and plain calls by `plain`."""
    numbers = itertools.count()

    def answer(request):
        messages = request["messages"]
        question = question_of(messages)
        if question is None:
            return plain(next(numbers)) if callable(plain) else plain
        said = turns[question]
        turn = sum(message["role"] == "assistant" for message in messages)
        reply = said[min(turn, len(said) - 1)]
        return reply if isinstance(reply, Reply) else cell(reply)

    return answer


@contextlib.contextmanager
def asking(openai_server):
    """Returns what starts a run of a script against the server; all runs are closed at the end."""
    runs = []

    def start(turns, plain=SAID, *, wait=True, bounds=None, latency=0.0, server=openai_server, **options):
        server.script = turns if callable(turns) else server_script(turns, plain)
        server.latency = latency
        model = OpenAIChat(
            "test-model",
            base_url=server.url,
            api_key="sk-test-0123456789",
            retry=RetryPolicy(first_wait=0.01, longest_backoff=0.02),
            timeout=600,  # of silence; only what hangs on purpose is silent
        )
        options = {"completion_tokens": 300, "price": PRICE, **options}
        rlm = RLM(model=model, limits=bounds or limits(), log_dir=None, cache=False, **options)
        runs.append(rlm.start("root"))
        return runs[-1].wait(200) if wait else runs[-1]

    try:
        yield start
    finally:
        for run in runs:
            run.close()
            # Left to the garbage collector, connections are closed with a warning where it runs on another thread.
            engine().submit(run.model.aclose()).result(60)


def true_cost(server):
    prompt, completion = (Fraction(str(price)) / 10**6 for price in PRICE)
    return server.prompt_tokens * prompt + server.completion_tokens * completion


COUNTS = {
    "calls": lambda server: server.calls,
    "prompt_tokens": lambda server: server.prompt_tokens,
    "completion_tokens": lambda server: server.completion_tokens,
    "tokens": lambda server: server.prompt_tokens + server.completion_tokens,
    "cost": true_cost,
    "concurrency": lambda server: server.peak,
}


def bound(name, width):
    """A limit that about half of the calls fit under, and the root's two turns."""
    half = width / 2
    return {
        "calls": 2 + round(half),
        "prompt_tokens": round(6500 + 75 * half),
        "completion_tokens": round(350 + 24 * half),
        "tokens": round(6900 + 99 * half),
        "cost": round(0.017 + 0.00043 * half, 6),
        "concurrency": max(1, width // 4),
    }[name]


def spent(run):
    """Sums over all events of completions: calls, prompt tokens, completion tokens."""
    ended = [event for event in run.events if event.kind in ("reply_finished", "reply_failed")]
    return sum(event.input_tokens for event in ended), sum(event.output_tokens for event in ended)


def nothing_follows(run, server):
    before = server.calls
    result = run.agents["0"].execute(
        "try:\n    llm_query('more')\nexcept Exception as error:\n    print(error.kind)"
    )
    assert result.output.strip() in ("stopped", "limit")
    time.sleep(0.05)
    assert server.calls == before


FAN = "n = 3\nparts = llm_query_batched(['word ' * 60] * {width})\ngot = [p for p in parts if p]"


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)
