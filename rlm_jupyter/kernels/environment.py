"""What an agent's process inherits: an environment by allow-list, and a directory of its own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rlm_jupyter.errors import KernelStartError

# Nothing else is passed on: a list of what to keep back would always miss a secret.
ALLOWED = frozenset({"PATH", "LANG", "LANGUAGE", "TZ", "TZDIR", "LD_LIBRARY_PATH"})
ALLOWED_ON_WINDOWS = frozenset(
    {"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS"}
)
SINGLE_THREADED = {
    # A thread pool would be lost in a fork, and many agents share few processors anyway.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
LONGEST_DIRECTORY = 60
"""Bytes; a socket's path may have 107, and a kernel's sockets lie two levels below."""


def clean_environment(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """Copy what a process of an agent may know of an environment: paths, language and time zone.

    Args:
        source: by default this process' environment.
    """
    source = os.environ if source is None else source
    allowed = ALLOWED | ALLOWED_ON_WINDOWS if sys.platform == "win32" else ALLOWED
    kept = {name: value for name, value in source.items() if name in allowed or name.startswith("LC_")}
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
        "MPLCONFIGDIR",
    )
    places = dict.fromkeys(names, scratch)
    # No colours, no pager: the reader is a model.
    calm = {"TERM": "dumb", "NO_COLOR": "1", "PAGER": "cat", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**clean_environment(), **places, **calm, **extra}


def make_base_directory() -> Path:
    """Make this process' private directory (mode 0700) for kernels and runs, with a short path.

    Raises:
        KernelStartError: no place can be written to, or all paths are too long for a socket.
    """
    tried = []
    for parent in (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR"), "/tmp"):  # noqa: S108 - last resort
        if not parent:
            continue
        if len(os.fsencode(parent)) + len("/rlm-12345678/k1234") >= LONGEST_DIRECTORY:
            tried.append(f"`{parent}` is too long for a socket")
            continue
        try:
            return Path(tempfile.mkdtemp(prefix="rlm-", dir=parent))
        except OSError as error:
            tried.append(f"`{parent}`: {error.strerror}")
    raise KernelStartError(
        f"There is no place for agents' kernels: {'; '.join(tried)}. "
        "Set `TMPDIR` to a short path that can be written to, such as `/tmp`."
    )


def remove_directory(path: Path) -> None:
    """Remove a directory and all below it, whatever modes an agent gave to it."""

    def ease(directory: str) -> None:
        for name, folders, _ in os.walk(directory):
            for folder in ("", *folders):
                target = os.path.join(name, folder)  # noqa: PTH118 - names may be any bytes
                if not os.path.islink(target):  # noqa: PTH114
                    os.chmod(target, 0o700)  # noqa: PTH101

    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        try:
            ease(str(path))
        except OSError:
            return
        shutil.rmtree(path, ignore_errors=True)
