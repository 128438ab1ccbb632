"""Whether a limit in money can be kept: only with models whose price is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_jupyter.errors import UnknownPriceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rlm_jupyter.models.base import ChatModel, Price
    from rlm_jupyter.settings import Limits


def keepable_limits(limits: Limits, models: Iterable[ChatModel], price: Price | None) -> Limits:
    """Returns limits without the default one in money, which nobody asked for, if it cannot be kept.

    Args:
        limits: of a run.
        models: that it may ask.
        price: that was given for all of them; None: their own.

    Raises:
        UnknownPriceError: a limit in money was asked for, and cannot be kept.
    """
    if limits.cost is None or price is not None:
        return limits
    unknown = [model.name for model in models if model.price is None]
    if not unknown:
        return limits
    if "cost" in limits.model_fields_set:
        raise UnknownPriceError(
            f"The price of `{unknown[0]}` is not known, so the limit of ${limits.cost:g} could not be kept. "
            "Give `price=(prompt, completion)` in USD per million tokens, or limit tokens instead: "
            "`Limits(cost=None, tokens=...)`."
        )
    return limits.model_copy(update={"cost": None})
