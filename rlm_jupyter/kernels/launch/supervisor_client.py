"""The notebook's end of the supervisor: starts it, asks it for kernels, hears of their deaths."""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any

from rlm_jupyter import forks
from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.guest.private_directory import remove_directory
from rlm_jupyter.kernels.launch.environment import TOKEN, clean_environment, kill_marked
from rlm_jupyter.kernels.launch.guest_bundle import importer_source
from rlm_jupyter.kernels.launch.pipe_text import write_text_to_pipe
from rlm_jupyter.kernels.launch.site_packages import site_directories
from rlm_jupyter.supervisor import idle_priority

log = logging.getLogger(__name__)

CLOSE_SECONDS = 10.0
PROGRAM = Path(__file__).parents[2] / "supervisor" / "serve.py"
# polars is never among them: it starts threads when it is imported.
MODULES = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipykernel.displayhook", "ipykernel.comm",
    "IPython.core.completer", "IPython.core.magics", "numpy", "pandas", "pyarrow", "pyarrow.compute",
    "cloudpickle",
    # What a kernel imports only when it starts, and pandas when it first shows a frame:
    "ipykernel.debugger", "IPython.core.debugger", "IPython.core.oinspect", "IPython.core.completerlib",
    "IPython.core.logger", "IPython.extensions.storemagic", "tornado.platform.asyncio", "tornado.queues",
    "multiprocessing.heap", "multiprocessing.resource_tracker", "pty",
    "pandas.io.formats.string", "pandas.io.formats.html", "pyarrow.pandas_compat",
)  # fmt: skip


def possible() -> bool:
    """Returns whether this system can fork kernels: only on Linux is a fork without exec sound enough."""
    return sys.platform.startswith("linux")


class ForkClient:
    """A process that forks kernels, seen from here. Its methods may be called from any thread.

    Args:
        link: our end of the socket to it.
        token: the mark of all that it starts.

    Attributes:
        ready: resolves to its own report (`pid`, `preloaded`, `threads`), or raises KernelStartError.
    """

    def __init__(self, link: socket.socket, token: str) -> None:
        self.ready: Future[dict[str, Any]] = Future()
        self.ready.set_running_or_notify_cancel()  # it is everybody's: who waits for it cannot cancel it
        self._link, self._token = link, token
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._waiting: dict[int, tuple[str, Future[int]]] = {}
        self._exits: dict[int, Future[int]] = {}
        self._closed = False
        self._listener = threading.Thread(target=self._listen, name="rlm-supervisor", daemon=True)
        forks.register(self)
        self._listener.start()

    def forked(self) -> None:
        """Let go of the line in a forked child of this process, where it would lead to the parent's kernels."""
        self._closed = True
        forks.release(self._lock)
        forks.release(self._sending)
        self._link.close()

    @property
    def alive(self) -> bool:
        """Whether it can be asked for kernels."""
        return not self._closed

    # ------------------------------------------------------------------------------------------- asking

    def ask(self, op: str, descriptors: Sequence[int] = (), **body: Any) -> Future[int]:
        """Send one request; the future gives a process id or raises KernelStartError."""
        answer: Future[int] = Future()
        if "env" in body:
            body["env"] = {**body["env"], TOKEN: self._token}
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = (op, answer)
        data = json.dumps({"op": op, "id": number, "descriptors": len(descriptors), **body}).encode()
        try:
            with self._sending:
                socket.send_fds(self._link, [data], list(descriptors))
        except OSError as error:
            with self._lock:
                self._waiting.pop(number, None)
            _settle(answer, KernelStartError(self._not_asked(error)))
        return answer

    def _not_asked(self, error: OSError) -> str:
        if error.errno == errno.EMSGSIZE:
            return "The environment variables of a kernel are too large to hand over: pass less by `env`."
        return f"The supervisor of agents' kernels is gone ({error}). {self._tail()}".strip()

    def exit_of(self, pid: int) -> Future[int]:
        """The exit status of a kernel (negative: a signal), when it has died."""
        with self._lock:
            return self._exits.setdefault(pid, Future())

    def forget(self, pid: int) -> None:
        """Drop what is known of a kernel that has died."""
        with self._lock:
            self._exits.pop(pid, None)

    # ---------------------------------------------------------------------------------------- listening

    def _listen(self) -> None:
        why = ""
        while not why:
            try:
                data = self._link.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                break
            try:
                self._hear(json.loads(data))
            except Exception:  # nothing it said can be relied on now, and nobody may wait for it for ever
                log.exception("A supervisor of agents' kernels is ended: its message cannot be understood")
                why = f"It sent what cannot be understood: {data[:200]!r}."
                self._abandon()
        self._end(why)

    def _hear(self, message: dict[str, Any]) -> None:
        """Take one message; raises any exception where it is none."""
        event = message["event"]
        if event == "ready":
            _settle(self.ready, message)
        elif event == "failed":
            module = f"the module `{message['module']}`: " if message["module"] else ""
            error = KernelStartError(f"Kernels cannot be forked because of {module}{message['reason']}.")
            error.module = message["module"]  # type: ignore[attr-defined]
            _settle(self.ready, error)
        elif event == "exit":
            with self._lock:
                exited = self._exits.get(_number(message, "pid"))
            if exited is not None:
                _settle(exited, _number(message, "status"))
        elif event in ("done", "error"):
            self._hear_answer(message)
        else:
            raise ValueError(f"an event `{event}`")

    def _hear_answer(self, message: dict[str, Any]) -> None:
        number, done = _number(message, "id"), message["event"] == "done"
        pid = _number(message, "pid") if done else 0
        reason = "" if done else str(message["reason"])
        with self._lock:
            op, answer = self._waiting.pop(number, ("", None))
            starts = done and op in ("fork", "exec", "adopt")
            earlier = self._exits.pop(pid, None) if starts else None
            if starts:
                self._exits[pid] = Future()
        if earlier is not None:  # a process of that number died before, and nobody has asked how
            _settle(earlier, -signal.SIGKILL)
        if answer is None:
            log.warning("A supervisor of agents' kernels answered twice: %s", message)
        elif not answer.set_running_or_notify_cancel():
            if starts:  # who asked was cancelled meanwhile: nobody owns this kernel
                self.forget(pid)
                self.ask("kill", pid=pid)
        elif done:
            _settle(answer, pid)
        else:
            _settle(answer, KernelStartError(f"The kernel was not started: {reason}."))

    def _end(self, why: str = "") -> None:
        """It is gone: so are all of its kernels."""
        self._closed = True
        self._buried()
        parts = ("The supervisor of agents' kernels ended.", why, self._tail())
        error = KernelStartError(" ".join(filter(None, parts)))
        with self._lock:
            answers: list[Future[Any]] = [self.ready, *(answer for _, answer in self._waiting.values())]
            exits = list(self._exits.values())
            self._waiting.clear()
        with self._sending:
            self._link.close()
        for answer in answers:
            _settle(answer, error)
        for exited in exits:
            _settle(exited, -signal.SIGKILL)

    def _abandon(self) -> None:
        """Make it end although it does not follow."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def _buried(self) -> None:
        """Wait for its end and see to what it may have left."""

    def _tail(self) -> str:
        return ""

    def close(self) -> None:
        """End it and with it every kernel; returns when all are gone."""
        self._closed = True
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_WR)
        self._listener.join(CLOSE_SECONDS)


def _settle(future: Future[Any], outcome: Any) -> None:
    """Set a future's result, or its exception; nothing happens where it has one, or was cancelled."""
    with suppress(InvalidStateError):
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _number(message: Mapping[str, Any], field: str) -> int:
    found = message[field]
    if type(found) is not int:
        raise TypeError(f"`{field}` is {found!r}")
    return found


class Template(ForkClient):
    """A fork of the supervisor that holds a run's data: kernels forked from it see that without a copy."""


class Supervisor(ForkClient):
    """The one supervisor of this process' kernels.

    Args:
        directory: where kernels live; the supervisor removes it when the notebook's process ends.
        sources: modules of `_rlm` that it imports before it forks, name to source; see `fork_server_sources`.
        modules: imported in the supervisor where installed.
        idle: True if nobody waits for it: it is then prepared at idle priority where the system allows that, until
            `hurry` is called.

    Raises:
        KernelStartError: this system starts no process for it.
    """

    def __init__(
        self,
        directory: Path,
        sources: Mapping[str, str],
        modules: Sequence[str] = MODULES,
        *,
        idle: bool = False,
    ) -> None:
        self.directory = directory
        self._idle = idle
        self._log = directory / "supervisor.log"
        try:
            link, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise _no_process(error) from error
        config = {
            "host": os.getpid(),
            "directory": str(directory),
            "modules": list(modules),
            "paths": site_directories(),
            "importer": importer_source(),
            "sources": dict(sources),
            "idle": idle,
        }
        token = secrets.token_hex(8)
        try:
            with other:
                self._process = self._execute(other, config, token)
        except OSError as error:
            link.close()
            raise _no_process(error) from error
        try:
            super().__init__(link, token)
        except RuntimeError as error:  # no thread can be started
            link.close()
            self._process.kill()
            self._process.wait()
            raise _no_process(error) from error

    def _execute(self, other: socket.socket, config: dict[str, Any], token: str) -> subprocess.Popen[bytes]:
        # `-I`: neither PYTHON* variables nor the notebook's working directory decide what is imported.
        command = [sys.executable, "-I", str(PROGRAM), str(other.fileno())]
        with tempfile.TemporaryFile() as stdin, self._log.open("wb") as log:
            stdin.write(json.dumps(config).encode())
            stdin.seek(0)
            return subprocess.Popen(  # noqa: S603 - this interpreter and our own program
                command,
                env={
                    **clean_environment(),
                    "HOME": str(self.directory),
                    "TMPDIR": str(self.directory),
                    TOKEN: token,
                },
                cwd=self.directory,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=[other.fileno()],
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def hurry(self) -> None:
        """Somebody waits for it now: end its idle priority."""
        if self._idle and self._process.returncode is None:  # else the number may be another process's
            self._idle = False
            idle_priority.leave(self._process.pid)
            self.ask("hurry")  # it may enter that priority only now

    @property
    def alive(self) -> bool:
        """Whether it can be asked for kernels."""
        return super().alive and self._process.returncode is None

    def template(self, fd: int, token: int | None = None, text: str | bytes | None = None) -> Template:
        """Fork a template that holds the value encoded in a descriptor, which stays the caller's.

        Only for data of the notebook itself: the template decodes it with pickle. Wait for its `ready`.

        Args:
            fd: of the value.
            token: of the file that stands for it afterwards; None for `fd` itself.
            text: the value itself, where it is bytes or ASCII text; then `fd` is not read.

        Raises:
            KernelStartError: this process may open no more files, or start no more threads.
        """
        with ExitStack() as passed, ExitStack() as kept:
            try:
                link, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                passed.callback(other.close)
                kept.callback(link.close)
                about: dict[str, Any] = {}
                if text is not None:
                    fd = self._pour(text, passed)
                    about = {"text": {"kind": type(text).__name__, "size": len(text)}}
                template = Template(link, self._token)
            except (OSError, RuntimeError) as error:
                raise _no_process(error) from error
            kept.pop_all()
            asked = self.ask("template", [other.fileno(), fd, *([] if token is None else [token])], **about)
        asked.add_done_callback(lambda answer: template.close() if answer.exception() else None)
        return template

    @staticmethod
    def _pour(text: str | bytes, passed: ExitStack) -> int:
        """Begin to write a text into a pipe; return the end to read, which `passed` closes."""
        reading, writing = os.pipe()
        passed.callback(os.close, reading)
        try:
            threading.Thread(
                target=write_text_to_pipe, args=(text, writing), name="rlm-pipe-text", daemon=True
            ).start()
        except RuntimeError:
            os.close(writing)
            raise
        return reading

    def close(self) -> None:
        """End the supervisor and with it every kernel; returns when all are gone."""
        super().close()
        if self._listener.is_alive():  # it does not hear
            self._process.kill()
            self._listener.join(CLOSE_SECONDS)

    def discard(self) -> None:
        """End it at once, while it has no kernels: it may be importing, and hear nothing."""
        self._abandon()
        self._listener.join(CLOSE_SECONDS)

    def _abandon(self) -> None:
        super()._abandon()
        self._process.kill()

    def _buried(self) -> None:
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # It killed them, unless it was killed itself: kernels then die by PDEATHSIG, but not what they detached.
        for _ in range(3):
            kill_marked(self._token)
        remove_directory(self.directory)  # the same

    def _tail(self) -> str:
        with suppress(OSError):
            return self._log.read_text(errors="replace")[-2000:].strip()
        return ""


def _no_process(error: Exception) -> KernelStartError:
    return KernelStartError(
        f"The supervisor of agents' kernels was not started: {error}. Close what is not needed (`run.close()`), or "
        "raise the limits of this process (`ulimit -n`, `ulimit -u`)."
    )
