"""The kernel's heartbeat, which begins when somebody connects to it.

Travels as source into the supervisor: standard library and ipykernel only. The engine sees a kernel's death from its
process, so that only other clients of a kernel (`jupyter console --existing`) listen to the heartbeat. ipykernel's has
a thread and a zmq context with two more. Until somebody connects, there is only a socket that listens.
"""

# mypy: allow-untyped-calls
# ipykernel's own methods have no types.

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq
from ipykernel.heartbeat import Heartbeat

_WAITING = 16
"""Connections that may wait until the heartbeat has begun."""


class _Inherited(Heartbeat):
    """ipykernel's heartbeat, on a socket that listens already."""

    def __init__(self, listener: socket.socket, *args: Any) -> None:
        super().__init__(zmq.Context(), *args)
        self._listener = listener.detach()  # zmq closes it

    def _try_bind_socket(self) -> Any:
        self.socket.setsockopt(zmq.USE_FD, self._listener)
        return super()._try_bind_socket()


def on_demand(loop: Any, path: str, number: int, began: Callable[[Heartbeat], None]) -> None:
    """Listen at an address of the transport `ipc`, and begin the heartbeat with the first connection.

    Args:
        loop: a tornado loop that is not running yet, and that does not run cells.
        path: of the address.
        number: of the address, its port elsewhere.
        began: called with the heartbeat, on the thread of the loop.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    address = f"{path}-{number}"
    with suppress(OSError):  # as zmq does: the address is ours
        os.unlink(address)  # noqa: PTH108 - the path is a str
    listener.bind(address)
    listener.listen(_WAITING)
    begin_on_demand(loop, listener, (path, number), began)


def listener_of(number: int) -> socket.socket:
    """Returns a socket that listens already, which this process was handed as a descriptor."""
    listener = socket.socket(fileno=number)
    listener.setblocking(False)
    return listener


def begin_on_demand(
    loop: Any, listener: socket.socket, address: tuple[str, int], began: Callable[[Heartbeat], None]
) -> None:
    """Begin the heartbeat with the first connection to a socket that listens; see `on_demand`."""

    def begin(*_: Any) -> None:
        loop.remove_handler(listener)
        heartbeat = _Inherited(listener, ("ipc", *address))
        heartbeat.start()
        began(heartbeat)

    loop.add_handler(listener, begin, loop.READ)
