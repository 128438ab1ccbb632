"""Which prompt an agent gets: as set, or by what is known of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rlm_jupyter.models.model_size import billions_in, billions_of

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
    if given != "auto" or model.scripted:
        return choose_by_name(given, model)
    return _for_size(await billions_of(model))


def choose_by_name(given: PromptVariant, model: ChatModel) -> PromptVariant:
    """Returns the same by the model's name alone, asking no server."""
    if given != "auto":
        return given
    # A script is no small model; what replays a log is prompted as the model was whose replies it has.
    name = str(getattr(model, "replayed_name", "")) if model.scripted else model.name
    return _for_size(billions_in(name))


def _for_size(billions: float | None) -> PromptVariant:
    return "small" if billions is not None and billions <= SMALL_BILLIONS else "default"
