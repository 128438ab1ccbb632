"""A `FINAL(...)` in prose whose words may be code or a text: the agent's kernel decides, by which names it knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rlm_jupyter.errors import KernelDiedError
from rlm_jupyter.guest.bridge import frames
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError

if TYPE_CHECKING:
    from rlm_jupyter.engine.reply.parse import Reply
    from rlm_jupyter.kernels.agent_kernel import AgentKernel

_SECONDS = 10.0


async def decide(reply: Reply, kernel: AgentKernel) -> Reply:
    """Returns a reply whose answer is a text where names in it are not defined in the kernel; else the same reply.

    Args:
        reply: of a turn.
        kernel: of the agent, idle.
    """
    text = reply.text
    if text is None:
        return reply
    try:
        defined, fds = await kernel.bridge.request("defined", {"names": list(text.names)}, timeout=_SECONDS)
    except (BridgeError, KernelDiedError, TimeoutError):
        return reply  # as code it says itself what is wrong
    frames.close_all(fds)
    if isinstance(defined, list) and all(name in defined for name in text.names):
        return reply
    return replace(reply, blocks=(text.code,), notices=(*reply.notices, text.notice), text=None)
