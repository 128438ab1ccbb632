"""What was measured on: without it, figures in seconds say nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> dict[str, str]:
    """Returns processor, cores, memory, system and load; what the system does not tell is `unknown`."""
    memory = _first("/proc/meminfo", "MemTotal")
    gigabytes = f"{int(memory.split()[0]) * 1024 / 1e9:.1f} GB" if memory else "unknown"
    return {
        "processor": _first("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "cores": str(os.cpu_count() or "unknown"),
        "memory": gigabytes,
        "system": f"{platform.system()} {platform.release()}",
        "load": load(),
    }


def load() -> str:
    """Returns the average number of runnable processes over the last minute: about 0 on a quiet machine."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _first(path: str, name: str) -> str:
    """Returns the first value of that name in a file of `/proc`; an empty text where there is none."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == name), "")
