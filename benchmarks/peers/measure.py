"""What a process of a contender is asked for in each group of figures, and what came of it."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.peers.contenders import Contender
from benchmarks.peers.figures import Sizes
from benchmarks.peers.memory import Memory, tree_memory
from benchmarks.peers.processor_time import tree_seconds
from benchmarks.peers.replies import replies
from benchmarks.peers.session import ContenderError, Session
from benchmarks.server import Server

Sample = tuple[str, float]
"""Name of a figure, and its value."""
Open = Callable[[], Session]

_WARM_BATCHES = 2
_WARM_TURNS = 3
_WARM_AGENTS = (1, 2, 3)
_FOURTH = 4
_IDLE_SECONDS = 2.0
"""What is kept is read after a pause: some contenders end processes, or make them ready, after a run."""
_HELD_SECONDS = 300.0
_NOTED_SECONDS = 30.0


def measure(group: str, contender: Contender, server: Server, sizes: Sizes, make: Open) -> Iterator[Sample]:
    """Yields the samples of one process (of two for memory) as they come, so that those before a fault are kept.

    Raises:
        ContenderError: the contender failed.
    """
    play(server, contender, sizes)
    yield from _GROUPS[group](contender, server, sizes, make)


def play(server: Server, contender: Contender, sizes: Sizes, *, hold: int = 0) -> None:
    """Let the server answer that contender."""
    server.play(replies(contender.name, sizes), other="part", hold=hold)


def _batch(contender: Contender, server: Server, sizes: Sizes, make: Open) -> Iterator[Sample]:
    with make() as session:
        session.ask("import")
        for number in range(1 + _WARM_BATCHES):
            play(server, contender, sizes)
            told = _asked(session, "batch", sizes.calls)
            _check_requests(contender, server, sizes.calls, root="batch")
            yield from _timed("batch_warm" if number else "batch_fresh", told)


def _agents(contender: Contender, server: Server, sizes: Sizes, make: Open) -> Iterator[Sample]:
    kept = sizes.kept if contender.kept is None else min(contender.kept, sizes.kept)
    with make() as session:
        session.ask("import")
        for number in range(kept + 1):
            play(server, contender, sizes)
            told = _asked(session, "agents", sizes.agents)
            _check_requests(contender, server, 2 * sizes.agents, root="agents")
            if number == 0:
                yield from _timed("agents_fresh", told)
            if number in _WARM_AGENTS:
                yield from _timed("agents_warm", told)
            ends = [name for name, which in (("4th", _FOURTH), ("last", sizes.kept)) if number == which]
            for name in ends:
                yield from _timed(f"agents_{name}", told)
            if ends:
                time.sleep(_IDLE_SECONDS)
                found = tree_memory(session.pid)
            for name in ends:
                yield from _held(found, name)


def _turns(contender: Contender, server: Server, sizes: Sizes, make: Open) -> Iterator[Sample]:
    with make() as session:
        session.ask("turns")
        for _ in range(_WARM_TURNS):
            play(server, contender, sizes)
            told = session.ask("turns", close=True)
            _check_requests(contender, server, sizes.turns)
            arrived, ended = _times(server)
            gaps = [after - before for before, after in zip(ended, arrived[1:], strict=False)]
            yield "between", 1000 * statistics.median(gaps)
            yield "before", 1000 * (arrived[0] - told["began"])
            yield "after", 1000 * (told["returned"] - ended[-1])
            yield "after_closed", 1000 * (told["closed"] - ended[-1])


def _start(contender: Contender, server: Server, sizes: Sizes, make: Open) -> Iterator[Sample]:  # noqa: ARG001 - as all
    with make() as session:
        yield "start", session.ask("one")["returned"] - session.started


def _memory(contender: Contender, server: Server, sizes: Sizes, make: Open) -> Iterator[Sample]:
    play(server, contender, sizes, hold=2)
    try:
        with make() as session:
            session.send("agents", sizes.agents)
            end = time.monotonic() + _HELD_SECONDS
            while server.held() < sizes.agents:
                early = session.answered
                if early:
                    session.answer()  # raises, if the contender failed
                if early or time.monotonic() > end:
                    raise ContenderError(
                        f"`{contender.name}` did not have {sizes.agents} sub-agents at once."
                    )
                time.sleep(0.05)
            found = tree_memory(session.pid)
            server.release()
            session.answer()
            yield from _held(found, "")
    finally:
        server.release()


def _times(server: Server) -> tuple[list[float], list[float]]:
    """Returns when each request arrived and each reply was sent; the server notes the last a moment after it."""
    seen = server.seen()
    end = time.monotonic() + _NOTED_SECONDS
    while len(seen["ended"]) < len(seen["arrived"]):
        if time.monotonic() > end:
            raise ContenderError("A reply of the server was never read to its end.")
        time.sleep(0.01)
        seen = server.seen()
    return seen["arrived"], seen["ended"]


def _check_requests(contender: Contender, server: Server, number: int, root: str = "") -> None:
    """Count what was asked: one request more if an agent of the name `root` asked for the rest.

    Raises:
        ContenderError: it was more or less; whoever asks less is fast for nothing.
    """
    number += root in replies(contender.name, Sizes())
    sent = len(server.seen()["arrived"])
    if sent != number:
        raise ContenderError(f"`{contender.name}` sent {sent} requests, and not {number}.")


def _asked(session: Session, do: str, width: int) -> dict[str, Any]:
    """Returns the answer to a command, and in `processor` the seconds that all processes worked for it."""
    before = tree_seconds(session.pid)
    told = session.ask(do, width)
    return {**told, "processor": tree_seconds(session.pid) - before}


def _timed(name: str, told: dict[str, Any]) -> Iterator[Sample]:
    yield name, told["returned"] - told["began"]
    yield f"{name}_processor", told["processor"]
    if told["inside"] is not None:
        yield f"{name}_inside", told["inside"]


def _held(found: Memory, when: str) -> Iterator[Sample]:
    end = f"_{when}" if when else ""
    yield f"processes{end}", float(found.processes)
    if found.megabytes is not None:
        yield f"memory{end}", found.megabytes


_GROUPS: dict[str, Callable[[Contender, Server, Sizes, Open], Iterator[Sample]]] = {
    "batch": _batch,
    "agents": _agents,
    "turns": _turns,
    "start": _start,
    "memory": _memory,
}


def spread(samples: list[float]) -> tuple[float, float, float]:
    """Returns median, least and most."""
    return statistics.median(samples), min(samples), max(samples)


def order(contenders: list[str], runs: int) -> Iterator[tuple[int, str]]:
    """Yields who is measured after whom: all in turn, and again, so that a slower minute hits all alike."""
    yield from itertools.product(range(runs), contenders)
