"""One completion as it was asked for: who asks which model what, and as what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.engine.completions.sampling import Sampling
    from rlm_jupyter.engine.completions.sent_request import SentRequest
    from rlm_jupyter.events import events as ev
    from rlm_jupyter.models.base import ChatModel, Message


@dataclass(frozen=True)
class AskedCompletion:
    """What is asked of a model.

    Attributes:
        agent: on whose account.
        model: which model.
        messages: the whole chat.
        sampling: how the model is asked.
        purpose: a turn or a plain call.
        turn: the agent's turn in which it is asked.
        start: how many of the messages were sent with an earlier call already.
        sent: is told when the request is sent.
    """

    agent: str
    model: ChatModel
    messages: Sequence[Message]
    sampling: Sampling
    purpose: ev.Purpose
    turn: int
    start: int
    sent: SentRequest
