"""What is done inside an agent's kernel before its first cell.

Travels as source into any Python kernel (module `_rlm_prelude`): standard library only, no import of this
package. It bounds output where it arises, so that a cell that prints 200 MB costs the notebook nothing;
makes SIGINT wake a cell that awaits; lets the kernel die with its parent; and closes the box.
"""

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from typing import Any

HEAD = TAIL = 32_768  # characters of output of one cell that are sent; the same as the host keeps
DISPLAYS = 200  # messages of `display` in one cell
LARGEST = 400_000  # bytes of one message's content; the host refuses messages above a mebibyte
NOTICE = "application/vnd.rlm.cut+json"


class Outlet:
    """Passes the head of a cell's output on, holds back its tail until the cell ends, counts the rest."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.lock = threading.RLock()
        self.held: deque[tuple[Any, str]] = deque()
        self.reset()
        for stream in (sys.stdout, sys.stderr):
            self._wrap_stream(stream)
        self._wrap_display(shell.display_pub)
        self._wrap_result(shell.displayhook)
        shell.display_formatter.active_types = ["text/plain"]  # a model reads text; the rest costs time
        shell.events.register("pre_run_cell", lambda *_: self.reset())
        shell.events.register("post_run_cell", lambda *_: self.release())

    def reset(self) -> None:
        """Begin a cell."""
        with self.lock:
            self.room, self.displays, self.cut, self.size = HEAD, DISPLAYS, 0, 0
            self.held.clear()

    def admit(self, text: str, send: Any) -> str:
        """Give the part of `text` that may go out now; what is held is sent by `send` later."""
        with self.lock:
            now = text[: self.room]
            self.room -= len(now)
            rest = len(text) - len(now)
            if rest:
                tail = text[max(len(now), len(text) - TAIL) :]
                self.cut += rest - len(tail)
                self.held.append((send, tail))
                self.size += len(tail)
                while self.size - len(self.held[0][1]) >= TAIL or len(self.held) > 4 * DISPLAYS:
                    self.cut += self._forget()
            return now

    def _forget(self) -> int:
        _, text = self.held.popleft()
        self.size -= len(text)
        return len(text)

    def release(self) -> None:
        """Send the tail, after the count of what was cut."""
        self._await_descriptors()
        with self.lock:
            held, cut = list(self.held), self.cut
            self.held.clear()
            self.size = self.cut = 0
            self.room = 0
        if cut:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            self.publish({"text/plain": "", NOTICE: {"cut": cut}})
        for send, text in held:
            send(text)

    def _await_descriptors(self) -> None:
        """Wait until what a subprocess wrote to descriptors 1 and 2 has been read by ipykernel's threads."""
        import fcntl
        import termios

        deadline = time.monotonic() + 0.2
        for stream in (sys.stdout, sys.stderr):
            number = getattr(stream, "_fid", None)
            while number is not None and time.monotonic() < deadline:
                if not any(fcntl.ioctl(number, termios.FIONREAD, bytes(4))):
                    break
                time.sleep(0.001)
        time.sleep(0.0005)  # a thread that has just read needs its turn to write

    def _wrap_stream(self, stream: Any) -> None:
        write = stream.write

        def bounded(text: Any) -> Any:
            if not isinstance(text, str):
                return write(text)  # it raises the right error
            now = self.admit(text, write)
            if now:
                write(now)
            return len(text)

        stream.write = bounded

    def _wrap_display(self, publisher: Any) -> None:
        publish = self.publish = publisher.publish
        clear = publisher.clear_output

        def bounded(data: Any, _metadata: Any = None, **options: Any) -> None:
            options.pop("metadata", None)
            text = data.get("text/plain") if isinstance(data, dict) else None
            if text is None:
                text = f"<{', '.join(map(str, data))}>" if data else ""
            with self.lock:
                self.displays -= 1
                if self.displays < 0:
                    self.cut += len(str(text))
                    return
            now = self.admit(str(text), lambda rest: publish({"text/plain": rest}))
            if now:
                publish({"text/plain": now}, None, **options)

        def clear_output(*args: Any, **options: Any) -> None:
            self.reset()
            clear(*args, **options)

        publisher.publish, publisher.clear_output = bounded, clear_output

    def _wrap_result(self, hook: Any) -> None:
        write = hook.write_format_data

        def bounded(data: Any, _metadata: Any = None) -> None:
            text = str(data.get("text/plain", ""))
            self._await_descriptors()
            now = self.admit(text, lambda rest: self.publish({"text/plain": rest}))
            write({"text/plain": now}, {})

        hook.write_format_data = bounded


def _shrink(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return (
            value
            if len(value) <= longest
            else f"{value[:longest]} [... {len(value) - longest:,} characters cut]"
        )
    if isinstance(value, dict):
        return {str(key)[:200]: _shrink(item, longest) for key, item in list(value.items())[:100]}
    if isinstance(value, (list, tuple)):
        return [_shrink(item, longest) for item in value[:100]]
    return value


def bound_messages(session: Any) -> None:
    """Cut what is too long in any message, such as the text of an exception."""
    pack = session.pack

    def bounded(content: Any) -> Any:
        data = pack(content)
        for longest in (10_000, 500):
            if len(data) <= LARGEST:
                break
            data = pack(_shrink(content, longest))
        return data

    session.pack = bounded


def wake_on_interrupt() -> None:
    """Let SIGINT wake the event loop, so that it interrupts a cell that awaits.

    ipykernel's handler uses `call_soon`, which does not wake a loop that sleeps in `select`
    (ipython/ipykernel#881, #1239).
    """
    wake = getattr(asyncio.get_running_loop(), "_csock", None)
    if wake is not None and threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)


def die_with_parent(parent: int) -> None:
    """Ask the system to kill this process when the thread that started it ends (Linux)."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _plain_system(shell: Any) -> None:
    """Let `!command` read a pipe: IPython's own way needs a pseudo-terminal, which the box does not give."""
    import subprocess

    def run(command: str) -> str:
        done = subprocess.run(  # noqa: S602 - a shell is what `!command` asks for
            shell.var_expand(command, depth=2),
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
            check=False,
        )
        shell.user_ns["_exit_code"] = done.returncode
        return done.stdout

    def show(command: str) -> None:
        sys.stdout.write(run(command))

    def getoutput(command: str, split: bool = True, depth: int = 0) -> Any:  # noqa: ARG001 - IPython's own
        from IPython.utils.text import LSString, SList

        text = run(command)
        return SList(text.splitlines()) if split else LSString(text)

    shell.system = show
    shell.getoutput = getoutput


def _plain_streams() -> None:
    """Let what a fork of the kernel prints go to its descriptors, which the kernel reads.

    ipykernel would send it over zmq, whose sockets do not survive a fork, or over TCP, which the box denies.
    """
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = open(number, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)


def _forget_log() -> None:
    """Point the copy of the first stderr at nothing: ipykernel writes all that passes descriptor 2 there."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (sys.stdout, sys.stderr):
            number = getattr(stream, "_original_stdstream_copy", None)
            if number is not None:
                os.dup2(null, number)
    finally:
        os.close(null)


def prepare(shell: Any, options: dict[str, Any]) -> str:
    """Do all of it; return the report of the box as JSON.

    Args:
        shell: of IPython.
        options: `policy` (to close the box; None where there is none), `parent` (to die with it).
    """
    box = sys.modules.get("_rlm_sandbox")
    if options.get("parent"):
        die_with_parent(options["parent"])
    wake_on_interrupt()
    Outlet(shell)
    bound_messages(shell.kernel.session)
    if sys.platform != "win32":
        _plain_system(shell)
        os.register_at_fork(after_in_child=_plain_streams)
        _forget_log()
    shell.history_manager.enabled = False
    if box is not None and options.get("policy"):
        box.join(options["policy"])
        sys.modules["_rlm_semaphores"].install()  # type: ignore[attr-defined]
    return json.dumps(box.report if box is not None else {})
