"""How a gateway is reached: its URL, and the variables of the environment that Jupyter has for that.

All of them are read and tried before anything is sent, so that what is wrong is said of the variable, and not taken
for a gateway that does not answer. No message holds a value: tokens, headers and paths may be secrets.
"""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rlm_jupyter.errors import KernelStartError

SCHEME = "gateway:"
PREFIX = "JUPYTER_GATEWAY_"
_YES, _NO = frozenset({"", "1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
# https://www.rfc-editor.org/rfc/rfc9110#section-5: names are tokens, values visible characters, blanks and tabs
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True)
class Access:
    """What every request to a gateway carries.

    Attributes:
        headers: of HTTP.
        tls: for `https` and `wss`; None for `http` and `ws`.
    """

    headers: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext | None = None

    @classmethod
    def read(cls, *, secure: bool) -> Access:
        """Read the environment.

        Args:
            secure: whether the gateway's URL is one of `https`.

        Raises:
            KernelStartError: a variable is malformed; the message names it.
        """
        return cls(_headers(), _tls() if secure else None)

    def request(self, url: str, **options: Any) -> Any:
        """Make a request of tornado's; it is not sent elsewhere, where the token would go along.

        Args:
            url: of HTTP or of a websocket.
            options: as of `tornado.httpclient.HTTPRequest`.
        """
        from tornado.httpclient import HTTPRequest

        return HTTPRequest(
            url, headers=dict(self.headers), ssl_options=self.tls, follow_redirects=False, **options
        )

    def without_secrets(self, text: str) -> str:
        """Take what the headers hold out of a text that the gateway wrote."""
        for value in self.headers.values():
            for part in [*value.split(), value]:  # words first: `token` says what the secret is
                if len(part) > 5:  # noqa: PLR2004 - shorter ones are words, not secrets
                    text = text.replace(part, "«redacted»")
        return text


def read_place(name: str) -> tuple[str, str]:
    """Split `gateway:URL/KERNELSPEC` into the URL without a slash at its end, and the kernelspec.

    Raises:
        KernelStartError: that is not a URL of a gateway, or it holds a secret.
    """
    rest = name.removeprefix(SCHEME)
    own = "://" in rest
    if own:
        url, _, spec = rest.rpartition("/")
    else:
        url, spec = os.environ.get(f"{PREFIX}URL", "").strip().rstrip("/"), rest
    place = _split(url)
    if place is None and not own and url:
        raise _malformed("URL", "is not a URL such as `http://HOST:PORT`")
    if place is None:
        raise KernelStartError(
            f"`{_public(name)}` names no kernel of a gateway. Write "
            "`gateway:http://HOST:PORT/KERNELSPEC`, or set `JUPYTER_GATEWAY_URL` and write `gateway:KERNELSPEC`."
        )
    if place.username or place.password or "?" in rest or place.query or place.fragment:
        raise KernelStartError(
            "The URL of a gateway is kept in logs, so it may hold no password or token. Set the token as "
            "`JUPYTER_GATEWAY_AUTH_TOKEN` in the environment."
        )
    return url, spec


def shown_place(url: str) -> str:
    """Returns where a gateway is: its host and port alone."""
    place = urlsplit(url)
    return f"`{place.hostname}:{place.port or place.scheme}`"


def _split(url: str) -> SplitResult | None:
    """Take a URL apart; None if it is none, or leads to no host."""
    try:
        place = urlsplit(url)
        port = place.port
    except ValueError:
        return None
    printable = url.isprintable() and " " not in url
    good = place.scheme in {"http", "https"} and bool(place.hostname) and port != 0
    return place if good and printable else None


def _public(name: str) -> str:
    return name.partition("?")[0].rpartition("@")[2]


def _variable(name: str) -> str:
    return os.environ.get(f"{PREFIX}{name}", "").strip()


def _malformed(name: str, why: str) -> KernelStartError:
    return KernelStartError(
        f"The variable `{PREFIX}{name}` of the environment {why}. Correct it, or remove it (`%env`, `os.environ`)."
    )


def _headers() -> dict[str, str]:
    headers = _own_headers()
    token, scheme = _variable("AUTH_TOKEN"), _variable("AUTH_SCHEME")
    if not _VALUE.fullmatch(token):
        raise _malformed(
            "AUTH_TOKEN", "holds characters that no HTTP header may have, such as the end of a line"
        )
    if scheme and not _NAME.fullmatch(scheme):
        raise _malformed("AUTH_SCHEME", "is not one word such as `token` or `Bearer`")
    if token:
        headers["Authorization"] = f"{scheme or 'token'} {token}"
    return headers


def _own_headers() -> dict[str, str]:
    text = _variable("HEADERS")
    if not text:
        return {}
    example = '`{"X-Name": "value"}`'
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" (at character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        raise _malformed("HEADERS", f"is not JSON{where}, such as {example}") from None
    if not isinstance(found, dict):
        raise _malformed("HEADERS", f"is not a JSON object of names and texts, such as {example}")
    for name, value in found.items():
        if not _NAME.fullmatch(name):
            raise _malformed(
                "HEADERS", f"has a name that no HTTP header may have; it is to be like {example}"
            )
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise _malformed(
                "HEADERS", f"has no text, or one of several lines, for `{name}`; {example} is right"
            )
    return dict(found)


def _tls() -> ssl.SSLContext:
    checked = _variable("VALIDATE_CERT").lower()
    if checked not in _YES | _NO:
        raise _malformed("VALIDATE_CERT", "is neither `true` nor `false`")
    authorities = _file("CA_CERTS")
    try:
        context = ssl.create_default_context(cafile=authorities)
    except (OSError, ValueError):
        raise _malformed("CA_CERTS", "names a file that holds no certificates in PEM") from None
    if checked in _NO:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate, key = _file("CLIENT_CERT"), _file("CLIENT_KEY")
    if key is not None and certificate is None:
        raise _malformed("CLIENT_KEY", f"is set, and `{PREFIX}CLIENT_CERT` is not")
    if certificate is not None:
        _add_certificate(context, certificate, key)
    return context


def _add_certificate(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    def no_password() -> str:  # else OpenSSL asks for one at the terminal, and waits
        raise ValueError("the key has a password")

    try:
        context.load_cert_chain(certificate, key, no_password)
    except (OSError, ValueError):
        which = "CLIENT_CERT" if key is None else "CLIENT_KEY"
        raise _malformed(
            which,
            f"and `{PREFIX}CLIENT_CERT` do not hold a certificate and its key in PEM, without a password",
        ) from None


def _file(name: str) -> str | None:
    """Returns the path in a variable, of a file that can be read; None where the variable is not set."""
    path = _variable(name)
    if not path:
        return None
    try:
        with Path(path).open("rb"):
            return path
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not a path"
        raise _malformed(name, f"names a file that cannot be read ({why})") from None
