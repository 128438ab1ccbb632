"""Sockets for code in the box, where none can be made: the engine connects, and passes the descriptor.

It travels into an agent's kernel as source: the standard library only. `socket.socket` goes
on as it is, but what it holds before `connect` is a stand-in, and `connect` asks the engine for a name and a port. So
`urllib`, `http.client`, `ssl`, `requests`, `httpx`, asyncio and `pandas.read_csv("https://...")` work. Nothing here
is a wall: the engine decides, and code that goes round this finds that the system denies it a socket.
"""

from __future__ import annotations

import _socket
import asyncio
import concurrent.futures
import contextlib
import errno
import functools
import os
import socket
import weakref
from typing import Any

from ..bridge.socket_link import Link, Reply
from ..caller_kind import interruptible

CLOSED = (
    "The sandbox has no network. Work with the data that you have, or say which host is needed: the user can allow it "
    "(`--net HOST`)."
)
NO_UNIX = (
    "The sandbox has no Unix sockets: use `socket.socketpair()`; of `multiprocessing`, Pool, Process, Queue, Pipe, "
    "Value and Array work, a Manager does not."
)
ONLY_TCP = "The sandbox passes TCP connections to hosts alone: no other sockets, no listening."
BY_CHILD = "Only the kernel's own process can connect, not a child of it: use threads."

_INET = (socket.AF_INET, socket.AF_INET6)
_FLAGS = getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)
_DOMAIN = getattr(socket, "SO_DOMAIN", 39)
_MOST_NAMES = 10_000

_networks: list[Network] = []


class Network:
    """What stands behind the sockets of one kernel.

    Args:
        link: to the engine.

    Attributes:
        names: of hosts, by the addresses that they were looked up to.
        options: that were set before there was a connection.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.names: dict[str, str] = {}
        self.options: weakref.WeakKeyDictionary[Any, list[tuple[Any, ...]]] = weakref.WeakKeyDictionary()
        self._process = os.getpid()

    def ask(self, op: str, body: dict[str, Any], timeout: float | None) -> Reply:
        """Ask the engine.

        Raises:
            OSError: with the engine's reason.
            TimeoutError: no answer in time.
        """
        if os.getpid() != self._process:
            raise PermissionError(errno.EPERM, BY_CHILD)
        number, future = self.link.submit(op, body)
        try:
            with interruptible():
                reply: Reply = future.result(timeout)
        except concurrent.futures.TimeoutError:
            self.link.withdraw(number)
            raise TimeoutError("timed out") from None
        except BaseException:
            self.link.withdraw(number)
            raise
        if reply.error is None:
            return reply
        data = reply.error.get("data")
        known = data if isinstance(data, dict) else {}
        text = str(reply.error.get("message", ""))
        if known.get("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, text)
        raise OSError(int(known.get("errno") or errno.EPERM), text)

    def connect(self, sock: Any, address: Any) -> None:
        """Put a connection in the place of the stand-in."""
        host, port = address[0], address[1]
        host = host.decode() if isinstance(host, (bytes, bytearray)) else str(host)
        host = self.names.get(host.partition("%")[0], host)
        timeout = sock.gettimeout()
        reply = self.ask("connect", {"host": host, "port": int(port)}, timeout or None)
        os.dup2(reply.fds[0], sock.fileno(), inheritable=os.get_inheritable(sock.fileno()))
        sock.settimeout(timeout)  # which is a property of the connection, not of the number
        for option in self.options.pop(sock, ()):
            with contextlib.suppress(OSError):
                _socket.socket.setsockopt(sock, *option)

    def look_up(self, host: str) -> list[str]:
        """Returns the addresses of a host."""
        addresses = [str(one) for one in self.ask("resolve", {"host": host}, None).value["addresses"]]
        if len(self.names) > _MOST_NAMES:
            self.names.clear()
        self.names.update(dict.fromkeys(addresses, host))
        return addresses


def _waits(sock: Any) -> bool:
    """Whether it holds a stand-in."""
    try:
        return (
            sock.family in _INET
            and _socket.socket.getsockopt(sock, socket.SOL_SOCKET, _DOMAIN) == socket.AF_UNIX
        )
    except OSError:  # it is closed
        return False


def _initialise(network: Network | None) -> Any:
    plain = socket.socket.__init__

    def __init__(  # noqa: N807 - it becomes that method
        self: Any,
        family: int = -1,
        type: int = -1,  # noqa: A002 - the signature of the method
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        if fileno is not None:
            plain(self, family, type, proto, fileno)
            return
        family = socket.AF_INET if family == -1 else family
        kind = socket.SOCK_STREAM if type == -1 else type
        if family == getattr(socket, "AF_UNIX", None):
            raise PermissionError(errno.EPERM, NO_UNIX)
        if network is None or family not in _INET or kind & ~_FLAGS != socket.SOCK_STREAM:
            raise PermissionError(errno.EPERM, CLOSED if network is None else ONLY_TCP)
        near, far = _socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        far.close()
        plain(self, family, socket.SOCK_STREAM, max(proto, 0), near.detach())
        if kind & getattr(socket, "SOCK_NONBLOCK", 0):
            self.setblocking(False)

    return functools.wraps(plain)(__init__)


class Connecting:
    """The methods of `socket.socket` that tell a stand-in from a connection."""

    def connect(self: Any, address: Any) -> None:
        """Connect by the engine."""
        if _waits(self):
            _networks[-1].connect(self, address)
        else:
            _socket.socket.connect(self, address)

    def connect_ex(self: Any, address: Any) -> int:
        """Connect; give the number of the error."""
        try:
            self.connect(address)
        except OSError as error:
            if error.errno is None:
                raise
            return error.errno
        return 0

    def setsockopt(self: Any, *option: Any) -> None:
        """Set an option, now or when there is a connection."""
        if _waits(self):
            _networks[-1].options.setdefault(self, []).append(option)
        else:
            _socket.socket.setsockopt(self, *option)

    def getsockopt(self: Any, level: int, name: int, *length: int) -> Any:
        """Returns an option; those of a protocol are not set before there is a connection."""
        if _waits(self) and level != socket.SOL_SOCKET:
            return b"" if length else 0
        return _socket.socket.getsockopt(self, level, name, *length)

    def getpeername(self: Any) -> Any:
        """Returns the address of the other end."""
        if _waits(self):
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return _socket.socket.getpeername(self)

    def getsockname(self: Any) -> Any:
        """Returns its own address."""
        if _waits(self):
            return ("0.0.0.0", 0) if self.family == socket.AF_INET else ("::", 0, 0, 0)  # noqa: S104 - not bound
        return _socket.socket.getsockname(self)

    def bind(self: Any, address: Any) -> None:
        """Let a port of the system's choice pass, which is none to listen on."""
        if not _waits(self) or address[1] != 0:
            raise PermissionError(errno.EPERM, ONLY_TCP)

    def listen(self: Any, *_: Any) -> None:
        """Refuse."""
        raise PermissionError(errno.EPERM, ONLY_TCP)


def _getaddrinfo(network: Network | None) -> Any:
    plain = socket.getaddrinfo

    def getaddrinfo(
        host: Any,
        port: Any,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the signature of the function
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        name = host.decode() if isinstance(host, (bytes, bytearray)) else host
        number = flags | socket.AI_NUMERICHOST
        if not name:
            return plain(name, port, family, type, proto, flags)
        try:
            return plain(name, port, family, type, proto, number)
        except socket.gaierror:
            if flags & socket.AI_NUMERICHOST:
                raise
        if network is None:
            raise socket.gaierror(socket.EAI_NONAME, CLOSED)
        found: list[Any] = []
        for address in network.look_up(str(name)):
            with contextlib.suppress(socket.gaierror):  # of the other family
                found += plain(address, port, family, type, proto, number)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, f"`{name}` has no address of that family")
        return found

    return functools.wraps(plain)(getaddrinfo)


def _patch_asyncio() -> None:
    from asyncio import selector_events

    loops: Any = selector_events.BaseSelectorEventLoop
    plain = loops.sock_connect

    async def sock_connect(self: Any, sock: Any, address: Any) -> Any:
        if isinstance(sock, socket.socket) and _waits(sock):  # it blocks until the engine has connected
            return await asyncio.to_thread(sock.connect, address)
        return await plain(self, sock, address)

    loops.sock_connect = functools.wraps(plain)(sock_connect)


def install(link: Any, *, allowed: bool) -> bool:
    """Let sockets ask the engine, or say why there are none; tell whether connections can be passed.

    Args:
        link: of the guest.
        allowed: whether the policy names any host.
    """
    network = Network(link) if allowed and isinstance(link, Link) else None
    sockets: Any = socket.socket
    sockets.__init__ = _initialise(network)
    socket.getaddrinfo = _getaddrinfo(network)
    if network is None:
        return False
    _networks.append(network)
    for name, method in vars(Connecting).items():
        if not name.startswith("_"):
            setattr(sockets, name, method)

    def gethostbyname(hostname: str) -> str:
        return str(socket.getaddrinfo(hostname, None, socket.AF_INET)[0][4][0])

    socket.gethostbyname = gethostbyname
    _patch_asyncio()
    return True
