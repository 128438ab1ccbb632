"""Output of a cell, bounded where it arises: a cell that prints 200 MB costs the notebook nothing.

Travels as source into any Python kernel: standard library only.
"""

import sys
import threading
from collections import deque
from typing import Any

from ...values.describe.short_text import cut_notice
from .fd_capture import descriptors
from .shown_pictures import ShownPictures

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
        self._empty()
        for stream in (sys.stdout, sys.stderr):
            self._wrap_stream(stream)
        self._wrap_display(shell.display_pub)
        self._wrap_result(shell.displayhook)
        shell.display_formatter.active_types = ["text/plain"]  # a model reads text; the rest costs time
        self.pictures = ShownPictures(shell)
        kernel = getattr(shell, "kernel", None)
        if hasattr(kernel, "_execute_sleep"):
            # The host waits for the idle message, which follows all output.
            setattr(kernel, "_execute_sleep", 0.0)  # noqa: B010 - it is private, and a trait of `--Kernel`
        shell.events.register("pre_run_cell", lambda *_: self.reset())
        shell.events.register("post_run_cell", lambda *_: self.release())

    def reset(self) -> None:
        """Begin a cell."""
        self.pictures.reset()
        self._empty()

    def _empty(self) -> None:
        with self.lock:
            self.room, self.displays, self.cut, self.size = HEAD, DISPLAYS, 0, 0
            self.held.clear()

    def admit(self, text: str, send: Any) -> str:
        """Returns the part of `text` that may go out now; what is held is sent by `send` later."""
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
                if (over := self.size - TAIL) > 0:  # a piece may be as long as a pipe is
                    last, oldest = self.held[0]
                    self.held[0] = last, oldest[over:]
                    self.size, self.cut = TAIL, self.cut + over
            return now

    def _forget(self) -> int:
        _, text = self.held.popleft()
        self.size -= len(text)
        return len(text)

    def release(self) -> None:
        """Send the tail, after the count of what was cut."""
        self._drain()
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

    def _drain(self) -> None:
        """Take what a subprocess wrote to descriptors 1 and 2 before what comes next."""
        descriptors.drain()

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
                publish({"text/plain": now, **self.pictures.take(data)}, None, **options)

        def clear_output(*args: Any, **options: Any) -> None:
            self._empty()
            clear(*args, **options)

        publisher.publish, publisher.clear_output = bounded, clear_output

    def _wrap_result(self, hook: Any) -> None:
        write = hook.write_format_data

        def bounded(data: Any, _metadata: Any = None) -> None:
            text = str(data.get("text/plain", ""))
            self._drain()
            now = self.admit(text, lambda rest: self.publish({"text/plain": rest}))
            write({"text/plain": now, **(self.pictures.take(data) if now else {})}, {})

        hook.write_format_data = bounded


def _shrink(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= longest else f"{value[:longest]} {cut_notice(len(value) - longest)}"
    if isinstance(value, dict):
        return {str(key)[:200]: _shrink(item, longest) for key, item in list(value.items())[:100]}
    if isinstance(value, (list, tuple)):
        return [_shrink(item, longest) for item in value[:100]]
    return value


def _encodable(value: Any) -> Any:
    """Returns texts without lone halves of surrogate pairs, which no encoding takes."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(item) for item in value]
    return value


def bound_messages(session: Any) -> None:
    """Cut what is too long in any message, such as the text of an exception, and mend what cannot be encoded.

    A message that cannot be packed is lost, and with one of a cell's output the cell's end.
    """
    pack = session.pack

    def packed(content: Any) -> Any:
        try:
            return pack(content)
        except UnicodeEncodeError:
            return pack(_encodable(content))

    def bounded(content: Any) -> Any:
        data = packed(content)
        for longest in (10_000, 500):
            if len(data) <= LARGEST:
                break
            data = packed(_shrink(content, longest))
        return data

    session.pack = bounded
