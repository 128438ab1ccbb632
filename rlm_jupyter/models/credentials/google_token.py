"""`GoogleToken`: access tokens of Google's cloud, by `google-auth` from the application default credentials.

https://cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from rlm_jupyter.models.credentials.authorizer import Authorizer, CredentialsLackedError

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_BEARER: Final = "Bearer "


class GoogleToken(Authorizer[Any]):
    """Sends access tokens from the credentials that `google-auth` finds.

    The file that `GOOGLE_APPLICATION_CREDENTIALS` names, those of `gcloud auth application-default login`, and the
    account of the machine, in the order of that library.
    """

    title = "Google Cloud credentials"
    hint = (
        "Sign in (`gcloud auth application-default login`), name a file of credentials in "
        "`GOOGLE_APPLICATION_CREDENTIALS`, or take an API key of the express mode (`GOOGLE_API_KEY`, without "
        "`GOOGLE_CLOUD_PROJECT`)."
    )

    def _load(self) -> Any:
        import google.auth

        with _told():
            found, _ = google.auth.default(scopes=[_SCOPE])
        return found

    def _authorize(
        self, source: Any, _method: str, _url: str, _body: bytes
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        from google.auth.transport.requests import Request

        with _told():
            if not source.valid:  # some minutes before it expires
                source.refresh(Request())
            given: dict[str, str] = {}
            source.apply(given)  # with the project to which the request counts, if the credentials name one
        headers = {
            ("Authorization" if name.lower() == "authorization" else name): value
            for name, value in given.items()
        }
        return headers, (headers.get("Authorization", "").removeprefix(_BEARER),)


@contextmanager
def _told() -> Iterator[None]:
    """Make one error of all that the library raises.

    Raises:
        CredentialsLackedError: in the place of its own.
    """
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except (GoogleAuthError, OSError, ValueError) as error:
        # What follows the message is the whole answer, which may hold more than is to be shown.
        said = str(error.args[0]) if error.args else type(error).__name__
        raise CredentialsLackedError(said, unreachable=isinstance(error, TransportError)) from None
