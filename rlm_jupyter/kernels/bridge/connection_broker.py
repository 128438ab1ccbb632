"""Connections for agents: their kernels can make no socket, so the engine connects, and passes the descriptor on.

Which hosts is the user's choice (`Sandbox.net`). Names are resolved here, each address is looked at, and what is
connected is what was looked at. The kernel asks over its bridge, with a name and a port, and nothing else of a frame
counts. Its own filter of system calls denies `connect`, so that a descriptor leads nowhere else afterwards.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlm_jupyter.kernels.bridge.requests import BridgeError
from rlm_jupyter.kernels.host_work import LOOK_UPS, HostWork
from rlm_jupyter.sandbox_settings import Host, canonical

if TYPE_CHECKING:
    from rlm_jupyter.kernels.bridge.requests import BridgeHandler

SECONDS = 20.0
"""For resolving and connecting; a cell's time stands still meanwhile."""
AT_ONCE = 32
LOOK_UPS_AT_ONCE = 3
"""Of one kernel: they share a few threads with those of all other kernels."""
_LONGEST = 1000
MOST_TOLD = 10_000
"""Connections of one kernel that are told one by one; a log must not grow without end."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Answer = tuple[Any, list[int]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_RESERVED = ipaddress.ip_network("240.0.0.0/4")
# Where clouds tell a machine its keys; not all of these are in a range of their own.
_METADATA = {
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
}


@dataclass(frozen=True)
class SandboxEvent:
    """Something about an agent's box that the user should hear of.

    Attributes:
        text: a sentence.
        host: of a connection; empty if it is about something else.
        port: of it.
        ok: whether it was made.
    """

    text: str
    host: str = ""
    port: int = 0
    ok: bool = True


class Broker:
    """Connects on behalf of one kernel. Belongs to the engine's event loop.

    Args:
        net: hosts as of `Sandbox.net`, or `all` in their place.
        tell: called with each connection, made or refused.
    """

    def __init__(self, net: Iterable[str], tell: Callable[[SandboxEvent], None]) -> None:
        self._all = "all" in net
        self._hosts = [Host.read(text) for text in net if text != "all"]
        self._tell = tell
        self._told = 0
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._look_ups = HostWork(LOOK_UPS, LOOK_UPS_AT_ONCE)

    def wrap(self, handler: BridgeHandler) -> BridgeHandler:
        """Returns a handler that serves what is asked of the broker, and leaves all else to `handler`."""

        async def serve(op: str, body: dict[str, Any], fds: list[int]) -> Answer:
            if op == "connect":
                return await self.connect(body)
            if op == "resolve":
                return await self.resolve(body)
            return await handler(op, body, fds)

        return serve

    async def resolve(self, body: dict[str, Any]) -> Answer:
        """Look up a host that may be reached: its addresses that may be.

        Raises:
            BridgeError: it may not be reached, or is not known; `data` has the number of the error.
        """
        name, _ = _asked({**body, "port": 1})
        if not self._all and not any(rule.matches(name, rule.port or 1) for rule in self._hosts):
            self._refuse(name, 0)
        named = any(rule.name == name and not rule.wildcard for rule in self._hosts)
        try:
            async with asyncio.timeout(SECONDS):
                addresses = await self._addresses(name, 0, named=named)
        except TimeoutError:
            text = f"The host `{name}` was not found within {SECONDS:g} s."
            self._say(SandboxEvent(text, name, 0, ok=False))
            raise _error(text, errno.ETIMEDOUT, unknown=True) from None
        return {"addresses": [str(one) for one in addresses]}, []

    async def connect(self, body: dict[str, Any]) -> Answer:
        """Connect to `host` and `port` of the request, and give the descriptor.

        Raises:
            BridgeError: it may not be reached, or cannot; `data` has the number of the error.
        """
        name, port = _asked(body)
        rules = [rule for rule in self._hosts if rule.matches(name, port)]
        if not self._all and not rules:
            self._refuse(name, port)
        named = any(not rule.wildcard for rule in rules)
        async with self._turns:
            sock = await self._connected(name, port, named=named)
        try:
            self._say(SandboxEvent(f"Connected to {_shown(name, port)}.", name, port))
            return {}, [sock.detach()]
        finally:
            sock.close()

    async def _connected(self, name: str, port: int, *, named: bool) -> socket.socket:
        loop = asyncio.get_running_loop()
        failed = OSError(errno.ENETUNREACH, "no address")
        try:
            async with asyncio.timeout(SECONDS):
                for address in await self._addresses(name, port, named=named):
                    sock = socket.socket(_family(address), socket.SOCK_STREAM)
                    try:
                        sock.setblocking(False)
                        await loop.sock_connect(sock, (str(address), port))
                        return sock
                    except OSError as error:
                        sock.close()
                        failed = error
                    except BaseException:
                        sock.close()
                        raise
        except TimeoutError:
            failed = OSError(errno.ETIMEDOUT, f"no answer within {SECONDS:g} s")
        text = f"{_shown(name, port)} cannot be reached: {failed.strerror or failed}."
        self._say(SandboxEvent(text, name, port, ok=False))
        raise _error(text, failed.errno or errno.ECONNREFUSED)

    async def _addresses(self, name: str, port: int, *, named: bool) -> list[Address]:
        """Resolve a name to the addresses that may be reached under it."""
        try:
            addresses = await self._look_up(name)
        except (OSError, UnicodeError):
            text = f"The host `{name}` is not known."
            self._say(SandboxEvent(text, name, port, ok=False))
            raise _error(text, errno.EHOSTUNREACH, unknown=True) from None
        allowed = [one for one in addresses if may_reach(one, name, named=named)]
        if not allowed:
            shown = ", ".join(map(str, addresses[:3]))
            text = (
                f"`{name}` is a local or private address ({shown}), which agents reach only where that very address "
                f"is named: add `{addresses[0]}` to `net` of the sandbox (`--net`) if that is what you want."
            )
            self._say(SandboxEvent(f"Refused: {text}", name, port, ok=False))
            raise _error(text, errno.EACCES)
        return allowed

    async def _look_up(self, name: str) -> list[Address]:
        with suppress(ValueError):
            return [_address(name)]
        found = await self._look_ups.run(_entries, name)
        return list(dict.fromkeys(_address(str(entry[4][0])) for entry in found))

    def _refuse(self, name: str, port: int) -> None:
        shown = _shown(name, port) if port else name
        allowed = ", ".join(f"`{host}`" for host in self._hosts) or "none"
        self._say(
            SandboxEvent(
                f"Refused a connection to {shown}: not in `net` of the sandbox.", name, port, ok=False
            )
        )
        raise _error(
            f"The sandbox does not let agents connect to `{shown}`; hosts that they may reach: {allowed}. Work with "
            f"the data that you have, or say that the user would have to allow it (`--net {name}`)."
        )

    def _say(self, event: SandboxEvent) -> None:
        self._told += 1
        if self._told < MOST_TOLD:
            self._tell(event)
        elif self._told == MOST_TOLD:
            self._tell(SandboxEvent(f"More than {MOST_TOLD:,} connections: further ones are not told."))


def may_reach(address: Address, name: str, *, named: bool) -> bool:
    """Returns whether an address may be reached under a name that the policy allows.

    Args:
        address: to which the name was resolved.
        name: canonical.
        named: whether the user named that very host, not a wildcard and not `all`.
    """
    inner = _inside(address)
    literal = named and name == str(address)
    if address.is_unspecified or address.is_multicast or address in _RESERVED:
        return False
    if literal:
        return True
    if (
        address.is_link_local
        or address in _METADATA
        or not (inner is None or may_reach(inner, name, named=named))
    ):
        return False
    if address.is_loopback:
        return named and (name == "localhost" or name.endswith(".localhost"))
    public = address.is_global or (inner is not None and inner.is_global)
    return named or (public and not _is_own(address))


def _entries(name: str) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))


def _inside(address: Address) -> Address | None:
    """Find the IPv4 address that one of IPv6 leads to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def _is_own(address: Address) -> bool:
    """Returns whether it is this machine's, by the way that a packet to it would take; none is sent."""
    with suppress(OSError), socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), 9))
        return _address(str(probe.getsockname()[0])) == address
    return False


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6


def _address(text: str) -> Address:
    return ipaddress.ip_address(text.partition("%")[0])


def _asked(body: dict[str, Any]) -> tuple[str, int]:
    host, port = body.get("host"), body.get("port")
    if type(port) is not int or not 0 < port < 1 << 16:
        raise _error("A connection needs a port from 1 to 65535.", errno.EINVAL)
    try:
        if not isinstance(host, str) or len(host) > _LONGEST:
            raise ValueError("no text")
        return canonical(host), port
    except ValueError:
        raise _error(f"`{str(host)[:80]}` is not a host name.", errno.EINVAL, unknown=True) from None


def _shown(name: str, port: int) -> str:
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _error(text: str, number: int = errno.EPERM, *, unknown: bool = False) -> BridgeError:
    return BridgeError("failed", text, data={"errno": number, "unknown": unknown})
