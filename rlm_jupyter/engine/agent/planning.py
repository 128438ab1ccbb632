"""Plans in words: after every so many turns an agent is asked what is known, what is missing and what comes next.

The request is one completion of its own, on the agent's account. Its text stands in the newest message of the chat,
and the older plan leaves the chat, which so grows by one plan at most. It is no turn: it runs no code, and no limit of
turns counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.engine.reply.fences import scan
from rlm_jupyter.errors import LimitReachedError, ModelError
from rlm_jupyter.events import events as ev
from rlm_jupyter.text.shorten import cut_end

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.agent.chat_tail import ChatTails
    from rlm_jupyter.models.base import Message

_TOKENS = 600
_CHARS = 2_000
"""Characters of a plan that stay in the chat."""
_READ = 50_000
"""Characters of a reply that are read, thoughts included."""
_FEW = 2
"""With no more turns or calls left than these, a plan is paid for and hardly used."""
_ASK = """\
Before you go on, write a short plan in words, without code: what is known so far, with figures; what is still \
missing; your next steps, in order. At most 150 words. Nothing is run now; you go on with code after it."""
_HEAD = "Your plan"


async def plan(agent: Agent, tails: ChatTails, last: str = "") -> None:
    """Ask an agent for a plan if one is due before its next turn, and put it into its chat.

    Args:
        agent: that is about to take a turn.
        tails: the parts of its messages.
        last: what is said after all else in the newest message.
    """
    every, recorded = agent.services.settings.planning, agent.services.recorded
    if every is None or agent.turn <= 1 or (agent.turn - 1) % every or not agent.messages:
        return
    replayed = recorded is not None and recorded.has_reply(agent.id, "plan")
    if not replayed and (_few_left(agent) or (recorded is not None and recorded.has_reply(agent.id, "turn"))):
        return
    try:
        completion = await agent.services.completions.ask(
            agent.id,
            agent.spec.model,
            _request(agent),
            purpose="plan",
            turn=agent.turn,
            start=len(agent.messages) - 1,
            max_tokens=_TOKENS,
        )
    except (LimitReachedError, ModelError) as error:
        agent.services.journal.emit(
            ev.Notice, agent.id, text=f"There is no plan before turn {agent.turn}: {error}"
        )
        return
    said = cut_end(scan(completion.text[:_READ], cut=True).prose.strip(), _CHARS)
    if said:
        text = f"{_HEAD} (made before turn {agent.turn}):\n{said}"
        agent.replace_plan(text, tails.plan(agent.messages, agent.plan_text, text, last))


def _few_left(agent: Agent) -> bool:
    left = agent.left()
    return any(count is not None and count <= _FEW for count in (left.turns, left.calls))


def _request(agent: Agent) -> list[Message]:
    """Returns the chat, with the request in its newest message: some servers take none but alternating turns."""
    *before, newest = agent.messages
    if newest["role"] != "user":
        return [*agent.messages, {"role": "user", "content": _ASK}]
    return [*before, {**newest, "content": f"{newest['content']}\n\n{_ASK}"}]
