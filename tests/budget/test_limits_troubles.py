"""No limit is passed whatever goes wrong: retries, absurd usage, cancelled calls, and a limit that is raised meanwhile.

Each limit is tried with 1, 4, 10, 50 and 200 sub-calls at once; at each request the server compares its own count.
"""

import itertools
import time
from fractions import Fraction

import pytest
from limits_parts import COUNTS, FAULTS, SAID, WIDTHS, asking, limits, nothing_follows, spent, until
from openai_server import Reply, fault
from scripts import cell, question_of

from rlm_jupyter.errors import LimitReachedError

TROUBLES = [*FAULTS, "truncated", "server_error", None, "empty_content", "rate_limit", "slow", None]
WAVES = """\
import asyncio
n, got = 3, []
async def wave(cancel):
    tasks = [asyncio.create_task(llm_query('word ' * 60)) for _ in range({width})]
    await asyncio.sleep(0.05)
    for task in tasks[::5] if cancel else ():
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)
for number in range(2):
    got += [part for part in await wave(number == 1) if isinstance(part, str)]"""
# What the root's turns may need at the most, and a part of what its sub-calls do: each limit is in the way.
ROOM = {"prompt_tokens": 6800, "completion_tokens": 500, "tokens": 7400, "cost": 0.019, "calls": 2}
EACH = {"prompt_tokens": 15, "completion_tokens": 8, "tokens": 20, "cost": 0.0001, "calls": 0.4}


@pytest.fixture
def ask(openai_server):
    with asking(openai_server) as start:
        yield start


def trouble(kind):
    if kind is None:
        return SAID
    if kind == "slow":
        return Reply(SAID, latency=0.2)
    return fault(kind) if kind in ("server_error", "rate_limit") else fault(kind, text=SAID)


class Watched:
    """A script that looks at the server's own count whenever a request comes in.

    Attributes:
        most: the limit that holds now.
        passed: counts above it that were seen.
    """

    def __init__(self, server, name, most, turns):
        self._server, self._count, self.most, self._turns = server, COUNTS[name], most, turns
        self._kinds = itertools.cycle(TROUBLES)
        self.passed = []

    def __call__(self, request):
        count = self._count(self._server)
        if count > Fraction(str(self.most)):
            self.passed.append((count, self.most))
        if question_of(request["messages"]) is None:
            return trouble(next(self._kinds))
        turn = sum(message["role"] == "assistant" for message in request["messages"])
        return cell(self._turns[min(turn, len(self._turns) - 1)])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", COUNTS)
def test_with_all_troubles_at_once_the_servers_count_never_passes_the_limit(ask, openai_server, name, width):
    if name == "concurrency":
        first = max(1, width // 8)
    else:
        exact = ROOM[name] + EACH[name] * width
        first = round(exact, 6) if name == "cost" else int(exact)
    watched = Watched(openai_server, name, first, [WAVES.format(width=width), "FINAL(len(got))"])
    run = ask(watched, bounds=limits(**{name: first}), wait=False)
    until(lambda: openai_server.calls > 1 or run.done)
    time.sleep(0.08)
    watched.most = round(1.2 * first, 6) if name == "cost" else first + max(1, first // 5)
    if not run.done:
        run.set_limit(name, watched.most)
    run.wait(200)
    assert watched.passed == [], run.error
    assert COUNTS[name](openai_server) <= Fraction(str(watched.most))
    until(lambda: openai_server.in_flight == 0)
    assert openai_server.calls > 1, run.error
    assert run.tree.requests >= openai_server.calls
    told = spent(run)
    assert told[0] >= openai_server.prompt_tokens
    assert told[1] >= openai_server.completion_tokens
    assert told == (run.usage.prompt_tokens, run.usage.completion_tokens)
    if width >= 10:
        assert any(event.estimated for event in run.events if event.kind == "reply_finished")
        assert run.usage.estimated
    if run.error is not None:
        assert isinstance(run.error, LimitReachedError)
        assert run.error.limit == name
    assert run.agents["0"].pull("n") == 3
    nothing_follows(run, openai_server)
