"""The page at `/`: a question, the sources, the growing tree, the answer."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Final

from rlm_jupyter.web_server.checked_request import COOKIE, Request

_STATIC: Final = Path(__file__).parent / "static"
_KINDS: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


class BrowserPage(Request):
    """`GET /`, with the token in the address the first time: a cookie has it from then on, as with Jupyter."""

    def prepare(self) -> None:
        """Take a token of the address for a cookie, and go to the address without it."""
        token = self.get_query_argument("token", None)
        right_host = self.request.headers.get("Host", "").lower() in self.server.hosts
        if token is None or not right_host or not self.server.token_fits(token):
            super().prepare()
            return
        if not hmac.compare_digest((self.get_cookie(COOKIE) or "").encode(), self.server.session.encode()):
            self.set_cookie(COOKIE, self.server.session, httponly=True, samesite="Strict", path="/")
        self.redirect("/")

    def get(self) -> None:
        """Send the page."""
        self._send("page.html")

    def _send(self, name: str) -> None:
        self.set_header("Content-Type", f"{_KINDS[Path(name).suffix]}; charset=utf-8")
        self.finish((_STATIC / name).read_bytes())


class PagePart(BrowserPage):
    """The page's script and style."""

    def get(self, name: str) -> None:  # type: ignore[override]
        """Send one of them."""
        self._send(name)
