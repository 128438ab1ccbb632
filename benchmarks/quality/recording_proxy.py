"""A proxy on loopback between a harness and the server: it counts for all harnesses alike, and keeps the key.

Harnesses count differently, or not at all, and some run a model's code in their own process: they are given the
proxy's address and no key.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks.quality.exchange import Exchange, text_of_content

_NOT_FORWARDED = {
    *("host", "authorization", "content-length", "connection", "accept-encoding", "transfer-encoding"),
    *("keep-alive", "proxy-authorization", "te", "trailer", "upgrade"),
}
_CHAT = "/chat/completions"
_PIECE, _MOST_OF_ERROR = 1 << 16, 1 << 24
_SHORTEST_KEY = 8
"""Characters; local servers take any word, such as `none`, which may stand in a text."""
_SETTLE_SECONDS, _END_SECONDS = 0.5, 10.0
_REPLY_FIELDS = ("max_tokens", "max_completion_tokens")


class Recording:
    """The exchanges of one run."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._open: set[http.client.HTTPConnection] = set()
        self._in_flight = 0
        self._changed = threading.Condition()

    @contextmanager
    def exchange(self, exchange: Exchange | None) -> Iterator[None]:
        """Record an exchange when it is over; None: a request of another kind."""
        with self._changed:
            self._in_flight += 1
        began = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                if exchange is not None:
                    exchange.seconds = time.monotonic() - began
                    self.exchanges.append(exchange)
                self._changed.notify_all()

    @contextmanager
    def connected(self, connection: http.client.HTTPConnection) -> Iterator[None]:
        """Keep a connection to the server in view, to close it with the run."""
        with self._changed:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._changed:
                self._open.discard(connection)
            connection.close()

    def end(self) -> list[Exchange]:
        """Close what is open, for a server stops working when its client has gone; returns all exchanges."""
        end = time.monotonic() + _END_SECONDS
        with self._changed:
            # The client has its reply before the exchange is recorded.
            self._changed.wait_for(lambda: not self._in_flight, _SETTLE_SECONDS)
            for connection in self._open:
                if connection.sock is not None:
                    with suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._in_flight, end - time.monotonic())
            return list(self.exchanges)


class RecordingProxy:
    """The proxy, as a context manager.

    Args:
        base_url: of the OpenAI-compatible server.
        api_key: that the server is sent.
        reply_tokens: that a reply may have; a harness may ask for less.
        reply_field: in which the server is told that. Clients differ, and servers ignore a name they do not know.
    """

    def __init__(
        self, base_url: str, api_key: str, reply_tokens: int | None = None, reply_field: str = "max_tokens"
    ) -> None:
        self._reply_tokens, self._reply_field = reply_tokens, reply_field
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"`{base_url}` is not the URL of a server, such as `http://127.0.0.1:8080/v1`.")
        self._https, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self.authorization = f"Bearer {api_key}"
        self._key = api_key.encode() if len(api_key) >= _SHORTEST_KEY else None
        self.recording = Recording()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.recording.end()
        self._server.shutdown()
        self._server.disconnect()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The base URL to give to a harness."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{self._path}"

    def record(self) -> Recording:
        """Begin the recording of a run, and end the one before it."""
        self.recording.end()
        self.recording = Recording()
        return self.recording

    def limited(self, request: dict[str, Any]) -> bytes:
        """Returns the body of a chat request whose reply has no more tokens than all harnesses may have."""
        asked = [request.pop(name) for name in _REPLY_FIELDS if name in request]
        limits = [number for number in (*asked, self._reply_tokens) if isinstance(number, int)]
        if limits:
            request[self._reply_field] = min(limits)
        return json.dumps(request).encode()

    def without_key(self, body: bytes) -> bytes:
        """Returns a body without the key."""
        return body if self._key is None else body.replace(self._key, b"***")

    def connect(self) -> http.client.HTTPConnection:
        """Returns a new connection to the server."""
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        return kind(self._host, self._port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: RecordingProxy) -> None:
        self.proxy = proxy
        self._clients: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Keep the connection of a harness in view, too: it may stay open for a next request."""
        self._clients.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection."""
        self._clients.discard(request)
        super().shutdown_request(request)

    def disconnect(self) -> None:
        """Close the connections of harnesses, so that their threads end."""
        for client in list(self._clients):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: object) -> None:
        """A harness that went away is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Forward."""
        self._forward(b"")

    def do_POST(self) -> None:
        """Forward, and record if it is a chat request."""
        self._forward(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _forward(self, body: bytes) -> None:
        proxy, recording = self.server.proxy, self.server.proxy.recording
        request = _chat_request(body) if self.path.partition("?")[0].endswith(_CHAT) else None
        exchange = None if request is None else _exchange(request)
        body = body if request is None else proxy.limited(request)
        received = bytearray()
        connection = proxy.connect()
        with recording.exchange(exchange), recording.connected(connection):
            try:
                connection.connect()
                connection.request(self.command, self.path, body or None, self._headers())
                with connection.getresponse() as response:
                    self._answer(response, exchange, received)
            except (OSError, http.client.HTTPException) as error:
                self._fail(exchange, error)
            finally:
                if exchange is not None:
                    read_reply(bytes(received), exchange)

    def _headers(self) -> dict[str, str]:
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_FORWARDED}
        return {**kept, "Authorization": self.server.proxy.authorization}

    def _answer(
        self, response: http.client.HTTPResponse, exchange: Exchange | None, received: bytearray
    ) -> None:
        if exchange is not None:
            exchange.status = response.status
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _NOT_FORWARDED:
                self.send_header(name, value)
        # In chunks: if the server breaks off, the end is missing, and the harness sees that.
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        # Servers quote a key that they refuse. A reply is passed on as it comes: no model knows the key.
        refused = response.status >= http.client.BAD_REQUEST
        while piece := response.read(_MOST_OF_ERROR) if refused else response.read1(_PIECE):
            piece = self.server.proxy.without_key(piece) if refused else piece
            received += piece
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        if response.length:
            raise http.client.IncompleteRead(bytes(received), response.length)
        self.wfile.write(b"0\r\n\r\n")

    def _fail(self, exchange: Exchange | None, error: Exception) -> None:
        self.close_connection = True
        answered = exchange is not None and exchange.status
        if exchange is not None:
            exchange.error = f"{type(error).__name__}: {error}"
        if not answered:
            with suppress(OSError):
                self.send_error(502, "The server cannot be reached")


def _chat_request(body: bytes) -> dict[str, Any] | None:
    with suppress(ValueError):
        request = json.loads(body)
        if isinstance(request, dict) and isinstance(request.get("messages"), list):
            return request
    return None


def _exchange(request: dict[str, Any]) -> Exchange:
    messages = [message for message in request["messages"] if isinstance(message, dict)]
    return Exchange(
        [{"role": str(one.get("role")), "content": text_of_content(one.get("content"))} for one in messages]
    )


def read_reply(body: bytes, exchange: Exchange) -> None:
    """Read text and tokens out of a reply, streamed or not, as far as they came."""
    text = body.decode("utf-8", "replace")
    if text.lstrip().startswith(("data:", "event:", ":")):
        payloads = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    else:
        payloads = [text]
    for payload in payloads:
        with suppress(ValueError, KeyError, TypeError, AttributeError, IndexError):
            _read_piece(json.loads(payload), exchange)
    if exchange.status >= http.client.BAD_REQUEST:
        exchange.error = f"HTTP {exchange.status}: {text[:500]}"


def _read_piece(piece: dict[str, Any], exchange: Exchange) -> None:
    if usage := piece.get("usage"):
        exchange.prompt_tokens = usage.get("prompt_tokens")
        exchange.completion_tokens = usage.get("completion_tokens")
    for choice in piece.get("choices") or ():
        message = choice.get("message") or choice.get("delta") or {}
        exchange.reply += text_of_content(message.get("content"))
