"""What a provider may answer: replies, and each fault by its name, for `openai_server`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

AUTO = "auto"
HTML = "<html><head><title>Sorry</title></head><body><h1>Service Unavailable</h1></body></html>"


@dataclass(frozen=True)
class Reply:
    """One scripted answer: what it says, and what is wrong with it.

    `usage` is "auto" (the server's own count), None (left out) or anything else (sent as it is). With a `status`
    other than 200, `body` is sent with `headers` instead. `mode` names what goes wrong on the wire.
    """

    text: str | None = "ok"
    usage: Any = AUTO
    finish: str | None = "stop"
    latency: float | None = None
    pieces: int = 3
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    mode: str = ""
    message: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


def raw(
    body: bytes | str | dict | list, kind: str | None = "application/json", status: int = 200, **headers: str
) -> Reply:
    """Returns an answer whose bytes go out as they are, under this content type (None for none); `_` in headers is `-`."""
    data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=data, headers=named, mode="raw", message={"kind": kind})


def events(*frames: Any, done: bool = True) -> bytes:
    """Returns server-sent events; a frame is what becomes JSON, or a text that stands for itself."""
    lines = [f if isinstance(f, str) else f"data: {json.dumps(f)}" for f in frames]
    return "".join(f"{line}\n\n" for line in [*lines, *(["data: [DONE]"] if done else [])]).encode()


def chunk(text: str | None = None, finish: Any = None, /, **choice: Any) -> dict[str, Any]:
    """Returns one chunk of a stream; further fields are of its choice."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **choice}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def whole(text: str | None, finish: Any = "stop", message: dict | None = None, **more: Any) -> dict[str, Any]:
    """Returns a whole completion, not streamed."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, **(message or {})},
        "finish_reason": finish,
    }
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return {"object": "chat.completion", "choices": [choice], "usage": usage, **more}


def error(
    status: int, message: str, code: str | None = None, *, headers=None, kind="error", **details: Any
) -> Reply:
    body = {"error": {"message": message, "type": kind, "param": None, "code": code, **details}}
    return Reply(status=status, body=body, headers=headers or {})


TOO_LONG = (
    "This model's maximum context length is 4096 tokens. However, your messages resulted in 9999 tokens."
)
BAD_KEY = "Incorrect API key provided: {key}. You can find your API key at https://example.test/keys."
QUOTA = "You exceeded your current quota, please check your plan and billing details."
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": "{}"}}

FAULTS: dict[str, Reply] = {
    # an HTTP status
    "rate_limit": error(429, "Rate limit reached", "rate_limit_exceeded"),
    "server_error": error(500, "The server had an error"),
    "html_503": Reply(status=503, body=HTML),
    "overloaded_529": error(529, "Overloaded", kind="overloaded_error"),
    "timeout_408": error(408, "Request timed out"),
    "conflict_409": error(409, "Conflict"),
    "quota": error(429, QUOTA, "insufficient_quota", kind="insufficient_quota"),
    "unauthorized": error(401, BAD_KEY, "invalid_api_key"),
    "forbidden": error(403, BAD_KEY, "forbidden"),
    "context_too_long": error(400, TOO_LONG, "context_length_exceeded"),
    "model_not_found": error(404, "The model does not exist", "model_not_found"),
    "not_found_html": Reply(status=404, body=HTML),
    "bad_request": error(400, "Invalid value for 'temperature'"),
    # the connection
    "hang": Reply(mode="hang"),
    "reset": Reply(mode="reset"),
    "reset_mid_body": Reply("some text that is never finished", mode="reset_mid_body"),
    "truncated": Reply("some text that is never finished", mode="truncated"),
    "error_event": Reply("some text that is never finished", mode="error_event"),
    "reset_after_end": Reply("whole", mode="reset_after_end"),
    "late_hang": Reply("some text that is never finished", mode="late_hang"),
    "late": Reply("a reply that comes when nobody waits for it any more", latency=2.5),
    "duplicated": Reply("a reply that comes twice", mode="duplicated"),
    # a 200 that is no use
    "malformed_json": Reply(mode="malformed_json"),
    "html_200": Reply(mode="html_200"),
    "empty_choices": Reply(mode="empty_choices"),
    "error_200": Reply(mode="error_200"),
    "null_content": Reply(None),
    "empty_content": Reply(""),
    # a 200 that is of some use
    "content_filter": Reply(None, finish="content_filter"),
    "length": Reply("cut in the mid", finish="length"),
    "tool_calls": Reply(None, finish="tool_calls", message={"tool_calls": [TOOL_CALL]}),
    "usage_missing": Reply(usage=None),
    "usage_null": Reply(usage={"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}),
    "usage_negative": Reply(usage={"prompt_tokens": -5, "completion_tokens": -1, "total_tokens": -6}),
    "usage_string": Reply(usage={"prompt_tokens": "many", "completion_tokens": "some"}),
    "usage_zero": Reply(usage={"prompt_tokens": 0, "completion_tokens": 0}),
}


def fault(name: str, *, retry_after: float | str | None = None, **changes: Any) -> Reply:
    """Returns the fault of that name; `retry_after` is in seconds, or "date:SECONDS" for an HTTP date."""
    reply = replace(FAULTS[name], **changes)
    if retry_after is None:
        return reply
    value = str(retry_after)
    if value.startswith("date:"):
        value = formatdate(time.time() + float(value[5:]), usegmt=True)
    return replace(reply, headers={**reply.headers, "Retry-After": value})
