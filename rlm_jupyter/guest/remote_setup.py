"""What is done first in a kernel that runs elsewhere: variables, and a scratch directory that goes with it.

Travels as source into any Python kernel: standard library only.
"""

import os
import tempfile
from collections.abc import Mapping

from .private_directory import clear_up_after, make_locked

_lock: list[int | None] = []


def settle(variables: Mapping[str, str]) -> None:
    """Set the variables that the user hands over, and work in a directory of the kernel's own.

    Args:
        variables: a gateway passes on only those that it was told to.
    """
    base, lock = make_locked(tempfile.gettempdir())
    _lock.append(
        lock
    )  # held as long as the kernel lives: where the shell below is killed too, the next one sweeps
    directory, scratch = str(base), str(base / "scratch")
    os.mkdir(scratch)  # noqa: PTH102 - paths are strings here
    os.environ.update(variables)
    os.environ.update(dict.fromkeys(("TMPDIR", "TMP", "TEMP"), scratch))
    tempfile.tempdir = scratch
    os.chdir(scratch)
    clear_up_after(directory)
