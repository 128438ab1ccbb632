"""Which addresses are of this machine, told by their text alone: no name is looked up."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

_OLLAMA_PORT: Final = 11434


def is_loopback(url: str) -> bool:
    """Returns whether a URL stays on this machine: its host is `localhost`, below it, or a loopback address."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
        if host == "localhost" or host.endswith(".localhost"):
            return True
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_ollama(url: str | None) -> bool:
    """Returns whether a base URL is that of Ollama on this machine: its own port, and its OpenAI-compatible path."""
    if url is None or not is_loopback(url):
        return False
    parts = urlsplit(url)
    return parts.port == _OLLAMA_PORT and parts.path.rstrip("/") in ("", "/v1")


def origin(url: str) -> tuple[str, int | None]:
    """Returns what makes an address the same as another one: its host and port."""
    try:
        parts = urlsplit(url)
        return ("127.0.0.1" if is_loopback(url) else parts.hostname or "", parts.port)
    except ValueError:
        return (url, None)
