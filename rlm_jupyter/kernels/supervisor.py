"""The notebook's end of the supervisor: starts it, asks it for kernels, hears of their deaths."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import KernelStartError
from rlm_jupyter.kernels.environment import TOKEN, clean_environment, kill_marked
from rlm_jupyter.kernels.leftovers import remove_directory
from rlm_jupyter.kernels.policy import site_directories
from rlm_jupyter.kernels.pour import pour

CLOSE_SECONDS = 10.0
PROGRAM = Path(__file__).with_name("forkserver.py")
# polars is never among them: it starts threads when it is imported.
MODULES = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipykernel.displayhook", "ipykernel.comm",
    "IPython.core.completer", "IPython.core.magics", "jedi", "numpy", "pandas", "pyarrow", "pyarrow.compute",
    "cloudpickle",
    # What a kernel imports only when it starts, and pandas when it first shows a frame:
    "ipykernel.debugger", "IPython.core.debugger", "IPython.core.oinspect", "IPython.core.completerlib",
    "IPython.core.logger", "IPython.extensions.storemagic", "tornado.platform.asyncio", "tornado.queues",
    "multiprocessing.heap", "multiprocessing.resource_tracker", "pty",
    "pandas.io.formats.string", "pandas.io.formats.html", "pyarrow.pandas_compat",
)  # fmt: skip


def possible() -> bool:
    """Tell whether this system can fork kernels: only on Linux is a fork without exec sound enough."""
    return sys.platform.startswith("linux")


class Chief:
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
        self._waiting: dict[int, Future[int]] = {}
        self._exits: dict[int, Future[int]] = {}
        self._closed = False
        self._listener = threading.Thread(target=self._listen, name="rlm-supervisor", daemon=True)
        self._listener.start()

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
            self._waiting[number] = answer
        data = json.dumps({"op": op, "id": number, **body}).encode()
        try:
            socket.send_fds(self._link, [data], list(descriptors))
        except OSError as error:
            self._waiting.pop(number, None)
            answer.set_exception(
                KernelStartError(f"The supervisor of agents' kernels is gone ({error}). {self._tail()}")
            )
        return answer

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
        while True:
            try:
                data = self._link.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                break
            self._hear(json.loads(data))
        self._end()

    def _hear(self, message: dict[str, Any]) -> None:
        event = message["event"]
        if event == "ready":
            self.ready.set_result(message)
        elif event == "failed":
            module = f"the module `{message['module']}`: " if message["module"] else ""
            error = KernelStartError(f"Kernels cannot be forked because of {module}{message['reason']}.")
            error.module = message["module"]  # type: ignore[attr-defined]
            self.ready.set_exception(error)
        elif event == "exit":
            exited = self.exit_of(message["pid"])
            if not exited.done():
                exited.set_result(message["status"])
        else:
            with self._lock:
                answer = self._waiting.pop(message["id"])
                if event == "done" and message["pid"] not in self._exits:
                    self._exits[message["pid"]] = Future()
            if not answer.set_running_or_notify_cancel():
                # Who asked was cancelled meanwhile: nobody owns this kernel.
                if event == "done":
                    with suppress(OSError):
                        os.killpg(message["pid"], signal.SIGKILL)
            elif event == "done":
                answer.set_result(message["pid"])
            else:
                answer.set_exception(KernelStartError(f"The kernel was not started: {message['reason']}."))

    def _end(self) -> None:
        """It is gone: so are all of its kernels."""
        self._closed = True
        self._buried()
        error = KernelStartError(f"The supervisor of agents' kernels ended. {self._tail()}".strip())
        with self._lock:
            waiting, exits = list(self._waiting.values()), list(self._exits.values())
            self._waiting.clear()
        answers: list[Future[Any]] = [self.ready, *waiting]
        for answer in answers:
            if not answer.done():
                answer.set_exception(error)
        for exited in exits:
            if not exited.done():
                exited.set_result(-signal.SIGKILL)
        self._link.close()

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


class Template(Chief):
    """A fork of the supervisor that holds a run's data: kernels forked from it see that without a copy."""


class Supervisor(Chief):
    """The one supervisor of this process' kernels.

    Args:
        directory: where kernels live; the supervisor removes it when the notebook's process ends.
        sources: modules made in the supervisor before it forks, name to source.
        modules: imported in the supervisor where installed.
    """

    def __init__(self, directory: Path, sources: Mapping[str, str], modules: Sequence[str] = MODULES) -> None:
        self.directory = directory
        self._log = directory / "supervisor.log"
        link, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        config = {
            "host": os.getpid(),
            "directory": str(directory),
            "modules": list(modules),
            "paths": site_directories(),
            "sources": dict(sources),
        }
        token = secrets.token_hex(8)
        with other:
            self._process = self._execute(other, config, token)
        super().__init__(link, token)

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
        """
        link, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        about: dict[str, Any] = {}
        if text is not None:
            fd, end = os.pipe()
            about = {"text": {"kind": type(text).__name__, "size": len(text)}}
            threading.Thread(target=pour, args=(text, end), name="rlm-pour", daemon=True).start()
        with other:
            asked = self.ask("template", [other.fileno(), fd, *([] if token is None else [token])], **about)
        if text is not None:
            os.close(fd)
        template = Template(link, self._token)
        asked.add_done_callback(lambda answer: template.close() if answer.exception() else None)
        return template

    def close(self) -> None:
        """End the supervisor and with it every kernel; returns when all are gone."""
        super().close()
        if self._listener.is_alive():  # it does not hear
            self._process.kill()
            self._listener.join(CLOSE_SECONDS)

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
