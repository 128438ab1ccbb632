"""What works on this machine, tried and not guessed; never a key. For `%rlm doctor` and `rlm-jupyter doctor`."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

import rlm_jupyter
from rlm_jupyter.errors import RLMError
from rlm_jupyter.models.local.discovery import TITLES, LocalModel, LocalServer, ServerKind, find_servers
from rlm_jupyter.models.openai.mask_keys import public_url
from rlm_jupyter.providers import PROVIDERS, address_of
from rlm_jupyter.sandbox_settings import Sandbox
from rlm_jupyter.system import is_installed
from rlm_jupyter.text.units import size

_PACKAGES = (
    "ipykernel",
    "IPython",
    "jupyter_client",
    "anywidget",
    "ipywidgets",
    "openai",
    "pandas",
    "pyarrow",
)
_START_SECONDS = 60.0
_SERVER_SECONDS = 30.0
_SHOWN = 8
_USUAL: tuple[ServerKind, ...] = ("ollama", "lmstudio", "llamacpp", "vllm", "sglang")


def versions() -> Iterator[str]:
    """Describes this package, Python, the system, and the packages that it needs."""
    own = rlm_jupyter.__version__
    yield f"rlm_jupyter {own} · Python {platform.python_version()} · {platform.system()} {platform.release()}"
    from rlm_jupyter.kernels.launch.tried_versions import TRIED, tried

    yield "Packages: " + ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    yield from (f"Agents' kernels: {tried(package)}" for package in TRIED)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def models(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Describes the models and the keys.

    Args:
        arguments: of `RLM`.
    """
    from rlm_jupyter.models.openai import network_environment
    from rlm_jupyter.models.openai.chat import OPENAI_URL
    from rlm_jupyter.rlm import RLM

    reached = OPENAI_URL
    try:
        rlm = RLM(**{**arguments, "early_start": False})  # it asks nothing
    except RLMError as error:
        yield f"Model: {error}"
    else:
        price = arguments.get("price") or rlm.model.price
        cost = "price not known" if price is None else f"${price[0]:g} and ${price[1]:g} per million tokens"
        kind = "scripted, no language model" if rlm.model.scripted else cost
        yield f"Model: {rlm.model.name} ({kind})"
        reached = getattr(rlm.model, "base_url", None) or reached
        if rlm.sub_model is not rlm.model:
            yield f"Model of sub-agents: {rlm.sub_model.name}"
    url = arguments.get("base_url") or os.environ.get("RLM_MODEL_BASE_URL")
    if url:
        yield f"Server: {urlsplit(url).hostname or 'not a URL'}"  # the rest of a URL may hold a password
    yield from (f"Connection: {problem}" for problem in network_environment.problems(reached))
    names = ["RLM_MODEL_API_KEY", *(provider.key for provider in PROVIDERS.values() if provider.key)]
    found = [name for name in names if os.environ.get(name)]
    yield f"Keys in the environment: {', '.join(f'`{name}`' for name in found) or 'none'}"
    usable, lacking = _providers(os.environ)
    yield f"Providers that can be asked: {', '.join(f'`{name}/`' for name in usable) or 'none'}"
    yield from (f"Provider `{name}/`: set `{variable}` to its address" for name, variable in lacking.items())


def provider_lines() -> Iterator[str]:
    """Describes which providers can be asked, by whether their variables are set; never by a value."""
    usable, lacking = _providers(os.environ)
    for name in usable:
        variable = PROVIDERS[name].key
        named = [one for one in (variable, *PROVIDERS[name].credentials) if os.environ.get(one or "")]
        key = f"`{named[0]}` is set" if named else f"`{variable}` is not set"
        yield f"Provider {name}: -m {name}/NAME  ({key})"
    for name, variable in lacking.items():
        yield f"Provider {name}: `{PROVIDERS[name].key}` is set; set `{variable}` to its address"
    others = [f"{name}/" for name, one in PROVIDERS.items() if one.key and name not in {*usable, *lacking}]
    if others:
        yield f"Not set up: {', '.join(others)}"


def _providers(env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Returns the providers that can be asked, and those that lack an address only, with its variable."""
    usable: list[str] = []
    lacking: dict[str, str] = {}
    for name, provider in PROVIDERS.items():
        if provider.key is None:  # servers of this machine, which are asked themselves
            continue
        named = bool(provider.url_variable and env.get(provider.url_variable))
        found = any(env.get(variable) for variable in provider.credentials) and is_installed(provider.library)
        if not (env.get(provider.key) or found or (named and not provider.key_needed)):
            continue
        if provider.base_url is None and provider.url_variable and address_of(name, env) is None:
            lacking[name] = provider.url_variable
        else:
            usable.append(name)
    return usable, lacking


def local_servers(base_url: str | None = None) -> Iterator[str]:
    """Describes the model servers of this machine, each model with what to type behind `-m`.

    Asks the usual ports of the loopback, `OLLAMA_HOST` and the base URL; about a second each, side by side.

    Args:
        base_url: that is set; None: of the environment.
    """
    servers, named = _found_servers(base_url)
    for server in servers:
        yield f"{TITLES[server.kind]} at {server.url}{_about(server)}"
        prefix = "" if server.url == named or not server.provider else f"{server.provider}/"
        for model in server.models:
            yield f"  -m {shlex.quote(prefix + model.name)}{_sizes(model)}"
    if not servers:
        ports = ", ".join(
            f"{TITLES[name]} on {urlsplit(PROVIDERS[name].base_url or '').port}" for name in _USUAL
        )
        yield f"No model server answers on this machine (asked for: {ports})."
    elif named is not None:
        yield (
            f"The base URL {named} is set, so that all names are sent there as they are. Unset it to use a prefix "
            "such as `ollama/`."
        )


def local_models(base_url: str | None = None) -> Iterator[str]:
    """Describes the same in a line for each server."""
    for server in _found_servers(base_url)[0]:
        names = [f"`{model.name}`" for model in server.models[:_SHOWN]]
        more = f" and {len(server.models) - _SHOWN} more" if len(server.models) > _SHOWN else ""
        has = f": {', '.join(names)}{more}" if names else ""
        yield f"Local models: {TITLES[server.kind]} at {server.url}{_about(server)}{has}"


def _found_servers(base_url: str | None) -> tuple[list[LocalServer], str | None]:
    """Returns the servers that answer, and the base URL that is set, without what may be secret in it."""
    from rlm_jupyter.engine.run.engine_thread import engine

    named = base_url or os.environ.get("RLM_MODEL_BASE_URL") or None
    try:
        found = engine().submit(find_servers(dict(os.environ), named)).result(_SERVER_SECONDS)
    except TimeoutError:
        found = []
    return found, public_url(named) if named else None


def _about(server: LocalServer) -> str:
    if server.locked:
        own = PROVIDERS[server.provider].key if server.provider else None
        return (
            f" (asks for a key: set `{own}`)"
            if own
            else " (asks for a key: set `RLM_MODEL_API_KEY` and the base URL)"
        )
    slots = "" if server.slots is None else f" ({server.slots} request{'s' * (server.slots != 1)} at once)"
    return f" {server.version}{slots}" if server.version else slots


def _sizes(model: LocalModel) -> str:
    told = [
        "" if model.window is None else f"{model.window:,} tokens",
        "" if model.loaded_window is None else f"loaded with {model.loaded_window:,}",
        model.parameters,
        "" if model.file_bytes is None else size(model.file_bytes),
    ]
    parts = ", ".join(part for part in told if part)
    return f"  ({parts})" if parts else ""


def kernels(kernelspec: str | None, sandbox: Sandbox | Mapping[str, object] | str) -> Iterator[str]:
    """Start kernels, and tell how, how quickly, what is kept from them, and what they may use up."""
    from rlm_jupyter.engine.run.engine_thread import engine

    try:
        asked = Sandbox.of(sandbox)
        found = engine().submit(_try_kernel(kernelspec, asked)).result(2 * _START_SECONDS)
    except (RLMError, TimeoutError) as error:
        yield f"Kernels: {error or 'none started in time'}"
        return
    how = "forked by the fork server" if found["forks"] else "started one by one (no fork server here)"
    yield f"Kernels: {how}; the second one was ready in {found['seconds'] * 1000:.0f} ms"
    yield from (f"Kernels: {notice}" for notice in found["notices"])
    if not sys.platform.startswith("linux"):
        yield (
            "Kernels: each loads the data for itself, and what agents' code starts and detaches may outlive a notebook "
            "that is killed: on this system it cannot be found"
        )
    box = found["confinement"]
    yield from _confined(asked, box)
    yield from (f"Sandbox: missing: {what}" for what in box["missing"])


def _confined(asked: Sandbox, box: Mapping[str, Any]) -> Iterator[str]:
    limits = box.get("limits") or {}
    kept = ", ".join(part for part in box["holds"] if part not in limits)
    yield f"Sandbox: `{asked.mode}` is here {box['mode']}; kept from agents: {kept or 'nothing'}"
    if limits:
        yield f"Sandbox: at most {', '.join(f'{name} {amount}' for name, amount in limits.items())} for each kernel"
    if box.get("net"):
        yield f"Sandbox: agents may connect to {', '.join(box['net'])}"
    if box.get("read"):
        yield f"Sandbox: agents may also read {', '.join(box['read'])}"


async def _try_kernel(kernelspec: str | None, sandbox: Sandbox) -> dict[str, Any]:
    """Start two kernels in a pool of their own; the second one shows the time that an agent will need."""
    from rlm_jupyter.kernels.launch.supervisor_client import possible
    from rlm_jupyter.kernels.pool import KernelPool, KernelRequest

    notices: list[str] = []
    pool = KernelPool(notice=notices.append)
    try:
        for agent in ("0", "0.1"):
            begin = time.monotonic()
            kernel = await pool.start(KernelRequest("doctor", agent, kernelspec, sandbox), _no_words)
            await kernel.execute("1 + 1", seconds=_START_SECONDS, on_output=None)
            seconds = time.monotonic() - begin
        stock = kernelspec is not None or sandbox.mode == "bwrap" or not pool.forks
        forks = possible() and not stock
        return {"confinement": kernel.confinement, "seconds": seconds, "notices": notices, "forks": forks}
    finally:
        with contextlib.suppress(Exception):
            await pool.close()


async def _no_words(op: str, _body: dict[str, Any], _fds: list[int]) -> tuple[Any, list[int]]:
    if op == "cell_done":
        return {}, []
    from rlm_jupyter.kernels.bridge.socket_bridge import BridgeError

    raise BridgeError("internal", "A kernel of the doctor has no agent.")
