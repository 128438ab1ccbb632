"""The harness `plain`: the model alone, with as much of the data as it takes in one prompt."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

from benchmarks.quality.exchange import text_of_content
from benchmarks.quality.harness import Conditions, Outcome
from benchmarks.quality.task import Task

DEFAULT_WINDOW = 8192
_CHARACTERS_PER_TOKEN = 3
"""Fewer than English text has, so that the first attempt fits; tables of numbers have two."""
_LEAST = 2000
_ASK = "Answer the question about the data. Reply with the answer alone, on one line, without an explanation."
_TOO_LONG = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


class Plain:
    """One request, without tools."""

    name = "plain"

    def prepare(self) -> None:
        """Nothing is needed."""

    def versions(self) -> dict[str, str]:
        """Returns nothing: it is a request of HTTP."""
        return {}

    def run(self, task: Task, base_url: str, conditions: Conditions, folder: Path) -> Outcome:  # noqa: ARG002 - the protocol's
        """Ask the question of a task."""
        window = conditions.window or _window(base_url, conditions.model) or DEFAULT_WINDOW
        room = (window - conditions.reply_tokens - 200) * _CHARACTERS_PER_TOKEN
        text = task.text()
        while True:
            request = {
                "model": conditions.model,
                "messages": messages(task.question, text, room),
                "temperature": 0.0,
                "max_tokens": conditions.reply_tokens,
            }
            try:
                answer = _post(f"{base_url}/chat/completions", request, conditions.seconds)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code in _TOO_LONG and room > _LEAST and len(text) > _LEAST:
                        room = min(room, len(text)) // 2
                        continue
                    reason = error.read(500).decode("utf-8", "replace")
                return Outcome(error=f"HTTP {error.code}: {reason}", turns=1)
            except TimeoutError:
                return Outcome(
                    error=f"There was no reply after {conditions.seconds:g} s.", limited=True, turns=1
                )
            except (OSError, ValueError) as error:
                return Outcome(error=f"{type(error).__name__}: {error}", turns=1)
            return Outcome(_text(answer), turns=1)


def messages(question: str, text: str, room: int) -> list[dict[str, str]]:
    """Returns the prompt, with the beginning of the data if not all of it fits into `room` characters."""
    cut = ""
    if len(text) > room:
        cut = f"\n[Here {len(text) - room:,} characters of the data were left out.]"
        text = text[: max(0, room)]
    return [{"role": "user", "content": f"{_ASK}\n\nDATA\n{text}{cut}\n\nQUESTION\n{question}"}]


def _window(base_url: str, model: str) -> int | None:
    """Returns how many tokens a model takes, if the server's list of models says so."""
    try:
        with urllib.request.urlopen(f"{base_url}/models", timeout=30) as response:
            listed: list[dict[str, Any]] = json.load(response)["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    for entry in listed:
        if isinstance(entry, dict) and entry.get("id") == model:
            for name in ("max_model_len", "context_length", "context_window"):
                if isinstance(entry.get(name), int):
                    return int(entry[name])
    return None


def _post(url: str, data: dict[str, Any], seconds: float) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(data).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=seconds) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def _text(answer: dict[str, Any]) -> str | None:
    try:
        return text_of_content(answer["choices"][0]["message"]["content"]).strip() or None
    except (KeyError, IndexError, TypeError):
        return None
