"""Twenty turns: the time between a reply and the next request, and the bytes of the prompts."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics

from benchmarks.parts import RUNS, Figure, asked, client, plain_call
from benchmarks.server import Server

TURNS = 20
RLMS_BYTES = 144_091
"""Of all prompts that rlms 0.1.3 sent for the same twenty replies to the same question (environment `local`)."""


def measure() -> list[Figure]:
    """Measure gaps by the server's own clock; the code of each turn runs in the agent's kernel."""
    codes = [f"x{n} = {n}\nprint(x{n})" for n in range(TURNS - 1)]
    gaps, floors, sizes = [], [], []
    with Server() as server:
        with asked_turns(server, codes):
            pass  # the first run of a process starts its kernels' server
        for _ in range(RUNS):
            with asked_turns(server, codes):
                seen = server.seen()
            gaps.append(1000 * statistics.median(_gaps(seen)))
            sizes.append(
                sum(len(message["content"].encode()) for prompt in seen["prompts"] for message in prompt)
            )
            _check_growth(seen["prompts"])
            server.script({})
            asyncio.run(_loop(server))
            floors.append(1000 * statistics.median(_gaps(server.seen())))
    return [
        Figure("between a reply and the next request, code run in its kernel", gaps, floors, 5.0, "ms"),
        Figure(
            f"bytes of all prompts over {TURNS} turns (each extends the last)", sizes, [], RLMS_BYTES, "bytes"
        ),
    ]


def asked_turns(server: Server, codes: list[str]):  # type: ignore[no-untyped-def]
    """Run the turns, from a fresh script."""
    server.script({"root": [*codes, "FINAL(1)"]})
    return asked(server)


async def _loop(server: Server) -> None:
    async with client(server) as plain:
        for n in range(TURNS):
            await plain_call(plain, f"turn {n}")


def _gaps(seen: dict[str, list[float]]) -> list[float]:
    return [after - before for before, after in zip(seen["ended"], seen["arrived"][1:], strict=False)]


def _check_growth(prompts: list[list[dict[str, str]]]) -> None:
    for shorter, longer in itertools.pairwise(prompts):
        assert json.dumps(longer).startswith(json.dumps(shorter)[:-1]), (
            "a prompt does not extend the last one"
        )
