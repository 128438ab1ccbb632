"""What a provider tells of an error, read from a body of any shape.

OpenAI-compatible servers put an error in many places: under ``error`` as a text, an object or a list, under
``detail`` or ``errors``, at the top, in a choice, as JSON within a text. Nothing is taken on trust: depth, count
and length of what is read are bounded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rlm_jupyter.models.retry import read_duration, retry_after_seconds

_DEPTH: Final = 8
_NODES: Final = 400
_ITEMS: Final = 20
_MOST_TEXT: Final = 2000
_MOST_NESTED: Final = 65_536
_HTTP_ERRORS: Final = range(400, 600)
_TEXTS: Final = (
    *("message", "msg", "errormessage", "errormsg", "statusmsg", "error", "errors", "err", "detail"),
    *("title", "description", "errordescription", "faultstring", "exception", "raw", "body", "response"),
    *("details", "cause", "info", "text"),
)
"""Names of fields that hold a sentence, the likeliest first; written without case, `_` and `-`."""
_CODES: Final = frozenset(
    (
        *("code", "type", "status", "reason", "errorcode", "errortype", "errcode", "statuscode", "type"),
        *("httpstatus", "httpstatuscode", "httpcode"),
    )
)
_PARAMS: Final = frozenset({"param", "parameter", "field"})
_SECONDS: Final = frozenset({"retryafter", "retryafterseconds", "retrydelay", "estimatedtime"})
_GENERATION: Final = "failedgeneration"
_MINIMAX: Final = {1001: 408, 1002: 429, 1039: 429, 1041: 429, 1004: 401, 2049: 401, 1008: 402, 2056: 402,
                   1026: 400, 1027: 400, 1042: 400, 2013: 400}  # fmt: skip
"""MiniMax's own codes (`base_resp`) as HTTP statuses: https://platform.minimax.io/docs/api-reference/errorcode"""
_TITLE: Final = re.compile(r"<(?:title|h1)[^>]{0,100}>\s*([^<]{1,200})", re.IGNORECASE)
_RESERVED: Final = frozenset({"choices", "usage", "model", "id"})
_WEAK: Final = (
    "message",
    "msg",
    "detail",
    "error_msg",
    "error_message",
    "errorMessage",
    "error_code",
    "fault",
    "title",
)
_NO_ERROR: Final = frozenset({"", "0", "200", "ok", "success", "none", "null"})


@dataclass
class ErrorBody:
    """What a body tells of an error.

    Attributes:
        texts: its sentences, the outermost first.
        codes: its codes and types, as texts.
        status: an HTTP status that stands in it.
        param: the request field that is blamed.
        retry_after: seconds that it asks to wait.
        failed_generation: whether it holds a reply of the model that the provider could not use.
    """

    texts: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    status: int | None = None
    param: str = ""
    retry_after: float | None = None
    failed_generation: bool = False

    @property
    def text(self) -> str:
        """All that was said, each thing once."""
        said: list[str] = []
        for text in self.texts:
            if not any(text in other for other in said):
                said.append(text)
        return "; ".join(part.removesuffix(".") if part is not said[-1] else part for part in said)[
            :_MOST_TEXT
        ]

    @property
    def code(self) -> str:
        """All codes in one text."""
        return " ".join(dict.fromkeys(self.codes))[:_MOST_TEXT]


def read_error(body: object) -> ErrorBody:
    """Returns what a body tells of an error: JSON that was decoded, or a text."""
    reader = _Reader()
    reader.read(body, "", 0)
    told = reader.told
    if not told.texts and not told.codes and isinstance(body, Mapping):
        told.texts.append(", ".join(f"{name!s:.40}: {value!s:.80}" for name, value in _scalars(body)))
    return told


_MAY_TELL = frozenset(
    (
        *("error", "errors", "err", "Error", "base_resp", "success", "ok", "type", "status"),
        *("code", "error_code", "status_code", "statusCode"),
    )
)
_REPLIES = frozenset(("chat.completion", "chat.completion.chunk"))


def find_error(payload: Mapping[str, object]) -> object | None:
    """Returns the error that a payload tells of for certain; None if it does not."""
    if payload.keys().isdisjoint(_MAY_TELL) and payload.get("object") in _REPLIES:
        return None  # as nearly all are: one for each piece of each reply
    return _without_reply(payload) if _tells_of_error(payload) else None


def _tells_of_error(payload: Mapping[str, object]) -> bool:
    if any(_told(payload.get(name)) for name in ("error", "errors", "err", "Error")):
        return True
    response = payload.get("base_resp")
    if isinstance(response, Mapping) and _word(response.get("status_code")).lower() not in _NO_ERROR:
        return True
    if payload.get("success") is False or payload.get("ok") is False:
        return True
    named = {_word(payload.get(name)).lower() for name in ("object", "type", "status")}
    if named & {"error", "failed", "failure"} and not payload.get("choices"):
        return True
    codes = {_word(payload.get(name)).lower() for name in ("code", "error_code", "status_code", "statusCode")}
    status = payload.get("status")  # a word here is the state of what was asked for, and no error
    codes |= {str(status)} if status in _HTTP_ERRORS else set()
    return bool(codes - _NO_ERROR) and find_complaint(payload) is not None


def find_complaint(payload: Mapping[str, object]) -> object | None:
    """Returns what is an error if no reply comes: a message in the place of choices; None if there is none."""
    if payload.get("choices") or isinstance(payload.get("usage"), Mapping):
        return None
    for name in _WEAK:
        value = payload.get(name)
        if _told(value) and not (isinstance(value, Mapping) and "content" in value):
            return _without_reply(payload)
    return None


def error_in_choice(choice: Mapping[str, object]) -> object | None:
    """Returns the error that stands in a choice, in its message or its delta; None if there is none."""
    for holder in (choice, choice.get("delta"), choice.get("message")):
        if isinstance(holder, Mapping) and _told(holder.get("error")):
            found: object = holder["error"]
            return found
    return None


def page_title(text: str) -> str:
    """Returns the title of an HTML page, or an empty text."""
    found = _TITLE.search(text[:4096])
    return " ".join(found[1].split()) if found else ""


def _without_reply(payload: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in payload.items() if name not in _RESERVED}


def _told(value: object, depth: int = 0) -> bool:
    """Returns whether a value says anything: servers send empty errors with good replies."""
    if isinstance(value, str):
        return value.strip().lower() not in _NO_ERROR
    if isinstance(value, (Mapping, list)):
        items = list(value.values() if isinstance(value, Mapping) else value)
        return depth < _DEPTH and any(_told(item, depth + 1) for item in items[:_NODES])
    return bool(value)


def _word(value: object) -> str:
    """Returns a text or a number as a short text; of anything else, which may be nested deeply, nothing."""
    return str(value)[:80] if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


def _scalars(body: Mapping[object, object]) -> list[tuple[object, object]]:
    return [
        (name, value) for name, value in list(body.items())[:_ITEMS] if isinstance(value, (str, int, float))
    ]


class _Reader:
    """Walks through a body, the nearest fields first."""

    def __init__(self) -> None:
        self.told = ErrorBody()
        self._nodes = 0

    def read(self, value: object, name: str, depth: int) -> None:
        self._nodes += 1
        if depth > _DEPTH or self._nodes > _NODES:
            return
        if isinstance(value, str):
            self._read_text(value, name, depth)
        elif isinstance(value, Mapping):
            self._read_mapping(value, name, depth)
        elif isinstance(value, list):
            for item in value[:_ITEMS]:
                self.read(item, name, depth + 1)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            self._read_number(value, name)

    def _read_mapping(self, value: Mapping[str, object], name: str, depth: int) -> None:
        if isinstance(value.get("msg"), str) and isinstance(loc := value.get("loc"), (list, tuple)):
            # FastAPI's way to blame a field: the sentence alone does not name it.
            place = [_word(part) for part in loc[:_ITEMS]]
            self._say(f"{'.'.join(place)}: {value['msg']}")
            self.told.param = self.told.param or (place[-1] if place else "")
            return
        if name == "headers":
            self._wait(
                retry_after_seconds({key.lower(): _word(item) for key, item in list(value.items())[:100]})
            )
            return
        if name == "retrydelay":
            self._wait(_seconds_and_nanos(value))
            return
        fields = [(_plain_name(key), item) for key, item in list(value.items())[:_NODES]]
        fields.sort(key=lambda pair: (isinstance(pair[1], (Mapping, list)), _rank(pair[0])))
        for key, item in fields:
            self.read(item, key, depth + 1)

    def _read_text(self, value: str, name: str, depth: int) -> None:
        if name in _CODES:
            self.told.codes.append(value[:200])
            if value.strip().isdecimal() and len(value) < 10:  # noqa: PLR2004  # longer than any code
                self._read_number(int(value), name)
        elif name in _PARAMS:
            self.told.param = self.told.param or value[:200]
        elif name == "retryafterms":
            self._wait_milliseconds(read_duration(value))
        elif name in _SECONDS:
            self._wait(read_duration(value))
        elif name == _GENERATION:
            self.told.failed_generation = True
        elif name in _TEXTS or not name:
            before, nested = _nested_json(value)
            self._say(before)
            if nested is not None:
                self.read(nested, name, depth + 1)

    def _read_number(self, value: float, name: str) -> None:
        if name == "retryafterms":
            self._wait_milliseconds(value)
        elif name in _SECONDS:
            self._wait(value)
        elif name in _CODES or not name:
            if name == "statuscode" and value in _MINIMAX:
                value = _MINIMAX[int(value)]
            if value in _HTTP_ERRORS:
                self.told.status = self.told.status or int(value)
            self.told.codes.append(f"{value:.0f}" if abs(value) < 1e12 else "")  # noqa: PLR2004  # no code is longer

    def _say(self, text: str) -> None:
        text = text.strip()
        if text.startswith("<"):
            text = page_title(text)
        if text:
            self.told.texts.append(text[:_MOST_TEXT])

    def _wait(self, seconds: float | None) -> None:
        if seconds is not None and 0 <= seconds < float("inf") and self.told.retry_after is None:
            self.told.retry_after = float(seconds)

    def _wait_milliseconds(self, value: float | None) -> None:
        self._wait(None if value is None else value / 1000)


def _plain_name(name: object) -> str:
    return str(name)[:60].lower().replace("_", "").replace("-", "")


def _rank(name: str) -> int:
    return _TEXTS.index(name) if name in _TEXTS else len(_TEXTS)


def _seconds_and_nanos(value: Mapping[str, object]) -> float | None:
    seconds, nanos = value.get("seconds", 0), value.get("nanos", 0)
    try:
        return float(_word(seconds)) + float(_word(nanos)) / 1e9
    except ValueError:
        return None


def _nested_json(text: str) -> tuple[str, object]:
    """Returns the words before JSON that stands in a text, and the JSON; the whole text and None if there is none."""
    start = min((place for place in (text.find("{"), text.find("[{")) if place >= 0), default=-1)
    if start < 0 or len(text) > _MOST_NESTED:
        return text, None
    try:
        value, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return text, None
    if not value:
        return text, None
    return text[:start].rstrip(" -:"), value
