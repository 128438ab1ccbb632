"""Which models take audio, as far as that is known before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rlm_jupyter.errors import AudioRefusedError
from rlm_jupyter.models.prices import audio_price

if TYPE_CHECKING:
    from rlm_jupyter.models.base import ChatModel

_PROTOCOLS: Final = {
    "messages": "Anthropic's Messages API, which has no audio",
    "responses": "OpenAI's Responses API, whose messages have no audio",
}


def known_to_hear(model: ChatModel) -> bool | None:
    """Returns whether a model takes audio, as it or the tables of prices say; None if they do not.

    Args:
        model: any; one of your own may have an attribute `hears`.
    """
    told = getattr(model, "hears", None)
    if isinstance(told, bool):
        return told
    return True if audio_price(model) is not None else None


def audio_refusal(model: ChatModel) -> AudioRefusedError:
    """Returns the error of a model that takes no audio, before it is sent any."""
    protocol = _PROTOCOLS.get(str(getattr(model, "wire", "")))
    why = f"is reached by {protocol}" if protocol else "does not take audio"
    return AudioRefusedError(
        f"`{model.name}` {why}: nothing was sent. Ask without audio, or choose a model that hears."
    )
