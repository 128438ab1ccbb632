"""What all requests have in common: who may ask, how much they may send, and how refusals are told."""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import tornado.web

from rlm_jupyter.errors import ConfigError, ContextError, RLMError
from rlm_jupyter.mcp_server.hidden_paths import without_any_path, without_paths
from rlm_jupyter.mcp_server.refusals import RequestRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlm_jupyter.web_server.named_sources import HandedFiles, NamedSources
    from rlm_jupyter.web_server.served_runs import ServedRuns

COOKIE: Final = "rlm_jupyter_session"
_CHANGES: Final = frozenset({"POST", "PUT", "DELETE", "PATCH"})
_DEEPEST: Final = 40
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


@dataclass
class Server:
    """What handlers share.

    Attributes:
        sources: that the command line names.
        files: that requests hand over.
        runs: all runs.
        tokens: of clients, by what they are called.
        hosts: values of `Host` that are this server's.
        session: the value of the cookie of a browser that came with the token.
        model: what the model is called in OpenAI's protocol.
    """

    sources: NamedSources
    files: HandedFiles
    runs: ServedRuns
    tokens: Mapping[str, str]
    hosts: frozenset[str] = frozenset()
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    model: str = "rlm"

    def token_fits(self, given: str) -> bool:
        """Returns whether it is one of the tokens. All are compared, in the same time."""
        found = False
        for token in self.tokens.values():
            found |= hmac.compare_digest(given.encode(), token.encode())
        return found


class Request(tornado.web.RequestHandler):
    """A request of somebody who has the token."""

    def initialize(self, server: Server) -> None:
        """Take over what handlers share."""
        self.server = server

    def set_default_headers(self) -> None:
        """Nothing is kept, guessed or framed by a browser."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.clear_header("Server")

    def prepare(self) -> None:
        """Refuse who has no token, and requests that another site's page makes a browser send."""
        if self.request.headers.get("Host", "").lower() not in self.server.hosts:
            self.refuse(403, "This server is reached by 127.0.0.1 or localhost only.")
            return
        origin = self.request.headers.get("Origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self.server.hosts}:
            self.refuse(403, "Requests of other sites' pages are not served.")
            return
        if not self._allowed(origin):
            self.set_header("WWW-Authenticate", "Bearer")
            self.refuse(401, "A token is needed: `Authorization: Bearer TOKEN`.")

    def _allowed(self, origin: str | None) -> bool:
        given = self.request.headers.get_list("Authorization")
        if given:
            kind, _, token = given[0].partition(" ")
            return len(given) == 1 and kind.lower() == "bearer" and self.server.token_fits(token.strip())
        cookie = self.get_cookie(COOKIE) or ""
        if not hmac.compare_digest(cookie.encode(), self.server.session.encode()):
            return False
        # A browser tells the origin of what changes something; one that does not is not one of today's.
        return self.request.method not in _CHANGES or origin is not None

    def body(self) -> dict[str, Any]:
        """Returns the JSON object of the request.

        Raises:
            RequestRefusedError: it is none.
        """
        try:
            found = json.loads(self.request.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or _too_deep(found):
            raise RequestRefusedError("The body of the request is a JSON object.")
        return found

    def tell(self, told: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(told, allow_nan=False))

    def refuse(self, status: int, message: str) -> None:
        """Answer with why not."""
        self.tell({"error": {"message": message, "type": "request_refused", "code": status}}, status)

    def write_error(self, status_code: int, **told: Any) -> None:
        """Tell what went wrong, without a path or a traceback."""
        error = told["exc_info"][1] if "exc_info" in told else None
        if isinstance(error, RequestRefusedError):
            missing = error.message.startswith("There is no such")
            self.refuse(429 if error.reason == "busy" else 404 if missing else 400, error.message)
        elif isinstance(error, RLMError):
            message = str(without_paths(error.message, self.server.sources.spelled))
            wrong = isinstance(error, (ConfigError, ContextError))
            self.refuse(400 if wrong else 500, without_any_path(f"{type(error).__name__}: {message}"))
        else:
            self.refuse(status_code, HTTPStatus(status_code).phrase)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what is nobody's mistake."""
        if not isinstance(value, RLMError):
            super().log_exception(typ, value, tb)


class NoSuchPath(Request):
    """All that is not served."""

    def prepare(self) -> None:
        """Refuse, first by who asks."""
        super().prepare()
        if not self._finished:
            self.refuse(404, "There is nothing here.")


def _too_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(_DEEPEST):
        level = [
            item
            for part in level
            if isinstance(part, (dict, list))
            for item in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return False
    return True
