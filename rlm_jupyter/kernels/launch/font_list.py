"""matplotlib's list of fonts, made once for all kernels: each would look at every font of the system for itself.

matplotlib keeps the list in `MPLCONFIGDIR`, which is each kernel's own. It is made by a process that runs no agent's
code and knows of the system's fonts only, and a copy lies in the directory of each kernel that starts from then on: no
kernel can change what another one reads. Nothing is done before a cell draws.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

from rlm_jupyter.kernels.launch.environment import MATPLOTLIB, kernel_environment
from rlm_jupyter.kernels.launch.site_packages import site_directories

_DRAWS = re.compile(r"\b(?:matplotlib|plt|seaborn|sns|plot)\b")
_SEARCHED = 100_000
"""Characters of a cell."""
_NAME = re.compile(r"fontlist-v[\w.]{1,40}\.json")
_MOST_BYTES = 4_000_000
"""Of a list; of a font it takes half a kilobyte."""
_SECONDS = 120.0
_PROGRAM = """\
import os, sys
sys.path[:0] = sys.argv[1:]
if hasattr(os, "nice"):
    os.nice(10)
import matplotlib.font_manager
"""


class FontList:
    """The list of this process' kernels. Safe from any thread.

    Args:
        directory: where it is made; agents' kernels have no access to it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._wanted = False
        self._made: tuple[str, bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def made(self) -> bool:
        """Whether kernels that start now have it."""
        return self._made is not None

    def want_for(self, code: str) -> None:
        """Begin to make it, if it is the first time that code draws; returns at once."""
        if self._wanted or not _DRAWS.search(code, 0, _SEARCHED):
            return
        with self._lock:
            first, self._wanted = not self._wanted, True
        if not first:
            return
        with suppress(RuntimeError):  # no thread can be started
            threading.Thread(target=self._make, name="rlm-font-list", daemon=True).start()

    def copy_to(self, scratch: Path) -> None:
        """Put a copy into the directory of a kernel that has not started yet; nothing happens if there is none."""
        made = self._made
        if made is None:
            return
        name, data = made
        with suppress(OSError):
            if sys.platform == "win32":
                (scratch / MATPLOTLIB).mkdir(mode=0o700)
                with (scratch / MATPLOTLIB / name).open("xb") as file:
                    file.write(data)
            else:
                _write(scratch, name, data)

    def close(self) -> None:
        """End the process that makes it."""
        self._wanted = True
        if self._process is not None:
            self._process.kill()

    def _make(self) -> None:
        # `-I`: neither PYTHON* variables nor the notebook's working directory decide what is imported.
        command = [sys.executable, "-I", "-c", _PROGRAM, *site_directories()]
        nothing = subprocess.DEVNULL
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            process = self._process = subprocess.Popen(  # noqa: S603 - this Python
                command,
                env=kernel_environment(self._directory, {}),
                cwd=self._directory,
                stdin=nothing,
                stdout=nothing,
                stderr=nothing,
            )
        except OSError:
            return
        try:
            status = process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if status == 0:
            self._read()

    def _read(self) -> None:
        with suppress(OSError):
            for path in (self._directory / MATPLOTLIB).iterdir():
                if _NAME.fullmatch(path.name) and path.stat().st_size <= _MOST_BYTES:
                    self._made = path.name, path.read_bytes()


def _write(scratch: Path, name: str, data: bytes) -> None:
    """Write the list without following links: a kernel that shares its box with an earlier one is watched by that."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with ExitStack() as held:
        outer = os.open(scratch, flags)
        held.callback(os.close, outer)
        os.mkdir(MATPLOTLIB, 0o700, dir_fd=outer)
        inner = os.open(MATPLOTLIB, flags, dir_fd=outer)
        held.callback(os.close, inner)
        number = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=inner)
        with os.fdopen(number, "wb") as file:
            file.write(data)
