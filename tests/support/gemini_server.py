"""A server on loopback that speaks Google's Gemini API as documented, and refuses what it refuses.

Scripts and faults are those of `openai_server`. A function as the script is given the request in OpenAI's form, so that
one script fits all servers; `requests` has them as they came.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from openai_server import OpenAIServer, Reply, _head, _send

FIELDS = frozenset(
    (
        *("contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "toolConfig"),
        *("cachedContent", "service_tier", "labels"),
    )
)
CONFIG = frozenset(
    (
        *("temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "seed", "responseMimeType"),
        *("responseSchema", "responseJsonSchema", "thinkingConfig", "presencePenalty", "frequencyPenalty"),
    )
)
PARTS = ("text", "inlineData")
MOST_TOKENS = 65_536
FINISHES = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "tool_calls": "MALFORMED_FUNCTION_CALL",
}
STREAM = ":streamGenerateContent?alt=sse"


def refused(status: int, code: str, message: str, details: Any = ()) -> Reply:
    """Returns an error of Google's APIs (`google.rpc.Status`)."""
    body = {"error": {"code": status, "message": message, "status": code, "details": list(details)}}
    return Reply(status=status, body=body)


def invalid(message: str) -> Reply:
    return refused(400, "INVALID_ARGUMENT", message)


class GeminiServer(OpenAIServer):
    """Speaks `generateContent` and `streamGenerateContent`, with a prompt cache that nobody asks for.

    A `Reply` whose `message` has `thinking` thinks that before it writes; one with `signature` ends in a part with it.

    Attributes:
        key: that it takes, in `x-goog-api-key`.
        cut: bytes of a stream that go out together; 0: an event at a time.
        read: tokens of prompts that came from the cache.
        no_system: whether it refuses a system instruction, as for Gemma.
        no_signatures: whether it refuses signatures that come back.
        returned: the signatures that came back, of each request.
    """

    path = (":generateContent", STREAM)  # type: ignore[assignment]  # `str.endswith` takes several
    key = "AQ.Ab8RN6-planted-key-of-google-0123456789"

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.cut = self.read = 0
        self.no_system = self.no_signatures = False
        self.returned: list[list[str]] = []
        self._issued: set[tuple[str, str]] = set()
        self._seen: list[list[str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1beta"

    async def _answer(self, request, headers, writer) -> bool:
        path = headers[":path"]
        problem = self._problem(request, headers, path)
        if problem is not None:
            await _send(writer, problem.status, problem.body)
            return True
        model = path.rpartition("/models/")[2].partition(":")[0]
        spoken = {
            **request,
            "messages": messages_of(request),
            "model": model,
            "stream": path.endswith(STREAM),
        }
        return await super()._answer(spoken, headers, writer)

    def _problem(self, request, headers, path) -> Reply | None:
        if headers.get("x-goog-api-key") != self.key or "authorization" in headers or "key=" in path:
            details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
            return refused(
                400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", details
            )
        config = request.get("generationConfig", {})
        unknown = sorted(set(request) - FIELDS) + sorted(set(config) - CONFIG)
        if unknown:
            return invalid(f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.')
        most = config.get("maxOutputTokens", 1)
        if not 1 <= most <= MOST_TOKENS:
            return invalid(
                f"Unable to submit request because it has a maxOutputTokens value of {most} but the supported range is "
                f"from 1 (inclusive) to {MOST_TOKENS + 1} (exclusive). Update the value and try again."
            )
        if len(config.get("stopSequences", ())) > 5:
            return invalid("The number of stop sequences must be at most 5.")
        if self.no_system and "systemInstruction" in request:
            return invalid("Developer instruction is not enabled for models/gemma-test")
        return self._problem_of_contents(request)

    def _problem_of_contents(self, request) -> Reply | None:
        roles = [content.get("role") for content in request["contents"]]
        if not roles or set(roles) - {"user", "model"}:
            return invalid("Please use a valid role: user, model.")
        if roles[0] != "user" or any(one == other for one, other in pairwise(roles)):
            return invalid("Please ensure that multiturn requests alternate between user and model.")
        parts = [part for content in request["contents"] for part in content["parts"]]
        if not all(content["parts"] for content in request["contents"]):
            return invalid("contents.parts must not be empty.")
        if any(sum(name in part for name in PARTS) != 1 for part in parts):
            return invalid("contents.parts: required oneof field 'data' must have one initialized field")
        signed = [(part["text"], part["thoughtSignature"]) for part in parts if "thoughtSignature" in part]
        if signed and (self.no_signatures or not set(signed) <= self._issued):
            return invalid("Corrupted thought signature.")
        self.returned.append([signature for _, signature in signed])
        return None

    def _billed(self, request: dict[str, Any], reply: Reply) -> Reply:
        texts = [message["content"] for message in request["messages"]]
        sizes = [self.tokens(text) for text in texts]
        shared = max((_common(texts, seen) for seen in self._seen), default=0)
        self._seen.append(texts)
        read, prompt = sum(sizes[:shared]), sum(sizes)
        text, thoughts = reply.text or "", self.tokens(reply.message.get("thinking", ""))
        most = request.get("generationConfig", {}).get("maxOutputTokens")
        if most is not None and self.tokens(text) > most:
            text = text.encode()[: most * 4].decode("utf-8", "ignore")
            reply = Reply(**{**vars(reply), "text": text, "finish": "length"})
        said = self.tokens(text)
        self.prompt_tokens += prompt
        self.completion_tokens += said + thoughts
        self.read += read
        usage = {
            "promptTokenCount": prompt,
            "totalTokenCount": prompt + said + thoughts,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
            "serviceTier": "standard",
            # What is 0, the API leaves out.
            **({"candidatesTokenCount": said} if said else {}),
            **({"cachedContentTokenCount": read} if read else {}),
            **({"thoughtsTokenCount": thoughts} if thoughts else {}),
        }
        return Reply(**{**vars(reply), "usage": usage if reply.usage == "auto" else reply.usage})

    async def _reply(self, request, reply: Reply, writer) -> bool:
        whole = {"modelVersion": request["model"], "responseId": "r1"}
        if reply.usage is not None:
            whole["usageMetadata"] = reply.usage
        finish = {"finishReason": FINISHES.get(reply.finish or "", reply.finish)} if reply.finish else {}
        last = self._last_part(reply)
        if not request["stream"]:
            parts = self._thought(reply) + ([{"text": reply.text}] if reply.text is not None else []) + last
            candidate = {"index": 0, **finish, "content": {"role": "model", "parts": parts}}
            await _send(writer, 200, {**whole, "candidates": [candidate]})
            return True
        return await self._stream_chunks(
            reply, [self._thought(reply), *self._pieces(reply)], last, finish, whole, writer
        )

    async def _stream_chunks(self, reply, groups, last, finish, whole, writer) -> bool:
        out = _Cut(writer, self.cut)
        running = {}
        if isinstance(reply.usage, dict) and "totalTokenCount" in reply.usage:
            prompt = reply.usage["promptTokenCount"]
            running = {"usageMetadata": {"promptTokenCount": prompt, "totalTokenCount": prompt}}
        for parts in filter(None, groups):
            candidate = {"index": 0, "content": {"role": "model", "parts": parts}}
            await out.send({**whole, **running, "candidates": [candidate]})
        if reply.mode == "late_hang":
            await asyncio.sleep(3600)
        if reply.mode == "reset_mid_body":
            await asyncio.sleep(0.01)
            writer.transport.abort()
            return False
        if reply.mode == "error_event":
            await out.send(
                refused(503, "UNAVAILABLE", "The model is overloaded. Please try again later.").body
            )
        elif reply.mode != "truncated":
            content = {"content": {"role": "model", "parts": last or [{"text": ""}]}}
            await out.send({**whole, "candidates": [{"index": 0, **content, **finish}]})
        await out.end()
        return True

    @staticmethod
    def _thought(reply: Reply) -> list[dict[str, Any]]:
        thought = reply.message.get("thinking")
        return [{"text": thought, "thought": True}] if thought else []

    @staticmethod
    def _pieces(reply: Reply) -> list[list[dict[str, Any]]]:
        text = reply.text or ""
        size = max(1, -(-len(text) // reply.pieces))
        return [[{"text": text[start : start + size]}] for start in range(0, len(text), size)]

    def _last_part(self, reply: Reply) -> list[dict[str, Any]]:
        signature = reply.message.get("signature")
        if signature is None:
            return []
        self._issued.add(("", signature))
        return [{"text": "", "thoughtSignature": signature}]


class VertexGeminiServer(GeminiServer):
    """Speaks the same as Vertex AI has it: the model stands below a project, and a token tells who asks.

    Attributes:
        takes: whether an access token is good; keys are taken where no project is named (express mode).
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.takes: Callable[[str], bool] = lambda _: False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _problem(self, request, headers, path) -> Reply | None:
        if not path.startswith("/v1/projects/"):
            return super()._problem(request, headers, path)
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if "x-goog-api-key" in headers or not self.takes(token):
            return refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        others = {name: value for name, value in headers.items() if name != "authorization"}
        return super()._problem(request, {**others, "x-goog-api-key": self.key}, path)


class _Cut:
    """Writes server-sent events, cut anywhere."""

    def __init__(self, writer: asyncio.StreamWriter, size: int) -> None:
        self.writer, self.size = writer, size
        writer.write(_head(200, "text/event-stream", {"Transfer-Encoding": "chunked"}))

    async def send(self, data: dict[str, Any]) -> None:
        event = f"data: {json.dumps(data, ensure_ascii=False)}\r\n\r\n".encode()
        size = self.size or len(event)
        for start in range(0, len(event), size):
            piece = event[start : start + size]
            self.writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await self.writer.drain()
            await asyncio.sleep(0)

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()


def messages_of(request: dict[str, Any]) -> list[dict[str, str]]:
    """Returns the chat of a request as OpenAI has it."""
    system = request.get("systemInstruction", {}).get("parts", [])
    chat = [("system", system)] if system else []
    chat += [("assistant" if one["role"] == "model" else "user", one["parts"]) for one in request["contents"]]
    return [
        {"role": role, "content": "".join(part.get("text", "") for part in parts)} for role, parts in chat
    ]


def _common(texts: list[str], others: list[str]) -> int:
    shared = 0
    while shared < min(len(texts), len(others)) and texts[shared] == others[shared]:
        shared += 1
    return shared
