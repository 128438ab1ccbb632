"""Takes secrets out of chats before they are sent; of a chat that grows, only out of what is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rlm_jupyter.models.base import Message


class ChatRedactor:
    """Takes secrets out of the messages of requests.

    Each turn of an agent sends its whole chat again. To search all of it each time for all secrets, in all the forms
    that they may have, would block the loop of all agents for longer with each turn.

    Args:
        redact: takes secrets out of one text.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._chats: dict[str, list[tuple[str, str]]] = {}

    def of_chat(self, agent: str, messages: Sequence[Message]) -> list[Message]:
        """Return an agent's chat without secrets; of the messages that it had before, the result is known."""
        known = self._chats.get(agent, [])
        cleaned: list[tuple[str, str]] = []
        for number, message in enumerate(messages):
            text = message["content"]
            # The same object, not an equal one: to compare long texts is not free either.
            same = number < len(known) and known[number][0] is text
            cleaned.append(known[number] if same else (text, self._redact(text)))
        self._chats[agent] = cleaned
        return [{**one, "content": pair[1]} for one, pair in zip(messages, cleaned, strict=True)]

    def of_text(self, text: str) -> str:
        """Return a text as it is sent."""
        return self._redact(text)

    def of_request(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages of a single request without secrets."""
        return [{**one, "content": self._redact(one["content"])} for one in messages]

    def forget(self, agent: str) -> None:
        """Let go of an agent's chat: it has ended."""
        self._chats.pop(agent, None)
