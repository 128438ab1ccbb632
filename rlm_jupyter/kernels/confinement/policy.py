"""What an agent's kernel may touch: the policy of the box, and the words for what of it holds."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.confinement import process_usage
from rlm_jupyter.kernels.launch.site_packages import site_directories
from rlm_jupyter.sandbox_settings import Sandbox
from rlm_jupyter.system import machine_memory
from rlm_jupyter.text.units import short_size

SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone",
    "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/mime.types", "/etc/os-release",
    "/etc/alternatives", "/etc/fonts", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ipython",
    "/dev/urandom", "/dev/random",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime",
    "/proc/version", "/proc/filesystems", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/pid_max",
    "/sys/devices/system/cpu", "/sys/fs/cgroup",
)  # fmt: skip
# Parts of a Python's prefix, never the prefix itself: it may be a home directory.
OF_PREFIX = ("bin", "lib", "lib32", "lib64", "libexec", "include", "share", "ssl", "etc", "pyvenv.cfg")
TASKS = 4096
OPEN_FILES = 4096
MOST_DISK = 10_000_000_000


def readable_paths(executable: str | None = None) -> list[str]:
    """List what a kernel may read: the system, Python and its packages; no home, no project.

    Args:
        executable: the kernel's Python; None is this one.
    """
    return list(_readable(executable, tuple(sys.path)))


@lru_cache(8)  # a hundred looks at the disk, for each kernel
def _readable(executable: str | None, _path: tuple[str, ...]) -> tuple[str, ...]:
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    packages: set[str] = set()
    if executable is None or Path(executable).resolve() == Path(sys.executable).resolve():
        packages = {path for path in site_directories() if Path(path).is_dir()}
    else:
        prefixes = {str(Path(path).parent.parent) for path in (executable, os.path.realpath(executable))}
    parts = {str(Path(prefix, part)) for prefix in prefixes for part in OF_PREFIX if prefix != "/"}
    real = {os.path.realpath(path) for path in (*parts, *packages)}
    return tuple(sorted({path for path in (*SYSTEM, *parts, *packages, *real) if os.path.lexists(path)}))


def limits_of(sandbox: Sandbox) -> dict[str, Any]:
    """Turn what the user set into the limits of a kernel on this machine; None in it is no limit.

    Returns:
        `memory`, `disk` (bytes), `processes`, `cell_cpu` (seconds), `read` (paths), `scratch` (a path), `net` (hosts,
        or `all`). A run may add `list`: folders whose names, but not whose files, may be read.
    """
    if sandbox.mode == "none":
        return {}
    memory, disk = sandbox.memory, sandbox.disk
    if memory == "auto":
        memory = machine_memory() // 2
    if disk == "auto":
        free = max(shutil.disk_usage(tempfile.gettempdir()).free // 2, 1 << 20)
        disk = min(
            MOST_DISK, 1 << (free.bit_length() - 1)
        )  # the same today and tomorrow: kernels are kept ready
    limits: dict[str, Any] = {"memory": memory, "disk": disk}
    limits |= {"processes": sandbox.processes, "cell_cpu": sandbox.cpu_seconds, "net": sandbox.net}
    limits["read"] = tuple(map(str, sandbox.read))
    limits["scratch"] = None if sandbox.scratch is None else str(sandbox.scratch)
    return limits


def policy_for(
    mode: str, directory: Path, executable: str | None, limits: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Make the policy of one kernel; see `landlock_seccomp` for its fields. None where nothing is confined.

    Args:
        mode: `auto`, `none` or `bwrap`.
        directory: the kernel's own; `scratch` and `sockets` lie in it.
        executable: the kernel's Python; None is this one.
        limits: as of `limits_of`; and `open_files`, `cpu` (seconds of a process).
    """
    if mode == "none":
        return None
    policy: dict[str, Any] = {"tasks": TASKS + _tasks_of_user(), "open_files": OPEN_FILES}
    policy |= {name: limits[name] for name in ("memory", "disk", "open_files", "cpu") if limits.get(name)}
    policy |= {"wall": machine_memory(), "protect": [os.getpid(), os.getppid()]}
    policy["read"] = [*readable_paths(executable), str(directory / "c.json"), *limits.get("read", ())]
    policy["list"] = list(limits.get("list", ()))
    policy["write"] = [str(directory / "scratch"), *([limits["scratch"]] if limits.get("scratch") else [])]
    policy["net"] = bool(limits.get("net"))
    policy["sockets"] = str(directory / "sockets")
    policy["walled"] = mode == "bwrap"
    return policy


def _tasks_of_user() -> int:
    """Count roughly what the user already runs: the limit of processes is one for all of a user's."""
    return _tasks_at(int(time.monotonic()))


@lru_cache(1)
def _tasks_at(_second: int) -> int:
    try:
        return 4 * sum(entry.name.isdigit() for entry in os.scandir("/proc"))
    except OSError:
        return 0


def bubblewrap_program() -> str:
    """Find bubblewrap.

    Raises:
        KernelStartError: it is not installed.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise KernelStartError(
            "The sandbox `bwrap` needs bubblewrap, and there is no program `bwrap` on `PATH`. Install it "
            "(`apt install bubblewrap`), or use `sandbox='auto'`, which needs no program."
        )
    return program


def bubblewrap(
    directory: Path, argv: list[str], executable: str | None, limits: Mapping[str, Any]
) -> list[str]:
    """Put bubblewrap before a kernel's command: namespaces of its own for processes, network and files.

    Raises:
        KernelStartError: bubblewrap is not installed.
    """
    command = [
        bubblewrap_program(),
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
    ]
    for path in readable_paths(executable):
        if not path.startswith(("/proc", "/dev", "/sys")):
            command += ["--ro-bind-try", path, path]
    for path in limits.get("read", ()):
        command += ["--ro-bind", path, path]
    if limits.get("scratch"):
        command += ["--bind", limits["scratch"], limits["scratch"]]
    command += ["--bind", str(directory), str(directory), "--chdir", str(directory / "scratch")]
    return [*command, "--", *argv]


def confinement(
    mode: str, report: Mapping[str, Any], *, local: bool, limits: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns what holds for one kernel, for a badge, for `doctor` and for the log.

    Args:
        mode: as asked for.
        report: of the box, from inside the kernel.
        local: whether the kernel runs on this machine under our control.
        limits: as of `limits_of`.

    Returns:
        `mode` (`none`, `bwrap`, or the parts in force such as `landlock+seccomp`), `holds` (of `keys`, `files`,
        `network`, `signals`: what is kept from agents; and `memory`, `disk`, `processes`, `cpu`: what is limited),
        `limits` (these in words), `net` (hosts that may be reached all the same), `read` (paths that may be read
        besides) and `missing` (sentences).
    """
    missing, limits = list(report.get("missing", ())), limits or {}
    if not local:
        why = "agents' kernels run elsewhere: what is kept from them is decided there, by no sandbox of ours"
        return {"mode": "none", "holds": [], "missing": [why]}
    if mode == "none":
        why = "nothing is kept from agents, as the sandbox is `none`: their code may read what you may read"
        return {"mode": "none", "holds": [], "missing": [f"{why}, even the keys of this process"]}
    # Where files are open, so is `/proc`, and with it the environment of this process.
    holds = ["keys"] if report.get("files") or mode == "bwrap" else []
    parts = [name for name in ("landlock", "seccomp") if report.get(name)]
    if mode == "bwrap":
        parts.insert(0, "bwrap")
        holds += ["files", "network", "signals"]
    for name in ("files", "network", "signals"):
        if report.get(name) and name not in holds:
            holds.append(name)
    if not parts:
        missing.append("files and network: this system offers no confinement without a container")
    told = _limited(report, limits)
    if limits and not process_usage.possible():
        missing.append(
            "limits: this system does not tell what processes use, so what agents start is not watched"
        )
    net = (limits.get("net") or ()) if report.get("passes") else ()
    return {
        "mode": "+".join(parts) or "none",
        "holds": [*holds, *told],
        "limits": told,
        "net": [net] if isinstance(net, str) else list(net),
        "read": [*limits.get("read", ()), *([limits["scratch"]] if limits.get("scratch") else [])],
        "missing": missing,
    }


def _limited(report: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, str]:
    """Returns the limits that hold: by the kernel's own process, or by the watch outside."""
    watched = process_usage.possible()
    told = {}
    for name in ("memory", "disk"):
        if limits.get(name) and (watched or report.get(name)):
            told[name] = short_size(limits[name])
    if watched and limits.get("processes"):
        told["processes"] = f"{limits['processes']:,}"
    if watched and limits.get("cell_cpu"):
        told["cpu"] = f"{limits['cell_cpu']:g} s a cell"
    return told
