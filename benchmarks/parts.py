"""What all benchmarks share: a run against the server, the floor's client, and how a figure is told."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm_jupyter import RLM, Limits
from rlm_jupyter.models.openai.chat import OpenAIChat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai import AsyncOpenAI

    from benchmarks.server import Server
    from rlm_jupyter.engine.run.run import Run

RUNS = 5


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what was measured.
        samples: seconds, or whatever `unit` says, of each run.
        floor: the same work by a plain `AsyncOpenAI` loop, of the same minutes; empty where there is none.
        most: what must be reached on two quiet cores.
        times: the same as a multiple of the floor, for a machine that is busy.
        unit: of all of these.
    """

    name: str
    samples: list[float]
    floor: list[float]
    most: float
    unit: str = "s"
    times: float | None = None

    def line(self) -> str:
        """Returns median, floor, ratio and whether it was reached."""
        median = statistics.median(self.samples)
        floor = statistics.median(self.floor) if self.floor else None
        ratio = None if floor is None else median / max(floor, 1e-9)
        spread = f"{min(self.samples):.4g} to {max(self.samples):.4g}"
        beside = "" if floor is None else f"; floor {floor:.4g} {self.unit}, {ratio:.2g} x"
        verdict = "reached" if median <= self.most else "missed"
        if verdict == "missed" and self.times is not None and ratio is not None and ratio <= self.times:
            verdict = f"missed, but at most {self.times:g} x the floor: a busy machine"
        return (
            f"{self.name:<62} {median:9.4g} {self.unit} ({spread}{beside}); at most {self.most:g}: {verdict}"
        )


def model(server: Server) -> OpenAIChat:
    """Returns a model with connections of its own."""
    return OpenAIChat("test-model", base_url=server.url, api_key="sk-benchmark", price=None)


def client(server: Server) -> AsyncOpenAI:
    """Returns the floor's client, with connections of its own."""
    from openai import AsyncOpenAI

    return AsyncOpenAI(base_url=server.url, api_key="sk-benchmark", max_retries=0)


async def plain_call(client: AsyncOpenAI, prompt: str) -> str:
    """Ask once, streaming, as the engine does."""
    stream: Any = await client.chat.completions.create(
        model="test-model", messages=[{"role": "user", "content": prompt}], stream=True
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


@contextmanager
def asked(server: Server, context: Any = None, **options: Any) -> Iterator[Run]:
    """Run the question `root` to its end with default settings, without a log or a cache."""
    rlm = RLM(model=model(server), limits=Limits(cost=None), log_dir=None, cache=False, **options)
    with rlm.start("root", context).wait(3600).raise_for_error() as run:
        yield run


async def several(once: Callable[[], Awaitable[float]], runs: int = RUNS) -> list[float]:
    """Returns the figures of several floors."""
    return [await once() for _ in range(runs)]
