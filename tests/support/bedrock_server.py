"""A server on loopback that speaks Amazon Bedrock's Converse API as documented, and refuses what it refuses.

Scripts and faults are those of `openai_server`. A function as the script is given the request in OpenAI's form, so that
one script fits all servers; `requests` has them as they came. A test has AWS's own library read its streams.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
import zlib
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from openai_server import OpenAIServer, Reply, _head, _send

FIELDS = frozenset(
    (
        *(
            "messages",
            "system",
            "inferenceConfig",
            "toolConfig",
            "guardrailConfig",
            "additionalModelRequestFields",
        ),
        *("promptVariables", "additionalModelResponseFieldPaths", "requestMetadata", "performanceConfig"),
        *("serviceTier", "outputConfig"),
    )
)
INFERENCE = frozenset(("maxTokens", "temperature", "topP", "stopSequences"))
STREAM = "/converse-stream"
MOST_TOKENS = 8192
FINISHES = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "content_filtered",
    "tool_calls": "malformed_tool_use",
}


def refused(status: int, name: str, message: str) -> Reply:
    """Returns an error of AWS: its name stands in a header."""
    return Reply(
        status=status, body={"message": message}, headers={"x-amzn-ErrorType": f"{name}:http://aws/"}
    )


def invalid(message: str) -> Reply:
    return refused(400, "ValidationException", message)


def frame(payload: bytes, **headers: str) -> bytes:
    """Returns a frame of a stream; `_` in the names of headers is `-`, and each begins with a colon."""
    head = b""
    for key, value in headers.items():
        name, text = f":{key.replace('_', '-')}".encode(), value.encode()
        head += bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(text)) + text
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    data = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return data + struct.pack(">I", zlib.crc32(data))


def event(kind: str, payload: Any) -> bytes:
    """Returns an event of a stream."""
    data = json.dumps(payload).encode()
    return frame(data, event_type=kind, content_type="application/json", message_type="event")


def exception(kind: str, message: str) -> bytes:
    """Returns an exception in the middle of a stream."""
    data = json.dumps({"message": message}).encode()
    return frame(data, exception_type=kind, content_type="application/json", message_type="exception")


def framed(*frames: bytes) -> Reply:
    """Returns an answer of these bytes, as a stream."""
    headers = {"Content-Type": "application/vnd.amazon.eventstream"}
    return Reply(body=b"".join(frames), mode="raw", message={"kind": headers["Content-Type"]})


class BedrockServer(OpenAIServer):
    """Speaks `converse` and `converse-stream`, with a prompt cache that works by marks.

    Attributes:
        key: that it takes, as a bearer token.
        cut: bytes of a stream that go out together; 0: a frame at a time.
        takes_signed: whether it takes requests with any signature: AWS's library sends a key over TLS alone.
        no_cache: whether it refuses marks for the cache.
        read, written: tokens of prompts that came from the cache and went into it.
    """

    path = ("/converse", STREAM)  # type: ignore[assignment]  # `str.endswith` takes several
    key = "ABSK-planted-key-of-bedrock-0123456789=="

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.cut = self.read = self.written = 0
        self.no_cache = self.takes_signed = False
        self._cached: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _answer(self, request, headers, writer) -> bool:
        path = headers[":path"]
        problem = self._problem(request, headers)
        if problem is not None:
            await _send(writer, problem.status, problem.body, problem.headers)
            return True
        model = unquote(path.removeprefix("/model/").partition("/converse")[0])
        spoken = {
            **request,
            "messages": messages_of(request),
            "model": model,
            "stream": path.endswith(STREAM),
        }
        return await super()._answer({**spoken, "_body": request}, headers, writer)

    def _problem(self, request, headers) -> Reply | None:  # noqa: PLR0911 - one for each rule of the API
        given = headers.get("authorization", "")
        if given != f"Bearer {self.key}" and not (
            self.takes_signed and given.startswith("AWS4-HMAC-SHA256 ")
        ):
            return refused(
                403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid."
            )
        inference = request.get("inferenceConfig", {})
        if unknown := sorted(set(request) - FIELDS) + sorted(set(inference) - INFERENCE):
            return invalid(f"{unknown[0]}: Extra inputs are not permitted")
        if inference.get("maxTokens", 1) > MOST_TOKENS:
            return invalid(
                f"The maximum tokens you requested exceeds the model limit of {MOST_TOKENS}. Try again with a maximum "
                f"tokens value that is lower than {MOST_TOKENS}."
            )
        if not 0 <= inference.get("temperature", 1) <= 1:
            return invalid(
                "1 validation error detected: Value at 'inferenceConfig.temperature' failed to satisfy constraint"
            )
        roles = [message["role"] for message in request["messages"]]
        if roles[:1] != ["user"] or any(one == other for one, other in pairwise(roles)):
            return invalid("A conversation must start with a user message, and its roles must alternate.")
        blocks = _blocks(request)
        if any("text" in block and not block["text"].strip() for block in blocks):
            return invalid(
                "The text field in the ContentBlock object is blank. Add text to the text field, and try again."
            )
        marks = sum("cachePoint" in block for block in blocks)
        if marks > 4 or (marks and self.no_cache):
            said = "You invoked an unsupported model or your request did not allow prompt caching."
            return refused(403, "AccessDeniedException", said)
        return None

    def _billed(self, request: dict[str, Any], reply: Reply) -> Reply:
        prefix, size, read, marked = "", 0, 0, []
        blocks = _blocks(request["_body"])
        marks = any("cachePoint" in block for block in blocks)
        for block in blocks:
            if "cachePoint" in block:
                marked.append((prefix, size))
            else:
                prefix += json.dumps(block) + "\n"
                size += self.tokens(block.get("text", ""))
            if marks and prefix in self._cached:  # at an earlier mark, which this request need not have
                read = size
        written = max(0, marked[-1][1] - read) if marked else 0
        self._cached.update(text for text, _ in marked)
        said = self.tokens((reply.text or "") + reply.message.get("thinking", ""))
        self.prompt_tokens += size
        self.completion_tokens += said
        self.read += read
        self.written += written
        usage = {"inputTokens": size - read - written, "outputTokens": said, "totalTokens": size + said}
        usage |= {"cacheReadInputTokens": read, "cacheWriteInputTokens": written}
        return Reply(**{**vars(reply), "usage": usage if reply.usage == "auto" else reply.usage})

    async def _reply(self, request, reply: Reply, writer) -> bool:
        stop = FINISHES.get(reply.finish or "", reply.finish)
        usage = {} if reply.usage is None else {"usage": reply.usage}
        thought = reply.message.get("thinking")
        if not request["stream"]:
            content = (
                [{"reasoningContent": {"reasoningText": {"text": thought, "signature": "s"}}}]
                if thought
                else []
            )
            content += [{"text": reply.text}] if reply.text is not None else []
            message = {"message": {"role": "assistant", "content": content}}
            await _send(
                writer, 200, {"output": message, "stopReason": stop, "metrics": {"latencyMs": 1}, **usage}
            )
            return True
        out = _Cut(writer, self.cut)
        await out.send(event("messageStart", {"role": "assistant"}))
        pieces = (
            [{"reasoningContent": {"text": thought}}, {"reasoningContent": {"signature": "s"}}]
            if thought
            else []
        )
        text = reply.text or ""
        size = max(1, -(-len(text) // reply.pieces))
        pieces += [{"text": text[start : start + size]} for start in range(0, len(text), size)]
        for piece in pieces:
            await out.send(event("contentBlockDelta", {"delta": piece, "contentBlockIndex": 0}))
        if reply.mode == "late_hang":
            await asyncio.sleep(3600)
        if reply.mode == "reset_mid_body":
            await asyncio.sleep(0.01)
            writer.transport.abort()
            return False
        if reply.mode == "error_event":
            await out.send(exception("modelStreamErrorException", "The model stopped."))
        elif reply.mode != "truncated":
            await out.send(event("contentBlockStop", {"contentBlockIndex": 0}))
            await out.send(event("messageStop", {"stopReason": stop}))
            if usage:
                await out.send(event("metadata", {**usage, "metrics": {"latencyMs": 1}}))
        await out.end()
        return True


class SignedBedrockServer(BedrockServer):
    """Takes signed requests, and checks each signature by AWS's own library.

    Attributes:
        accounts: the secret key and the session token (None: it has none), by the access key id.
        expired: access key ids whose session is over.
        regions: for which requests came.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.takes_signed = True
        self.accounts: dict[str, tuple[str, str | None]] = {}
        self.expired: set[str] = set()
        self.regions: set[str] = set()

    def _problem(self, request, headers) -> Reply | None:
        given = SIGNED.fullmatch(headers.get("authorization", ""))
        if given is None:
            return refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        key, day, region, service, names, signature = given.groups()
        secret, token = self.accounts.get(key, ("", None))
        if not secret or headers.get("x-amz-security-token") != token or service != "bedrock":
            return refused(
                403, "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        if key in self.expired:
            return refused(
                403,
                "ExpiredTokenException",
                f"The security token included in the request is expired: {token}",
            )
        if signature != _signature(Credentials(key, secret, token), region, names.split(";"), headers):
            said = f"The request signature we calculated does not match the signature you provided: {key}"
            return refused(403, "InvalidSignatureException", said)
        assert headers["x-amz-date"].startswith(day)
        self.regions.add(region)
        return super()._problem(request, headers)


SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)"
)


def _signature(credentials: Credentials, region: str, names: list[str], headers: dict[str, str]) -> str:
    """Returns the signature of a request as it came."""
    assert {"host", "x-amz-date", "content-type"} <= set(names)

    class Received(SigV4Auth):
        def payload(self, _request):
            return headers[":sha256"]

    auth = Received(credentials, "bedrock", region)
    url = f"http://{headers['host']}{headers[':path']}"
    request = AWSRequest("POST", url, {name: headers[name] for name in names})
    request.context["timestamp"] = headers["x-amz-date"]
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)


class _Cut:
    """Writes frames, cut anywhere."""

    def __init__(self, writer: asyncio.StreamWriter, size: int) -> None:
        self.writer, self.size = writer, size
        writer.write(_head(200, "application/vnd.amazon.eventstream", {"Transfer-Encoding": "chunked"}))

    async def send(self, data: bytes) -> None:
        size = self.size or len(data)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self.writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await self.writer.drain()
            await asyncio.sleep(0)

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()


def messages_of(request: dict[str, Any]) -> list[dict[str, str]]:
    """Returns the chat of a request as OpenAI has it."""
    chat = [("system", request["system"])] if request.get("system") else []
    chat += [(message["role"], message["content"]) for message in request["messages"]]
    return [
        {"role": role, "content": "".join(block.get("text", "") for block in blocks)} for role, blocks in chat
    ]


def _blocks(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        *request.get("system", []),
        *(block for message in request["messages"] for block in message["content"]),
    ]
