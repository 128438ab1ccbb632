"""Tells which values of an environment are secrets, by their names and by what stands in URLs."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator, Mapping

_NAMES = re.compile(
    r"KEY|TOKEN|SECRET|PASS(?!AGE|IVE)|PWD|CREDENTIAL|AUTH(?!OR)|WEBHOOK|PRIVATE|COOKIE|DSN|(?<![A-Z])(?:SK|PAT)(?![A-Z])",
    re.IGNORECASE,
)
_NO_SECRETS = frozenset({"PWD", "OLDPWD"})
_PASSWORD = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")


def secrets_in(environment: Mapping[str, str]) -> Iterator[str]:
    """Give the values whose names say that they are secret, and the passwords in URLs.

    Args:
        environment: names and values.
    """
    for name, value in environment.items():
        # A path, such as that of a socket or of a file of keys, is a place and no secret.
        if _NAMES.search(name) and name not in _NO_SECRETS and not value.startswith("/"):
            yield value
        for password in _PASSWORD.findall(value):
            yield password
            yield urllib.parse.unquote(password)
