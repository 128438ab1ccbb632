"""Private directories in the place for temporary files, and the end of those whose owner was killed.

A locked file in each tells that its owner lives. Whoever makes one sweeps what others could not remove. And the end
of what a kernel without a supervisor leaves when it is killed.

Travels as source into any Python kernel: standard library only.
"""

import atexit
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

PREFIX, LOCK = "rlm-", ".rlm_jupyter.lock"
UNFINISHED_SECONDS = 3600.0
"""The age at which an empty directory without a lock was left by an owner that was killed while it made it."""

MARK = "RLM_LEFTOVERS"
"""The variable that marks what a kernel's code starts."""
MAPPED = ".rlm_jupyter.mark"
"""A file of the directory that a kernel maps, and so do its forks: their environment is shown as it was before."""
# The shell's own child does it, so that it is not a descendant of the kernel's: those are killed with the kernel.
_CLEAR_UP = f"""
exec 3<&0
(
    cd / && read -r _ <&3
    for turn in 1 2 3; do  # a process may fork while the list is read
        # What was executed has the variable; what was only forked has the mapping instead.
        for file in $(grep -lzxF "{MARK}=$0" /proc/[0-9]*/environ; grep -lF "$0/{MAPPED}" /proc/[0-9]*/maps); do
            pid=${{file#/proc/}}
            kill -9 "${{pid%/*}}"
        done
    done
    rm -rf -- "$0"
) < /dev/null > /dev/null 2>&1 &
"""
_held: list[IO[bytes] | mmap.mmap] = []


def make_locked(parent: str) -> tuple[Path, int | None]:
    """Make a private directory (mode 0700) with a short name, and sweep those of dead owners beside it.

    Args:
        parent: where.

    Returns:
        The directory, and a descriptor that the owner keeps open as long as it lives; None if nothing can be
        locked (Windows).

    Raises:
        OSError: it cannot be made there.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        if sys.platform == "win32":
            return path, None
        lock = _lock(path)
        if lock is not None:  # else a sweep came between the making and the locking
            _sweep(path)
            return path, lock


def _lock(path: Path) -> int | None:
    import fcntl

    try:
        lock = os.open(path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    fcntl.flock(lock, fcntl.LOCK_EX)
    if (path / LOCK).exists():
        return lock
    os.close(lock)
    return None


def _sweep(own: Path) -> None:
    """Remove the directories of owners that are dead: their lock can be taken."""
    import fcntl

    for directory in own.parent.glob(f"{PREFIX}*"):
        try:
            status = directory.lstat()
            if directory == own or status.st_uid != os.getuid():
                continue
            lock = os.open(directory / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:  # not finished, not one of ours, or just removed
            if time.time() - status.st_mtime > UNFINISHED_SECONDS:
                with suppress(OSError):
                    directory.rmdir()  # only if it is empty
            continue
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_directory(directory)
        except OSError:
            continue
        finally:
            os.close(lock)


def remove_directory(path: Path) -> None:
    """Remove a directory and all below it, whatever modes an agent gave to it."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        with suppress(OSError):
            _unlock(path)
        shutil.rmtree(path, ignore_errors=True)


def _unlock(path: Path) -> None:
    for folder, _, _ in os.walk(path, onerror=lambda error: Path(error.filename).chmod(0o700)):
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                Path(entry.path).chmod(0o700)


def clear_up_after(directory: str) -> None:
    """Let what this process starts from now on end with it, other sessions included, and a directory be removed.

    However this process ends: a process that is killed runs no `atexit`, so a shell waits for the end of its pipe.
    Processes are found by their environment and their mappings, where the system shows these (Linux).

    Args:
        directory: is not another process's.
    """
    if sys.platform == "win32":
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        return
    reading, writing = os.pipe()
    pipe = os.fdopen(writing, "wb", buffering=0)
    _held.append(pipe)
    with open(os.path.join(directory, MAPPED), "wb+") as file:  # noqa: PTH118, PTH123 - paths are strings here
        file.write(b"-")
        file.flush()
        _held.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    null = subprocess.DEVNULL
    command = ["/bin/sh", "-c", _CLEAR_UP, directory]
    subprocess.run(  # noqa: S603 - nothing in it comes from elsewhere
        command, stdin=reading, stdout=null, stderr=null, start_new_session=True, check=False
    )
    os.close(reading)
    os.register_at_fork(after_in_child=pipe.close)
    os.environ[MARK] = directory
