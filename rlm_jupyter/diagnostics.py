"""What works on this machine, tried and not guessed; never a key. For `%rlm doctor` and `rlm-jupyter doctor`."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

import rlm_jupyter
from rlm_jupyter.errors import RLMError
from rlm_jupyter.sandbox_settings import Sandbox

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
    from rlm_jupyter.settings import PROVIDERS

    reached = OPENAI_URL
    try:
        rlm = RLM(**arguments)
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
