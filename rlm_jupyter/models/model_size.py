"""How large a model is, told by its name or by its server on this machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rlm_jupyter.models.base import ChatModel
    from rlm_jupyter.models.local.discovery import LocalServer

_BILLIONS: Final = re.compile(
    r"(?<![\w.])(?:(\d{1,2})x)?e?(\d{1,4}(?:\.\d{1,3})?)\s?b(?![a-z\d])", re.IGNORECASE
)
_MILLIONS: Final = re.compile(r"(?<![\w.])(\d{2,3})m(?![a-z\d])", re.IGNORECASE)
_MOST_NAME: Final = 200


@runtime_checkable
class ServedModel(Protocol):
    """A model that knows its server, which may be one on this machine."""

    async def local_server(self) -> LocalServer | None:
        """Returns what its server says of itself; None if it is elsewhere, or does not say so quickly."""


def billions_in(text: str) -> float | None:
    """Returns how many billions of parameters a name speaks of, as in ``qwen2.5-coder:1.5b``; None for none.

    Of a mixture of experts that is all of them (``8x7b`` is 56), or what stands first (``30b-a3b`` is 30).
    """
    text = text[:_MOST_NAME]
    if (found := _BILLIONS.search(text)) is not None:
        return int(found[1] or 1) * float(found[2])
    if (found := _MILLIONS.search(text)) is not None:
        return float(found[1]) / 1000
    return None


async def billions_of(model: ChatModel) -> float | None:
    """Returns how many billions of parameters a model has; None if that is not known.

    A server on this machine that has one model serves it under any name.
    """
    if (size := billions_in(model.name)) is not None or not isinstance(model, ServedModel):
        return size
    server = await model.local_server()
    if server is None:
        return None
    served = server.model(model.name)
    if served is None and len(server.models) == 1:
        served = server.models[0]
    if served is None:
        return None
    size = billions_in(served.parameters)
    return size if size is not None else billions_in(served.name)
