"""`%rlm doctor`: what works on this machine, tried and not guessed; never a key."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import rlm_jupyter
from rlm_jupyter.errors import RLMError

if TYPE_CHECKING:
    from rlm_jupyter.magics.extension import RLMMagics

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


def report(magics: RLMMagics) -> str:
    """Tell of versions, display, clicks, model and key, kernels and their confinement."""
    parts = (_versions, _display, _model, _kernels)
    return "\n".join(line for part in parts for line in part(magics))


def _versions(_magics: RLMMagics) -> Iterator[str]:
    own = rlm_jupyter.__version__
    yield f"rlm_jupyter {own} · Python {platform.python_version()} · {platform.system()} {platform.release()}"
    yield "Packages: " + ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _display(magics: RLMMagics) -> Iterator[str]:
    from rlm_jupyter.magics.awaited import may_await
    from rlm_jupyter.views.display import clicks_arrive, display_mode

    try:
        mode = display_mode(magics.shell)
    except RLMError as error:
        yield f"Display: {error}"
        return
    yield f"Display: {mode} (`RLM_JUPYTER_DISPLAY`: {os.environ.get('RLM_JUPYTER_DISPLAY') or 'auto'})"
    if mode != "widget":
        yield "Clicks: none, there is no widget; Interrupt and `%rlm stop` end a run"
    elif not may_await(magics.shell):
        yield "Clicks: after the cell; `%autoawait asyncio` makes `%%rlm` an awaited cell"
    elif clicks_arrive("awaited"):
        yield "Clicks: arrive while a cell runs"
    else:
        yield "Clicks: after the cell (ipykernel 7.4 or newer lets them through); use Interrupt, or `--bg`"


def _model(magics: RLMMagics) -> Iterator[str]:
    from rlm_jupyter.rlm import RLM
    from rlm_jupyter.settings import PROVIDERS

    try:
        rlm = RLM(**magics.arguments_of_rlm({}))
    except RLMError as error:
        yield f"Model: {error}"
    else:
        price = magics.price or rlm.model.price
        cost = "price not known" if price is None else f"${price[0]:g} and ${price[1]:g} per million tokens"
        kind = "scripted, no language model" if rlm.model.scripted else cost
        yield f"Model: {rlm.model.name} ({kind})"
        if rlm.sub_model is not rlm.model:
            yield f"Model of sub-agents: {rlm.sub_model.name}"
    url = magics.base_url or os.environ.get("RLM_MODEL_BASE_URL")
    if url:
        yield f"Server: {urlsplit(url).hostname or 'not a URL'}"  # the rest of a URL may hold a password
    names = ["RLM_MODEL_API_KEY", *(provider.key for provider in PROVIDERS.values() if provider.key)]
    found = [name for name in names if os.environ.get(name)]
    yield f"Keys in the environment: {', '.join(f'`{name}`' for name in found) or 'none'}"


def _kernels(magics: RLMMagics) -> Iterator[str]:
    from rlm_jupyter.engine.thread import engine

    try:
        found = engine().submit(_try_kernel(magics.kernel, magics.sandbox)).result(2 * _START_SECONDS)
    except (RLMError, TimeoutError) as error:
        yield f"Kernels: {error or 'none started in time'}"
        return
    how = "forked by the fork server" if found["forks"] else "started one by one (no fork server here)"
    yield f"Kernels: {how}; the second one was ready in {found['seconds'] * 1000:.0f} ms"
    yield from (f"Kernels: {notice}" for notice in found["notices"])
    box = found["confinement"]
    yield f"Sandbox: `{magics.sandbox}` is here {box['mode']}; kept from agents: {', '.join(box['holds'])}"
    yield from (f"Sandbox: missing: {what}" for what in box["missing"])


async def _try_kernel(kernelspec: str | None, sandbox: str) -> dict[str, Any]:
    """Start two kernels in a pool of their own; the second one shows the time that an agent will need."""
    from rlm_jupyter.kernels.pool import KernelPool, KernelRequest
    from rlm_jupyter.kernels.supervisor import possible

    notices: list[str] = []
    pool = KernelPool(notice=notices.append)
    try:
        for agent in ("0", "0.1"):
            begin = time.monotonic()
            kernel = await pool.start(KernelRequest("doctor", agent, kernelspec, sandbox), _no_words)
            await kernel.execute("1 + 1", seconds=_START_SECONDS, on_output=None)
            seconds = time.monotonic() - begin
        forks = possible() and kernelspec is None and sandbox != "bwrap" and not notices
        return {"confinement": kernel.confinement, "seconds": seconds, "notices": notices, "forks": forks}
    finally:
        with contextlib.suppress(Exception):
            await pool.close()


async def _no_words(op: str, _body: dict[str, Any], _fds: list[int]) -> tuple[Any, list[int]]:
    if op == "cell_done":
        return {}, []
    from rlm_jupyter.kernels.bridge import BridgeError

    raise BridgeError("internal", "A kernel of `%rlm doctor` has no agent.")
