"""Which prompt an agent gets: as set, or by what is known of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.model_size import billions_of

if TYPE_CHECKING:
    from rlm_jupyter.models.base import ChatModel
    from rlm_jupyter.settings import PromptVariant

SMALL_BILLIONS: Final = 9.0
"""Up to which a model counts as small."""


async def choose_prompt(given: PromptVariant, model: ChatModel) -> PromptVariant:
    """Returns which prompt an agent gets: `auto` is `small` for a model known to be small, else `default`.

    Args:
        given: the setting.
        model: which the agent asks.
    """
    if given != "auto":
        return given
    if model.scripted:
        return "default"
    size = await billions_of(model)
    return "small" if size is not None and size <= SMALL_BILLIONS else "default"
