"""Prices at a provider's other tiers, from the tables of `genai-prices`: `flex`, `priority`, and as a batch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.models.base import CachingPrice
from rlm_jupyter.models.prices import dearest_price, known_model

if TYPE_CHECKING:
    from rlm_jupyter.models.base import ChatModel, Price, Usage

TIERS: Final = ("flex", "priority")
"""Values of the field `service_tier` of a request that are shown with an estimate."""
_STANDARD: Final = ("auto", "default", "standard")


def tier_price(model: ChatModel, tier: str) -> Price | None:
    """Returns what a model costs if its provider serves a request at a tier; None if the tables have no such price.

    Args:
        model: one of a provider.
        tier: as `service_tier` of a request and of its reply names it; `batch` for the prices of batches.
    """
    if tier in _STANDARD:
        return model.price
    info = known_model(model.name, getattr(model, "provider", None), getattr(model, "base_url", None))
    context = {"processing": "batch"} if tier == "batch" else {"service_tier": tier}
    if info is None or not _has(info, context):
        return None
    return dearest_price(info, context)


def tier_prices(model: ChatModel) -> dict[str, Price]:
    """Returns what a model costs at other tiers, and as a batch, by name; only those that the tables have."""
    found = {name: tier_price(model, name) for name in (*TIERS, "batch")}
    return {name: price for name, price in found.items() if price is not None}


def _has(info: Any, context: dict[str, str]) -> bool:
    """Returns whether a model has prices of its own for a kind of request, and they hold now."""
    now = datetime.now(UTC)
    variants = getattr(info, "price_variants", None) or ()  # which older tables do not have
    return any(
        variant.when == context and (variant.constraint is None or variant.constraint.active(now))
        for variant in variants
    )


def asked_tier(parameters: Mapping[str, object]) -> str | None:
    """Returns the service tier that the parameters of a request ask for; None if they ask for none."""
    extra = parameters.get("extra_body")
    given = parameters.get("service_tier") or (extra.get("service_tier") if isinstance(extra, dict) else None)
    return given if isinstance(given, str) else None


def price_to_reserve(model: ChatModel, tier: str | None) -> Price | None:
    """Returns the most that a request may cost: a provider may serve it at the standard tier all the same.

    Args:
        model: that is asked.
        tier: that the request asks for; None for none.
    """
    standard = model.price
    other = tier_price(model, tier) if tier is not None and standard is not None else None
    if standard is None or other is None:
        return standard
    return type(standard)(max(standard.prompt, other.prompt), max(standard.completion, other.completion))


def cost_at_tier(model: ChatModel, tier: str, usage: Usage) -> float | None:
    """Returns what a reply cost at the tier at which its provider served it, in USD; None if that is not known."""
    price = tier_price(model, tier)
    if price is None or usage.estimated or isinstance(model.price, CachingPrice):
        return None  # what a prompt cache costs at another tier is not known: what was reserved counts
    return (usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion) / 1e6
