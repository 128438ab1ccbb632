"""Real HTTP servers on loopback that act like Ollama, LM Studio, llama.cpp's server, llama-cpp-python, vLLM, SGLang, LiteLLM.

They answer a table of paths, and count what they were asked::

    with LocalServer(lm_studio({"qwen2.5-7b": 32768})) as server:
        ...
        assert ("GET", "/v1/models") in server.asked
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Route = Callable[["LocalServer", "_Handler", Any], None]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: LocalServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._route("GET", None)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        self._route("POST", json.loads(data or b"null"))

    def _route(self, method: str, body: Any) -> None:
        self.owner.asked.append((method, self.path))
        self.owner.bodies.append(body)
        self.owner.keys.append(self.headers.get("authorization", ""))
        answer = self.owner.routes.get(self.path)
        if answer is None:
            self.json(404, {"error": "404 page not found"})
        elif callable(answer):
            answer(self.owner, self, body)
        else:
            self.json(200, answer)

    def json(self, status: int, body: object) -> None:
        self.raw(status, json.dumps(body).encode())

    def raw(self, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def lines(self, lines: Sequence[object]) -> None:
        """Stream JSON, one object to a line, in chunks that are cut anywhere."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            data = (json.dumps(line, ensure_ascii=False) + "\n").encode()
            for part in (data[: len(data) // 2], data[len(data) // 2 :]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:  # a client that went away is what some tests are about
        pass


class LocalServer:
    """A server of routes: a path's answer is JSON, or a function of the server, the handler and the body.

    Attributes:
        asked: method and path of each request, in order; `bodies` and `keys` have what came with it.
    """

    def __init__(self, routes: Mapping[str, Any], port: int = 0) -> None:
        self.routes = dict(routes)
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.keys: list[str] = []
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)


def listed(*names: str, owner: str = "", **more: Any) -> dict[str, Any]:
    """An answer of `/v1/models`."""
    extra = {"owned_by": owner} if owner else {}
    return {"object": "list", "data": [{"id": name, "object": "model", **extra, **more} for name in names]}


def lm_studio(windows: Mapping[str, int], loaded: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Routes of LM Studio; an embedding model is among its models, as there always is."""
    loaded = loaded or {}
    models: list[dict[str, Any]] = [
        {
            "id": name,
            "type": "llm",
            "state": "loaded" if name in loaded else "not-loaded",
            "max_context_length": window,
            **({"loaded_context_length": loaded[name]} if name in loaded else {}),
        }
        for name, window in windows.items()
    ]
    embedding = {"id": "nomic-embed", "type": "embeddings", "state": "not-loaded", "max_context_length": 2048}
    return {
        "/v1/models": listed(*windows, "nomic-embed", owner="organization_owner"),
        "/api/v0/models": {"object": "list", "data": [*models, embedding]},
    }


def llama_cpp(
    name: str,
    *,
    window: int = 32768,
    slot: int = 8192,
    slots: int = 1,
    template: str = "{{ messages }}",
    vision: bool | None = None,
    audio: bool = False,
) -> dict[str, Any]:
    """Routes of llama.cpp's own server."""
    meta = {"n_ctx_train": window, "n_params": 7_615_616_512, "size": 4_677_120_000}
    return {
        "/v1/models": listed(name, owner="llamacpp", meta=meta),
        "/props": {
            "default_generation_settings": {"n_ctx": slot},
            "total_slots": slots,
            "chat_template": template,
            **({} if vision is None and not audio else {"modalities": {"vision": vision, "audio": audio}}),
        },
    }


def llama_cpp_python(name: str) -> dict[str, Any]:
    """Routes of llama-cpp-python's server."""
    return {"/v1/models": listed(name, owner="me", permissions=[])}


def vllm(name: str, *, window: int = 40960, version: str = "0.11.2") -> dict[str, Any]:
    """Routes of vLLM."""
    return {
        "/v1/models": listed(name, owner="vllm", max_model_len=window, root=name, permission=[]),
        "/version": {"version": version},
    }


def sglang(name: str, *, window: int = 32768, version: str = "0.5.4") -> dict[str, Any]:
    """Routes of SGLang."""
    return {
        "/v1/models": listed(name, owner="sglang", root=name, max_model_len=window),
        "/get_server_info": {"version": version, "max_total_num_tokens": 100_000},
    }


def litellm(windows: Mapping[str, int | None], *, version: str = "1.80.0", key: str = "") -> dict[str, Any]:
    """Routes of LiteLLM's proxy; `key` is what it asks for."""

    def guarded(answer: Any) -> Route:
        def route(_server: LocalServer, handler: _Handler, _body: Any) -> None:
            if key and handler.headers.get("authorization") != f"Bearer {key}":
                handler.json(401, {"error": {"message": "Authentication Error, No api key passed in."}})
            else:
                handler.json(200, answer)

        return route

    info = [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{name}"},
            "model_info": {"max_input_tokens": size},
        }
        for name, size in windows.items()
    ]
    return {
        "/v1/models": guarded(listed(*windows, owner="openai")),
        "/v1/model/info": guarded({"data": info}),
        "/health/readiness": {"status": "healthy", "litellm_version": version},
    }


@dataclass
class Ollama:
    """What an Ollama server has, and how it behaves.

    Attributes:
        models: names, and the windows of the models.
        replies: what it answers, in order; the last one again and again.
        default: the size of the context if a request has none.
        cuts: whether it is an old version, which does not know `truncate` and always cuts.
        parameters: of the model file.
        running: sizes with which models are loaded.
        capabilities: of all models; None as in old versions.
        per_token: bytes of a token.
        memory: the largest size that there is memory for.
        loads: sizes with which a model was loaded, in order: one that is as before is not loaded again.
        read: the prompts as they were read, after what was cut off.
    """

    models: Mapping[str, int]
    replies: list[str] = field(default_factory=lambda: ["hello"])
    default: int = 4096
    cuts: bool = False
    parameters: str = ""
    running: dict[str, int] = field(default_factory=dict)
    capabilities: list[str] | None = field(default_factory=lambda: ["completion", "tools"])
    per_token: float = 4.0
    memory: int = 10**9
    counts: bool = True
    thinking: str = ""
    loads: list[int] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    wait: float = 0.0
    gone: threading.Event = field(default_factory=threading.Event)

    def routes(self) -> dict[str, Any]:
        return {
            "/api/tags": {
                "models": [
                    {"name": name, "size": 4_683_087_332, "details": {"parameter_size": "7.6B"}}
                    for name in self.models
                ]
            },
            "/api/ps": lambda _s, handler, _b: handler.json(
                200, {"models": [{"name": n, "context_length": size} for n, size in self.running.items()]}
            ),
            "/api/show": self._show,
            "/api/chat": self._chat,
            "/v1/models": listed(*self.models, owner="library"),
        }

    def _show(self, _server: LocalServer, handler: _Handler, body: Any) -> None:
        if body["model"] not in self.models:
            handler.json(404, {"error": f"model '{body['model']}' not found"})
            return
        capabilities = {} if self.capabilities is None else {"capabilities": self.capabilities}
        window = self.models[body["model"]]
        info = {"general.architecture": "qwen2", "qwen2.block_count": 28, "qwen2.context_length": window}
        handler.json(200, {"model_info": info, "parameters": self.parameters, **capabilities})

    def _chat(self, _server: LocalServer, handler: _Handler, body: Any) -> None:
        name, options = body["model"], body.get("options", {})
        if name not in self.models:
            handler.json(404, {"error": f"model '{name}' not found"})
            return
        if "think" in body and "thinking" not in (self.capabilities or []):
            handler.json(400, {"error": f'"{name}" does not support thinking'})
            return
        if any("images" in message for message in body["messages"]) and "vision" not in (
            self.capabilities or []
        ):
            handler.json(400, {"error": "this model does not support image input"})
            return
        size = min(options.get("num_ctx", self.default), self.models[name])
        if size > self.memory:
            error = "model requires more system memory (21.9 GiB) than is available (7.1 GiB)"
            handler.json(500, {"error": error})
            return
        if self.running.get(name) != size:
            self.running[name] = size
            self.loads.append(size)
        prompt = "".join(message["content"] for message in body["messages"])
        tokens = int(len(prompt.encode()) / self.per_token)
        if tokens > size:
            if body.get("truncate") is False and not self.cuts:
                error = f"prompt too long; exceeded max context length by {tokens - size} tokens"
                handler.json(400, {"error": error})
                return
            prompt = prompt[-int(size * self.per_token) // 2 :]
            tokens = size // 2 + 2
        self.read.append(prompt)
        self._answer(handler, body, tokens, size)

    def _answer(self, handler: _Handler, body: Any, tokens: int, size: int) -> None:
        text = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        most = body["options"].get("num_predict", 10**9)
        reason = "stop"
        if len(text) / self.per_token > most:
            text, reason = text[: int(most * self.per_token)], "length"
        for stop in body["options"].get("stop", []):
            text = text.split(stop)[0]
        if self.wait:
            self._hang(handler)
            return
        half = len(text) // 2
        begin = {"model": body["model"], "done": False}
        thoughts = [{**begin, "message": {"content": "", "thinking": self.thinking}}] if self.thinking else []
        pieces = [
            {**begin, "message": {"role": "assistant", "content": p}} for p in (text[:half], text[half:])
        ]
        counts = {"prompt_eval_count": tokens, "eval_count": max(1, int(len(text) / self.per_token))}
        end = {**begin, "done": True, "done_reason": reason, "message": {"role": "assistant", "content": ""}}
        handler.lines([*thoughts, *pieces, {**end, **(counts if self.counts else {})}])

    def _hang(self, handler: _Handler) -> None:
        """Say nothing until the client goes away."""
        handler.connection.settimeout(0.05)
        end = time.monotonic() + self.wait
        while time.monotonic() < end:
            try:
                if not handler.connection.recv(1):
                    self.gone.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                self.gone.set()
                return
