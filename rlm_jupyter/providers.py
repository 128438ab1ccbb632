"""The profiles of providers: where each is reached, which variable holds its key, and what it does in its own way.

A model's name carries the prefix of a profile, as in ``openai/gpt-5``, and behind a ``+`` the wire format, if it is not
the profile's own: ``openai+responses/gpt-5``. What is documented on a provider's page stands here, so that no
request is spent on a refusal that can be foreseen; the rest is learnt from refusals (`models.openai.dialect`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

WireFormat = Literal["chat", "responses", "messages", "gemini", "converse"]
"""Chat completions, OpenAI's Responses API, Anthropic's Messages API, Google's Gemini API, or AWS's Converse API."""
WIRE_FORMATS: Final[tuple[WireFormat, ...]] = ("chat", "responses", "messages", "gemini", "converse")
_BEARER: Final = "Authorization"


@dataclass(frozen=True)
class Provider:
    """Where a provider is reached, which variable holds its key, and what it does otherwise than OpenAI.

    Attributes:
        base_url: of its endpoint; None for OpenAI's own, or if only `url_variable` tells it.
        key: the environment variable of its key; None for a server on one's own machine, which needs none.
        page: where its documentation says so.
        wire: the format in which it is asked, unless the model's name says another one.
        key_needed: whether it cannot be asked without a key.
        url_variable: the environment variable that names another address; empty if there is none.
        url_path: what is put behind such an address, unless it has a path that ends in a version.
        messages_url: of its endpoint for the Messages API, if that is another one.
        chat_path: what is put behind its address for chat completions.
        key_header: the header that carries the key; `Authorization` carries it as a bearer token.
        headers: further headers, each with the environment variable of its value; sent if that is set.
        limit: the field that bounds a reply's tokens.
        stream_usage: whether it takes `stream_options`; the others tell the usage of a stream unasked.
        whole_tokens: the most tokens that a reply may have which does not stream; None for any number.
        temperature: the lowest and the highest that it takes; None for OpenAI's own range.
        fixed_sampling: names of models that take no temperature: none is sent that nobody chose.
        refused: fields that it refuses.
        fields: what each request has besides.
        model_prefix: what its names begin with, which may be left out.
        prices: its name in the tables of `genai-prices`; empty for the profile's own.
        library: the module that finds credentials for it in the place of a key; empty if none does.
        extra: the optional dependency of this package that installs that module.
        credentials: environment variables that such credentials are named by; further places are the library's.
    """

    base_url: str | None
    key: str | None
    page: str = ""
    wire: WireFormat = "chat"
    key_needed: bool = True
    url_variable: str = ""
    url_path: str = ""
    messages_url: str = ""
    chat_path: str = ""
    key_header: str = _BEARER
    headers: Mapping[str, str] = field(default_factory=dict)
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_usage: bool = True
    whole_tokens: int | None = None
    temperature: tuple[float, float] | None = None
    fixed_sampling: re.Pattern[str] | None = None
    refused: frozenset[str] = frozenset()
    fields: Mapping[str, object] = field(default_factory=dict)
    model_prefix: str = ""
    prices: str = ""
    library: str = ""
    extra: str = ""
    credentials: tuple[str, ...] = ()


PROVIDERS: dict[str, Provider] = {
    "openai": Provider(None, "OPENAI_API_KEY"),
    "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "anthropic": Provider(
        "https://api.anthropic.com/v1/",
        "ANTHROPIC_API_KEY",
        page="https://platform.claude.com/docs/en/api/messages",
        wire="messages",
        temperature=(0.0, 1.0),
        url_variable="ANTHROPIC_BASE_URL",
        url_path="/v1",
    ),
    # Its own API, and by `gemini+chat/` its endpoint for chat completions.
    "gemini": Provider(
        "https://generativelanguage.googleapis.com/v1beta",
        "GEMINI_API_KEY",
        page="https://ai.google.dev/api/generate-content",
        wire="gemini",
        url_variable="GOOGLE_GEMINI_BASE_URL",
        url_path="/v1beta",
        chat_path="/openai",
        prices="google",
    ),
    # Its address is that of a region.
    "bedrock": Provider(
        None,
        "AWS_BEARER_TOKEN_BEDROCK",
        page="https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html",
        wire="converse",
        url_variable="AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        temperature=(0.0, 1.0),
        prices="aws",
        library="botocore",
        extra="bedrock",
        credentials=(
            *("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
            *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        ),
    ),
    # Its address is that of a project and a location; without them, that of the express mode, which takes keys.
    "vertex": Provider(
        None,
        "GOOGLE_API_KEY",
        page="https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
        wire="gemini",
        url_variable="GOOGLE_VERTEX_BASE_URL",
        prices="google",
        library="google.auth",
        extra="vertex",
        credentials=("GOOGLE_CLOUD_PROJECT",),
    ),
    "deepseek": Provider(
        "https://api.deepseek.com/v1",
        "DEEPSEEK_API_KEY",
        page="https://api-docs.deepseek.com/guides/anthropic_api",
        messages_url="https://api.deepseek.com/anthropic/v1",
    ),
    "groq": Provider("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": Provider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    # The v1 API takes no `api-version`; the model is the name of a deployment.
    "azure": Provider(
        None,
        "AZURE_OPENAI_API_KEY",
        page="https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle",
        url_variable="AZURE_OPENAI_ENDPOINT",
        url_path="/openai/v1",
        key_header="api-key",
        limit="max_completion_tokens",
    ),
    "litellm": Provider(
        "http://127.0.0.1:4000/v1",
        "LITELLM_PROXY_API_KEY",
        page="https://docs.litellm.ai/docs/providers/litellm_proxy",
        key_needed=False,
        url_variable="LITELLM_PROXY_API_BASE",
        url_path="/v1",
    ),
    # The provider behind it stands in the model's name (`@openai-prod/gpt-5`), in a configuration, or in a header.
    "portkey": Provider(
        "https://api.portkey.ai/v1",
        "PORTKEY_API_KEY",
        page="https://portkey.ai/docs/api-reference/inference-api/headers",
        key_header="x-portkey-api-key",
        headers={
            "x-portkey-config": "PORTKEY_CONFIG",
            "x-portkey-provider": "PORTKEY_PROVIDER",
            "x-portkey-virtual-key": "PORTKEY_VIRTUAL_KEY",
        },
    ),
    "together": Provider(
        "https://api.together.xyz/v1",
        "TOGETHER_API_KEY",
        page="https://docs.together.ai/docs/openai-api-compatibility",
    ),
    # It refuses replies of more than 4,096 tokens that do not stream.
    "fireworks": Provider(
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        page="https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        whole_tokens=4096,
        model_prefix="accounts/fireworks/models/",
    ),
    "xai": Provider(
        "https://api.x.ai/v1",
        "XAI_API_KEY",
        page="https://docs.x.ai/docs/api-reference",
        limit="max_completion_tokens",
        prices="x-ai",
    ),
    "moonshot": Provider(
        "https://api.moonshot.ai/v1",
        "MOONSHOT_API_KEY",
        page="https://platform.kimi.ai/docs/api/chat",
        limit="max_completion_tokens",
        temperature=(0.0, 1.0),
        fixed_sampling=re.compile(r"kimi-"),
        messages_url="https://api.moonshot.ai/anthropic/v1",
        prices="moonshotai",
    ),
    "zai": Provider(
        "https://api.z.ai/api/paas/v4",
        "ZAI_API_KEY",
        page="https://docs.z.ai/api-reference/llm/chat-completion",
        stream_usage=False,
        temperature=(0.0, 1.0),
        messages_url="https://api.z.ai/api/anthropic/v1",
    ),
    # Without `reasoning_split`, thoughts come in the text, between `<think>` tags.
    "minimax": Provider(
        "https://api.minimax.io/v1",
        "MINIMAX_API_KEY",
        page="https://platform.minimax.io/docs/api-reference/text-openai-api",
        limit="max_completion_tokens",
        temperature=(0.01, 1.0),
        fields={"reasoning_split": True},
        messages_url="https://api.minimax.io/anthropic/v1",
    ),
    "cerebras": Provider(
        "https://api.cerebras.ai/v1",
        "CEREBRAS_API_KEY",
        page="https://inference-docs.cerebras.ai/resources/openai",
        limit="max_completion_tokens",
        refused=frozenset(
            ("frequency_penalty", "logit_bias", "presence_penalty", "parallel_tool_calls", "service_tier")
        ),
    ),
    "ollama": Provider("http://127.0.0.1:11434/v1", None),
    "lmstudio": Provider(
        "http://127.0.0.1:1234/v1", None, page="https://lmstudio.ai/docs/developer/openai-compat"
    ),
    "llamacpp": Provider(
        "http://127.0.0.1:8080/v1",
        None,
        page="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
    ),
    "vllm": Provider(
        "http://127.0.0.1:8000/v1",
        None,
        page="https://docs.vllm.ai/en/latest/serving/openai_compatible_server/",
    ),
    "sglang": Provider(
        "http://127.0.0.1:30000/v1",
        None,
        page="https://docs.sglang.io/basic_usage/openai_api_completions.html",
    ),
}
"""Prefixes that a model's name may carry, as in ``openai/gpt-5``."""

LOCAL_PROVIDERS: tuple[str, ...] = tuple(name for name, provider in PROVIDERS.items() if provider.key is None)
"""Providers that are servers on one's own machine: they need no key and bill nobody."""
_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z0-9]{1,20}){1,4}")
_REGION_IN_HOST: Final = re.compile(
    r"(?:^|\.)bedrock-runtime(?:-fips)?\.([a-z]{2}(?:-[a-z0-9]{1,20}){1,4})(?:\.vpce)?\.(?:amazonaws\.com|api\.aws)$"
)
_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9.:_-]{0,99}")
"""The id of a project, which may begin with a domain, or its number."""
_LOCATION: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")
_REGIONS_OF_SEVERAL: Final = frozenset({"eu", "us"})
_VERTEX_VERSION: Final = "/v1"
_OLLAMA_PORTS: Final = {"http": 80, "https": 443}
_VERSION: Final = re.compile(r"/v\d[a-z0-9]*$")
_ANTHROPIC_VERSION: Final = "2023-06-01"
"""Of the Messages API; the next one (2026-10-21) has no `temperature`, and nothing else that would be of use here.

https://platform.claude.com/docs/en/api/versioning
"""


def address_of(name: str, env: Mapping[str, str], wire: WireFormat = "chat") -> str | None:
    """Returns the base URL of a provider: what its variable says, else its own; None for OpenAI's or if unknown."""
    own = {"ollama": ollama_url, "bedrock": bedrock_url, "vertex": vertex_url}.get(name)
    if own is not None:
        return own(env)
    provider = PROVIDERS[name]
    named = env.get(provider.url_variable, "").strip().rstrip("/") if provider.url_variable else ""
    if not named:
        if wire == "messages" and provider.messages_url:
            return provider.messages_url
        chat_path = provider.chat_path if wire == "chat" else ""
        return provider.base_url and provider.base_url + chat_path
    try:
        path = urlsplit(named).path
    except ValueError:
        return named  # whoever uses it says that it is no URL
    url = named if _VERSION.search(path) else named + provider.url_path
    return url + provider.chat_path if wire == "chat" else url


def key_headers(
    name: str | None,
    key: SecretStr,
    *,
    wire: WireFormat = "chat",
    env: Mapping[str, str] | None = None,
) -> dict[str, SecretStr]:
    """Returns the headers by which a provider knows who asks.

    Args:
        name: of its profile; None for a server of one's own.
        key: of the provider.
        wire: the format in which it is asked.
        env: the environment; None: this process's.
    """
    env = os.environ if env is None else env
    provider = PROVIDERS.get(name or "") or Provider(None, None)
    header, headers = provider.key_header, {}
    if wire == "messages":
        headers = {"anthropic-version": SecretStr(_ANTHROPIC_VERSION)}
        if header == _BEARER and name in (None, "anthropic"):
            header = "x-api-key"
    elif wire == "gemini" and header == _BEARER and name in (None, "gemini", "vertex"):
        header = "x-goog-api-key"  # and never in the address, which proxies and logs keep
    value = key.get_secret_value()
    headers[header] = SecretStr(f"Bearer {value}" if header == _BEARER else value)
    named = {name: env.get(variable, "") for name, variable in provider.headers.items()}
    return headers | {name: SecretStr(value) for name, value in named.items() if value}


def bedrock_url(env: Mapping[str, str] | None = None) -> str | None:
    """Returns the base URL of Bedrock: what its variable says, else that of the region; None if neither is named.

    Args:
        env: the environment; None: this process's.
    """
    env = os.environ if env is None else env
    named = env.get(PROVIDERS["bedrock"].url_variable, "").strip().rstrip("/")
    region = (env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "").strip()
    if named or not _REGION.fullmatch(region):
        return named or None
    return f"https://bedrock-runtime.{region}.amazonaws.com"


def vertex_url(env: Mapping[str, str] | None = None) -> str | None:
    """Returns the base URL of Gemini on Vertex AI: that of the project and its location, else that of the express mode.

    https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations,
    https://cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/vertex-ai-express-mode-api-reference

    Args:
        env: the environment; None: this process's.

    Returns:
        None if the project or the location is none.
    """
    env = os.environ if env is None else env
    project = env.get("GOOGLE_CLOUD_PROJECT", "").strip()
    location = env.get("GOOGLE_CLOUD_LOCATION", "").strip() or "global"
    host = env.get(PROVIDERS["vertex"].url_variable, "").strip().rstrip("/")
    if (project and not _PROJECT.fullmatch(project)) or not _LOCATION.fullmatch(location):
        return None
    if not project or location == "global":
        own = "https://aiplatform.googleapis.com"
    elif location in _REGIONS_OF_SEVERAL:
        own = f"https://aiplatform.{location}.rep.googleapis.com"
    else:
        own = f"https://{location}-aiplatform.googleapis.com"
    place = f"/projects/{project}/locations/{location}" if project else ""
    return f"{(host or own).removesuffix(_VERTEX_VERSION)}{_VERTEX_VERSION}{place}/publishers/google"


def bedrock_region(url: str, env: Mapping[str, str] | None = None) -> str | None:
    """Returns the region for which requests to an address of Bedrock are signed; None if nothing names one.

    Args:
        url: of Bedrock, or of what stands before it.
        env: the environment; None: this process's.
    """
    env = os.environ if env is None else env
    named = _REGION_IN_HOST.search(urlsplit(url).hostname or "")
    if named is not None:
        return named[1]
    region = (env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "").strip()
    return region if _REGION.fullmatch(region) else None


def ollama_url(env: Mapping[str, str] | None = None) -> str:
    """Returns the base URL of Ollama: where `OLLAMA_HOST` says, as for Ollama's own client, else its usual port.

    An address to listen on at all interfaces (``0.0.0.0``) is reached on the loopback.
    """
    default = PROVIDERS["ollama"].base_url or ""
    given = (os.environ if env is None else env).get("OLLAMA_HOST", "").strip().strip("\"'")
    if not given:
        return default
    scheme, separator, rest = given.rpartition("://")
    scheme = scheme if separator else "http"
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        port = parts.port
    except ValueError:
        return default
    if scheme not in _OLLAMA_PORTS:
        return default
    host = parts.hostname or "127.0.0.1"
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, nothing listens there
    host = f"[{host}]" if ":" in host else host
    port = port or (_OLLAMA_PORTS[scheme] if separator else 11434)
    return f"{scheme}://{host}:{port}{parts.path.rstrip('/').removesuffix('/v1')}/v1"
