"""What an agent's process inherits: an environment by allow-list, and a directory of its own."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rlm_jupyter import forks
from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.guest.private_directory import make_locked, remove_directory

# Nothing else is passed on: a list of what to keep back would always miss a secret.
LOCALE = {f"LC_{name}" for name in ("ALL", "COLLATE", "CTYPE", "MESSAGES", "MONETARY", "NUMERIC", "TIME")}
ALLOWED = frozenset({"PATH", "LANG", "LANGUAGE", "TZ", "TZDIR", "LD_LIBRARY_PATH", *LOCALE})
ALLOWED_ON_WINDOWS = frozenset(
    {"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS"}
)
LAUNCHER = frozenset({"HOME", "USER", "LOGNAME", "KUBECONFIG", "DOCKER_HOST"})
LAUNCHER_PREFIXES = ("KERNEL_", "GP_", "EG_", "KUBERNETES_")  # those of the gateway provisioners
SINGLE_THREADED = {
    # A thread pool would be lost in a fork, and many agents share few processors anyway.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # mimalloc, which arrow uses, would take a gibibyte at its first table; the limit of memory counts it.
    "MIMALLOC_ARENA_EAGER_COMMIT": "0",
}
TOKEN = "RLM_SUPERVISOR"  # noqa: S105 - a name for finding processes, no secret
"""The variable that marks all that a supervisor started."""
MATPLOTLIB = ".matplotlib"
"""The directory of a kernel in which matplotlib keeps its list of fonts."""
LONGEST_DIRECTORY = 60
"""Bytes; a socket's path may have 107, and a kernel's sockets lie two levels below."""


def clean_environment(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """Copy what a process of an agent may know of an environment: paths, language and time zone.

    Args:
        source: by default this process' environment.
    """
    source = os.environ if source is None else source
    allowed = ALLOWED | ALLOWED_ON_WINDOWS if sys.platform == "win32" else ALLOWED
    kept = {name: value for name, value in source.items() if name in allowed}
    kept.setdefault("PATH", os.defpath)
    return {**kept, **SINGLE_THREADED}


def kernel_environment(directory: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Make the environment of a kernel whose scratch directory is `directory`.

    Args:
        directory: becomes its home, its place for temporary files and for IPython's files.
        extra: what the user hands over by name, such as the keys of a tool.
    """
    scratch = str(directory)
    names = (
        "HOME",
        "TMPDIR",
        "TMP",
        "TEMP",
        "IPYTHONDIR",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    )
    places = {**dict.fromkeys(names, scratch), "MPLCONFIGDIR": str(directory / MATPLOTLIB)}
    # No colours, no pager: the reader is a model.
    calm = {"TERM": "dumb", "NO_COLOR": "1", "PAGER": "cat", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**clean_environment(), **places, **calm, **extra}


def remote_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Make the environment in which a kernel that runs elsewhere is launched.

    What launches it runs here and may need its own settings; paths of this machine mean nothing there.

    Args:
        extra: what the kernelspec sets. What the user hands over is set in the kernel, see `remote.settle`.
    """
    launcher = {
        name: value
        for name, value in os.environ.items()
        if name in LAUNCHER or name.startswith(LAUNCHER_PREFIXES)
    }
    return {**clean_environment(), **launcher, **extra}


class BaseDirectory:
    """This process' private directory (mode 0700) for kernels and runs, with a short path.

    A locked file in it tells that its owner lives, so that directories of processes that were killed together
    with their supervisor are swept by the next one.

    Attributes:
        path: of the directory.

    Raises:
        KernelStartError: no place can be written to, or all paths are too long for a socket.
    """

    def __init__(self) -> None:
        self._owner = os.getpid()
        self.path, self._lock = _make_directory()
        atexit.register(self.remove)
        forks.register(self)

    def forked(self) -> None:
        """Let go of the lock in a forked child: it tells that the parent lives, and the child may live longer."""
        atexit.unregister(self.remove)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> None:
        """Remove it with all that is in it, unless this process is a fork of its owner."""
        if os.getpid() != self._owner:
            return
        atexit.unregister(self.remove)
        remove_directory(self.path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _make_directory() -> tuple[Path, int | None]:
    tried = []
    for parent in (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR"), "/tmp"):  # noqa: S108 - last resort
        if not parent:
            continue
        if len(os.fsencode(parent)) + len("/rlm-12345678/k1234") >= LONGEST_DIRECTORY:
            tried.append(f"`{parent}` is too long for a socket")
            continue
        try:
            return make_locked(parent)
        except OSError as error:
            tried.append(f"`{parent}`: {error.strerror}")
    raise KernelStartError(
        f"No usable directory for agents' kernels: {'; '.join(tried)}. "
        "Set `TMPDIR` to a short path that can be written to, such as `/tmp`."
    )


def kill_marked(token: str) -> None:
    """Kill the processes that carry a supervisor's mark: what is left when it was itself killed (Linux)."""
    mark = f"{TOKEN}={token}".encode()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
