"""What a model costs, offline, from the tables of `genai-prices`. Unknown is None, never 0."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rlm_jupyter.models.base import CachingPrice, Price
from rlm_jupyter.providers import LOCAL_PROVIDERS, PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlm_jupyter.models.base import ChatModel

_HOURS: Final = 25


def price_of(
    model: str,
    provider: str | None,
    *,
    base_url: str | None = None,
    prices: Mapping[str, Price] | None = None,
) -> Price | None:
    """Look up what a model costs, from above: its dearest tier and its dearest hour of the day.

    Args:
        model: its name, as it is sent.
        provider: the name of a profile in `PROVIDERS`; None: told from `base_url`.
        base_url: of its server. A server that is not known has no known price: the same model
            costs differently elsewhere.
        prices: prices of one's own by model name; they win.

    Returns:
        USD per million tokens; a `CachingPrice` if the provider bills what it writes to its prompt cache; None if it is
        not known.
    """
    if prices is not None and model in prices:
        return prices[model]
    if provider in LOCAL_PROVIDERS:
        return Price(0.0, 0.0)
    info = known_model(model, provider, base_url)
    return None if info is None else _with_cache(dearest_price(info), info)


def _with_cache(price: Price | None, info: Any) -> Price | None:
    """Returns a price with those of the prompt cache, if the tables have one for what is written there.

    Of providers that bill no writes, all of a prompt is counted as if it were read anew: from above.
    """
    read, write = _dearest_rate(info, "cache_read_mtok"), _dearest_rate(info, "cache_write_mtok")
    if price is None or read is None or write is None:
        return price
    return CachingPrice(*price, read, write)


def price_with_cheap_reads(model: str, provider: str | None, *, base_url: str | None = None) -> Price | None:
    """Look up what a model costs whose provider caches prompts unasked: to write costs no more than the rest.

    Args:
        model: its name, as it is sent.
        provider: the name of a profile in `PROVIDERS`; None: told from `base_url`.
        base_url: of its server.

    Returns:
        USD per million tokens, from above; None if it is not known.
    """
    price = price_of(model, provider, base_url=base_url)
    info = None if price is None else known_model(model, provider, base_url)
    read = None if info is None else _dearest_rate(info, "cache_read_mtok")
    if price is None or read is None or isinstance(price, CachingPrice):
        return price
    return CachingPrice(*price, min(read, price.prompt), price.prompt)


def audio_price(model: ChatModel) -> float | None:
    """Look up what a million tokens of audio in prompts cost a model, in USD; None if the tables have no such price.

    Args:
        model: any; of one that is not of a provider, nothing is known.
    """
    if not isinstance(getattr(model, "provider", None), str) and not getattr(model, "base_url", None):
        return None
    info = known_model(model.name, getattr(model, "provider", None), getattr(model, "base_url", None))
    return None if info is None else _dearest_rate(info, "input_audio_mtok")


def price_with_audio(price: Price | None, model: ChatModel) -> Price | None:
    """Returns the price of a request that has audio, from above: all of its prompt at the dearer price.

    Providers bill tokens of audio at up to 17 times the price of those of texts.

    Args:
        price: of requests without; None if it is not known.
        model: that is asked.
    """
    audio = audio_price(model)
    if price is None or audio is None or audio <= price.prompt:
        return price
    return Price(audio, price.completion)


def window_of(model: str, provider: str | None, *, base_url: str | None = None) -> int | None:
    """Look up how many tokens a model's context window holds; None if it is not known."""
    info = known_model(model, provider, base_url)
    window = getattr(info, "context_window", None)
    return window if isinstance(window, int) and window > 0 else None


def known_model(model: str, provider: str | None, base_url: str | None) -> Any:
    """Returns what the tables have of a model; None if they do not know it, or its server is one's own.

    Args:
        model: its name, as it is sent.
        provider: the name of a profile in `PROVIDERS`; None: told from `base_url`.
        base_url: of its server.
    """
    if provider in LOCAL_PROVIDERS or (provider is None and base_url is None):
        return None
    url = _origin(base_url) if provider is None and base_url is not None else None
    profile = PROVIDERS.get(provider or "")
    named = (profile.prices if profile is not None else "") or provider
    return _look_up(model, named or None, url)


@lru_cache(maxsize=256)
def _look_up(model: str, provider: str | None, url: str | None) -> Any:
    # Imported here: it takes a fifth of a second, and no thread of its own updates the tables.
    from genai_prices import Usage, calc_price

    try:
        found = calc_price(
            Usage(input_tokens=0, output_tokens=0), model, provider_id=provider, provider_api_url=url
        )  # type: ignore[call-overload]
    except (LookupError, ValueError):
        return None
    return found.model


def dearest_price(info: Any, context: Mapping[str, str] | None = None) -> Price | None:
    """Returns the price of a model from above: its dearest tier of length and its dearest hour of the day.

    Args:
        info: what the tables have of it.
        context: of requests of another kind, such as ``{"service_tier": "flex"}``.
    """
    now = datetime.now(UTC)
    prompt: list[float] = []
    completion: list[float] = []
    for hour in range(_HOURS):
        price = info.get_prices(now + timedelta(hours=hour), dict(context) if context else None)
        sent, received = _rate(price.input_mtok), _rate(price.output_mtok)
        if sent is None or received is None or _rate(getattr(price, "requests_kcount", None)):
            return None  # not priced by tokens, or not by tokens alone
        prompt.append(sent)
        completion.append(received)
    return Price(max(prompt), max(completion))


def _dearest_rate(info: Any, name: str) -> float | None:
    """Returns one rate at its dearest hour; None if it is not known at each."""
    now = datetime.now(UTC)
    prices = (info.get_prices(now + timedelta(hours=hour)) for hour in range(_HOURS))
    rates = [_rate(getattr(price, name, None)) for price in prices]
    known = [rate for rate in rates if rate is not None]
    return max(known) if len(known) == len(rates) else None


def _rate(price: Any) -> float | None:
    if price is None:
        return None
    if hasattr(price, "tiers"):
        return max(float(price.base), *(float(tier.price) for tier in price.tiers))
    return float(price)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
