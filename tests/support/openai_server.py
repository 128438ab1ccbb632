"""A real HTTP server on loopback that speaks OpenAI's chat completions, from a script, with faults on demand.

It counts requests and tokens for itself, so that what an engine claims to have spent can be checked::

    with OpenAIServer([fault("rate_limit", retry_after=0.1), "first reply", Reply("second", usage=None)]) as server:
        model = OpenAIChat("test-model", base_url=server.url, api_key="sk-test-0123456789")
        ...
        assert server.calls == 3

The script is a list, handed out in order, or a function of the request's JSON. Each entry is a text, a `Reply`,
or a `fault(name)`; see `FAULTS` for the names. A script that is exhausted answers 400 and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from openai_faults import AUTO, FAULTS, HTML, Reply, chunk, error, events, fault, raw, whole

__all__ = ["FAULTS", "OpenAIServer", "Reply", "chunk", "error", "events", "fault", "raw", "whole"]


@dataclass
class Received:
    """One request as it came in: its JSON, its headers (lower case; `:path` too), and when it came (monotonic seconds)."""

    json: dict[str, Any]
    headers: dict[str, str]
    at: float


Answer = str | Reply
Script = Sequence[Answer] | Callable[[dict[str, Any]], Answer]


def bytes_by_4(text: str) -> int:
    """Count tokens the way this server does: a quarter of the bytes, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // 4)


class OpenAIServer:
    """The server. Use it as a context manager, or `start()` and `close()`.

    Attributes:
        received: every chat request, in order of arrival.
        calls, prompt_tokens, completion_tokens: the server's own count; tokens only of replies it began to send.
        in_flight, peak: requests being worked on now, and the most there ever were.
        aborted: requests whose client went away before the reply was sent.
        together: answer nobody until that many requests are in flight at once; then it is 0 again.
        props: what `/props` answers, as llama.cpp tells of itself: JSON, a `Reply`, or None for "not found".
        props_asked: how often it was asked for them.
        owner: what it writes as the owner of its models, as llama.cpp's server does.
        refuse: names of request fields that this server answers with 400, as old servers do.
        path: where it takes requests.
        pages: JSON of paths besides, such as llama.cpp's `/props`; `read_pages` has those that were asked for.
    """

    path = "/chat/completions"

    def __init__(
        self,
        script: Script = (),
        *,
        latency: float = 0.0,
        models: Sequence[str] = ("test-model", "test-model-mini"),
        refuse: Sequence[str] = (),
        tokens: Callable[[str], int] = bytes_by_4,
    ) -> None:
        self.script: Script = script
        self.pages: dict[str, Any] = {}
        self.read_pages: list[str] = []
        self.latency = latency
        self.models = list(models)
        self.refuse = set(refuse)
        self.tokens = tokens
        self.received: list[Received] = []
        self.calls = self.prompt_tokens = self.completion_tokens = 0
        self.together = 0
        self.owner = ""
        self.props: Any = None
        self.props_asked = 0
        self.in_flight = self.peak = self.aborted = self.connections = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="openai-server", daemon=True)
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._given = 0

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The JSON of every chat request."""
        return [received.json for received in self.received]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Self:
        """Listen on a free port of the loopback."""
        self._thread.start()
        self._ready.wait(60)
        return self

    def close(self) -> None:
        """Drop all connections and end the thread."""
        if self._thread.is_alive():
            assert self._stop is not None
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(60)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        open_now: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            open_now.add(task)
            self.connections += 1
            try:
                await self._connection(reader, writer)
            except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                open_now.discard(task)
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

        server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(open_now):
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)
        await server.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        early: bytes | None = b""
        while early is not None:
            head = early + await reader.readuntil(b"\r\n\r\n")
            early = b""
            first, *lines = head.decode("latin-1").rstrip().split("\r\n")
            method, path, _ = first.split(" ", 2)
            headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            if method == "GET" and path in self.pages:
                self.read_pages.append(path)
                await _send(writer, 200, self.pages[path])
            elif method == "GET" and path.endswith("/models"):
                owner = {"owned_by": self.owner} if self.owner else {}
                data = [{"id": m, "object": "model", **owner} for m in self.models]
                await _send(writer, 200, {"object": "list", "data": data})
            elif method == "GET" and path == "/props" and self.props is not None:
                self.props_asked += 1
                if not isinstance(self.props, Reply):
                    await _send(writer, 200, self.props)
                elif self.props.mode == "hang":
                    await asyncio.sleep(3600)
                else:
                    await _send(writer, self.props.status, self.props.body, self.props.headers)
            elif method == "POST" and path.endswith(self.path):
                own = {":path": path, ":sha256": hashlib.sha256(body).hexdigest()}
                early = await self._watched(json.loads(body), {**headers, **own}, reader, writer)
            else:
                await _send(writer, 404, {"detail": "Not Found"})

    async def _watched(
        self, request: dict[str, Any], headers: dict[str, str], reader, writer
    ) -> bytes | None:
        """Answer, unless the client goes away first.

        Gives the first byte of the next request where it is here already, and None when the connection is done with.
        """
        self.received.append(Received(request, headers, time.monotonic()))
        self.calls += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        answer = asyncio.ensure_future(self._answer(request, headers, writer))
        early = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({answer, early}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                self.aborted += 1
                return None
            usable = answer.result()
        finally:
            self.in_flight -= 1
            answer.cancel()
            early.cancel()
            _, first = await asyncio.gather(answer, early, return_exceptions=True)
        if not usable or first == b"" or isinstance(first, ConnectionError):
            return None
        return first if isinstance(first, bytes) else b""

    def _next(self, request: dict[str, Any]) -> Reply:
        refused = self.refuse & set(request)
        if "stream" in refused and not request["stream"]:
            refused.discard("stream")
        if refused:
            name = max(refused, key=len)
            return error(
                400, f"Unsupported parameter: '{name}' is not supported.", "unsupported_parameter", param=name
            )
        if callable(self.script):
            answer = self.script(request)
        elif self._given < len(self.script):
            answer = self.script[self._given]
            self._given += 1
        else:
            return error(400, f"the script of {len(self.script)} replies is exhausted")
        return Reply(answer) if isinstance(answer, str) else answer

    async def _answer(
        self, request: dict[str, Any], headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> bool:
        reply = self._next(request)
        while self.in_flight < self.together:
            await asyncio.sleep(0.002)
        self.together = 0
        await asyncio.sleep(self.latency if reply.latency is None else reply.latency)
        if reply.mode == "hang":
            await asyncio.sleep(3600)
        if reply.mode == "reset":
            writer.transport.abort()
            return False
        if reply.mode == "raw":
            kind = reply.message["kind"]
            head = _head(reply.status, kind or "", {"Content-Length": str(len(reply.body)), **reply.headers})
            writer.write((head if kind else head.replace(b"Content-Type: \r\n", b"")) + reply.body)
            await writer.drain()
            return True
        if reply.mode == "endless":
            writer.write(_head(reply.status, "text/plain", {"Connection": "close"}))
            while not writer.is_closing():  # until the client goes away
                writer.write(reply.body.encode() * 1000)
                await writer.drain()
            return False
        if reply.status != 200:
            key = headers.get("authorization", "").removeprefix("Bearer ")
            body = json.loads(json.dumps(reply.body).replace("{key}", key))
            await _send(writer, reply.status, body, reply.headers)
            return True
        return await self._reply(request, self._billed(request, reply), writer)

    def _billed(self, request: dict[str, Any], reply: Reply) -> Reply:
        prompt = sum(self.tokens(str(message["content"])) for message in request["messages"])
        most = request.get("max_completion_tokens") or request.get("max_tokens")
        completion = self.tokens(reply.text or "")
        if most is not None and completion > most:
            text = (reply.text or "").encode()[: most * 4].decode("utf-8", "ignore")
            reply, completion = replace(reply, text=text, finish="length"), self.tokens(text)
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        if reply.usage == AUTO:
            total = prompt + completion
            usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
            reply = replace(reply, usage=usage)
        return reply

    async def _reply(self, request: dict[str, Any], reply: Reply, writer: asyncio.StreamWriter) -> bool:
        unusable = {
            "malformed_json": '{"id": "chatcmpl-1", "choices": [{"mess',
            "html_200": HTML,
            "error_200": {"error": {"message": "upstream failed", "code": 502}, **reply.extra},
            "empty_choices": {**_frame("chat.completion", request), "choices": [], "usage": reply.usage},
        }
        if reply.mode in unusable:
            await _send(writer, 200, unusable[reply.mode])
            return True
        if reply.mode == "duplicated":
            # At once, so that both are read together: bytes that the client has not asked for.
            both = _Held()
            for _ in range(2):
                await self._reply(request, replace(reply, mode=Reply.mode), both)  # type: ignore[arg-type]
            writer.write(bytes(both.data))
            await writer.drain()
            return True
        if request.get("stream"):
            return await self._stream(request, reply, writer)
        message = {"role": "assistant", "content": reply.text, **reply.message}
        whole = {
            **_frame("chat.completion", request),
            "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
            **({} if reply.usage is None else {"usage": reply.usage}),
            **reply.extra,
        }
        if reply.mode in ("reset_mid_body", "truncated", "error_event", "late_hang"):
            data = json.dumps(whole).encode()
            writer.write(
                _head(200, "application/json", {"Content-Length": str(len(data))}) + data[: len(data) // 2]
            )
            await writer.drain()
            if reply.mode == "late_hang":
                await asyncio.sleep(3600)
            await asyncio.sleep(0.01)
            writer.transport.abort()
            return False
        await _send(writer, 200, whole)
        return True

    async def _stream(self, request: dict[str, Any], reply: Reply, writer: asyncio.StreamWriter) -> bool:
        frame = _frame("chat.completion.chunk", request)
        writer.write(_head(200, "text/event-stream; charset=utf-8", {"Transfer-Encoding": "chunked"}))

        def event(data: dict[str, Any] | str) -> None:
            text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
            line = f"data: {text}\n\n".encode()
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

        def choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
            return {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

        event(
            choice({"role": "assistant", "content": "" if reply.text is not None else None, **reply.message})
        )
        text = reply.text or ""
        size = max(1, -(-len(text) // reply.pieces))
        for start in range(0, len(text), size):
            event(choice({"content": text[start : start + size]}))
            await writer.drain()
            await asyncio.sleep(0)
        if reply.mode == "late_hang":
            await asyncio.sleep(3600)
        if reply.mode == "reset_mid_body":
            await asyncio.sleep(0.01)
            writer.transport.abort()
            return False
        if reply.mode == "reset_after_end":
            event(choice({}, reply.finish))
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.transport.abort()
            return False
        if reply.mode == "error_event":
            event({"error": {"message": "upstream failed", "code": 502}})
        elif reply.mode != "truncated":
            event(choice({}, reply.finish))
            include = (request.get("stream_options") or {}).get("include_usage")
            if include and reply.usage is not None:
                event({**frame, "choices": [], "usage": reply.usage, **reply.extra})
            event("[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


class _Held:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None:
        pass


def _frame(kind: str, request: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": request["model"]}


def _head(status: int, content_type: str, headers: dict[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Status",
        f"Content-Type: {content_type}",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _send(
    writer: asyncio.StreamWriter, status: int, body: Any, headers: dict[str, str] | None = None
) -> None:
    html = isinstance(body, str) and body.startswith("<")
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    kind = "text/html" if html else "application/json"
    writer.write(_head(status, kind, {"Content-Length": str(len(data)), **(headers or {})}) + data)
    await writer.drain()
