"""Limits on the shape of a run hold as those on its spend do: depth, agents, turns of one agent, wall-clock time.

Each with 1, 4, 10, 50 and 200 sub-calls at once, and raised while the run goes on, by the server's own count.
"""

import time

import pytest
from limits_parts import WIDTHS, asking, limits, nothing_follows, until
from openai_server import Reply, fault
from scripts import cell, question_of

from rlm_jupyter.errors import LimitReachedError


@pytest.fixture
def ask(openai_server):
    with asking(openai_server) as start:
        yield start


def asked(server, *, plain=False):
    """The questions that agents came to the server with, once for each turn; or how many plain calls there were."""
    questions = [question_of(request["messages"]) for request in server.requests]
    return questions.count(None) if plain else [question for question in questions if question is not None]


def by_agent(turns, plain="plain"):
    """Answer agents by their questions' first words and the number of their turn."""

    def answer(request):
        question = question_of(request["messages"])
        if question is None:
            return plain
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        said = turns[question.split()[0]]
        return cell(said[min(turn, len(said) - 1)])

    return answer


BATCH = "n = 3\nparts = rlm_query_batched([f'part {{i}}' for i in range({width})], contexts=list(range({width})))\n"


@pytest.mark.parametrize("width", WIDTHS)
def test_no_agent_is_deeper_than_the_limit(ask, openai_server, width):
    code = BATCH.format(width=width) + "FINAL([str(p) for p in parts])"
    run = ask(by_agent({"root": [code]}), bounds=limits(depth=0))
    assert run.raise_for_error().value == ["plain"] * width
    assert asked(openai_server) == ["root"]
    assert asked(openai_server, plain=True) == width
    assert list(run.agents) == ["0"]


@pytest.mark.parametrize("width", WIDTHS)
def test_there_are_no_more_agents_than_the_limit_until_it_is_raised(ask, openai_server, width):
    wait = (
        "said = llm_query('all is decided')\nimport time\nmore = None\nwhile more is None:\n"
        "    try:\n        more = rlm_query('part more', context=1)\n"
        "    except RLMQueryError:\n        time.sleep(0.02)\n"
    )
    count = "kinds = sorted(p.kind for p in parts if not p)\n"
    code = BATCH.format(width=width) + count + wait + "FINAL([len([p for p in parts if p]), kinds, more])"
    turns = {"root": [code], "part": ["FINAL([context])"]}
    run = ask(by_agent(turns), bounds=limits(agents=3), wait=False)
    # Before, the limit that is raised would let in another one of the batch.
    until(lambda: asked(openai_server, plain=True) == 1)
    first = set(asked(openai_server))
    assert len(first) == 1 + min(2, width) or width == 1
    assert len(first) <= 3
    run.set_limit("agents", 4)
    run.wait(200)
    started = min(2, width)
    assert run.raise_for_error().value == [started, ["limit"] * (width - started), [1]]
    assert len(set(asked(openai_server))) == len(run.agents) <= 4


@pytest.mark.parametrize("width", WIDTHS)
def test_an_agent_has_no_more_turns_than_the_limit_however_many_plain_calls_it_makes(
    ask, openai_server, width
):
    code = f"n = 3\nparts = llm_query_batched(['a'] * {width})\nprint(len(parts))"
    run = ask(by_agent({"root": [code]}), bounds=limits(calls_per_agent=2))
    assert (run.status, run.error.limit) == ("limit", "calls_per_agent")
    assert asked(openai_server) == ["root"] * 2
    assert asked(openai_server, plain=True) == 2 * width
    assert run.agents["0"].pull("n") == 3
    nothing_follows(run, openai_server)


def test_turns_that_are_raised_while_the_agent_works_are_there_for_it(ask, openai_server):
    code = "import time\ntime.sleep(0.5)"
    run = ask(by_agent({"root": [code, "x = 1", "FINAL(x)"]}), bounds=limits(calls_per_agent=1), wait=False)
    until(lambda: asked(openai_server) == ["root"])
    run.set_limit("calls_per_agent", 3)
    assert run.wait(200).raise_for_error().value == 1
    assert asked(openai_server) == ["root"] * 3


def test_each_sub_agent_has_turns_of_its_own(ask, openai_server):
    code = BATCH.format(width=10) + "FINAL([p.kind for p in parts])"
    run = ask(by_agent({"root": [code], "part": ["x = 1"]}), bounds=limits(calls_per_agent=2))
    assert run.raise_for_error().value == ["limit"] * 10
    questions = asked(openai_server)
    assert {question: questions.count(question) for question in questions} == {
        "root": 1,
        **{f"part {number}": 2 for number in range(10)},
    }


@pytest.mark.parametrize("width", WIDTHS)
def test_when_the_time_is_up_all_requests_end_and_none_follows(ask, openai_server, width):
    code = f"n = 3\nparts = llm_query_batched(['a'] * {width})"
    run = ask(by_agent({"root": [code]}, plain=fault("hang")), bounds=limits(seconds=600), wait=False)
    # With one call, it is the root's own request that is in flight first.
    until(lambda: openai_server.in_flight == asked(openai_server, plain=True) == width)
    run.set_limit("seconds", run.elapsed + 0.2)
    run.wait(200)
    ended = time.monotonic()
    assert isinstance(run.error, LimitReachedError)
    assert (run.status, run.error.limit) == ("limit", "seconds")
    until(lambda: openai_server.in_flight == 0)
    assert openai_server.aborted == asked(openai_server, plain=True) == width
    assert max(received.at for received in openai_server.received) < ended
    assert run.agents["0"].pull("n") == 3
    nothing_follows(run, openai_server)


def test_time_that_is_raised_while_the_run_goes_on_is_there_for_it(ask, openai_server):
    code = "FINAL(llm_query('a'))"
    run = ask(
        by_agent({"root": [code]}, plain=Reply("late", latency=2.5)), bounds=limits(seconds=600), wait=False
    )
    until(lambda: asked(openai_server, plain=True) == 1)
    run.set_limit("seconds", run.elapsed + 2)
    run.set_limit("seconds", 600)
    assert run.wait(200).raise_for_error().value == "late"
