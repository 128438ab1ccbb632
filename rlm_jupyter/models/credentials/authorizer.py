"""`Authorizer`: headers that each request has of its own, from credentials that a cloud's own library keeps fresh."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable
from contextvars import ContextVar
from typing import Final, Generic, TypeVar

from rlm_jupyter.errors import AuthenticationError, ModelError, ProviderUnreachableError
from rlm_jupyter.models.openai.mask_keys import quote, sentence

Source = TypeVar("Source")

_KEPT_SECRETS: Final = 24
"""Of the last credentials: replies to requests that were signed with earlier ones may still come."""
_USED: Final[ContextVar[Hashable]] = ContextVar("_USED", default=None)
"""The credentials of the last request of this task."""


class CredentialsLackedError(Exception):
    """The library has no credentials; the message says why, and may hold what is secret.

    Args:
        said: by the library.
        unreachable: whether it had no connection to where they are issued.
    """

    def __init__(self, said: str, *, unreachable: bool = False) -> None:
        super().__init__(said)
        self.said, self.unreachable = said, unreachable


class Authorizer(ABC, Generic[Source]):
    """Makes the headers by which a cloud knows who asks. Safe from several threads.

    Nothing is loaded before the first request, and the library works on a thread: it may read files, start a program or
    ask a server.

    Attributes:
        title: what the credentials are called in errors.
        hint: what to do about missing ones, as a sentence.
    """

    title: str
    hint: str

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of what follows; never held for long, as loops take it
        self._work = threading.Lock()  # one request at a time asks the library
        self._source: Source | None = None
        self._sent: Hashable = None
        self._doubted = False
        self._secrets: deque[str] = deque(maxlen=_KEPT_SECRETS)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"  # never what it knows

    async def headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """Returns the headers for one request; expired credentials are refreshed first.

        Args:
            method: of HTTP.
            url: as it is sent, with its query.
            body: as it is sent.

        Raises:
            AuthenticationError: there are no credentials, or they cannot be refreshed.
            ProviderUnreachableError: there is no connection to where they are issued.
        """
        made = await asyncio.to_thread(self._made, method, url, body)
        if isinstance(made, ModelError):
            raise made  # here, where no exception of the library is its context: that may hold a secret
        headers, used = made
        _USED.set(used)
        return headers

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown: of the credentials that were used last."""
        with self._lock:
            return tuple(self._secrets)

    def accept(self) -> None:
        """Note that a server has taken the credentials."""
        self._doubted = False

    def reload(self) -> bool:
        """Drop the credentials with which this task's last request was refused; the next one finds others.

        Returns:
            Whether that request is worth being sent: False if those that were refused had been found anew, after
            others that were refused.
        """
        with self._lock:
            if _USED.get() != self._sent:  # another request has dropped them
                return True
            self._sent, self._source = None, None
            again, self._doubted = self._doubted, True
            return not again

    @abstractmethod
    def _load(self) -> Source:
        """Find the credentials.

        Raises:
            CredentialsLackedError: there are none.
        """

    @abstractmethod
    def _authorize(
        self, source: Source, method: str, url: str, body: bytes
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        """Returns the headers and what is secret of the credentials; one call at a time.

        Raises:
            CredentialsLackedError: they have expired, and cannot be refreshed.
        """

    def _made(
        self, method: str, url: str, body: bytes
    ) -> tuple[dict[str, str], tuple[str, ...]] | ModelError:
        with self._work:
            with self._lock:
                source = self._source
            try:
                source = self._load() if source is None else source
                headers, secrets = self._authorize(source, method, url, body)
            except CredentialsLackedError as error:
                with self._lock:
                    self._source = None
                return self._lacked(error)
            with self._lock:
                self._source, self._sent = source, secrets
                self._secrets.extend(secret for secret in secrets if secret not in self._secrets)
            return headers, secrets

    def _lacked(self, error: CredentialsLackedError) -> ModelError:
        said = sentence(quote(error.said, *self.secrets) or "the library did not say why")
        if error.unreachable:
            return ProviderUnreachableError(
                f"No connection to what issues the {self.title}: {said} {self.hint}"
            )
        return AuthenticationError(f"There are no {self.title} that can be used: {said} {self.hint}")
