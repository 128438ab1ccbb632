"""The application of a kernel that was copied by a fork, with channels, threads and streams of the copy's own.

Travels as source into the supervisor: standard library and ipykernel only. The shell, the kernel object and the
standard streams stay the objects that they are: code of the agent holds them.
"""

# mypy: allow-untyped-calls
# ipykernel's own methods have no types.

import atexit
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import zmq
from jupyter_client.session import new_id

from . import heartbeat_on_demand, prebuilt_app, text_streams

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")


def rebuild(order: Mapping[str, Any], listeners: Mapping[str, int]) -> Any:
    """Returns the application of this process, made ready to be started.

    Args:
        order: `ip`, `key` and `ports` of the transport `ipc`, the latter by channel.
        listeners: a socket that listens, by channel: the box allows to make none.
    """
    app: Any = prebuilt_app.App.instance()
    _forget(app)
    app.transport, app.ip = "ipc", order["ip"]
    for channel in CHANNELS:
        setattr(app, f"{channel}_port", order["ports"][channel])
    app.session.key = order["key"].encode()
    app.session.session, app.session.pid = new_id(), os.getpid()
    app._try_bind_socket = _binding(app, listeners)  # noqa: SLF001 - it is the step that knows the transport
    app.init_sockets()
    heartbeat_on_demand.begin_on_demand(
        app.control_thread.io_loop,
        heartbeat_on_demand.listener_of(listeners["hb"]),
        (app.ip, app.hb_port),
        lambda beat: setattr(app, "heartbeat", beat),
    )
    app._ports = dict(order["ports"])  # noqa: SLF001 - which `log_connection_info` sets
    _renew_streams(app)
    app.init_signal()
    app.init_kernel()
    return app


def _forget(app: Any) -> None:
    """Let go of what belonged to the process that was copied; its sockets end with it."""
    atexit.unregister(app.close)
    with suppress(AttributeError):
        atexit.unregister(app.iopub_thread.stop)
    app.context = app.heartbeat = None
    app.debugpy_socket = app.debug_shell_socket = None


def _binding(app: Any, listeners: Mapping[str, int]) -> Any:
    numbers = {app_port: listeners[channel] for channel, app_port in _ports(app).items()}

    def bind(socket: Any, port: int) -> int:
        socket.setsockopt(zmq.USE_FD, numbers[port])
        socket.bind(f"ipc://{app.ip}-{port}")
        return port

    return bind


def _ports(app: Any) -> dict[str, int]:
    return {channel: getattr(app, f"{channel}_port") for channel in CHANNELS}


def _renew_streams(app: Any) -> None:
    """Let the standard streams, and the hook that shows results, send by the new thread."""
    for stream in text_streams.standard_streams():
        stream.pub_thread, stream._io_loop = app.iopub_thread, app.iopub_thread.io_loop  # noqa: SLF001
        stream._master_pid = os.getpid()  # noqa: SLF001
        stream._flush_pending = stream._subprocess_flush_pending = False  # noqa: SLF001
        stream._turn, stream._buffer_lock = threading.RLock(), threading.RLock()  # noqa: SLF001
        stream.buffer._turn = threading.RLock()  # noqa: SLF001
    app.displayhook.pub_socket = app.iopub_socket
