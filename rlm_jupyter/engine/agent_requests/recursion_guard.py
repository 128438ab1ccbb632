"""A guard against useless recursion: a sub-agent that would be asked just what its parent was asked.

Its prompt, its data and its model would be those of its parent, so that it can only do what its parent could do, and
most likely the same. Whatever differs (the question, the data, the model, a tool, the form of the answer) lets it pass.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from rlm_jupyter.events import events as ev
from rlm_jupyter.kernels.blocking import in_thread
from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.engine.typed_answers.answer_schema import AnswerSchema
    from rlm_jupyter.tools.functions import Tool
    from rlm_jupyter.values.store import Buffer

_PIECE: Final = 1 << 22
_MOST_BYTES: Final = 1 << 30
"""Of data that is compared; larger data counts as different, unless it is the same memory."""

_REFUSED: Final = (
    "The sub-agent was not started: it would be asked what you were asked, about the same data, and can do no more "
    "than you can. Answer it yourself, hand over a part of the data, or ask another question."
)
_TOLD: Final = (
    "A sub-agent that would have been asked the same about the same data as this agent was refused "
    "(`recursion_guard`)."
)


async def refuse_useless_recursion(
    parent: Agent,
    question: str,
    context: Buffer | None,
    schema: AnswerSchema | None,
    tools: Mapping[str, Tool],
) -> None:
    """Refuse a sub-agent that would differ from its parent in nothing.

    Raises:
        BridgeError: what the agent's code shall see raised.
    """
    if not parent.services.settings.recursion_guard or not _alike(parent, question, schema, tools):
        return
    if context is None or parent.data is None:
        same = context is None and parent.data is None
    else:
        same = await in_thread(same_bytes, parent.data, context)
    if same:
        parent.services.journal.emit(ev.Notice, parent.id, text=_TOLD)
        raise BridgeError("failed", _REFUSED)


def _alike(parent: Agent, question: str, schema: AnswerSchema | None, tools: Mapping[str, Tool]) -> bool:
    services, spec = parent.services, parent.spec
    settings = services.settings
    own_settings = spec.is_root and (settings.sub_instructions is not None or settings.sub_prompt is not None)
    asked_form = schema.text if schema is not None else None
    own_form = spec.schema.text if spec.schema is not None else None
    return (
        " ".join(question.split()) == " ".join(spec.question.split())
        and spec.model is services.sub_model
        and not own_settings
        and {*services.sub_tools, *tools} <= set(spec.tools)
        and asked_form in (None, own_form)
    )


def same_bytes(one: Buffer, other: Buffer) -> bool:
    """Returns whether two encoded values are the same, byte for byte; it may take a while for large ones."""
    if one.origin == other.origin:
        return True
    if one.size != other.size or one.released or other.released or one.size > _MOST_BYTES:
        return False
    with one.dup() as left, other.dup() as right:
        return all(
            os.pread(left.fd, _PIECE, place) == os.pread(right.fd, _PIECE, place)
            for place in range(0, one.size, _PIECE)
        )
