"""Prices: known ones from above, unknown ones None, never 0, offline and without a thread."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from rlm_jupyter.models.base import CachingPrice, Price
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.prices import price_of, window_of


@pytest.mark.parametrize(
    ("model", "provider", "price"),
    [
        ("gpt-5", "openai", Price(1.25, 10.0)),
        ("openai/gpt-5", "openrouter", Price(1.25, 10.0)),
        ("gemini-2.5-pro", "gemini", Price(2.5, 15.0)),  # the tier above 200,000 tokens
        ("llama3", "ollama", Price(0.0, 0.0)),
        ("Qwen/Qwen3-8B", "vllm", Price(0.0, 0.0)),
    ],
)
def test_a_known_model_has_the_price_of_its_dearest_tier(model, provider, price):
    assert price_of(model, provider) == price


@pytest.mark.parametrize(
    ("model", "provider", "base_url"),
    [
        ("gpt-99-nobody-knows", "openai", None),
        ("gpt-5", None, None),
        ("gpt-5", "no-such-provider", None),
        ("gpt-5", None, "http://127.0.0.1:8000/v1"),  # a server of one's own: it may cost anything
        ("gpt-5", None, "https://proxy.example/v1"),
        ("", "openai", None),
    ],
)
def test_an_unknown_price_is_none_and_never_0(model, provider, base_url):
    assert price_of(model, provider, base_url=base_url) is None
    assert window_of(model, provider, base_url=base_url) is None


def test_a_known_providers_address_is_as_good_as_its_name():
    assert price_of("gpt-5", None, base_url="https://u:p@api.openai.com/v1?x=1") == Price(1.25, 10.0)
    assert window_of("gpt-5", "openai") == 400_000


@pytest.mark.parametrize(
    ("model", "provider"),
    [("gpt-6-sol", "openai"), ("claude-sonnet-5-5", "anthropic"), ("kimi-k3", "moonshot"), ("MiniMax-M2", "minimax"),
     ("anthropic/claude-opus-5.5", "openrouter")],
)  # fmt: skip
def test_a_provider_that_bills_what_it_writes_to_its_cache_has_prices_for_it_and_settles_them(
    model, provider
):
    price = price_of(model, provider)
    assert isinstance(price, CachingPrice)
    assert price.cache_read < price.prompt <= price.cache_write
    chat = OpenAIChat(
        model, provider=provider, api_key="sk-test-0123456789", base_url="https://models.example/v1"
    )
    assert chat.bills_cache
    assert isinstance(chat.price, CachingPrice)


def test_of_a_provider_that_bills_no_writes_all_of_a_prompt_costs_the_same():
    assert not isinstance(price_of("gpt-5", "openai"), CachingPrice)
    assert not OpenAIChat("gpt-5", provider="openai", api_key="sk-test-0123456789").bills_cache


def test_a_price_of_ones_own_wins():
    assert price_of("gpt-5", "openai", prices={"gpt-5": Price(9, 9)}) == Price(9, 9)
    assert price_of("mine", None, prices={"mine": Price(1, 2)}) == Price(1, 2)


def test_a_price_holds_at_each_hour_of_the_day(monkeypatch):
    from genai_prices import Usage, calc_price

    class Evening(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz).replace(hour=20)  # when it is cheap

    monkeypatch.setattr("rlm_jupyter.models.prices.datetime", Evening)
    price = price_of("deepseek-chat", "deepseek")
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    midnight = datetime.now(UTC).replace(hour=0, minute=0)
    totals = []
    for hour in range(24):
        at = midnight + timedelta(hours=hour)
        totals.append(
            float(
                calc_price(
                    usage, "deepseek-chat", provider_id="deepseek", genai_request_timestamp=at
                ).total_price
            )
        )
    assert min(totals) < max(totals)  # it is cheaper at night
    assert price.prompt + price.completion == pytest.approx(max(totals))


def test_a_look_up_starts_no_thread():
    before = threading.active_count()
    price_of("gpt-5-mini", "openai")
    assert threading.active_count() == before
