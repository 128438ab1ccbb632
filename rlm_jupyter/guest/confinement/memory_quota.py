"""How much memory and disk an agent's kernel may use up, from the inside.

Travels as source into kernels: standard library only. What is
set here makes honest code fail early, with a `MemoryError` or an `OSError` that it can handle. Code that raises its
own limits meets the watch outside (`watchdog`), which ends its kernel.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

from ...values.codec import api as codec

SLACK = 256 << 20
"""Bytes of stacks and of what allocators keep back; some of it is mapped and never used."""
ADDRESSES = 4 << 30
"""Bytes of addresses that are reserved and never used: arenas of threads and of arrow."""
ADDRESSES_PER_PROCESSOR = 512 << 20
LARGE = 1 << 20


def _used() -> tuple[int, int]:
    """Bytes of addresses, and of private memory that can be written to, of this process."""
    found = {}
    for line in Path("/proc/self/status").read_text().split("\n"):
        name, _, value = line.partition(":")
        if name in ("VmSize", "VmData"):
            found[name] = int(value.split()[0]) << 10
    return found["VmSize"], found["VmData"]


def limit_memory(memory: int, wall: int) -> None:
    """Let this process add so many bytes to what it has now.

    Data that was there before a fork does not count, and for what is handed over later `make_room` is called.

    Args:
        memory: bytes.
        wall: bytes above it, up to which `make_room` may go: those of the machine.

    Raises:
        OSError: this system cannot tell or limit memory.
    """
    import resource

    addresses, data = _used()
    spare = ADDRESSES + ADDRESSES_PER_PROCESSOR * (os.cpu_count() or 1)
    for kind, value in (
        (resource.RLIMIT_AS, addresses + memory + spare),
        (resource.RLIMIT_DATA, data + memory + SLACK),
    ):
        _, hard = resource.getrlimit(kind)
        most = value + wall if hard == resource.RLIM_INFINITY else min(value + wall, hard)
        resource.setrlimit(kind, (min(value, most), most))


def make_room(size: int) -> None:
    """Raise the limits by the size of a value that is handed over: it is not this agent's doing."""
    if sys.platform == "win32":  # it has no such limits
        return
    import resource

    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, hard = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            wanted = soft + size if hard == resource.RLIM_INFINITY else min(soft + size, hard)
            with suppress(OSError, ValueError):
                resource.setrlimit(kind, (wanted, hard))


@contextmanager
def without_file_limit() -> Iterator[None]:
    """Let a value be larger than a file may be: it leaves in a file of memory, which is not disk."""
    if sys.platform == "win32":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fit(codec: Any) -> None:
    """Make room for the values that come and go.

    Args:
        codec: the module whose `dump` and `load` the kernel uses.
    """
    codec.dump, codec.load = _sending(codec.dump), _receiving(codec.load)


def _sending(dump: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(dump)
    def roomy(*args: Any, **kwargs: Any) -> Any:
        with without_file_limit():
            return dump(*args, **kwargs)

    return roomy


def _receiving(load: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(load)
    def roomy(fd: int, *args: Any, **kwargs: Any) -> Any:
        size = os.fstat(fd).st_size
        if size >= LARGE:
            make_room(size)
        return load(fd, *args, **kwargs)

    return roomy


def settle(policy: dict[str, Any], report: dict[str, Any]) -> None:
    """Set the limit of memory, and let values pass the limits.

    Args:
        policy: of the box; see `landlock_seccomp`.
        report: of the box, to which is added what holds.
    """
    if policy.get("memory"):
        try:
            limit_memory(int(policy["memory"]), int(policy.get("wall") or 0))
        except (ImportError, OSError, ValueError, KeyError) as error:
            report["missing"].append(f"memory: {error}")
        else:
            report["memory"] = policy["memory"]
    if policy.get("memory") or policy.get("disk"):
        fit(codec)
