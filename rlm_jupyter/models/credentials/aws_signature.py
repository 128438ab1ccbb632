"""`AwsSignature`: requests to AWS signed (Signature Version 4) by `botocore`, with the credentials that it finds.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from rlm_jupyter.models.credentials.authorizer import Authorizer, CredentialsLackedError

_QUIET: Final = ContextVar("_QUIET", default=False)
_TELLING: Final = (
    *(
        "auth",
        "credentials",
        "endpoint",
        "hooks",
        "httpsession",
        "loaders",
        "parsers",
        "regions",
        "retryhandler",
    ),
    *("session", "tokens", "utils", "args", "client", "configprovider", "handlers"),
)
"""Loggers of `botocore`: at the level DEBUG some write session tokens, and replies that hold new credentials."""


class AwsSignature(Authorizer[Any]):
    """Signs requests with the credentials that `botocore` finds in its chain.

    The environment, profiles, roles, SSO, programs (`credential_process`), and the role of a container or of an
    instance, in the order of that library.

    Args:
        region: in which the service is asked.
        service: the name under which it signs.
    """

    title = "AWS credentials"
    hint = (
        "Set `AWS_PROFILE`, or `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; sign in anew (`aws sso login`); or set "
        "a Bedrock API key in `AWS_BEARER_TOKEN_BEDROCK`."
    )

    def __init__(self, region: str, service: str = "bedrock") -> None:
        super().__init__()
        self._region, self._service = region, service

    def _load(self) -> Any:
        from botocore.session import Session

        with _quiet(), _told():
            found = Session().get_credentials()
        if found is None:
            raise CredentialsLackedError("none were found.")
        return found

    def _authorize(
        self, source: Any, method: str, url: str, body: bytes
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        with _quiet(), _told():
            frozen = source.get_frozen_credentials()  # refreshes those that expire in some minutes
            request = AWSRequest(method, url, {"Content-Type": "application/json"}, body)
            SigV4Auth(frozen, self._service, self._region).add_auth(request)
        secrets = (frozen.access_key, frozen.secret_key, frozen.token)
        return dict(request.headers.items()), tuple(secret for secret in secrets if secret)


@contextmanager
def _told() -> Iterator[None]:
    """Make one error of all that the library raises.

    Raises:
        CredentialsLackedError: in the place of its own.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except (BotoCoreError, ClientError, RuntimeError, OSError, ValueError) as error:
        unreachable = isinstance(error, (HTTPClientError, ConnectionError))
        raise CredentialsLackedError(str(error), unreachable=unreachable) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep `botocore` from writing secrets into a log that somebody keeps at the level DEBUG."""
    for name in _TELLING:
        logger = logging.getLogger(f"botocore.{name}")
        if _is_told not in logger.filters:
            logger.addFilter(_is_told)
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


def _is_told(_record: logging.LogRecord) -> bool:
    """Whether a record is of somebody else's use of the library."""
    return not _QUIET.get()
