"""The supervisor of agents' kernels: a program that forks them, watches them and ends them.

Runs as ``python -I serve.py FD``, never in a kernel, standard library only. Its configuration comes as JSON through
stdin: ``{"host": pid, "directory": path, "modules": [...], "paths": [...], "importer": source of what serves `_rlm`,
"sources": {module of it: source}, "idle": whether nobody waits for it yet}``. FD is one end of an
`AF_UNIX`/`SOCK_SEQPACKET` socket pair to the notebook's process; each datagram is one JSON object:

    fork   {id, argv, env, cwd, log, policy} + [bridge]   a kernel for the connection file in `argv`
    exec   {id, argv, env, cwd, log, policy} + [bridge]   the same, by executing `argv`
    template {id, text} + [socket, data] + [token]        a fork that holds data, and serves that socket as this
    spare  {id}                                           ends no orphan for a while: one is to be adopted
    adopt  {id, pid, of}                                  that orphan is a kernel, or a checkpoint of the kernel `of`
    kill   {id, pid}                                      that kernel or checkpoint with all its descendants
    hurry  {id}                                           no idle priority: somebody waits for `ready`
    →      {event: ready, pid, preloaded, threads, unable} | {event: failed, module, reason}
           {event: done, id, pid} | {event: error, id, reason} | {event: exit, pid, status}

Each request tells the number of its `descriptors`. `unable` says why no kernel can be forked here, where the
ipykernel that is installed lacks what ours is made of; programs are executed all the same.

It stays single-threaded and opens no zmq context and no event loop, so that a fork of it is sound. When the
notebook's process is gone, however it died, every descendant is killed and the directory removed.
"""

import gc
import importlib
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from ..guest import linux_process, preloaded_data
from . import forked_kernel, idle_priority

KERNEL = tuple(
    f"_rlm.guest.ipykernel_hooks.{name}"
    for name in ("threadless_app", "prebuilt_app", "heartbeat_on_demand", "rebuilt_app")
)
"""The modules that are made of ipykernel's own parts, and so may not fit one that is newer."""


SPARED_SECONDS = 30.0
"""How long orphans live that somebody said he would adopt; above all that a kernel takes to fork one."""
OPEN_FILES = 65_536
"""As many as the notebook's process asks for before its first kernel (`kernels.pool`), which may be later than this."""


# ------------------------------------------------------------------------------------------------ processes


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


def _raise_open_files() -> None:
    """Raise the limit of open files, which kernels inherit, as far as is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class RefusedError(Exception):
    """A module that must not be imported before a fork."""

    def __init__(self, module: str, reason: str) -> None:
        super().__init__(module, reason)
        self.module, self.reason = module, reason


def _threads() -> int:
    return sum(1 for _ in os.scandir("/proc/self/task"))


def _preload(modules: list[str], ours: list[str], check_host: Callable[[], None]) -> tuple[list[str], str]:
    """Import what kernels will need, once for all of them; a module that starts a thread is refused.

    Args:
        modules: that are imported where they are installed.
        ours: modules of `_rlm`.
        check_host: called before each import; does not return if the notebook's process is gone.

    Returns:
        The modules that were imported, and why no kernel can be forked; empty where kernels can.
    """
    # debugpy costs a kernel 55 ms and 8 MiB, and an agent has no debugger.
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    # IPython completes without it, which only people do in these kernels: 60 ms of the start. Agents may import it.
    sys.modules["jedi"] = None  # type: ignore[assignment]
    loaded = []
    for name in modules:
        check_host()
        try:
            importlib.import_module(name)
        except Exception:  # not installed, or broken: who needs it in a kernel is told there
            if _threads() == 1:
                continue
        loaded.append(name)
        if _threads() > 1:
            raise RefusedError(
                name, "it starts a thread when it is imported, and a fork would lose that thread"
            )
    del sys.modules["jedi"]
    check_host()
    unable = ""
    for name in ours:
        try:
            importlib.import_module(name)
        except Exception as error:
            if name not in KERNEL:
                raise
            traceback.print_exc()
            unable = f"{type(error).__name__}: {error}"
        if _threads() > 1:
            raise RefusedError(
                name, "it starts a thread when it is imported, and a fork would lose that thread"
            )
    return loaded, unable or _build_kernel()


def _build_kernel() -> str:
    """Make what kernels have in common; return why no kernel can be forked, empty if they can."""
    from ..guest.ipykernel_hooks import prebuilt_app

    try:
        prebuilt_app.build()
    except Exception:  # each kernel makes its own then, which takes longer
        traceback.print_exc()
    return "" if _threads() == 1 else "A thread was started when IPython's shell was made."


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
        self.link, self.config = link, config
        self.directory: str = config["directory"]
        self.kernels: set[int] = set()
        self.checkpoints: dict[int, int] = {}
        self._spared: list[float] = []  # when each of those ends who is to adopt an orphan
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
        """Sends a message to the notebook's process."""
        with suppress(OSError):  # the end of the socket is seen by `serve`
            self.link.send(json.dumps({"event": event, **body}).encode())

    def check_host(self) -> None:
        """Before the notebook's process is served: end if it is gone, and hurry if it asks for something."""
        poll = select.poll()
        for number in (self.link.fileno(), self.host):
            if number is not None:
                poll.register(number, select.POLLIN)
        told = dict(poll.poll(0))
        if self.host in told or told.get(self.link.fileno(), 0) & select.POLLHUP:
            self.end()
        if told:
            idle_priority.leave()

    def serve(self) -> NoReturn:
        """Serve until the notebook's process is gone, or something fails that must not; then end."""
        try:
            self._serve()
        except BaseException:
            traceback.print_exc()
        finally:
            self.end()

    def _serve(self) -> NoReturn:
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
        if len(descriptors) != request["descriptors"]:
            raise OSError(f"{len(descriptors)} of {request['descriptors']} descriptors arrived (`ulimit -n`)")
        if request["op"] == "kill":
            pid = int(request["pid"])
            if (
                pid in self.kernels or pid in self.checkpoints
            ):  # not yet reaped, so the number is still its own
                self.kill(pid)
            return pid
        if request["op"] == "spare":
            self._spared.append(time.monotonic() + SPARED_SECONDS)
            return os.getpid()
        if request["op"] == "adopt":
            return self.adopt(int(request["pid"]), request.get("of"))
        if request["op"] == "hurry":
            return os.getpid()  # done when this was seen to wait, see `check_host`
        return self.start(request, descriptors)

    def adopt(self, pid: int, kernel: int | None) -> int:
        """Take an orphan as a checkpoint of a kernel, or as a kernel of its own where none is named.

        Raises:
            ProcessLookupError: it is no child of this process, or known already, or the kernel is gone.
        """
        del self._spared[:1]
        known = (
            pid in self.kernels or pid in self.checkpoints
        )  # then a kernel named a process that is not its own
        fits = not known and linux_process.parent_of(pid) == os.getpid()
        if fits and kernel is None:
            self.kernels.add(pid)
        elif fits and kernel in self.kernels:
            self.checkpoints[pid] = int(kernel)
        else:
            fits = False
        self._kill_orphans()
        if not fits:
            raise ProcessLookupError(f"there is no process {pid} to be adopted")
        return pid

    def kill(self, pid: int) -> None:
        """Kill a kernel with its checkpoints and descendants; what this misses is an orphan, which `reap` looks for."""
        _kill_tree([one for one, kernel in self.checkpoints.items() if kernel == pid])
        _signal(pid, signal.SIGSTOP)
        # The list of all processes takes milliseconds to read; most kernels have no children.
        alone = linux_process.family(pid, 1) == [pid]
        _kill_tree([pid] if alone else [pid, *linux_process.descendants(pid)])

    def start(self, request: dict[str, Any], descriptors: list[int]) -> int:
        """Fork a kernel and return its process id."""
        parent = os.getpid()
        gc.disable()  # a collection between the fork and the child's first line would copy pages
        try:
            pid = os.fork()
        finally:
            gc.enable()
        if pid == 0:
            try:
                self._leave()
                if request["op"] == "template":
                    self._branch(descriptors, parent, request.get("text"))
                forked_kernel.become(request, descriptors, parent)
            finally:  # whatever happens: a fork never goes on as the supervisor that it was
                os._exit(1)
        self.kernels.add(pid)
        return pid

    def _leave(self) -> None:
        """Close what belongs to the supervisor, in a fork of it."""
        signal.set_wakeup_fd(-1)
        self.link.close()
        for number in (self.child_ended, self._wake, self.host):
            if number is not None:
                os.close(number)

    def _branch(self, descriptors: list[int], parent: int, text: dict[str, Any] | None) -> NoReturn:
        """Be a template: hold data, and serve forks that see it. Runs in the forked child."""
        link, data, *token = descriptors
        try:
            forked_kernel.detach(parent)
            branch = Supervisor(socket.socket(fileno=link), {**self.config, "directory": ""})
            try:
                preloaded_data.hold(data, token[0] if token else None, text)
                if _threads() > 1:
                    raise RuntimeError("loading the data started a thread")
            except Exception as error:
                branch.send("failed", module="", reason=f"{type(error).__name__}: {error}")
                branch.end()
            for number in (data, *token):
                os.close(number)
            gc.enable()
            gc.collect()
            gc.freeze()
            branch.send("ready", pid=os.getpid(), preloaded=[], threads=_threads())
            branch.serve()
        finally:
            os._exit(1)

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
                _kill_tree([one for one, kernel in self.checkpoints.items() if kernel == pid])
                self.send("exit", pid=pid, status=os.waitstatus_to_exitcode(status))
            self.checkpoints.pop(pid, None)
        if dead:
            with suppress(OSError):  # the system has no file to open left: the next death brings another look
                self._kill_orphans()

    def _kill_orphans(self) -> None:
        if any(time.monotonic() < end for end in self._spared):
            return  # `adopt` looks again
        me, known = os.getpid(), self.kernels | self.checkpoints.keys()
        orphans = [
            pid for pid, parent in linux_process.parents().items() if parent == me and pid not in known
        ]
        for orphan in orphans:
            _kill_tree([orphan, *linux_process.descendants(orphan)])

    def end(self) -> NoReturn:
        """Kill every descendant, remove the directory, and exit."""
        try:
            self._kill_all()
            if self.directory:
                _remove(self.directory)
        finally:
            os._exit(0)

    def _kill_all(self) -> None:
        me = os.getpid()
        _kill_tree(
            [*self.kernels, *self.checkpoints]
        )  # at once: to read the list of all processes takes milliseconds
        for _ in range(100):  # again and again: a process may fork while the list is read
            with suppress(OSError):
                _kill_tree(linux_process.descendants(me))
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                break
            time.sleep(0.002)


def main(config: dict[str, Any]) -> None:
    """Run the supervisor; see the module's text.

    Args:
        config: what was read from stdin.
    """
    gc.disable()  # imports leave hardly any garbage, and the search for it takes a fifth of their time
    if config["idle"]:
        idle_priority.enter()
    _raise_open_files()
    link = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(link.fileno(), False)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for name in ("SIGINT", "SIGHUP", "SIGTERM", "SIGPIPE", "SIGQUIT"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)  # the notebook's keys and signals are not for us
    sys.path += [path for path in config["paths"] if path not in sys.path]
    supervisor = Supervisor(link, config)
    try:
        preloaded, unable = _preload(config["modules"], config["preload"], supervisor.check_host)
    except RefusedError as error:
        supervisor.send("failed", module=error.module, reason=error.reason)
        supervisor.end()
    except Exception as error:
        traceback.print_exc()
        supervisor.send("failed", module="", reason=f"{type(error).__name__}: {error}")
        supervisor.end()
    linux_process.prctl(linux_process.PR_SET_CHILD_SUBREAPER, 1)
    # Nobody but root may trace or read this process: a kernel that is not boxed could else stop it.
    linux_process.prctl(linux_process.PR_SET_DUMPABLE, 0)
    gc.freeze()
    gc.enable()
    idle_priority.leave()  # before the first fork, which would inherit it
    supervisor.send("ready", pid=os.getpid(), preloaded=preloaded, threads=_threads(), unable=unable)
    supervisor.serve()
