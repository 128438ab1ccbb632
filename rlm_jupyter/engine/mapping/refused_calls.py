"""The kernel of a map runs a function that the model wrote: it may compute, and ask nothing."""

from __future__ import annotations

from typing import Any

from rlm_jupyter.engine.agent_requests.dispatch import AgentCalls
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError

_ALLOWED = ("cell_done", "budget")


class RefusedCalls(AgentCalls):
    """Serves a kernel whose code causes no completions: the function is to cost nothing."""

    async def handle(self, op: str, body: dict[str, Any], fds: list[int]) -> tuple[Any, list[int]]:
        """Serve one request.

        Raises:
            BridgeError: it would cost something, or give an answer.
        """
        if op not in _ALLOWED:
            raise BridgeError(
                "failed", f"`{op[:40]}` is not available to a function of rows: it computes only."
            )
        return await super().handle(op, body, fds)
