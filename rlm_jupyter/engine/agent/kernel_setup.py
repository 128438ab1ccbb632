"""An agent's kernel made ready: started, told whom it serves, its data and tools in it; and again after a loss."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent import kernel_checkpoints
from rlm_jupyter.engine.agent.bash_words import refusal
from rlm_jupyter.engine.agent.sandbox_notes import sandbox_notifier
from rlm_jupyter.engine.agent_requests.answer_refusals import install_checks
from rlm_jupyter.engine.agent_requests.tool_calls import install_tools
from rlm_jupyter.errors import KernelDiedError, KernelError
from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError
from rlm_jupyter.kernels.pool import KernelRequest
from rlm_jupyter.text.shorten import cut_end
from rlm_jupyter.values.buffer import LARGE_TEXT, Buffer, placeholder_fd

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.kernels.agent_kernel import AgentKernel


_READING_SECONDS, _MOST_TOLD, _LONGEST_TOLD = 120.0, 10, 300
_SHARED_BYTES = LARGE_TEXT
"""Data of that size is loaded once, in a process from which the run's kernels are forked; less is loaded in each."""


async def open_kernel(agent: Agent) -> AgentKernel:
    """Start an agent's kernel, with its data and tools in it."""
    services = agent.services
    request = KernelRequest(
        run=services.run,
        agent=agent.id,
        kernelspec=services.settings.kernel,
        sandbox=services.settings.sandbox,
        env=services.env,
        limits=services.box_limits,
        tell=sandbox_notifier(agent.calls),
    )
    began = time.monotonic()
    kernel = await kernel_checkpoints.thaw(agent, request)
    if kernel is None:
        if agent.spec.parent is None:
            await share_data(agent)
        try:
            kernel = await services.pool.start(request, agent.calls.handle)
        finally:
            services.tell_once(services.pool.standing)
        agent.kernel = kernel
        await furnish(agent, kernel)
    else:
        agent.kernel = kernel
        await configure(agent, kernel)
        if agent.past is not None and agent.past.tools != agent.spec.tools:
            await install_tools(kernel.bridge, agent.spec.tools)
        await install_checks(kernel.bridge, agent.spec.checks)
    way, turn = kernel_checkpoints.way_of(agent)
    services.journal.emit(
        ev.KernelStarted,
        agent.id,
        pid=kernel.pid,
        confinement=kernel.confinement,
        seconds=time.monotonic() - began,
        way=way,
        checkpoint=turn,
    )
    services.tell_once(kernel.confinement.get("missing") or ())
    return kernel


async def share_data(agent: Agent) -> None:
    """Load the root's large data once, in a process from which the run's kernels are forked; tell what is held."""
    services, context = agent.services, agent.spec.context
    if context is None:
        return
    forked = services.settings.kernel is None and services.settings.sandbox.mode != "bwrap"
    if context.size >= _SHARED_BYTES and forked:
        stand = placeholder_fd() if context.can_release else None
        text = context.text
        try:
            held = await services.pool.share(
                services.run, context.fd, context.fd if text is not None else stand, text
            )
            if held and stand is not None:
                context.release(stand)  # that process has it now: the encoded bytes would be a second copy
        finally:
            if stand is not None:
                os.close(stand)
    services.holdings.tell()


async def furnish(agent: Agent, kernel: AgentKernel) -> None:
    """Tells the kernel which agent it serves, and loads the data into it."""
    await configure(agent, kernel)
    context = agent.spec.context or agent.services.question_buffer(agent.spec.question)
    await load(kernel, context, ("context", *agent.spec.names), agent.spec.item_names)
    if agent.spec.is_root and context.description.get("variable"):
        await _read_files(agent, kernel)
    for added in agent.spec.added:
        await load(kernel, added.data, added.names, added.item_names)
    await load_history(agent, kernel)
    await install_tools(kernel.bridge, agent.spec.tools)
    await install_checks(kernel.bridge, agent.spec.checks)


async def load_history(agent: Agent, kernel: AgentKernel) -> None:
    """Bind `history` to the earlier questions and answers, if the agent is the root of a conversation."""
    if agent.spec.memory is not None:
        await load(kernel, agent.spec.memory.history, ("history",))


async def _read_files(agent: Agent, kernel: AgentKernel) -> None:
    """Let the root's kernel read the small files whose paths it was given; what it could not read is told."""
    answer, _ = await kernel.bridge.request("read_files", {"name": "context"}, timeout=_READING_SECONDS)
    told = answer.get("told") if isinstance(answer, dict) else None
    for text in (
        [text for text in told if isinstance(text, str)][:_MOST_TOLD] if isinstance(told, list) else []
    ):
        agent.services.journal.emit(ev.Notice, agent.id, text=cut_end(text, _LONGEST_TOLD))
        agent.told.append(cut_end(text, _LONGEST_TOLD))


async def configure(agent: Agent, kernel: AgentKernel) -> None:
    """Tells the kernel which agent it serves."""
    await kernel.bridge.request(
        "configure",
        {
            "agent": agent.id,
            "depth": agent.spec.level,
            # What is switched off is refused, and not done as a plain completion instead.
            "leaf": agent.leaf and agent.services.settings.sub_calls and agent.services.settings.sub_agents,
            "words": agent.services.words(agent),
            "links": dict(agent.services.links),
            "bash": {"refused": refusal(kernel.confinement)} if agent.services.settings.bash else None,
        },
    )


async def load(
    kernel: AgentKernel, data: Buffer, names: Sequence[str], item_names: Sequence[str] = ()
) -> None:
    """Bind data to variables of the kernel; of a dict, its items too."""
    body: dict[str, Any] = {"names": list(names)}
    if item_names:
        body["item_names"] = list(item_names)
    try:
        await kernel.bridge.request("load", body, fds=(data.dup().detach(),), timeout=600)
    except BridgeError:
        if not data.released:
            raise
        # It was not forked from a process that holds the value: that was killed, or the sandbox is another one.
        whole = await in_thread(data.with_bytes)
        await kernel.bridge.request("load", body, fds=(whole.detach(),), timeout=600)


async def export(
    kernel: AgentKernel,
    name: str,
    *,
    trust: bool = False,
    figures: bool = True,
    timeout: float = 30.0,  # noqa: ASYNC109 - as of the bridge's requests
) -> Buffer:
    """Take a variable out of a kernel.

    Args:
        kernel: whose.
        name: the variable's.
        trust: whether it may come as a pickle.
        figures: whether figures may be in it: matplotlib changes a figure while it draws it, beside a cell that runs.
        timeout: seconds.

    Raises:
        BridgeError: there is none of that name, or it has no safe form.
    """
    body = {"name": name, "allow_pickle": trust, "figures": figures}
    answer, fds = await kernel.bridge.request("export", body, timeout=timeout)
    return Buffer.from_fd(fds[0], answer["description"])


async def restore_kernel(agent: Agent) -> bool:
    """Start a new kernel for an agent that has ended, with the variables that were taken over when its last one ended.

    Returns:
        Whether there is one now; not if the agent has one, never had one, or something of its last one is lost.
    """
    services = agent.services
    variables = services.journal.state.agents[agent.id].variables
    saved = {name: services.holdings.saved.get((agent.id, name)) for name in variables}
    ended = services.journal.state.agents[agent.id].kernel_ended
    if agent.kernel is not None or ended is None or None in saved.values():
        return False
    kernel = await open_kernel(agent)
    for name, buffer in saved.items():
        assert buffer is not None
        await load(kernel, buffer, (name,))
    for name in saved:
        del services.holdings.saved[agent.id, name]
    return True


async def furnish_again(agent: Agent) -> None:
    """After a new kernel took the old one's place: the data again; what is gone is told."""
    assert agent.kernel is not None
    gone = tuple(agent.services.journal.state.agents[agent.id].variables)
    agent.services.journal.emit(ev.VariablesChanged, agent.id, turn=agent.turn, variables=(), removed=gone)
    agent.services.journal.emit(ev.Notice, agent.id, text=ev.KERNEL_REPLACED)
    try:
        await furnish(agent, agent.kernel)
    except KernelError as error:
        raise KernelDiedError(
            f"The kernel of agent `{agent.id}` died and could not be replaced: {error}"
        ) from error
