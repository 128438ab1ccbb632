"""`%rlm doctor`: what works on this machine and in this notebook, tried and not guessed; never a key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rlm_jupyter import diagnostics
from rlm_jupyter.errors import RLMError

if TYPE_CHECKING:
    from rlm_jupyter.magics.magics_state import MagicsState


def report(magics: MagicsState) -> str:
    """Describes versions, display, clicks, model and key, kernels and their confinement."""
    lines = [
        *diagnostics.versions(),
        *_display(magics),
        *diagnostics.models(magics.arguments_of_rlm({})),
        *diagnostics.local_models(magics.arguments_of_rlm({}).get("base_url")),
        *diagnostics.kernels(magics.kernel, magics.sandbox),
    ]
    return "\n".join(lines)


def _display(magics: MagicsState) -> Iterator[str]:
    from rlm_jupyter.magics.await_transform import may_await
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
