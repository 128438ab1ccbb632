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

_watch: list[subprocess.Popen[bytes]] = []


def settle(variables: Mapping[str, str]) -> None:
    """Set the variables that the user hands over, and work in a directory of the kernel's own.

    Args:
        variables: a gateway passes on only those that it was told to.
    """
    directory = tempfile.mkdtemp(prefix="rlm-")
    os.environ.update(variables)
    os.environ.update(dict.fromkeys(("TMPDIR", "TMP", "TEMP"), directory))
    tempfile.tempdir = directory
    os.chdir(directory)
    if sys.platform == "win32":
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        return
    # A kernel that is killed runs no `atexit`: a shell waits for the end of its pipe, and clears up.
    command = ["/bin/sh", "-c", 'cd / && read _; rm -rf -- "$0"', directory]
    null = subprocess.DEVNULL
    _watch.append(
        subprocess.Popen(  # noqa: S603 - nothing in it comes from elsewhere
            command, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True
        )
    )
