"""An ipykernel whose output takes no detours through threads, which is most of what a short cell costs.

Travels as source into the supervisor: standard library and ipykernel only. ipykernel hands
each message of output to a thread, and waits for that thread at each flush; and it reads requests in a thread for
the sake of subshells. Here whoever has output sends it, under a lock, and requests are read by the main thread. The
messages are the same.
"""

# mypy: allow-untyped-calls
# ipykernel's own methods have no types.

import logging
import os
import sys
import threading
from typing import Any

import zmq
from ipykernel.control import ControlThread
from ipykernel.iostream import IOPubThread, OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from traitlets.config.loader import Config, DeferredConfigString

from .defer_sigint import deferred_sigint
from .heartbeat_on_demand import on_demand


class Publisher(IOPubThread):
    """Sends what is published in the thread that publishes; its own thread keeps the timers of the streams."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.turn = threading.RLock()
        super().__init__(*args, **options)

    def _setup_pipe_in(self) -> None:
        # A TCP socket for what forks of the kernel print: they have descriptors for that (`prepare`), the box refuses
        # it, and where no socket can be made any more, libzmq ends the process.
        self._pipe_flag = False

    def _setup_xpub_listener(self) -> None:
        # Not by a stream of the loop's: the socket's descriptor tells of a subscription once only, and that
        # may be swallowed by whoever sends.
        self.io_loop.add_handler(self.socket, lambda *_: self._hear(), self.io_loop.READ)

    def _hear(self) -> None:
        with self.turn:
            while self.socket is not None and self.socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                self._handle_subscription(self.socket.recv_multipart(zmq.NOBLOCK))

    def send_multipart(self, *args: Any, **options: Any) -> None:
        """Send a message now."""
        if not self.thread.is_alive():  # a fork of the kernel, or its end
            super().send_multipart(*args, **options)
            return
        with deferred_sigint(), self.turn:
            self._really_send(*args, **options)
            self._hear()


class Stream(OutStream):
    """A standard stream that is flushed by whoever wants it flushed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._turn = threading.RLock()
        super().__init__(*args, **options)

    def _setup_stream_redirects(self, name: str) -> None:
        """Keep where the descriptor went, for logs; `fd_capture` reads what is written there from now on."""
        self._original_stdstream_copy = os.dup(getattr(sys, name).fileno())

    def flush(self) -> None:
        """Send what is buffered."""
        self._flush()

    def _flush(self) -> None:
        with deferred_sigint(), self._turn:
            super()._flush()

    def close(self) -> None:
        """Take no more."""
        self.pub_thread = None


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

    def start(self) -> None:
        """Begin to read requests; there is no debugger to listen to."""
        shell: Any = self.shell
        shell.exit_now = False
        super(IPythonKernel, self).start()


class App(IPKernelApp):
    """The application with these parts."""

    kernel_type: type[IPythonKernel] = Kernel

    def parse_command_line(self, argv: Any = None) -> None:
        """Take `-f FILE` and `--Class.trait=value`: a parser of all that there is costs a tenth of the start."""
        config, words = Config(), iter(argv)
        for word in words:
            name, equals, value = word.removeprefix("--").partition("=")
            section, dot, trait = name.partition(".")
            if word == "-f":
                config[type(self).__name__].connection_file = next(words)
            elif equals and dot:
                config[section][trait] = DeferredConfigString(value)
            else:
                super().parse_command_line(argv)
                return
        self.argv, self.extra_args, self.cli_config = list(argv), [], config
        self.update_config(config)

    def load_config_file(self, *_: Any, **__: Any) -> None:
        """Load none: what this machine sets for its users' notebooks is not meant for agents."""

    def init_control(self, context: Any) -> None:
        """Make the channel of control. There is no thread to read requests, and no debugger, so no sockets for them."""
        self.control_socket = context.socket(zmq.ROUTER)
        self.control_socket.linger = 1000
        self.control_socket.router_handover = 1  # as of the other channels (ipython/ipykernel#270)
        if (encrypt := getattr(self, "_apply_curve_server_options", None)) is not None:  # since ipykernel 7.3
            encrypt(self.control_socket)
        self.control_port = self._bind_socket(self.control_socket, self.control_port)
        self.control_thread = ControlThread(daemon=True)
        self.kernel_class = self.kernel_type
        self.shell_channel_thread = NoThread()

    def init_iopub(self, context: Any) -> None:
        """Make the channel of output, with a publisher of ours."""
        kernelapp: Any = sys.modules[IPKernelApp.__module__]
        kernelapp.IOPubThread, stock = Publisher, kernelapp.IOPubThread
        try:
            super().init_iopub(context)
        finally:
            kernelapp.IOPubThread = stock

    def init_heartbeat(self) -> None:
        """Let the heartbeat begin when somebody connects to it."""
        if self.transport != "ipc" or not self.hb_port:
            super().init_heartbeat()
            return
        on_demand(
            self.control_thread.io_loop, self.ip, self.hb_port, lambda beat: setattr(self, "heartbeat", beat)
        )

    def init_kernel(self) -> None:
        """Make the kernel, with a stream for each socket that there is."""
        # traitlets lets the logger take everything and its handler choose: four records for each cell, for nobody.
        self.log.setLevel(logging.WARNING)
        kernelapp: Any = sys.modules[IPKernelApp.__module__]
        stock = kernelapp.ZMQStream
        kernelapp.ZMQStream = lambda socket, *loop: socket and stock(socket, *loop)
        try:
            super().init_kernel()
        finally:
            kernelapp.ZMQStream = stock

    def init_io(self) -> None:
        """Replace the standard streams."""
        self.outstream_class = f"{__name__}.{Stream.__name__}"
        super().init_io()
