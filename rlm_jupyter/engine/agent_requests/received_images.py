"""Images that an agent's code sends with a prompt: written anew by this process, before any model is sent one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from rlm_jupyter.engine.agent_requests.received_values import load_files
from rlm_jupyter.errors import MalformedValueError
from rlm_jupyter.guest.image_files import MOST_BYTES, MOST_IMAGES, MOST_PIXELS, MOST_SIDE, MOST_TOGETHER
from rlm_jupyter.models.images import Image
from rlm_jupyter.values.charts.png import rewrite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rlm_jupyter.values.store import Buffer

_ROOM: Final = 1.1
"""Other compressors make files of other sizes."""

MOST_HELD: Final = 200_000_000
"""Bytes of images and audio of a run in this process at once."""


class ImageRoom:
    """Bounds the images and audio that this process holds for a run; what has no room waits in its kernel, in its turn.

    Belongs to one event loop.

    Args:
        most: bytes; None for the default.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = MOST_HELD if most is None else most
        self._held = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Wait until there is room for so many bytes, and keep it; alone, any number has room."""
        async with self._turn:
            while self._held and self._held + size > self._most:
                self._freed.clear()
                await self._freed.wait()
            self._held += size
        try:
            yield
        finally:
            self._held -= size
            self._freed.set()


def load_images(buffer: Buffer) -> tuple[Image, ...]:
    """Decode the images of a prompt; the kernel may have sent anything.

    Args:
        buffer: a list of PNG files.

    Raises:
        RLMError: it is something else, or more than a prompt may have.
    """
    files = load_files(buffer, "images", most=MOST_IMAGES, size=MOST_TOGETHER)
    most = int(_ROOM * min(MOST_BYTES, MOST_TOGETHER // len(files)))
    return tuple(_rewritten(file, most) for file in files)


def _rewritten(file: bytes, most: int) -> Image:
    made = rewrite(file, max_bytes=most, max_pixels=MOST_PIXELS)
    if max(made.width, made.height) > MOST_SIDE:
        raise MalformedValueError(f"An image is longer than {MOST_SIDE:,} pixels.")
    return Image(made.png, made.width, made.height)
