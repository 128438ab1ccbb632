"""Checkpoints of an agent's kernel at the end of its turns, and a branch's kernel made of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.engine.agent.cell_history import CellHistory
from rlm_jupyter.errors import KernelDiedError, KernelStartError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.kernels.checkpoints.checkpoint import CheckpointRefusedError

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.agent.cell_history import Past, PastCell
    from rlm_jupyter.engine.agent.first_look import Look
    from rlm_jupyter.engine.run.services import RunServices
    from rlm_jupyter.kernels.agent_kernel import AgentKernel
    from rlm_jupyter.kernels.cell_result import CellResult
    from rlm_jupyter.kernels.pool import KernelRequest

WITH_STEP = 3
"""How many checkpoints of each kernel are kept in step mode: who steps is the one who branches."""
_DESCRIBE_SECONDS = 30.0


def kept_checkpoints(services: RunServices) -> int:
    """Returns how many checkpoints of each kernel a run keeps."""
    wanted = services.settings.checkpoints
    return (WITH_STEP if services.step else 0) if wanted is None else wanted


def note_cell(agent: Agent, number: int, result: CellResult, past: PastCell | None) -> None:
    """Keep what a cell gave, for branches; if it was not run again, let the agent be told what it was told then."""
    if past is not None:
        agent.told, agent.look_wanted = [*agent.told, *past.told], past.look_wanted
    if kept_checkpoints(agent.services):
        _history(agent).add(number, result, agent.told, look_wanted=agent.look_wanted)


def note_look(agent: Agent, look: Look | None) -> None:
    """Keep a look at the data that was planned, or that none was, for branches."""
    if kept_checkpoints(agent.services):
        _history(agent).add_look(look)


def _history(agent: Agent) -> CellHistory:
    if agent.history is None:
        agent.history = CellHistory(f"{agent.services.run} {agent.id}", agent.spec.tools)
    return agent.history


async def take_checkpoint(agent: Agent) -> None:
    """Keep a copy of an agent's kernel at the end of a turn, if its run keeps any; tell once why there is none."""
    most, kernel = kept_checkpoints(agent.services), agent.kernel
    if not most or kernel is None or agent.value is not None or in_past(agent):
        return
    history = _history(agent)
    history.checkpoints = kernel.checkpoints
    history.end_turn(agent.turn)
    before, history.refused = history.refused, ""
    try:
        await kernel.checkpoint(history.owner, agent.turn, most)
    except CheckpointRefusedError as error:
        history.refused = error.message
        if history.refused != before:
            text = f"There is no checkpoint of this kernel: {error.message}. A branch runs its cells again."
            agent.services.journal.emit(ev.Notice, agent.id, text=text)


def in_past(agent: Agent) -> bool:
    """Whether an agent's newest turn is one that its kernel was beyond when the agent began."""
    return agent.past is not None and agent.turn <= agent.past.turn


async def thaw(agent: Agent, request: KernelRequest) -> AgentKernel | None:
    """Make the kernel of a branch's agent of a checkpoint; returns None if there is none, and a new one is to start.

    What the cells before gave is then in `agent.past`, and none of them is run again.
    """
    recorded, services = agent.services.recorded, agent.services
    found = recorded.past(agent.id) if recorded is not None else None
    if recorded is None or found is None:
        return None
    if isinstance(found, str):
        _tell(
            agent, f"The cells of run `{recorded.run}` before that turn run again in a new kernel: {found}."
        )
        return None
    try:
        kernel = await services.pool.thaw(found.checkpoint, request, agent.calls.handle)
        await _take_variables(agent, kernel)
    except (KernelStartError, KernelDiedError, BridgeError) as error:
        text = f"The checkpoint of run `{recorded.run}` could not be used, and its cells run again in a new kernel: "
        _tell(agent, text + error.message)
        return None
    agent.past = found
    _tell(
        agent,
        f"The kernel was made of the checkpoint after turn {found.turn} of agent `{recorded.recorded_id(agent.id)}` of "
        f"run `{recorded.run}`: no cell up to that turn is run again.",
    )
    return kernel


async def _take_variables(agent: Agent, kernel: AgentKernel) -> None:
    """Let the run know the variables that the kernel has already."""
    answer, _ = await kernel.bridge.request("describe", {}, timeout=_DESCRIBE_SECONDS)
    found = answer.get("variables") if isinstance(answer, dict) else None
    await agent.calls.handle("cell_done", {"variables": found, "removed": []}, [])


def _tell(agent: Agent, text: str) -> None:
    agent.services.journal.emit(ev.Notice, agent.id, text=text)


def way_of(agent: Agent) -> tuple[str, int | None]:
    """Returns how the kernel of a branch's agent comes to its variables, and the turn of the checkpoint."""
    past: Past | None = agent.past
    if past is not None:
        return ev.CHECKPOINT, past.turn
    recorded = agent.services.recorded
    branched = recorded is not None and recorded.past(agent.id) is not None
    return (ev.CELLS_RUN_AGAIN if branched else ""), None
