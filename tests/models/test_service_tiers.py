"""`service_tier` reaches the provider, and a reply is priced at the tier at which it was served."""

import pytest
from openai_server import OpenAIServer, Reply
from scripts import cell

from rlm_jupyter import RLM, Limits
from rlm_jupyter.models.base import Price, Usage
from rlm_jupyter.models.openai.chat import OpenAIChat
from rlm_jupyter.models.tier_prices import asked_tier, cost_at_tier, price_to_reserve, tier_price, tier_prices

OPENAI = "https://api.openai.com/v1"


def model(name="gpt-5", provider="openai", **options):
    return OpenAIChat(name, api_key="sk-test-0123456789", provider=provider, **options)


def test_tiers_have_the_prices_of_the_tables():
    gpt = model()
    assert tier_price(gpt, "default") == tier_price(gpt, "auto") == gpt.price
    flex, batch = tier_price(gpt, "flex"), tier_price(gpt, "batch")
    assert flex == batch == Price(gpt.price.prompt / 2, gpt.price.completion / 2)
    assert tier_price(gpt, "priority").prompt > gpt.price.prompt
    assert tier_price(gpt, "no such tier") is None
    assert set(tier_prices(gpt)) == {"flex", "priority", "batch"}
    assert tier_prices(model("qwen3", "ollama")) == {}
    assert tier_price(model("gpt-5", None, base_url="https://example.com/v1"), "flex") is None


def test_the_dearest_price_is_reserved_and_what_was_served_is_charged():
    gpt = model()
    assert price_to_reserve(gpt, None) == price_to_reserve(gpt, "flex") == gpt.price, (
        "it may be served as usual"
    )
    assert price_to_reserve(gpt, "priority") == tier_price(gpt, "priority")
    usage = Usage(1_000_000, 1_000_000)
    assert cost_at_tier(gpt, "flex", usage) == pytest.approx(sum(gpt.price) / 2)
    assert cost_at_tier(gpt, "flex", Usage(1, 1, estimated=True)) is None
    assert [asked_tier(one) for one in ({}, {"service_tier": "flex"}, {"extra_body": {"service_tier": "flex"}})] == [
        None, "flex", "flex",
    ]  # fmt: skip


class Known(OpenAIChat):
    """A model of OpenAI's that a server on loopback answers for."""

    base_url = OPENAI


@pytest.mark.parametrize(
    ("asked", "served", "factor"),
    [
        ("flex", "flex", 0.5),
        ("flex", "default", 1.0),
        ("flex", None, 1.0),
        (None, "flex", 1.0),
        (None, None, 1.0),
    ],
)
def test_a_run_pays_the_tier_at_which_it_was_served(tmp_path, asked, served, factor):
    def answer(request):
        assert request.get("service_tier") == asked
        return Reply(cell("FINAL(1)"), extra={"service_tier": served} if served else {})

    with OpenAIServer(answer) as server:
        chat = Known("gpt-5", base_url=server.url, api_key="sk-test-0123456789", provider="openai")
        rlm = RLM(model=chat, log_dir=tmp_path, cache=False, service_tier=asked, limits=Limits(cost=1.0))
        with rlm.run("What?") as run:
            usual = (
                run.usage.prompt_tokens * chat.price.prompt
                + run.usage.completion_tokens * chat.price.completion
            ) / 1e6
            assert run.cost == pytest.approx(factor * usual)


def test_a_price_of_one_s_own_wins_over_tiers(tmp_path):
    with OpenAIServer(lambda _: Reply(cell("FINAL(1)"), extra={"service_tier": "flex"})) as server:
        chat = Known("gpt-5", base_url=server.url, api_key="sk-test-0123456789", provider="openai")
        rlm = RLM(model=chat, log_dir=None, cache=False, service_tier="flex", price=(1.0, 1.0))
        with rlm.run("What?") as run:
            assert run.cost == pytest.approx((run.usage.prompt_tokens + run.usage.completion_tokens) / 1e6)
