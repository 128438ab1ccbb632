"""Pictures that a cell has shown: written anew, and bounded for the run."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from rlm_jupyter.engine.agent import vision
from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.events import events as ev
from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.values.charts.embedded import MAX_BYTES, MAX_PIXELS
from rlm_jupyter.values.charts.png import rewrite
from rlm_jupyter.values.charts.shrink import compact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.engine.agent.agent import Agent
    from rlm_jupyter.kernels.cell_result import ShownPicture

RUN_BYTES = 4_000_000
"""Of all pictures of a run, which stand in its log and its tree; of further ones only the line is kept."""


async def rewritten(agent: Agent, pictures: Sequence[ShownPicture]) -> tuple[ev.CellPicture, ...]:
    """Make what the events tell of the pictures of a cell; what is no PNG file is left out.

    Args:
        agent: whose cell showed them.
        pictures: as they came from the kernel, which may have sent anything.
    """
    services, found = agent.services, []
    for picture in pictures:
        made = await agent.calls.work.run(_rewrite, picture)
        if made is None:
            continue
        if agent.sees:
            vision.keep(agent, made)
        if services.picture_bytes + len(made.png) > RUN_BYTES:
            made = made.model_copy(update={"png": ""})
        services.picture_bytes += len(made.png)
        found.append(made.model_copy(update={"summary": services.redact(made.summary)}))
    return tuple(found)


def _rewrite(picture: ShownPicture) -> ev.CellPicture | None:
    try:
        data = base64.b64decode(picture.png, validate=True)
        made = compact(rewrite(data, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS))
    except (binascii.Error, ValueError, MalformedValueError):
        return None
    png = base64.b64encode(made.png).decode()
    return ev.CellPicture(summary=one_line(picture.text), width=made.width, height=made.height, png=png)
