"""Why an answer is sent back: what the user's checks said in the kernel, and what else the agent's task demands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent_requests.tool_calls import hand_over
from rlm_jupyter.text.shorten import cut_end

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.kernels.bridge.socket_bridge import Bridge
    from rlm_jupyter.tools.checks import Checks
    from rlm_jupyter.values.store import Buffer

_MESSAGE_CHARS = 2000


async def refusal_of(agent: Agent, body: Mapping[str, Any], value: Buffer) -> str | None:
    """Returns why a value given to FINAL is sent back; None to take it.

    Args:
        agent: that gives it.
        body: of the request, in which the kernel tells what the checks have said.
        value: as it came.
    """
    said = body.get("refusals")
    if agent.spec.checks is not None and isinstance(said, list):
        lines = [
            cut_end(text, _MESSAGE_CHARS)
            for text in said[: len(agent.spec.checks.functions)]
            if _is_text(text)
        ]
        if lines:
            return "\n".join(lines)
    if agent.spec.acceptance is None:
        return None
    return await agent.calls.work.run(agent.spec.acceptance.refuse, agent, value)


def _is_text(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())


async def install_checks(bridge: Bridge, checks: Checks | None) -> None:
    """Put the user's checks into an agent's kernel.

    Raises:
        ToolError: one cannot be used there.
    """
    for check in checks.functions if checks is not None else ():
        await hand_over(bridge, "check", check.name, check.forms, "Write it with what is installed there.")
