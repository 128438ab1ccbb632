"""Directories of kernels that others use too: a kernel made of a checkpoint has its box, and so its files, in one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rlm_jupyter.guest.private_directory import remove_directory
from rlm_jupyter.kernels.blocking import in_thread

if TYPE_CHECKING:
    from pathlib import Path

_uses: Counter[Path] = Counter()


def use(directory: Path) -> None:
    """Keep a directory until `release` was called as often."""
    _uses[directory] += 1


async def release(directory: Path) -> None:
    """Use a directory no more; the last one who does removes it."""
    _uses[directory] -= 1
    if _uses[directory] <= 0:
        del _uses[directory]
        await in_thread(remove_directory, directory)
