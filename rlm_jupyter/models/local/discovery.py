"""Model servers on this machine: which are there, which models they have, and how many tokens these hold.

Only the loopback is asked, and addresses that the user named (`OLLAMA_HOST`, `LITELLM_PROXY_API_BASE`, a base URL).
What a server says is text of a stranger: each answer is bounded in time, bytes and entries, no redirect is followed,
and names are cleaned.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import urlsplit

from rlm_jupyter.models.bounded_json import Answer, JsonClient
from rlm_jupyter.models.local.addresses import origin
from rlm_jupyter.models.openai.mask_keys import public_url
from rlm_jupyter.providers import LOCAL_PROVIDERS, PROVIDERS, address_of
from rlm_jupyter.text.sanitize import one_line

ServerKind = Literal["ollama", "lmstudio", "llamacpp", "llama-cpp-python", "vllm", "sglang", "litellm", ""]

TITLES: Final[Mapping[ServerKind, str]] = {
    "ollama": "Ollama",
    "lmstudio": "LM Studio",
    "llamacpp": "llama.cpp",
    "llama-cpp-python": "llama-cpp-python",
    "vllm": "vLLM",
    "sglang": "SGLang",
    "litellm": "LiteLLM",
    "": "Server",
}
_OWNERS: Final[Mapping[str, ServerKind]] = {
    "llamacpp": "llamacpp",
    "vllm": "vllm",
    "sglang": "sglang",
    "organization_owner": "lmstudio",
    "library": "ollama",
}
"""What servers write as the owner of their models (`owned_by` of `/v1/models`)."""
_MOST_MODELS: Final = 50
_MOST_SHOWN: Final = 20
"""Models whose window Ollama is asked for: it has no list of windows."""
_MOST_NAME: Final = 160
_MOST_TOKENS: Final = 10**9
_MOST_SLOTS: Final = 1024
_MOST_TEMPLATE: Final = 200_000
_THINKING: Final = re.compile(r"<think|enable_thinking|reasoning_content|\[THINK\]|<\|channel\|>")
_REFUSED: Final = frozenset({401, 403})


@dataclass(frozen=True)
class LocalModel:
    """One model of a server.

    Attributes:
        name: as it is sent.
        window: tokens that the model holds; None if the server does not tell.
        loaded_window: tokens that it holds as it is loaded now, which may be fewer; None if not loaded or not told.
        parameters: its number of parameters as the server writes it, such as ``7.6B``; may be empty.
        file_bytes: bytes on disk; None if not told.
        sees: whether it takes images; None if not told.
        hears: whether it takes audio; None if not told.
    """

    name: str
    window: int | None = None
    loaded_window: int | None = None
    parameters: str = ""
    file_bytes: int | None = None
    sees: bool | None = None
    hears: bool | None = None

    @property
    def usable_window(self) -> int | None:
        """Tokens that a request may have now; None if not known."""
        return self.loaded_window or self.window


@dataclass(frozen=True)
class LocalServer:
    """A model server that answered.

    Attributes:
        kind: which software it is, as far as its answers tell; empty if they do not.
        url: its base URL, without what may be secret in it.
        provider: the prefix of `PROVIDERS` under which it is reached; empty if it has none.
        models: what it has.
        slots: requests that it serves at once; None if not told.
        version: of the software, as it says; may be empty.
        thinks: whether its model thinks before it writes, as its chat template tells; None if not told.
        locked: whether it asks for a key, so that nothing else is known.
        silent: whether it did not answer all that it was asked, so that what is missing may come another time.
    """

    kind: ServerKind
    url: str
    provider: str = ""
    models: tuple[LocalModel, ...] = ()
    slots: int | None = None
    version: str = ""
    thinks: bool | None = None
    locked: bool = False
    silent: bool = False

    def model(self, name: str) -> LocalModel | None:
        """Returns the model of that name; None if there is none."""
        return next((model for model in self.models if model.name == name), None)


@dataclass(frozen=True)
class _Place:
    """An address that may have a server: its base URL, the provider's prefix, and a key that the user gave for it."""

    url: str
    provider: str = ""
    key: str = ""

    @property
    def root(self) -> str:
        """The address without the part of the OpenAI protocol."""
        return self.url.rstrip("/").removesuffix("/v1")


async def find_servers(env: Mapping[str, str], base_url: str | None = None) -> list[LocalServer]:
    """Ask the usual ports of the loopback, and what the user named, side by side.

    Args:
        env: the environment, for the addresses that it names and the keys that belong to them.
        base_url: that the user set; None: of the environment.

    Returns:
        The servers that answered as one, each once.
    """
    places: dict[tuple[str, int | None], _Place] = {}
    for place in _places(env, base_url):
        at = origin(place.url)
        known = places.get(at)
        places[at] = place if known is None else _Place(place.url, known.provider, place.key)
    async with JsonClient() as client:
        found = await asyncio.gather(*(_read(client, place) for place in places.values()))
    return [server for server in found if server is not None]


async def read_server(url: str, key: str = "") -> LocalServer | None:
    """Ask one server what it is; None if it does not say. Whoever calls this has seen that it is on the loopback."""
    async with JsonClient() as client:
        return await _read(client, _Place(url, key=key))


def _places(env: Mapping[str, str], base_url: str | None) -> Iterator[_Place]:
    for name in LOCAL_PROVIDERS:
        yield _Place(address_of(name, env) or "", name)
    proxy = PROVIDERS["litellm"]
    if env.get(proxy.url_variable):  # its usual port is used by much else
        yield _Place(address_of("litellm", env) or "", "litellm", env.get(proxy.key or "", ""))
    named = base_url or env.get("RLM_MODEL_BASE_URL")
    if named and urlsplit(named).scheme in ("http", "https"):
        yield _Place(named, key=env.get("RLM_MODEL_API_KEY", ""))


async def _read(client: JsonClient, place: _Place) -> LocalServer | None:
    """Ask one address."""
    if place.provider == "ollama" and (server := await _ollama(client, place)) is not None:
        return server
    answer = await client.get(f"{place.url.rstrip('/')}/models", place.key)
    if answer.status in _REFUSED:
        return LocalServer("", public_url(place.url), place.provider, locked=True)
    entries = _entries(answer.body, "data")
    if not entries:
        return None
    kind = "litellm" if place.provider == "litellm" else _kind(entries)
    if kind == "ollama":
        return await _ollama(client, place)
    server = LocalServer(
        kind,
        public_url(place.url),
        place.provider,
        tuple(model for entry in entries if (model := _model(entry))),
    )
    return await _with_details(client, place, server)


def _kind(entries: list[Mapping[str, object]]) -> ServerKind:
    first = entries[0]
    if first.get("owned_by") == "me" and "permissions" in first:
        return "llama-cpp-python"
    return next((kind for entry in entries if (kind := _OWNERS.get(str(entry.get("owned_by"))[:40]))), "")


def _model(entry: Mapping[str, object]) -> LocalModel | None:
    """Read one entry of `/v1/models`."""
    name = _name(entry.get("id"))
    meta = entry.get("meta")
    told = meta if isinstance(meta, Mapping) else {}
    named = (entry.get("max_model_len"), told.get("n_ctx_train"), entry.get("max_input_tokens"))
    window = next((tokens for value in named if (tokens := _tokens(value))), None)
    parameters = _tokens(told.get("n_params"), 10**15)
    size = "" if parameters is None else f"{parameters / 1e9:.1f}B"
    loaded = _tokens(told.get("n_ctx"))
    return LocalModel(name, window, loaded, size, _tokens(told.get("size"), 10**15)) if name else None


async def _with_details(client: JsonClient, place: _Place, server: LocalServer) -> LocalServer:
    """Ask for what only this kind of server tells, on paths of its own."""
    match server.kind:
        case "llamacpp" | "":  # what does not say what it is may be llama.cpp behind something else
            return _with_props(server, await client.get(f"{place.root}/props", place.key))
        case "lmstudio":
            answer = await client.get(f"{place.root}/api/v0/models", place.key)
            return _with_lm_studio(server, _entries(answer.body, "data"))
        case "vllm":
            return _with_version(server, await client.get(f"{place.root}/version", place.key))
        case "sglang":
            return _with_version(server, await client.get(f"{place.root}/get_server_info", place.key))
        case "litellm":
            ready = await client.get(f"{place.root}/health/readiness", place.key)
            info = await client.get(f"{place.url.rstrip('/')}/model/info", place.key)
            return _with_litellm(_with_version(server, ready, "litellm_version"), info)
        case _:
            return server


def _with_version(server: LocalServer, answer: Answer, name: str = "version") -> LocalServer:
    version = answer.body.get(name) if isinstance(answer.body, Mapping) else ""
    return replace(server, version=one_line(version, 40) if isinstance(version, str) else "")


def _with_litellm(server: LocalServer, answer: Answer) -> LocalServer:
    """Read the windows of LiteLLM's `/v1/model/info` (https://docs.litellm.ai/docs/proxy/model_management)."""
    windows: dict[str, int] = {}
    for entry in _entries(answer.body, "data"):
        told = entry.get("model_info")
        size = _tokens(told.get("max_input_tokens")) if isinstance(told, Mapping) else None
        if size is not None:  # of several deployments of one name, any may answer
            name = _name(entry.get("model_name"))
            windows[name] = min(size, windows.get(name, size))
    models = tuple(replace(model, window=windows.get(model.name, model.window)) for model in server.models)
    return replace(server, models=models)


def _with_props(server: LocalServer, answer: Answer) -> LocalServer:
    """Read llama.cpp's `/props`: the window of one slot, how many slots there are, and the chat template."""
    props = answer.body if isinstance(answer.body, Mapping) else {}
    settings = props.get("default_generation_settings")
    size = _tokens(settings.get("n_ctx")) if isinstance(settings, Mapping) else None
    template = props.get("chat_template")
    modalities = props.get("modalities")
    told = modalities if isinstance(modalities, Mapping) else {}
    sees, hears = (
        value if isinstance(value := told.get(kind), bool) else None for kind in ("vision", "audio")
    )
    models = tuple(
        replace(
            model,
            loaded_window=size or model.loaded_window,
            sees=sees,
            hears=hears,
        )
        for model in server.models
    )
    thinks = _THINKING.search(template, 0, _MOST_TEMPLATE) is not None if isinstance(template, str) else None
    return replace(
        server,
        models=models if len(models) == 1 else server.models,  # of several models, it is about another one
        slots=_tokens(props.get("total_slots"), _MOST_SLOTS),
        thinks=thinks,
        silent=not answer.status,
    )


def _with_lm_studio(server: LocalServer, entries: list[Mapping[str, object]]) -> LocalServer:
    """Read LM Studio's own list, which has windows, and leaves apart what does not chat."""
    if not entries:
        return server
    models = []
    for entry in entries:
        name = _name(entry.get("id"))
        if name and entry.get("type") != "embeddings":
            window, loaded = (_tokens(entry.get(f"{kind}_context_length")) for kind in ("max", "loaded"))
            loaded = loaded if entry.get("state") == "loaded" else None
            told = isinstance(entry.get("type"), str)
            models.append(LocalModel(name, window, loaded, sees=entry.get("type") == "vlm" if told else None))
    return replace(server, models=tuple(models))


async def _ollama(client: JsonClient, place: _Place) -> LocalServer | None:
    """Ask Ollama by its own protocol."""
    tags, running = await asyncio.gather(
        client.get(f"{place.root}/api/tags", place.key), client.get(f"{place.root}/api/ps", place.key)
    )
    if not isinstance(tags.body, Mapping) or not isinstance(tags.body.get("models"), list):
        return None
    loaded = {_name(entry.get("name")): entry for entry in _entries(running.body, "models")}
    entries = [entry for entry in _entries(tags.body, "models") if _name(entry.get("name"))]
    shown = await asyncio.gather(
        *(_ollama_shown(client, place.root, str(entry["name"]), place.key) for entry in entries[:_MOST_SHOWN])
    )
    models = []
    for number, entry in enumerate(entries):
        name, details = _name(entry.get("name")), entry.get("details")
        size = details.get("parameter_size") if isinstance(details, Mapping) else ""
        models.append(
            LocalModel(
                name,
                window_shown(shown[number]) if number < len(shown) else None,
                _tokens(loaded.get(name, {}).get("context_length")),
                one_line(size, 20) if isinstance(size, str) else "",
                _tokens(entry.get("size"), 10**15),
                sees_shown(shown[number]) if number < len(shown) else None,
                hears_shown(shown[number]) if number < len(shown) else None,
            )
        )
    return LocalServer("ollama", public_url(place.url), place.provider or "ollama", tuple(models))


async def _ollama_shown(client: JsonClient, root: str, name: str, key: str = "") -> object:
    """Ask Ollama what it tells of a model."""
    return (await client.post(f"{root}/api/show", {"model": name}, key)).body


def sees_shown(body: object) -> bool | None:
    """Read from the answer of Ollama's `/api/show` whether a model takes images; None if it does not tell."""
    return _capable(body, "vision")


def hears_shown(body: object) -> bool | None:
    """Read from the answer of Ollama's `/api/show` whether a model takes audio; None if it does not tell."""
    return _capable(body, "audio")


def _capable(body: object, name: str) -> bool | None:
    told = body.get("capabilities") if isinstance(body, Mapping) else None
    return name in told[:50] if isinstance(told, list) else None


def window_shown(body: object) -> int | None:
    """Read the window from the answer of Ollama's `/api/show`: the architecture's name stands before the field's."""
    info = body.get("model_info") if isinstance(body, Mapping) else None
    if not isinstance(info, Mapping):
        return None
    named = (_tokens(info[key]) for key in list(info)[:1000] if str(key).endswith(".context_length"))
    return next((size for size in named if size), None)


def _entries(body: object, name: str) -> list[Mapping[str, object]]:
    items = body.get(name) if isinstance(body, Mapping) else None
    return (
        [item for item in items[:_MOST_MODELS] if isinstance(item, Mapping)]
        if isinstance(items, list)
        else []
    )


def _name(value: object) -> str:
    """Returns a name without what a terminal would obey; what is longer than any name is none."""
    return one_line(value, _MOST_NAME) if isinstance(value, str) and len(value) < _MOST_NAME else ""


def _tokens(value: object, most: int = _MOST_TOKENS) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 < value <= most else None
