"""Python on this machine as rlm_jupyter's modules would see it on macOS or Windows. Not the platform itself.

What is missing there is missing for our modules alone (the standard library and others go on as they are): parts of
`os`, `socket`, `signal`, `select`, `ctypes`, whole modules, `/proc`, and `sys.platform` is another.

    python fake_platform.py kernel PLATFORM [arguments of ipykernel_launcher]      an agent's kernel there
"""

import builtins
import io
import os
import sys
import types
from pathlib import Path

LINUX = {
    "os": "memfd_create pidfd_open eventfd eventfd_read eventfd_write setns unshare splice copy_file_range sched_setaffinity "
    "sched_getaffinity getrandom posix_fallocate O_PATH O_TMPFILE MFD_CLOEXEC MFD_ALLOW_SEALING",
    "socket": "SOCK_SEQPACKET MSG_CMSG_CLOEXEC SO_PEERCRED AF_NETLINK AF_PACKET SOCK_CLOEXEC",
    "signal": "pidfd_send_signal",
    "select": "epoll",
}  # fmt: skip
POSIX = {
    "os": "fork forkpty register_at_fork getuid geteuid getgid getegid getpgid getpgrp setsid getsid killpg setpgid chown "
    "lchown fchown fchmod mkfifo mknod nice getpriority setpriority sched_yield sysconf getloadavg uname openpty statvfs "
    "fstatvfs sendfile pread pwrite preadv pwritev readv writev set_blocking get_blocking fdatasync wait wait3 wait4 waitid "
    "WNOHANG WEXITSTATUS WIFSIGNALED O_CLOEXEC O_NOFOLLOW O_DIRECTORY O_NONBLOCK O_SYNC ttyname confstr chroot sync",
    "socket": "AF_UNIX SCM_RIGHTS CMSG_SPACE CMSG_LEN MSG_CTRUNC send_fds recv_fds",
    "signal": "SIGKILL SIGHUP SIGSTOP SIGCONT SIGQUIT SIGUSR1 SIGUSR2 SIGCHLD SIGPIPE SIGALRM SIGTSTP SIG_BLOCK SIG_SETMASK "
    "SIG_UNBLOCK alarm setitimer pause pthread_kill pthread_sigmask siginterrupt sigwait sigpending",
    "select": "poll",
}  # fmt: skip
MODULES = "fcntl resource termios pwd grp pty tty syslog readline _posixsubprocess posix curses"
PLATFORMS = {
    "darwin": LINUX,
    "win32": {name: f"{LINUX[name]} {POSIX[name]}" for name in LINUX},
}


def _ours(name):
    return isinstance(name, str) and (name.partition(".")[0] == "rlm_jupyter" or name.startswith("_rlm."))


def _without(module, names):
    """Copy a module without some of its names."""
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update({name: value for name, value in vars(module).items() if name not in names.split()})
    return copy


class _Sys(types.ModuleType):
    """`sys` with another `platform`; all else is the real one's, streams that a kernel puts there later too."""

    def __getattr__(self, name):
        return getattr(sys, name)

    def __setattr__(self, name, value):
        setattr(sys, name, value)


def _caller():
    """The name of the module that asks for a file, through whatever part of the standard library."""
    frame = sys._getframe(2)
    while frame and Path(frame.f_code.co_filename).stem in {
        "pathlib",
        "_local",
        "_abc",
        "shutil",
        "fake_platform",
        "io",
    }:
        frame = frame.f_back
    return frame.f_globals.get("__name__") if frame else None


def _no_proc(module, name):
    function = getattr(module, name)

    def there(path, *more, **options):
        if str(path).startswith("/proc") and _ours(_caller()):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return function(path, *more, **options)

    setattr(module, name, there)


def pretend(platform):
    """Let our modules see `platform` from now on: before any of them is imported."""
    import asyncio  # noqa: F401 - it looks at the platform when it is imported, and is not ours

    worlds = {
        name: _without(sys.modules[name], names)
        for name, names in PLATFORMS[platform].items()
        if name in sys.modules
    }
    worlds["sys"] = _Sys("sys")
    worlds["sys"].__dict__["platform"] = platform
    if platform == "win32":
        worlds["ctypes"] = _windows_ctypes()
    absent = set(MODULES.split()) if platform == "win32" else set()
    real = builtins.__import__

    def imported(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002 - as of `__import__`
        if level == 0 and _ours((globals or {}).get("__name__")):
            if name.partition(".")[0] in absent:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if name in worlds:
                return worlds[name]
        return real(name, globals, locals, fromlist, level)

    builtins.__import__ = imported
    for module, name in (
        (io, "open"),
        (builtins, "open"),
        (os, "open"),
        (os, "scandir"),
        (os, "listdir"),
        (os, "stat"),
    ):
        _no_proc(module, name)
    for world in ("os",):
        for name in ("open", "scandir", "listdir", "stat"):
            setattr(worlds[world], name, getattr(os, name))


def _windows_ctypes():
    import ctypes

    def library(name, *_, **__):
        raise TypeError(f"on Windows CDLL takes the name of a library, not {name!r}")

    copy = _without(ctypes, "get_errno set_errno")
    copy.CDLL = library
    return copy


if __name__ == "__main__":
    role, platform, *arguments = sys.argv[1:]
    assert role == "kernel"
    from ipykernel.kernelapp import launch_new_instance

    pretend(platform)
    sys.argv = ["ipykernel_launcher", *arguments]
    launch_new_instance()
