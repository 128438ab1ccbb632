"""What is done first in a kernel that runs elsewhere: variables, and a scratch directory that goes with it.

Travels as source into any Python kernel (module `_rlm_remote`): standard library only, no import of this package.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING or not __name__.startswith("_rlm_"):
    from rlm_jupyter.kernels.leftovers import make_locked
else:
    from _rlm_leftovers import make_locked

MARK = "RLM_REMOTE"
"""The variable that marks what a kernel's code starts."""
_CLEAR_UP = f"""
cd / && read _
for process in /proc/[0-9]*; do
    if tr '\\0' '\\n' < "$process/environ" | grep -qxF "{MARK}=$0"; then kill -9 "${{process#/proc/}}"; fi
done 2> /dev/null
rm -rf -- "$0"
"""
_watch: list[subprocess.Popen[bytes]] = []
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
    if sys.platform == "win32":
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        return
    # A kernel that is killed runs no `atexit`: a shell waits for the end of its pipe, and clears up: what the kernel's
    # code started in other sessions, and the directory.
    command = ["/bin/sh", "-c", _CLEAR_UP, directory]
    null = subprocess.DEVNULL
    _watch.append(
        subprocess.Popen(  # noqa: S603 - nothing in it comes from elsewhere
            command, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True
        )
    )
    os.register_at_fork(after_in_child=_watch[-1].stdin.close)  # type: ignore[union-attr]  # a pipe
    os.environ[MARK] = directory
