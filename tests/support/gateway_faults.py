"""A gateway on loopback that does what gateways should not: for tests of what is said and left then."""

import asyncio
import json
import threading
import time

import psutil
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler


class FaultyGateway:
    """Answers as `answers` says: (method, beginning of the path) → (status, body) or a function of the handler.

    Attributes:
        asked: method and path of each request, in order.
        headers: of the last request.
        sockets: how many websockets were opened.
        on_open: called with each websocket when it is open, on the server's loop.
    """

    def __init__(self, answers=(), on_open=lambda socket: socket.close()):
        self.answers = {
            ("POST", "/api/kernels"): (201, {"id": "k-1"}),
            ("GET", "/api/kernels/k-1"): (200, {"id": "k-1", "execution_state": "idle"}),
            ("DELETE", "/api/kernels/k-1"): (204, ""),
            **dict(answers),
        }
        self.on_open = on_open
        self.asked, self.headers, self.sockets = [], {}, 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(20)
        self.url = f"http://127.0.0.1:{self.port}"
        self.kernel = f"gateway:{self.url}/python3"

    async def _serve(self):
        gateway = self

        class Rest(RequestHandler):
            async def prepare(self):
                gateway.asked.append(f"{self.request.method} {self.request.path}")
                gateway.headers = dict(self.request.headers)
                status, body = 404, {"reason": "nothing here"}
                for (method, path), answer in gateway.answers.items():
                    if method == self.request.method and self.request.path.startswith(path):
                        status, body = (await answer(self)) if callable(answer) else answer
                self.set_status(status)
                if status != 204:
                    self.finish(body if isinstance(body, (str, bytes)) else json.dumps(body))
                else:
                    self.finish()

        class Channels(WebSocketHandler):
            def open(self):
                gateway.sockets += 1
                gateway.on_open(self)

            def on_message(self, message):
                pass

        sockets = bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        server = HTTPServer(Application([(r"/api/kernels/[^/]+/channels", Channels), (r".*", Rest)]))
        server.add_sockets(sockets)
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._end.wait()
        server.stop()
        await server.close_all_connections()

    def until(self, *asked, seconds=30):
        """Wait until each of these was asked for."""
        end = time.monotonic() + seconds
        while not all(one in self.asked for one in asked):
            assert time.monotonic() < end, self.asked
            time.sleep(0.02)

    async def left(self, seconds=20):
        """Close, wait until this process has no connection to it, and tell those that it has after that time."""
        await asyncio.to_thread(self.close)
        end = time.monotonic() + seconds
        while True:
            found = [
                c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr.port == self.port
            ]
            if not found or time.monotonic() > end:
                return found
            await asyncio.sleep(0.05)

    def close(self):
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)
