"""The stronger model that agents ask after failed turns: named in the settings, or an object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.run_setup.resolve_model import choose_model

if TYPE_CHECKING:
    from rlm_jupyter.models.base import ChatModel
    from rlm_jupyter.settings import Settings


def strong_model(settings: Settings, api_key: str | None) -> ChatModel | None:
    """Returns the stronger model; None if none is set.

    Args:
        settings: of an `RLM`.
        api_key: that was given to it; None: from the environment.

    Raises:
        ConfigError: the name means nothing, or the object is not a model.
        MissingKeyError: the provider's key is not set.
    """
    given = settings.strong_model
    if given is None:
        return None
    return choose_model(given, base_url=settings.base_url, api_key=api_key)


async def close_model(model: ChatModel | None) -> None:
    """Close a model's connections, if it has any."""
    close = getattr(model, "aclose", None)
    if close is not None:
        await close()
