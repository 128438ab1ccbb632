"""A server that tells no usage: tokens are about what came, money is never less than may have been billed."""

import pytest
from limits_parts import SAID, asking, limits, true_cost
from openai_server import OpenAIServer, Reply, fault
from scripts import cell, question_of

from rlm_jupyter.engine.budget.ledger import Ledger
from rlm_jupyter.errors import LimitReachedError
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.models.base import Price, Usage
from rlm_jupyter.views.run_statistics import statistics

CODE = "got = [llm_query('word ' * 60) for _ in range(6)]"


@pytest.fixture
def ask(openai_server):
    with asking(openai_server) as start:
        yield start


def silent(turns, plain=SAID, tells=lambda number: False):
    """Returns a script whose replies tell no usage, but for those whose number `tells`."""
    count = iter(range(10**6))

    def answer(request):
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        text = plain if question_of(request["messages"]) is None else cell(turns[min(turn, len(turns) - 1)])
        return Reply(text) if tells(next(count)) else Reply(text, usage=None)

    return answer


def finished(run):
    return [event for event in run.events if event.kind == "reply_finished"]


def test_replies_without_usage_are_counted_by_what_came_and_not_at_their_bound(ask, openai_server):
    run = ask(silent([CODE, "FINAL(len(got))"]), bounds=limits(), completion_tokens=4000, price=None)
    assert run.raise_for_error().value == 6
    told = run.usage.prompt_tokens, run.usage.completion_tokens
    assert told[0] == pytest.approx(openai_server.prompt_tokens, rel=0.15)
    assert told[1] == pytest.approx(openai_server.completion_tokens, rel=0.15)
    assert run.usage.estimated
    assert all(event.estimated for event in finished(run))
    assert "of 8 completions our estimate" in statistics(TreeState.of(run.events))


def test_a_limit_in_tokens_lets_a_run_go_on_that_its_bounds_alone_would_end(ask, openai_server):
    # Each plain call is bounded by 2,588 + some tokens and takes about 98; the chat is bounded by 7,000.
    run = ask(
        silent(["got = [llm_query('word ' * 60) for _ in range(40)]", "FINAL(len(got))"]),
        bounds=limits(tokens=30_000),
        completion_tokens=2000,
    )
    assert run.raise_for_error().value == 40
    assert openai_server.prompt_tokens + openai_server.completion_tokens < 30_000


@pytest.mark.parametrize("per_token", [2, 7])
def test_the_ratio_is_learnt_from_those_replies_that_tell(ask, per_token):
    with OpenAIServer(tokens=lambda text: -(-len(text.encode()) // per_token)) as server:
        script = silent([CODE, "FINAL(len(got))"], plain=SAID * 5, tells=lambda number: number == 0)
        run = ask(script, bounds=limits(), server=server, completion_tokens=2000)
        assert run.raise_for_error().value == 6
        first, *others = finished(run)
        assert not first.estimated
        assert all(event.estimated for event in others)
        assert run.usage.prompt_tokens == pytest.approx(server.prompt_tokens, rel=0.2)
        assert run.usage.completion_tokens == pytest.approx(server.completion_tokens, rel=0.25)


def test_thoughts_that_came_are_counted_too(ask):
    said = Reply(SAID, usage=None, message={"reasoning_content": "hm " * 400})
    run = ask({"root": ["x = llm_query('q')", "FINAL(1)"]}, said)
    plain = next(event for event in finished(run) if event.text == SAID)
    assert plain.output_tokens == pytest.approx((len(SAID) + 1200) / 4, rel=0.1)


@pytest.mark.parametrize("width", [1, 10, 50])
def test_a_limit_in_money_is_not_passed_by_thoughts_that_nobody_saw(ask, width):
    """The server bills each reply at its bound, of which a part was thought in silence, and tells nothing."""

    class Thinker(OpenAIServer):
        def _billed(self, request, reply):
            billed = super()._billed(request, reply)
            self.completion_tokens += request["max_tokens"] - self.tokens(billed.text or "")
            return billed

    with Thinker() as server:
        turns = [
            f"got = llm_query_batched(['word ' * 60] * {width})\nparts = [p for p in got if p]",
            "FINAL(1)",
        ]
        run = ask(silent(turns), bounds=limits(cost=0.03), server=server)
        assert float(true_cost(server)) <= 0.03
        assert run.cost is not None
        assert run.cost >= float(true_cost(server)) - 1e-12
        assert server.calls >= 2
        # … and its tokens are those that came.
        assert run.usage.completion_tokens < server.completion_tokens


def test_a_reply_that_broke_off_counts_its_prompt_once_and_its_bound(ask, openai_server):
    def plain(number):
        return fault("truncated", text=SAID) if number == 0 else Reply(SAID)

    run = ask({"root": ["x = llm_query('word ' * 600)", "FINAL(1)"]}, plain)
    call = next(event for event in finished(run) if event.attempts == 2)
    # Two prompts of 750 tokens: the one that broke off is estimated, not bounded by its 3,000 bytes.
    assert call.input_tokens == pytest.approx(1500, rel=0.1)
    assert call.output_tokens >= 300
    assert call.estimated


def test_a_call_that_is_stopped_within_its_reply_counts_its_prompt_and_its_bound(ask, openai_server):
    code = (
        "import asyncio\n"
        "task = asyncio.create_task(llm_query('word ' * 600))\n"
        "await asyncio.sleep(1.5)\ntask.cancel()\n"
        "await asyncio.gather(task, return_exceptions=True)"
    )
    run = ask({"root": [code, "FINAL(1)"]}, fault("late_hang", text=SAID))
    failed = next(event for event in run.events if event.kind == "reply_failed")
    assert failed.input_tokens == pytest.approx(750, rel=0.1)
    assert failed.output_tokens == 300
    assert failed.cost >= (3000 * 2.5 + 300 * 10) / 1e6, "money is the bound"


def test_a_call_that_is_stopped_before_its_reply_counts_its_bounds(ask, openai_server):
    code = (
        "import asyncio\n"
        "task = asyncio.create_task(llm_query('word ' * 600))\n"
        "await asyncio.sleep(1)\ntask.cancel()\n"
        "await asyncio.gather(task, return_exceptions=True)"
    )
    run = ask({"root": [code, "FINAL(1)"]}, fault("hang"))
    failed = next(event for event in run.events if event.kind == "reply_failed")
    assert failed.input_tokens >= 3000
    assert failed.output_tokens == 300


async def test_the_ledger_pays_the_most_and_counts_the_estimate():
    ledger = Ledger(limits(cost=0.01, tokens=10_000))
    held = await ledger.reserve("0", 1000, 500, Price(1.0, 2.0))
    spent = ledger.settle(held, Usage(250, 20, estimated=True, at_most=(1000, 500)), None)
    assert (spent.tokens, spent.estimated) == (270, True)
    assert spent.cost == pytest.approx(0.002)
    held = await ledger.reserve("0", 1000, 500, Price(1.0, 2.0))
    assert ledger.settle(held, Usage(250, 20, estimated=True, at_most=(1000, 500)), 0.0005).cost == 0.0005
    held = await ledger.reserve("0", 1000, 500, Price(1.0, 2.0))
    lie = Usage(250, 20, estimated=True, at_most=(-1, 10**15))
    assert ledger.settle(held, lie, None).cost == pytest.approx(0.002)
    held = await ledger.reserve("0", 1000, 500, Price(1.0, 2.0))
    ledger.settle(held, Usage(1, 1, estimated=True, at_most=(5000, 500)), None)
    with pytest.raises(LimitReachedError):
        await ledger.reserve("0", 1000, 500, Price(1.0, 2.0))
