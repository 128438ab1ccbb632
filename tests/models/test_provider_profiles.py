"""Profiles of providers: each is asked where, with which header and by which fields its documentation says."""

import dataclasses
import re

import pytest
from openai_server import OpenAIServer, Reply, chunk, error, events, raw, whole
from wire_servers import MessagesServer

from rlm_jupyter.errors import ConfigError, MissingKeyError, ModelError
from rlm_jupyter.models import named_model
from rlm_jupyter.models.base import CompletionRequest, Price
from rlm_jupyter.models.prices import price_of
from rlm_jupyter.models.retry import RetryPolicy
from rlm_jupyter.providers import LOCAL_PROVIDERS, PROVIDERS, address_of
from rlm_jupyter.settings import endpoint_for

KEY = "sk-test-0123456789abcdef"
NEW = (
    *(
        "azure",
        "litellm",
        "portkey",
        "together",
        "fireworks",
        "xai",
        "moonshot",
        "zai",
        "minimax",
        "cerebras",
    ),
    *("lmstudio", "llamacpp", "sglang"),
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for provider in PROVIDERS.values():
        for name in (provider.key, provider.url_variable, *provider.headers.values()):
            if name:
                monkeypatch.delenv(name, raising=False)
    for name in ("RLM_MODEL_BASE_URL", "RLM_MODEL_API_KEY", "RLM_MODEL_WIRE", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def ask(monkeypatch, openai_server):
    """Asks a model of a provider, whose endpoint is the test's server; `rules` refuse what the provider refuses."""
    made = []

    async def complete(name, rules, *, streamed=True, path="/v1", most=100, optional=(), **parameters):
        provider = name.partition("/")[0].partition("+")[0]
        url = f"http://127.0.0.1:{openai_server.port}{path}"
        monkeypatch.setitem(PROVIDERS, provider, dataclasses.replace(PROVIDERS[provider], base_url=url))
        openai_server.script = lambda request: rules(request, openai_server.received[-1].headers)
        retry = RetryPolicy(attempts=2, first_wait=0.01, longest_backoff=0.02)
        key = "" if PROVIDERS[provider].key is None else KEY
        model = named_model(name, api_key=key or None, retry=retry, timeout=20)
        made.append(model)
        return await model.complete(
            CompletionRequest(
                [{"role": "user", "content": "How many?"}],
                most,
                on_delta=(lambda _: None) if streamed else None,
                parameters=parameters,
                optional=frozenset(optional),
            )
        )

    yield complete
    for model in made:
        await model.aclose()


def refuse(name, reason="is not supported"):
    return error(400, f"Unsupported parameter: '{name}' {reason}.", param=name)


# Where, and with which key.


@pytest.mark.parametrize("name", NEW)
def test_each_new_profile_names_its_page_and_its_own_key(name):
    provider = PROVIDERS[name]
    assert provider.page.startswith("https://")
    assert (provider.key is None) == (name in LOCAL_PROVIDERS)
    keys = [one.key for one in PROVIDERS.values() if one.key]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", [n for n in NEW if PROVIDERS[n].key and PROVIDERS[n].key_needed])
def test_without_its_key_the_error_names_the_variable(name):
    env = {PROVIDERS[name].url_variable: "https://x.example"}
    with pytest.raises(MissingKeyError, match=PROVIDERS[name].key):
        endpoint_for(f"{name}/m", env=env)


def test_azure_needs_the_address_of_a_resource_and_the_error_names_its_variable():
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        endpoint_for("azure/gpt-5", env={"AZURE_OPENAI_API_KEY": KEY})


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("azure", "https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1"),
        ("azure", "https://r.openai.azure.com/", "https://r.openai.azure.com/openai/v1"),
        ("azure", "https://r.openai.azure.com/openai/v1/", "https://r.openai.azure.com/openai/v1"),
        ("litellm", "http://127.0.0.1:4001", "http://127.0.0.1:4001/v1"),
        ("litellm", "http://127.0.0.1:4001/v1", "http://127.0.0.1:4001/v1"),
        ("anthropic", "https://gate.example/anthropic", "https://gate.example/anthropic/v1"),
        ("anthropic", "", "https://api.anthropic.com/v1/"),
        ("azure", "", None),
    ],
)
def test_an_address_of_the_environment_gets_the_path_of_the_api(name, given, expected):
    assert address_of(name, {PROVIDERS[name].url_variable: given}) == expected


def test_litellm_is_asked_without_a_key_if_there_is_none():
    endpoint = endpoint_for("litellm/gpt-5", env={})
    assert (endpoint.base_url, endpoint.model) == ("http://127.0.0.1:4000/v1", "gpt-5")


@pytest.mark.parametrize(
    ("model", "provider", "sent"),
    [
        ("portkey/@openai-prod/gpt-5", "portkey", "@openai-prod/gpt-5"),
        ("together/Qwen/Qwen3-Coder", "together", "Qwen/Qwen3-Coder"),
        ("fireworks/kimi-k2", "fireworks", "accounts/fireworks/models/kimi-k2"),
        ("fireworks/accounts/me/models/mine", "fireworks", "accounts/me/models/mine"),
        ("openai+responses/gpt-5", "openai", "gpt-5"),
    ],
)
def test_the_rest_of_a_name_is_what_the_provider_knows(model, provider, sent):
    endpoint = endpoint_for(model, api_key=KEY, env={})
    assert (endpoint.provider, endpoint.model) == (provider, sent)


async def test_the_key_of_azure_goes_in_its_own_header(ask):
    def rules(_request, headers):
        if headers.get("api-key") != KEY or "authorization" in headers:
            return error(401, "Access denied due to invalid subscription key", "401")
        return "ok"

    assert (await ask("azure/my-deployment", rules)).text == "ok"


async def test_portkey_gets_its_key_and_what_the_environment_says_of_the_provider_behind_it(ask, monkeypatch):
    monkeypatch.setenv("PORTKEY_CONFIG", "pc-config-1234567")
    seen = {}

    def rules(_request, headers):
        seen.update(headers)
        return error(401, f"Invalid config {headers['x-portkey-config']} of {headers['x-portkey-api-key']}")

    with pytest.raises(ModelError) as caught:
        await ask("portkey/gpt-5", rules)
    assert (seen["x-portkey-api-key"], seen["x-portkey-config"]) == (KEY, "pc-config-1234567")
    assert "authorization" not in seen
    assert KEY not in str(caught.value)
    assert "pc-config" not in str(caught.value)


async def test_the_sdk_sends_the_same_headers_through_a_proxy(openai_server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{openai_server.port}")
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(
        PROVIDERS, "azure", dataclasses.replace(PROVIDERS["azure"], base_url="http://r.example/openai/v1")
    )
    openai_server.script = ["ok"]
    model = named_model("azure/mine", api_key=KEY, timeout=20)
    assert (await model.complete(CompletionRequest([{"role": "user", "content": "hi"}], 50))).text == "ok"
    headers = openai_server.received[0].headers
    assert (headers["host"], headers["api-key"]) == ("r.example", KEY)
    assert "authorization" not in headers
    await model.aclose()


# What each takes.


@pytest.mark.parametrize("name", ["azure", "xai", "moonshot", "minimax", "cerebras"])
async def test_the_bound_goes_by_the_name_that_counts_thoughts_too(ask, name):
    def rules(request, _headers):
        return (
            "ok"
            if request.get("max_completion_tokens") == 100 and "max_tokens" not in request
            else refuse("max_tokens")
        )

    assert (await ask(f"{name}/m", rules)).attempts == 1


@pytest.mark.parametrize(
    "name", ["litellm", "portkey", "together", "fireworks", "zai", "lmstudio", "llamacpp", "sglang"]
)
async def test_the_others_know_only_the_old_name(ask, name):
    def rules(request, _headers):
        return (
            "ok"
            if request.get("max_tokens") == 100 and "max_completion_tokens" not in request
            else refuse("max_")
        )

    assert (await ask(f"{name}/m", rules)).attempts == 1


async def test_zai_takes_no_stream_options_and_tells_the_usage_all_the_same(ask):
    def rules(request, _headers):
        if "stream_options" in request:
            return refuse("stream_options")
        frames = [
            chunk("hel"),
            chunk("lo"),
            {**chunk(None, "stop"), "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
        ]
        return raw(events(*frames), "text/event-stream")

    completion = await ask("zai/glm-5", rules, path="/api/paas/v4")
    assert (completion.text, completion.attempts) == ("hello", 1)
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (7, 2)


async def test_zais_empty_account_is_told_at_once_and_its_concurrency_is_waited_for(ask):
    answers = iter(
        [error(429, "High concurrency usage of this API, please reduce concurrency", "1302"), Reply("ok")]
    )
    assert (await ask("zai/glm-5", lambda *_: next(answers))).attempts == 2
    empty = error(429, "Insufficient balance or no resource package. Please recharge.", "1113")
    with pytest.raises(ModelError, match="no credit left") as caught:
        await ask("zai/glm-5", lambda *_: empty)
    assert caught.value.attempts == 1


@pytest.mark.parametrize(("name", "given", "sent"), [("zai/m", 1.4, 1.0), ("minimax/m", 0, 0.01), ("minimax/m", 2, 1.0),
                                                    ("moonshot/moonshot-v1-8k", 1.2, 1.0), ("xai/m", 1.4, 1.4)])  # fmt: skip
async def test_a_temperature_that_a_provider_does_not_have_is_the_nearest_that_it_has(ask, name, given, sent):
    def rules(request, _headers):
        return "ok" if request["temperature"] == sent else error(400, "temperature out of range")

    await ask(name, rules, temperature=given)


async def test_the_sampling_of_kimi_is_the_platforms(ask):
    def rules(request, _headers):
        wrong = "temperature" in request
        return error(400, "invalid temperature: only 1 is allowed for this model") if wrong else "ok"

    assert (await ask("moonshot/kimi-k2.6", rules, temperature=0.7, optional=["temperature"])).attempts == 1
    with pytest.raises(ModelError, match="only 1 is allowed"):  # what somebody chose is not ignored
        await ask("moonshot/kimi-k2.6", rules, temperature=0.7)


@pytest.mark.parametrize(
    "words",
    [
        "Unsupported value: 'temperature' does not support 0.9 with this model. Only the default (1) value is supported.",
        "temperature: Extra inputs are not permitted",
        "`temperature` is deprecated for this model.",
    ],
)
async def test_a_temperature_that_nobody_chose_is_left_out_where_a_model_has_none(ask, words):
    def rules(request, _headers):
        return error(400, words, param="temperature") if "temperature" in request else "ok"

    completion = await ask("openai/gpt-5", rules, temperature=0.9, optional=["temperature"])
    assert (completion.text, completion.attempts) == ("ok", 2)
    with pytest.raises(ModelError, match="temperature"):
        await ask("openai/gpt-5", rules, temperature=0.9)


async def test_moonshot_tells_the_usage_in_the_choice_of_the_last_chunk(ask):
    usage = {"prompt_tokens": 19, "completion_tokens": 13, "cached_tokens": 4}
    frames = [chunk("hello"), chunk(None, "stop", usage=usage)]
    completion = await ask("moonshot/kimi-k2.6", lambda *_: raw(events(*frames), "text/event-stream"))
    assert (completion.usage.prompt_tokens, completion.usage.cached_tokens) == (19, 4)


@pytest.mark.parametrize("streamed", [False, True])
async def test_fireworks_is_asked_for_a_stream_if_the_reply_may_be_long(ask, streamed):
    def rules(request, _headers):
        if not request.get("stream") and request["max_tokens"] > 4096:
            return error(400, "Requests with max_tokens > 4096 must have stream=true")
        return "ok"

    completion = await ask("fireworks/m", rules, most=8000, streamed=streamed)
    assert (completion.text, completion.attempts) == ("ok", 1)
    assert (await ask("fireworks/m", rules, most=100, streamed=streamed)).attempts == 1


async def test_minimax_is_asked_to_keep_its_thoughts_apart_and_its_errors_come_with_a_200(ask):
    answers = iter(
        [raw({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}, "choices": None}), None]
    )

    def rules(request, _headers):
        answer = next(answers)
        if answer is not None:
            return answer
        apart = request.get("reasoning_split") is True
        return Reply("ok", message={"reasoning_content": "hm"}) if apart else "<think>hm</think>ok"

    completion = await ask("minimax/MiniMax-M2", rules)
    assert (completion.text, completion.attempts) == ("ok", 2)


async def test_what_cerebras_refuses_is_named_before_anything_is_sent(ask, openai_server):
    with pytest.raises(
        ConfigError, match=r"`frequency_penalty` \(https://inference-docs.cerebras.ai"
    ) as caught:
        await ask("cerebras/gpt-oss-120b", lambda *_: refuse("frequency_penalty"), frequency_penalty=0.5)
    assert openai_server.calls == 0
    assert (caught.value.usage.prompt_tokens, caught.value.cost) == (0, 0.0)


async def test_xai_leaves_thoughts_out_of_the_reply_and_bills_them(ask):
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 215}
    usage["completion_tokens_details"] = {"reasoning_tokens": 200}
    completion = await ask("xai/grok-4", lambda *_: raw(whole("ok", usage=usage)), streamed=False)
    assert completion.usage.completion_tokens == 205


async def test_together_ends_with_a_name_of_its_own(ask):
    completion = await ask(
        "together/m", lambda *_: raw(events(chunk("ok"), chunk(None, "eos")), "text/event-stream")
    )
    assert (completion.text, completion.finish_reason) == ("ok", "stop")


async def test_azure_begins_a_stream_with_the_filters_results_and_withholds_prompts(ask):
    filters = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    assert (
        await ask(
            "azure/m", lambda *_: raw(events(filters, chunk("ok"), chunk(None, "stop")), "text/event-stream")
        )
    ).text == "ok"
    withheld = error(
        400,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "content_filter",
        innererror={"code": "ResponsibleAIPolicyViolation"},
    )
    with pytest.raises(ModelError, match="content management policy") as caught:
        await ask("azure/m", lambda *_: withheld)
    assert caught.value.attempts == 1
    missing = error(404, "The API deployment for this resource does not exist.", "DeploymentNotFound")
    with pytest.raises(ModelError, match="has no model `nowhere`"):
        await ask("azure/nowhere", lambda *_: missing)


@pytest.mark.parametrize(
    ("header", "cost"), [("0.0125", 0.0125), ("0.0", None), ("None", None), ("-1", None), ("1e400", None)]
)
async def test_the_cost_in_litellms_header_counts_unless_it_says_that_it_knows_none(ask, header, cost):
    answer = raw(whole("ok"), x_litellm_response_cost=header)
    assert (await ask("litellm/m", lambda *_: answer, streamed=False)).cost == cost
    streamed = raw(
        events(chunk("ok"), chunk(None, "stop")), "text/event-stream", x_litellm_response_cost=header
    )
    assert (await ask("litellm/m", lambda *_: streamed)).cost is None


@pytest.mark.parametrize("name", ["lmstudio", "llamacpp", "sglang", "vllm"])
async def test_servers_of_ones_own_need_no_key_and_bill_nobody(ask, name):
    assert (await ask(f"{name}/m", lambda *_: "ok")).text == "ok"
    assert price_of("m", name) == Price(0.0, 0.0)


@pytest.mark.parametrize(
    "model",
    ["xai/grok-4.5", "moonshot/kimi-k2.6", "zai/glm-4.6", "minimax/MiniMax-M2", "cerebras/gpt-oss-120b", "azure/gpt-4.1",
     "fireworks/gpt-oss-120b"],
)  # fmt: skip
def test_prices_of_the_new_providers_are_found_by_their_names_in_the_tables(model):
    env = {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com"}
    endpoint = endpoint_for(model, api_key=KEY, env=env)
    price = price_of(endpoint.model, endpoint.provider, base_url=endpoint.base_url)
    assert price is not None
    assert price.completion > 0


# Wire formats.


@pytest.mark.parametrize(
    ("name", "given", "kind"),
    [
        ("openai/gpt-5", None, "OpenAIChat"),
        ("openai+responses/gpt-5", None, "ResponsesChat"),
        ("openai/gpt-5", "responses", "ResponsesChat"),
        ("anthropic/claude-sonnet-5-5", None, "AnthropicChat"),
        ("anthropic+chat/claude-sonnet-5-5", None, "OpenAIChat"),
        ("litellm+messages/claude", None, "AnthropicChat"),
        ("ollama/qwen", None, "OllamaChat"),
    ],
)
def test_the_wire_format_is_that_of_the_name_the_argument_or_the_profile(name, given, kind):
    assert type(named_model(name, wire=given, api_key=KEY, env={})).__name__ == kind


def test_with_a_base_url_the_environment_says_the_wire_format():
    env = {"RLM_MODEL_WIRE": "messages", "RLM_MODEL_BASE_URL": "http://127.0.0.1:9/v1"}
    assert type(named_model("m", env=env)).__name__ == "AnthropicChat"
    assert (
        type(named_model("openai/gpt-5", api_key=KEY, env={"RLM_MODEL_WIRE": "messages"})).__name__
        == "OpenAIChat"
    )


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("deepseek+messages/m", "https://api.deepseek.com/anthropic/v1"),
        ("moonshot+messages/m", "https://api.moonshot.ai/anthropic/v1"),
        ("zai+messages/m", "https://api.z.ai/api/anthropic/v1"),
        ("minimax+messages/m", "https://api.minimax.io/anthropic/v1"),
        ("minimax/m", "https://api.minimax.io/v1"),
        ("litellm+messages/m", "http://127.0.0.1:4000/v1"),
    ],
)
def test_the_messages_api_of_a_provider_may_be_at_another_address(name, url):
    assert endpoint_for(name, api_key=KEY, env={}).base_url == url


async def test_what_a_profile_says_of_chat_completions_does_not_go_into_other_formats(monkeypatch):
    with MessagesServer(lambda _: "ok") as server:
        profile = dataclasses.replace(PROVIDERS["minimax"], messages_url=server.url)
        monkeypatch.setitem(PROVIDERS, "minimax", profile)
        model = named_model("minimax+messages/m", api_key=server.key, env={}, timeout=20)
        try:
            completion = await model.complete(CompletionRequest([{"role": "user", "content": "hi"}], 100))
        finally:
            await model.aclose()
        assert (completion.text, completion.attempts) == ("ok", 1)
        assert server.received[0].headers["authorization"] == f"Bearer {server.key}"


@pytest.mark.parametrize("name", ["openai+telepathy/gpt-5", "openai+/gpt-5x"])
def test_a_wire_format_that_is_none_is_named_with_those_that_there_are(name):
    if name == "openai+/gpt-5x":
        assert endpoint_for(name, api_key=KEY, env={}).wire == "chat"
        return
    with pytest.raises(ConfigError, match=r"`telepathy` is not a wire format.*`responses`"):
        endpoint_for(name, api_key=KEY, env={})


def test_all_profiles_stand_in_the_reference():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "reference.md").read_text("utf-8")
    missing = [name for name in PROVIDERS if not re.search(rf"^\| `{name}/`", page, re.MULTILINE)]
    assert not missing


async def test_a_loopback_server_of_a_test_is_what_the_profile_says(ask):
    """Without the profile, the rules above refuse: a test of the tests."""
    with OpenAIServer([refuse("max_tokens")] * 3) as server:
        model = named_model("m", base_url=server.url, api_key=KEY, env={}, retry=RetryPolicy(attempts=1))
        with pytest.raises(ModelError):
            await model.complete(CompletionRequest([{"role": "user", "content": "hi"}], 100))
        await model.aclose()
