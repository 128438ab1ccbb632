"""Proxies and certificates that environment variables name: what applies to a server, and what cannot work."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from rlm_jupyter.models.openai.mask_keys import public_url

_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_TRY_SECONDS: Final = 2.0
_CERTIFICATES: Final = (("SSL_CERT_FILE", "file"), ("SSL_CERT_DIR", "directory"))
_UNREAD: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class SetupError(Exception):
    """No client can be made with what the environment says; the message names the variable and the way out."""


@dataclass(frozen=True)
class Proxy:
    """A proxy that applies to a server.

    Attributes:
        variable: the environment variable that names it; empty if the system's settings do.
        url: its address.
    """

    variable: str
    url: str

    @property
    def name(self) -> str:
        """What names it, for a message."""
        return f"`{self.variable}`" if self.variable else "the system's settings"


def proxy_for(url: str, env: Mapping[str, str] | None = None) -> Proxy | None:
    """Returns the proxy through which a server is reached; None if there is none.

    Args:
        url: of the server.
        env: the environment; None: this process's, and the system's settings on macOS and Windows.
    """
    parts = urlsplit(url)
    variables = os.environ if env is None else env
    known = getproxies() if env is None else {}
    for scheme in (parts.scheme, "all"):
        name = next((n for n in (f"{scheme}_proxy", f"{scheme}_proxy".upper()) if variables.get(n)), "")
        address = (variables[name] if name else known.get(scheme, "")).strip()
        if address:
            exempt = variables.get("no_proxy") or variables.get("NO_PROXY") or known.get("no", "")
            if _is_exempt(parts.hostname or "", parts.port, exempt):
                return None
            return Proxy(name, address if "://" in address else f"http://{address}")
    return None


def _is_exempt(host: str, port: int | None, exempt: str) -> bool:
    """Returns whether `NO_PROXY` names a host: as itself, as a domain above it, with its port, or as a network."""
    host = host.lower().rstrip(".")
    for entry in exempt.lower().split(","):
        name = entry.strip().partition("://")[2] or entry.strip()
        if name == "*":
            return True
        if port is not None and name.endswith(f":{port}") and name.count(":") == 1:
            name = name.removesuffix(f":{port}")
        name = name.strip("[]").removeprefix("*").removeprefix(".")
        if name and (host == name or host.endswith(f".{name}") or _in_network(host, name)):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    try:
        return "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def proxy_problem(proxy: Proxy, url: str) -> str | None:
    """Returns why no client can be made for a proxy, and the way out; None if one can."""
    shown, way_round = f"{proxy.name} names the proxy `{public_url(proxy.url)}`", _way_round(proxy, url)
    try:
        parts = urlsplit(proxy.url)
        good = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket or a port that cannot be
        return f"{shown}, which is not an address: correct it, or {way_round}."
    if parts.scheme not in _PORTS:
        return (
            f"{shown}, of a kind that is not known: give one that begins with `http://` or `socks5://`, "
            f"or {way_round}."
        )
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        return (
            f"{shown}, for which a package is missing: `pip install httpx[socks]` and restart the kernel, "
            f"or {way_round}."
        )
    return None if good else f"{shown}, which is not an address: correct it, or {way_round}."


def dead_proxy(proxy: Proxy, url: str, why: str) -> str:
    """Returns what to tell of a proxy to which there is no connection.

    Args:
        proxy: which one.
        url: of the server that was to be reached.
        why: what the system said.
    """
    return (
        f"the proxy `{public_url(proxy.url)}` that {proxy.name} names does not connect ({why}). Check that it runs "
        f"and takes connections to this server, or {_way_round(proxy, url)}."
    )


def _way_round(proxy: Proxy, url: str) -> str:
    host = urlsplit(url).hostname or ""
    variable = f"unset `{proxy.variable}`, or " if proxy.variable else ""
    return f"{variable}reach the server without a proxy: `NO_PROXY={host}`"


def certificate_problem(env: Mapping[str, str] | None = None) -> str | None:
    """Returns which variable names certificates that are not there, and the way out; None if all is well."""
    variables = os.environ if env is None else env
    for name, what in _CERTIFICATES:
        value = variables.get(name)
        if not value:
            continue
        path = Path(value)
        try:
            there = (
                path.is_file()
                if what == "file"
                else any(Path(one).is_dir() for one in value.split(os.pathsep))
            )
            if there and what == "file":
                path.open("rb").close()
        except (OSError, ValueError):
            there = False
        if not there:
            return _certificates_to_blame(name, what, value, "which is not there or cannot be read")
    return None


def unread_certificates(name: str, error: Exception) -> str:
    """Returns what to tell of certificates that cannot be loaded: a file that holds none."""
    return _certificates_to_blame(
        name, "file", os.environ.get(name, ""), f"which holds no certificates ({error})"
    )


def certificate_hint(env: Mapping[str, str] | None = None) -> str:
    """Returns the way out where a server's certificate is not trusted."""
    variables = os.environ if env is None else env
    if given := next((name for name, _ in _CERTIFICATES if variables.get(name)), None):
        return f"`{given}` says which authorities are trusted: check that it holds the one of this server."
    if other := next((name for name in _UNREAD if variables.get(name)), None):
        return f"`{other}` is not read here: set `SSL_CERT_FILE` to that file and restart the kernel."
    return (
        "If it has an authority of its own, set `SSL_CERT_FILE` to a file with that and restart the kernel."
    )


def _certificates_to_blame(name: str, what: str, value: str, why: str) -> str:
    return f"`{name}` names the {what} `{value[:200]}`, {why}: correct or unset it."


def problems(url: str) -> Iterator[str]:
    """Yields what of the environment is in the way of requests to a server; its proxy is tried.

    Args:
        url: of the server.
    """
    if (told := certificate_problem()) is not None:
        yield told
    proxy = proxy_for(url)
    if proxy is None:
        return
    if (told := proxy_problem(proxy, url)) is not None:
        yield told
        return
    parts = urlsplit(proxy.url)
    address = (parts.hostname or "", parts.port or _PORTS[parts.scheme.lower()])
    try:
        socket.create_connection(address, timeout=_TRY_SECONDS).close()
    except OSError as error:
        told = dead_proxy(proxy, url, error.strerror or str(error))
        yield told[:1].upper() + told[1:]
