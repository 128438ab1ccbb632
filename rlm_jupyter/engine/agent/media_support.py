"""What besides text the models of plain completions take: what agents are told of, and what is refused unsent."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from rlm_jupyter.engine.agent.vision import sees
from rlm_jupyter.models.audio_support import audio_refusal, known_to_hear
from rlm_jupyter.models.model_size import ServedModel

if TYPE_CHECKING:
    from rlm_jupyter.models.base import ChatModel


class TakenMedia(TypedDict):
    """What an agent is told that it can send with a prompt."""

    images: bool
    audio: bool


async def taken_media(see: bool | None, model: ChatModel) -> TakenMedia:
    """Returns what an agent is told of.

    Args:
        see: the setting.
        model: of plain completions.
    """
    return {"images": await sees(see, model), "audio": see is not False and await hears(model) is True}


async def hears(model: ChatModel) -> bool | None:
    """Returns whether a model takes audio: as it, the tables or its server on this machine say; None if none does."""
    if (known := known_to_hear(model)) is not None:
        return known
    if not isinstance(model, ServedModel) or (server := await model.local_server()) is None:
        return None
    served = server.model(model.name)
    if served is None and len(server.models) == 1:  # which it serves under any name
        served = server.models[0]
    return None if served is None else served.hears


async def check_hears(model: ChatModel) -> None:
    """Refuse audio for a model that is known to take none.

    Raises:
        AudioRefusedError: it is.
    """
    if await hears(model) is False:
        raise audio_refusal(model)
