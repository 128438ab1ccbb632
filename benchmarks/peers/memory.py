"""Memory of a whole tree of processes, each page that several share divided among them (PSS)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MB = 1e6


@dataclass(frozen=True)
class Memory:
    """What a tree of processes holds.

    Attributes:
        processes: how many there are.
        megabytes: PSS of all, in units of 1,000,000 bytes; None where the system does not tell.
    """

    processes: int
    megabytes: float | None


def pss_bytes(rollup: str) -> int:
    """Returns the PSS that a `/proc/PID/smaps_rollup` tells.

    Raises:
        ValueError: there is no such line.
    """
    for line in rollup.splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            number, unit = rest.split()
            if unit == "kB":
                return int(number) * 1024
    raise ValueError("There is no line `Pss: ... kB` in this smaps_rollup.")


def tree_memory(pid: int) -> Memory:
    """Returns what a process and its descendants hold; one that ends meanwhile is left out.

    A process that may not be read makes the sum unknown, not smaller.
    """
    import psutil

    root = psutil.Process(pid)
    count, total, known = 0, 0, True
    for process in (root, *root.children(recursive=True)):
        with suppress(ProcessLookupError, FileNotFoundError, psutil.NoSuchProcess):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            try:
                total += pss_bytes(_rollup(process.pid))
            except (PermissionError, NotImplementedError):
                known = False
            count += 1
    return Memory(count, total / _MB if known else None)


def _rollup(pid: int) -> str:
    path = Path(f"/proc/{pid}/smaps_rollup")
    if not Path("/proc/self/smaps_rollup").exists():
        raise NotImplementedError("This system does not tell the PSS of a process.")
    return path.read_text()
