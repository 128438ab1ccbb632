"""A run's data in a process from which its kernels are forked, so that all of them see it without a copy.

Travels as source into the supervisor (module `_rlm_template`): standard library only, no import of this package.
A template is a fork of the supervisor that loads the data once and then serves as a supervisor itself. Only the
notebook's own data comes here, never what an agent's kernel encoded: decoding it may run code.
"""

import os
import sys
from typing import Any

_held: list[tuple[tuple[int, int], Any]] = []


def hold(fd: int, token: int | None = None) -> None:
    """Decode the value in a descriptor and keep it for all forks; the descriptors stay the caller's.

    Args:
        fd: of the encoded value.
        token: of the file that will stand for it, so that nobody needs to keep the bytes; None for `fd` itself.
    """
    value = sys.modules["_rlm_codec"].__dict__["load"](fd, allow_pickle=True)
    _held[:] = [(_identity(fd if token is None else token), value)]


def find(fd: int) -> list[Any]:
    """Give the value that this very file is or stands for, in a list, if it is held here; else an empty list."""
    return [value for identity, value in _held if identity == _identity(fd)]


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
