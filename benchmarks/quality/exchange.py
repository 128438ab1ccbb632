"""One request to the model and its reply, as they went over the wire; and the log of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CHARACTERS_PER_TOKEN = 4
"""Of English text and code, about; used where a server counts no tokens."""


@dataclass
class Exchange:
    """A request and what came of it.

    Attributes:
        messages: role and content of each.
        reply: its text; what had come if it was cut off.
        status: of HTTP; 0 if the server was not reached.
        prompt_tokens, completion_tokens: as the server counted them; None if it did not say.
        seconds: from the request to the end of the reply.
        error: why there is no whole reply.
    """

    messages: list[dict[str, str]]
    reply: str = ""
    status: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    error: str | None = None
    kind: str = field(default="exchange", init=False)

    @property
    def prompt(self) -> str:
        """All messages as one text."""
        return "\n".join(message["content"] for message in self.messages)

    @property
    def estimated(self) -> bool:
        """Whether the server did not say how many tokens these were."""
        return self.prompt_tokens is None or self.completion_tokens is None

    def tokens(self) -> tuple[int, int]:
        """Returns the tokens of prompt and reply, estimated by characters where the server did not say."""
        prompt, completion = self.prompt_tokens, self.completion_tokens
        return (
            _estimate(self.prompt) if prompt is None else prompt,
            _estimate(self.reply) if completion is None else completion,
        )


def write_log(path: Path, exchanges: Iterable[Exchange]) -> None:
    """Write exchanges as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for exchange in exchanges:
            file.write(json.dumps(asdict(exchange), ensure_ascii=False) + "\n")


def read_log(path: Path) -> list[Exchange]:
    """Read what `write_log` wrote.

    Raises:
        ValueError: it is something else.
    """
    found = []
    for line in path.read_text("utf-8").splitlines():
        try:
            fields = json.loads(line)
            assert fields.pop("kind") == "exchange"
            found.append(Exchange(**fields))
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
            raise ValueError(f"`{path}` is not a log of exchanges.") from None
    return found


def text_of_content(content: Any) -> str:
    """Returns the text of a message, which may be a list of parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _estimate(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)
