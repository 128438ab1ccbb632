"""A follow-up question: the same root kernel with its variables, the chat goes on, the limits begin anew.

It is a run of its own, with its own id, log, ledger and tree. The root's kernel moves to it; the earlier run
keeps its value, its tree and the kernels of its sub-agents.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent import kernel_setup
from rlm_jupyter.engine.agent.prompt import LAST_TURN, left_text
from rlm_jupyter.engine.agent.vision import earlier_chat
from rlm_jupyter.engine.agent_requests.answer_refusals import install_checks
from rlm_jupyter.engine.agent_requests.tool_calls import install_tools
from rlm_jupyter.engine.run.retained_kernels import kept_kernels
from rlm_jupyter.errors import KernelDiedError
from rlm_jupyter.events import events as ev
from rlm_jupyter.tools.functions import tools_prompt
from rlm_jupyter.tools.skills.skill import skills_prompt
from rlm_jupyter.values.describe.api import render

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.kernels.agent_kernel import AgentKernel
    from rlm_jupyter.models.base import Message
    from rlm_jupyter.tools.functions import Tool


_SAME_KERNEL = "A follow-up question; your kernel and all its variables are as you left them."
_OTHER_KERNEL = (
    "A follow-up question. Your kernel was lost meanwhile and replaced: all variables but the data are gone. Define "
    "again what you need."
)


async def chat(agent: Agent, root: Agent, *, last_turn: bool) -> list[Message]:
    """Returns the earlier chat with the follow-up at its end; what it has told already is not told again."""
    told = {name: skill for name, skill in agent.spec.skills.items() if name not in root.spec.skills}
    tools = "\n".join(part for part in (tools_prompt(_new_tools(agent, root)), skills_prompt(told)) if part)
    servers = await agent.services.servers.shown(
        [name for name in agent.spec.mcp if name not in root.spec.mcp]
    )
    messages, agent.plan_text = earlier_chat(root.messages), root.plan_text
    if messages[-1]["role"] == "user":  # some servers take none but alternating turns
        messages.append({"role": "assistant", "content": "(There was no reply: the run ended here.)"})
    if root.value is not None:
        said = f"Your answer was taken: {root.value.description.get('summary', 'a value')}."
    else:
        said = "That run ended before there was an answer."
    parts = [f"{said} {_SAME_KERNEL if agent.calls is root.calls else _OTHER_KERNEL}"]
    parts.append(f"Question:\n{agent.spec.question}")
    if (memory := agent.spec.memory) is not None and memory.count:
        parts.append(
            f"`history` has the earlier questions and answers of this conversation ({memory.count}, the newest last): "
            "a list of dicts with `question`, `answer`, `summary` (of the answer) and `status`."
        )
    if (new := agent.new_data) is not None:
        names = ", ".join(f"`{name}`" for name in (*new.names, *new.item_names))
        parts.append(f"More data ({names}); the earlier data stays:\n{render(dict(new.data.description))}")
    if tools:
        parts.append(f"You can also call these functions:\n{tools}")
    if servers:
        parts.append(f"More MCP servers: {servers}.")
    schema = agent.spec.schema
    parts.append(f"FINAL takes {schema.text}" if schema is not None else "FINAL takes any object.")
    if text := left_text(agent.left()):
        parts.append(f"You may spend: {text}.")
    if last_turn:
        parts.append(LAST_TURN)
    messages.append({"role": "user", "content": "\n\n".join(parts)})
    return messages


async def kernel_of(agent: Agent, root: Agent) -> Coroutine[Any, Any, AgentKernel]:
    """Returns what makes the kernel of a follow-up ready: the earlier root's, which is the agent's from now on.

    In a conversation, one that is gone is replaced, with what was saved of its variables if that is all of them.

    Raises:
        KernelDiedError: it is gone, and the question is not one of a conversation.
    """
    if agent.spec.memory is not None and (root.kernel is None or not root.kernel.alive):
        agent.messages = earlier_chat(root.messages)
        if not await kernel_setup.restore_kernel(root):
            agent.services.journal.emit(ev.Notice, agent.id, text=ev.KERNEL_REPLACED)
            return kernel_setup.open_kernel(agent)
    return furnish(agent, root, take_over(agent, root))


def take_over(agent: Agent, root: Agent) -> AgentKernel:
    """Move the earlier root's kernel to `agent`, with its variables and its requests; `furnish` it then.

    It is done in one step, so that the kernel is nobody's at no time, however soon the agent ends.

    Raises:
        KernelDiedError: it died meanwhile.
    """
    services, kernel = agent.services, root.kernel
    if kernel is None or not kernel.alive:
        raise KernelDiedError(
            f"The kernel of run `{root.services.run}` died before the follow-up began. Ask anew."
        )
    services.pool.move(kernel, root.services.run, services.run)
    kept_kernels().forget(kernel)
    agent.calls = root.calls
    agent.calls.serve(agent)
    agent.kernel = kernel
    agent.messages = earlier_chat(root.messages)  # however soon it ends, a later question can go on with it
    known = tuple(root.services.journal.state.agents[root.id].variables.values())
    if known:
        services.journal.emit(ev.VariablesChanged, agent.id, turn=0, variables=known)
    return kernel


async def furnish(agent: Agent, root: Agent, kernel: AgentKernel) -> AgentKernel:
    """Tell a kernel that was taken over whom it serves, and load what is new into it.

    All of it, if the earlier run ended before its kernel had everything.
    """
    if not root.furnished:
        await kernel_setup.furnish(agent, kernel)
    else:
        await kernel_setup.configure(agent, kernel)
        if (new := agent.new_data) is not None:
            await kernel_setup.load(kernel, new.data, new.names, new.item_names)
        await kernel_setup.load_history(agent, kernel)
        await install_tools(kernel.bridge, _new_tools(agent, root))
        await install_checks(kernel.bridge, agent.spec.checks)
    agent.services.journal.emit(
        ev.KernelStarted, agent.id, pid=kernel.pid, confinement=kernel.confinement, seconds=0.0
    )
    return kernel


def _new_tools(agent: Agent, root: Agent) -> dict[str, Tool]:
    return {name: tool for name, tool in agent.spec.tools.items() if root.spec.tools.get(name) is not tool}
