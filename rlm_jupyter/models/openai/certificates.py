"""The certificates that servers are checked with, loaded once: it takes longer than all else of a new client."""

from __future__ import annotations

import os
import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter import forks
from rlm_jupyter.models.openai import network_environment

if TYPE_CHECKING:
    import ssl

_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
_BEGINNING: Final = 1 << 16
_lock = threading.Lock()
_loaded: dict[tuple[str | None, ...], ssl.SSLContext] = {}


def certificates() -> ssl.SSLContext:
    """Returns the certificates of this process, as the environment names them.

    Raises:
        SetupError: those that the environment names cannot be loaded.
    """
    _refuse_missing()
    named = tuple(os.environ.get(name) for name in _VARIABLES)
    with _lock:
        if named not in _loaded:
            _loaded.clear()
            _loaded[named] = _load()
        return _loaded[named]


def check_named_certificates() -> None:
    """Look at the certificates that the environment names, without loading them: for a server without TLS.

    Raises:
        SetupError: they are not there, or are none.
    """
    _refuse_missing()
    if named := os.environ.get("SSL_CERT_FILE"):
        with Path(named).open("rb") as file:
            if b"-----BEGIN" not in file.read(_BEGINNING):
                error = ValueError("no `-----BEGIN` in it")
                told = network_environment.unread_certificates("SSL_CERT_FILE", error)
                raise network_environment.SetupError(told)


def _refuse_missing() -> None:
    """Raise SetupError if the environment names certificates that are not there."""
    if (problem := network_environment.certificate_problem()) is not None:
        raise network_environment.SetupError(problem)


def _load() -> ssl.SSLContext:
    try:
        context: ssl.SSLContext = http_library().create_ssl_context()
    except OSError as error:  # `ssl.SSLError` is one
        name = next((name for name in ("SSL_CERT_FILE", "SSLKEYLOGFILE") if os.environ.get(name)), None)
        if name is None:
            raise
        raise network_environment.SetupError(network_environment.unread_certificates(name, error)) from None
    return context


def http_library() -> Any:
    """Returns the library that the SDK stands on, whose choice of certificates holds: httpx2 for openai 3, or httpx."""
    name = "httpx2" if "httpx2" in sys.modules or find_spec("httpx2") is not None else "httpx"
    return import_module(name)


forks.call_in_child(lambda: forks.release(_lock))
