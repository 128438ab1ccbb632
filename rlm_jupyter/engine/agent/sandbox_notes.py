"""What happens at the edge of an agent's box, told in its run: connections, and limits that ended something."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Requests
    from rlm_jupyter.kernels.bridge.connection_broker import SandboxEvent
    from rlm_jupyter.sandbox_settings import Sandbox
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues
    from rlm_jupyter.settings import Settings


def sandbox_notifier(calls: Requests) -> Callable[[SandboxEvent], None]:
    """Make what tells of a kernel's box, on the account of the agent whom the kernel serves at that time.

    Args:
        calls: of the kernel.

    Returns:
        A function that records each connection, and gives the first to each host, refusals and limits as notices.
    """
    told: set[tuple[str, str]] = set()

    def tell(event: SandboxEvent) -> None:
        agent = calls.agent
        journal = agent.services.journal
        if event.host:
            journal.emit(
                ev.ConnectionMade,
                agent.id,
                host=event.host,
                port=event.port,
                ok=event.ok,
                error=None if event.ok else event.text,
            )
        if (agent.id, event.text) not in told and len(told) < _MOST_NOTICES:
            told.add((agent.id, event.text))
            journal.emit(ev.Notice, agent.id, text=event.text)

    return tell


def describe_sandbox_permissions(sandbox: Sandbox, kernel: str | None) -> str | None:
    """Returns what an agent's code may reach besides its data; None if that is nothing, or not for us to say.

    Args:
        sandbox: of the run.
        kernel: of its settings; behind a gateway, what is reached is decided there.
    """
    from rlm_jupyter.kernels.channels.gateway_access import SCHEME

    if sandbox.mode == "none" or (kernel or "").startswith(SCHEME):
        return None
    parts = []
    if sandbox.net:
        hosts = "any public host" if sandbox.net == "all" else ", ".join(f"`{host}`" for host in sandbox.net)
        parts.append(
            f"Your code may connect to {hosts}, by Python (`requests`, `urllib`, `httpx`), not by programs."
        )
    if sandbox.read:
        parts.append(f"Your code may read {', '.join(f'`{path}`' for path in sandbox.read)}.")
    if sandbox.scratch is not None:
        parts.append(f"What it writes to `{sandbox.scratch}` is kept for the user.")
    return " ".join(parts) or None


_MOST_NOTICES = 100
"""Different sentences of one kernel; the log has the connections themselves."""


def allowed_and_hidden(settings: Settings, hidden: HiddenValues | None) -> str | None:
    """Returns what agents are told of what their code may reach, and of what is hidden from them; None for nothing."""
    told = describe_sandbox_permissions(settings.sandbox, settings.kernel)
    notes = [text for text in (told, hidden.told if hidden is not None else None) if text]
    return "\n\n".join(notes) or None
