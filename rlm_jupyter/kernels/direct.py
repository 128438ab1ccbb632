"""An ipykernel whose output takes no detours through threads, which is most of what a short cell costs.

Travels as source into the supervisor (module `_rlm_direct`): standard library and ipykernel only. ipykernel hands
each message of output to a thread, and waits for that thread at each flush; it reads requests in a thread for the
sake of subshells; and it has a thread for each of the descriptors 1 and 2. Here whoever has output sends it, under
a lock; requests are read by the main thread; and one thread reads both descriptors, which the end of a cell can
read to their end itself. The messages are the same.
"""

# mypy: allow-untyped-calls
# ipykernel's own methods have no types.

import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Any

import zmq
from ipykernel.iostream import IOPubThread, OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

if TYPE_CHECKING or not __name__.startswith("_rlm_"):
    from rlm_jupyter.kernels.whole import whole
else:
    from _rlm_whole import whole

_CHUNK = 1 << 16


class Publisher(IOPubThread):
    """Sends what is published in the thread that publishes; its own thread keeps the timers of the streams."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._turn = threading.RLock()
        super().__init__(*args, **options)

    def _setup_xpub_listener(self) -> None:
        # Not by a stream of the loop's: the socket's descriptor tells of a subscription once only, and that
        # may be swallowed by whoever sends.
        self.io_loop.add_handler(self.socket, lambda *_: self._hear(), self.io_loop.READ)

    def _hear(self) -> None:
        with self._turn:
            while self.socket is not None and self.socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                self._handle_subscription(self.socket.recv_multipart(zmq.NOBLOCK))

    def send_multipart(self, *args: Any, **options: Any) -> None:
        """Send a message now."""
        if not self.thread.is_alive():  # a fork of the kernel, or its end
            super().send_multipart(*args, **options)
            return
        with whole(), self._turn:
            self._really_send(*args, **options)
            self._hear()


class Stream(OutStream):
    """A standard stream that is flushed by whoever wants it flushed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._turn = threading.RLock()
        super().__init__(*args, **options)

    def _setup_stream_redirects(self, name: str) -> None:
        number = self._original_stdstream_fd = getattr(sys, name).fileno()
        self._original_stdstream_copy = os.dup(number)
        reading, writing = os.pipe()
        os.dup2(writing, number)
        os.close(writing)
        os.set_blocking(reading, False)
        descriptors.watch(reading, self)

    def flush(self) -> None:
        """Send what is buffered."""
        self._flush()

    def _flush(self) -> None:
        with whole(), self._turn:
            super()._flush()

    def close(self) -> None:
        """Take no more."""
        self.pub_thread = None


class Descriptors:
    """Reads what goes to the descriptors 1 and 2, as C code and subprocesses do."""

    def __init__(self) -> None:
        self._turn = threading.RLock()
        self._streams: dict[int, Stream] = {}
        self._poll = select.poll()

    def watch(self, number: int, stream: Stream) -> None:
        """Pass on what is read from a descriptor."""
        self._streams[number] = stream
        self._poll.register(number, select.POLLIN)

    def start(self) -> None:
        """Read from now on, whenever there is something."""
        threading.Thread(target=self._run, name="rlm-descriptors", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._poll.poll()
            self.drain()

    def drain(self) -> None:
        """Pass on all that has been written so far."""
        with whole(), self._turn:
            for number, stream in self._streams.items():
                while data := self._read(number):
                    stream.write(data.decode(errors="replace"))

    @staticmethod
    def _read(number: int) -> bytes:
        try:
            return os.read(number, _CHUNK)
        except BlockingIOError:
            return b""


descriptors = Descriptors()


class NoThread:
    """In the place of the thread that reads requests: false, but it can tell who reads them.

    ipykernel 7.4 asks for that in each cell that awaits, whether it has such a thread or not.
    """

    def __init__(self) -> None:
        self.parent_thread = threading.current_thread()

    def __bool__(self) -> bool:
        return False


class Kernel(IPythonKernel):
    """The kernel, without subshells: nobody opens one here."""

    _supports_kernel_subshells = False


class App(IPKernelApp):
    """The application with these parts."""

    def init_control(self, context: Any) -> None:
        """Make the channel of control, and no thread to read requests: the main thread does."""
        super().init_control(context)
        self.kernel_class = Kernel
        self.shell_channel_thread = NoThread()

    def init_iopub(self, context: Any) -> None:
        """Make the channel of output, with a publisher of ours."""
        kernelapp: Any = sys.modules[IPKernelApp.__module__]
        kernelapp.IOPubThread, stock = Publisher, kernelapp.IOPubThread
        try:
            super().init_iopub(context)
        finally:
            kernelapp.IOPubThread = stock

    def init_io(self) -> None:
        """Replace the standard streams."""
        self.outstream_class = f"{__name__}.{Stream.__name__}"
        super().init_io()
        descriptors.start()
