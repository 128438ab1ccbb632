"""`ask_user` of agents' code: what its kernel sent is checked, and put to the user of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.run.run_questions import AskedQuestion
from rlm_jupyter.guest.asked_user import MOST_LABEL, MOST_OPTIONS, MOST_QUESTION
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.agent import Agent

Answer = tuple[Any, list[int]]


async def ask_user(agent: Agent, body: Mapping[str, Any], _fds: list[int]) -> Answer:
    """Ask the user for an agent.

    Raises:
        BridgeError: it is not a question, or the run has asked too much.
    """
    chosen = await agent.services.questions.ask(agent.id, _checked(body))
    return {"option": chosen.option, "text": chosen.text}, []


def _checked(body: Mapping[str, Any]) -> AskedQuestion:
    """Returns what was asked, whatever the agent's kernel has sent.

    Raises:
        BridgeError: it is not a question.
    """
    text, options, default = body.get("question"), body.get("options"), body.get("default")
    number = body.get("default_option")
    texts = options if isinstance(options, list) and len(options) <= MOST_OPTIONS else None
    whole = (
        isinstance(text, str)
        and 0 < len(text) <= MOST_QUESTION
        and texts is not None
        and all(isinstance(one, str) and len(one) <= MOST_LABEL for one in (*texts, default))
        and len(set(texts)) == len(texts)
        and (number is None or (type(number) is int and 0 <= number < len(texts)))
    )
    if not whole:
        raise BridgeError(
            "internal", "`ask_user` came without a question, or with options that cannot be shown."
        )
    assert isinstance(text, str)
    assert isinstance(default, str)
    return AskedQuestion(text, tuple(texts or ()), default, number)
