"""What an agent takes from the record of an earlier run in the place of work: its answer, if that was kept."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rlm_jupyter.engine.agent_requests.passage_check import NotCitedError, check_passages, sources_of
from rlm_jupyter.errors import RLMError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.values.codec.spans import has_spans
from rlm_jupyter.values.value_files import ValueKey

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.values.buffer import Buffer

_SHAPE = ("type", "summary", "shape", "preview", "length")
"""Parts of a description by which two answers are compared, beside their bytes."""


async def begin(agent: Agent) -> bool:
    """Find the record of an agent that begins; return whether its answer was kept, so that it need not work.

    The root works in any case, and so do samples in its place: their kernels are to have their variables again.
    """
    recorded = agent.services.recorded
    known = recorded.begin(agent.spec) if recorded is not None else None
    if recorded is None or known is None or agent.spec.is_root or not known.done:
        return False
    kept = await in_thread(recorded.value, ValueKey("answer", known.id))
    if kept is None:
        return False
    await _take(agent, kept)
    variables = []
    for name, description in known.variables.items():
        saved = await in_thread(recorded.value, ValueKey("variable", known.id, name))
        if saved is not None:
            agent.services.holdings.saved[agent.id, name] = await agent.services.holdings.keep(saved)
            variables.append({**description, "name": name})
    if variables:
        agent.services.journal.emit(ev.VariablesChanged, agent.id, turn=0, variables=tuple(variables))
    text = f"It was not run again: its answer was kept by run `{recorded.run}`, where its turns are."
    agent.services.journal.emit(ev.Notice, agent.id, text=text)
    return True


async def end(agent: Agent) -> None:
    """Take the answer of then, once the record is used up: what was answered stays, whatever the cells give now."""
    recorded = agent.services.recorded
    if recorded is None:
        return
    kept = await in_thread(recorded.answer, agent.id)
    if kept is None:
        return
    if agent.value is not None and _looks_as(agent.value, kept):
        kept.close()
        return
    if agent.value is not None:
        text = (
            f"The code gave another answer than in run `{recorded.run}`; the answer of then, which was kept, is this "
            "run's."
        )
        agent.services.journal.emit(ev.Notice, agent.id, text=text)
        agent.value.close()
    await _take(agent, kept)


async def _take(agent: Agent, value: Buffer) -> None:
    if has_spans(value.fd):  # what stands in the data is found there again
        with contextlib.suppress(NotCitedError, RLMError):
            value.passages = await in_thread(check_passages, value, sources_of(agent))
    agent.value = await agent.services.holdings.keep(value)
    agent.services.journal.emit(
        ev.ValueReturned,
        agent.id,
        description=value.description,
        bytes=value.size,
        place=value.place,
    )


def tell_difference(agent: Agent, cell: int, status: str, output: str) -> None:
    """Tells once that a cell gave something else than recorded, so that the replies after it answer something else."""
    recorded = agent.services.recorded
    if recorded is None or not recorded.differs(agent.id, cell, status, output):
        return
    text = (
        f"Cell {cell} printed or ended otherwise than in run `{recorded.run}`, whose replies are used: they may not "
        "fit what the code gives now."
    )
    agent.services.journal.emit(ev.Notice, agent.id, text=text)


def _looks_as(one: Buffer, other: Buffer) -> bool:
    def told(buffer: Buffer) -> list[str]:
        return [repr(_plain(buffer.description.get(name))) for name in _SHAPE]

    return one.size == other.size and told(one) == told(other)


def _plain(value: object) -> object:
    """Returns a part of a description as it is after a way through JSON."""
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    return value
