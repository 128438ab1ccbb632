"""The supervisor of agents' kernels: a program that forks them, watches them and ends them.

Run by path (``python -I forkserver.py FD``), never imported by a kernel, standard library only. It reads its
configuration as JSON from stdin: ``{"host": pid, "directory": path, "modules": [...], "paths": [...],
"sources": {name: source}}``. FD is one end of an `AF_UNIX`/`SOCK_SEQPACKET` socket pair to the notebook's
process; each datagram is one JSON object:

    fork   {id, argv, env, cwd, log, policy} + [bridge]   a kernel for the connection file in `argv`
    exec   {id, argv, env, cwd, log, policy} + [bridge]   the same, by executing `argv`
    kill   {id, pid}                                      that kernel with all its descendants
    →      {event: ready, pid, preloaded, threads} | {event: failed, module, reason}
           {event: done, id, pid} | {event: error, id, reason} | {event: exit, pid, status}

It stays single-threaded and opens no zmq context and no event loop, so that a fork of it is sound. When the
notebook's process is gone, however it died, every descendant is killed and the directory removed.
"""

import atexit
import builtins
import ctypes
import gc
import importlib
import json
import os
import random
import select
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
import types
import warnings
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

BRIDGE_FD = 200
"""Where a kernel finds its end of the bridge."""
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
PASSED_ON = ("SIGCHLD", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


# ------------------------------------------------------------------------------------------------ processes


def _parents() -> dict[int, int]:
    """Map each process to its parent, as /proc tells now."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                line = Path(entry.path, "stat").read_bytes()
            except OSError:
                continue
            found[int(entry.name)] = int(line[line.rindex(b")") + 2 :].split()[1])
    return found


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        for pid in children.get(todo.pop(), ()):
            found.append(pid)
            todo.append(pid)
    return found


def _signal(pid: int, number: int) -> None:
    with suppress(OSError):
        os.kill(pid, number)


def _kill_tree(pids: list[int]) -> None:
    """Kill processes that may be forking: all are stopped before the first is killed."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            _signal(pid, number)


def _remove(directory: str) -> None:
    """Remove a directory whatever modes an agent gave to what is in it."""
    shutil.rmtree(directory, ignore_errors=True)
    if os.path.lexists(directory):
        for folder, _, _ in os.walk(directory, onerror=lambda error: Path(error.filename).chmod(0o700)):
            for entry in os.scandir(folder):
                if entry.is_dir(follow_symlinks=False):
                    Path(entry.path).chmod(0o700)
        shutil.rmtree(directory, ignore_errors=True)


# --------------------------------------------------------------------------------------------- preparation


class RefusedError(Exception):
    """A module that must not be imported before a fork."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(module, reason)
        self.module, self.reason = module, reason


def _threads() -> int:
    return sum(1 for _ in os.scandir("/proc/self/task"))


def _preload(modules: list[str], sources: dict[str, str]) -> list[str]:
    """Import what kernels will need, once for all of them; a module that starts a thread is refused."""
    # debugpy costs a kernel 55 ms and 8 MiB, and an agent has no debugger.
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    loaded = []
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        loaded.append(name)
        if _threads() > 1:
            raise RefusedError(
                name, "it starts a thread when it is imported, and a fork would lose that thread"
            )
    for name, source in sources.items():
        module = types.ModuleType(name)
        module.__dict__["__builtins__"] = dict(
            vars(builtins)
        )  # an agent that overwrites `len` breaks its own
        sys.modules[name] = module
        exec(compile(source, f"<{name}>", "exec"), module.__dict__)  # noqa: S102 - our own modules, as source
        if _threads() > 1:
            raise RefusedError(
                name, "it starts a thread when it is imported, and a fork would lose that thread"
            )
    return loaded


# ------------------------------------------------------------------------------------------------- a kernel


def _settle(request: dict[str, Any], bridge: list[int], parent: int) -> None:
    """Make the forked child a process of its own: session, signals, descriptors, environment."""
    os.setsid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the supervisor died before the line above
    _prctl(PR_SET_DUMPABLE, 1)  # else an ordinary user cannot read its own /proc/self
    # What this kernel's processes detach comes back to it while it lives, and to the supervisor when it
    # is dead: an unknown child of the supervisor is always the rest of a dead kernel.
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.set_wakeup_fd(-1)
    for name in PASSED_ON:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in bridge[:1]:
        os.dup2(number, BRIDGE_FD, inheritable=request["op"] == "exec")
    for number in bridge:
        if number != BRIDGE_FD:
            os.close(number)
    for target, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, os.devnull, os.O_WRONLY),
        (2, request.get("log") or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        number = os.open(path, flags, 0o600)
        os.dup2(number, target)
        os.close(number)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])


def _run_kernel(request: dict[str, Any]) -> None:
    """Be an ipykernel until it is shut down. Runs in the forked child."""
    gc.enable()
    random.seed()
    if "numpy" in sys.modules:
        sys.modules[
            "numpy"
        ].random.seed()  # unlike `random`'s, numpy's global state is not reseeded by a fork
    policy = request.get("policy")
    box = sys.modules.get("_rlm_sandbox")
    if box is not None and policy:
        box.enter(policy)
    from ipykernel.kernelapp import IPKernelApp

    sys.argv = ["ipykernel_launcher", *request["argv"]]
    # The kernel dies with the supervisor by PDEATHSIG, so ipykernel's own polling thread has nothing to do.
    app: Any = IPKernelApp.instance(parent_handle=0, user_ns={})
    with warnings.catch_warnings():
        # ipykernel wants a TCP socket for what forks of it print; the prelude gives them another way.
        warnings.filterwarnings("ignore", message=".*subprocess output will be unavailable")
        app.initialize(request["argv"])
    if box is not None and policy:
        box.close(policy)
    app.start()


def _become(request: dict[str, Any], bridge: list[int], parent: int) -> NoReturn:
    """Be the kernel that was asked for, and never return."""
    status = 1
    try:
        _settle(request, bridge, parent)
        if request["op"] == "exec":
            box = sys.modules.get("_rlm_sandbox")
            if box is not None and request.get("policy"):
                box.enter(request["policy"])
                request["env"][box.INHERITED] = json.dumps(box.report)
            os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - the kernel's command
        _run_kernel(request)
        # What the interpreter does at its end; `os._exit` below spares the frames of the supervisor.
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
        atexit._run_exitfuncs()  # noqa: SLF001
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stderr.flush()
        finally:
            os._exit(status)


# ------------------------------------------------------------------------------------------------ the server


def _receive(link: socket.socket) -> tuple[bytes, list[int]]:
    """Read one datagram with its descriptors, which no program that is executed here inherits."""
    # not `socket.recv_fds`, which drops its `flags` (python/cpython#107898)
    numbers = array("i")
    room = socket.CMSG_SPACE(8 * numbers.itemsize)
    data, ancillary, _, _ = link.recvmsg(1 << 20, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(payload[: len(payload) // numbers.itemsize * numbers.itemsize])
    return data, list(numbers)


class Supervisor:
    """Serves one socket until it ends, then ends everything."""

    def __init__(self, link: socket.socket, config: dict[str, Any]) -> None:
        self.link = link
        self.directory: str = config["directory"]
        self.kernels: set[int] = set()
        self.host = self._watch_host(int(config["host"]))
        self.child_ended, self._wake = os.pipe()
        for number in (self.child_ended, self._wake):
            os.set_blocking(number, False)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    @staticmethod
    def _watch_host(pid: int) -> int | None:
        # A child that the notebook forked keeps the socket open, so its end alone does not tell.
        try:
            return os.pidfd_open(pid)
        except (AttributeError, OSError):
            return None

    def send(self, event: str, **body: Any) -> None:
        """Tell the notebook's process something."""
        with suppress(OSError):  # the end of the socket is seen by `serve`
            self.link.send(json.dumps({"event": event, **body}).encode())

    def serve(self) -> NoReturn:
        """Serve until the notebook's process is gone."""
        poll = select.poll()
        for number in (self.link.fileno(), self.child_ended, self.host):
            if number is not None:
                poll.register(number, select.POLLIN)
        while True:
            for number, _ in poll.poll():
                if number == self.child_ended:
                    with suppress(BlockingIOError):
                        os.read(number, 4096)
                    self.reap()
                elif number == self.host:
                    self.end()
                else:
                    self.receive()

    def receive(self) -> None:
        """Take one request from the socket."""
        try:
            data, descriptors = _receive(self.link)
        except OSError:
            data, descriptors = b"", []
        if not data:
            self.end()
        request = json.loads(data)
        try:
            pid = self.handle(request, descriptors)
        except Exception as error:
            self.send("error", id=request["id"], reason=f"{type(error).__name__}: {error}")
        else:
            self.send("done", id=request["id"], pid=pid)
        finally:
            for number in descriptors:
                os.close(number)

    def handle(self, request: dict[str, Any], descriptors: list[int]) -> int:
        """Do what a request asks; return the process id it is about."""
        if request["op"] == "kill":
            pid = int(request["pid"])
            if pid in self.kernels:  # not yet reaped, so the number is still this kernel's
                _kill_tree([pid, *_descendants(pid)])
            return pid
        return self.start(request, descriptors)

    def start(self, request: dict[str, Any], descriptors: list[int]) -> int:
        """Fork a kernel and return its process id."""
        parent = os.getpid()
        gc.disable()  # a collection between the fork and the child's first line would copy pages
        try:
            pid = os.fork()
        finally:
            gc.enable()
        if pid == 0:
            self.link.close()
            for number in (self.child_ended, self._wake, self.host):
                if number is not None:
                    os.close(number)
            _become(request, descriptors, parent)
        self.kernels.add(pid)
        return pid

    def reap(self) -> None:
        """Collect the dead; what a dead kernel left behind is killed."""
        dead = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            dead = True
            if pid in self.kernels:
                self.kernels.discard(pid)
                self.send("exit", pid=pid, status=os.waitstatus_to_exitcode(status))
        if dead:
            me = os.getpid()
            orphans = [pid for pid, parent in _parents().items() if parent == me and pid not in self.kernels]
            for orphan in orphans:
                _kill_tree([orphan, *_descendants(orphan)])

    def end(self) -> NoReturn:
        """Kill every descendant, remove the directory, and exit."""
        me = os.getpid()
        for _ in range(100):  # again and again: a process may fork while the list is read
            left = _descendants(me)
            _kill_tree(left)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                break
            time.sleep(0.002)
        if self.directory:
            _remove(self.directory)
        os._exit(0)


def main() -> None:
    """Run the supervisor; see the module's text."""
    link = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(link.fileno(), False)
    config = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    for name in ("SIGINT", "SIGHUP", "SIGTERM", "SIGPIPE", "SIGQUIT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)  # the notebook's keys and signals are not for us
    sys.path += [path for path in config["paths"] if path not in sys.path]
    supervisor = Supervisor(link, config)
    try:
        preloaded = _preload(config["modules"], config["sources"])
    except RefusedError as error:
        supervisor.send("failed", module=error.module, reason=error.reason)
        supervisor.end()
    except Exception as error:
        traceback.print_exc()
        supervisor.send("failed", module="", reason=f"{type(error).__name__}: {error}")
        supervisor.end()
    # Nobody but root may trace or read this process: a kernel that is not boxed could else stop it.
    _prctl(PR_SET_DUMPABLE, 0)
    gc.collect()
    gc.freeze()
    supervisor.send("ready", pid=os.getpid(), preloaded=preloaded, threads=_threads())
    supervisor.serve()


if __name__ == "__main__":
    main()
