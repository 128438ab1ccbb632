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
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks.quality.exchange import Exchange, text_of_content

_NOT_FORWARDED = {
    *("host", "authorization", "content-length", "connection", "accept-encoding", "transfer-encoding"),
    *("keep-alive", "proxy-authorization", "te", "trailer", "upgrade"),
}
_CHAT = "/chat/completions"
_PIECE = 1 << 16


class Recording:
    """The exchanges of one run."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._open: set[http.client.HTTPConnection] = set()
        self._ended = False
        self._lock = threading.Lock()

    def add(self, exchange: Exchange) -> None:
        """Append an exchange, unless the run has ended."""
        with self._lock:
            if not self._ended:
                self.exchanges.append(exchange)

    def opened(self, connection: http.client.HTTPConnection) -> None:
        """Remember a connection to the server, to close it with the run."""
        with self._lock:
            self._open.add(connection)

    def closed(self, connection: http.client.HTTPConnection) -> None:
        """Forget a connection."""
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def end(self) -> None:
        """Close what is open: a server stops working on a request whose client has gone."""
        with self._lock:
            self._ended = True
            for connection in self._open:
                if connection.sock is not None:
                    with suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)


class RecordingProxy:
    """The proxy, as a context manager.

    Args:
        base_url: of the OpenAI-compatible server.
        api_key: that the server is sent.
    """

    def __init__(self, base_url: str, api_key: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"`{base_url}` is not the URL of a server, such as `http://127.0.0.1:8080/v1`.")
        self._https, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self.authorization = f"Bearer {api_key}"
        self.recording = Recording()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.recording.end()
        self._server.shutdown()
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

    def connect(self) -> http.client.HTTPConnection:
        """Returns a new connection to the server."""
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        return kind(self._host, self._port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: RecordingProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

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
        recording = self.server.proxy.recording
        exchange = _exchange(body) if self.path.partition("?")[0].endswith(_CHAT) else None
        began = time.monotonic()
        connection = self.server.proxy.connect()
        received = bytearray()
        try:
            connection.connect()
            recording.opened(connection)
            connection.request(self.command, self.path, body or None, self._headers())
            self._answer(connection.getresponse(), exchange, received)
        except (OSError, http.client.HTTPException) as error:
            self._fail(exchange, error)
        finally:
            recording.closed(connection)
            if exchange is not None:
                exchange.seconds = time.monotonic() - began
                read_reply(bytes(received), exchange)
                recording.add(exchange)

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
        while piece := response.read1(_PIECE):
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


def _exchange(body: bytes) -> Exchange | None:
    try:
        request = json.loads(body)
        return Exchange(
            [
                {"role": str(message.get("role")), "content": text_of_content(message.get("content"))}
                for message in request["messages"]
            ]
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


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
    if exchange.status >= http.client.BAD_REQUEST and exchange.error is None:
        exchange.error = f"HTTP {exchange.status}: {text[:500]}"


def _read_piece(piece: dict[str, Any], exchange: Exchange) -> None:
    if usage := piece.get("usage"):
        exchange.prompt_tokens = usage.get("prompt_tokens")
        exchange.completion_tokens = usage.get("completion_tokens")
    for choice in piece.get("choices") or ():
        message = choice.get("message") or choice.get("delta") or {}
        exchange.reply += text_of_content(message.get("content"))
