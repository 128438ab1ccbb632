"""The newest message to the model, written anew when a failed attempt leaves the chat and a line on it comes in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlm_jupyter.models.base import Message

_MOST_NOTES = 4
"""The newest ones; a small model does not read more."""


@dataclass
class Tail:
    """A message to the model in its parts.

    Attributes:
        body: what it tells, such as the output of code.
        end: what is wanted next; it stands last.
        notes: on attempts that left the chat.
        plan: the newest plan in words, if it stands here.
    """

    body: str
    end: str = ""
    notes: list[str] = field(default_factory=list)
    plan: str = ""

    def text(self, last: str = "") -> str:
        """Returns the message; `last` is said after all else."""
        return "\n\n".join(part for part in (self.body, *self.notes, self.plan, self.end, last) if part)


class ChatTails:
    """The parts of an agent's messages, by their place in the chat."""

    def __init__(self) -> None:
        self._tails: dict[int, Tail] = {}

    def clear(self) -> None:
        """Forget all: the chat is another one."""
        self._tails.clear()

    def add(self, messages: list[Message], tail: Tail, last: str = "") -> None:
        """Append a message to a chat."""
        self._tails[len(messages)] = tail
        messages.append({"role": "user", "content": tail.text(last)})

    def note(self, messages: list[Message], note: str, last: str = "") -> int:
        """Write the newest message of a chat anew, with a note; returns its place."""
        place = len(messages) - 1
        tail = self._tails.setdefault(place, Tail(messages[place]["content"]))
        tail.notes = [*(known for known in tail.notes if known != note), note][-_MOST_NOTES:]
        messages[place] = {**messages[place], "content": tail.text(last)}
        return place

    def plan(self, messages: list[Message], older: str, plan: str, last: str = "") -> int:
        """Write the newest message of a chat anew, with a plan, and take the older plan out; returns the first place.

        Args:
            messages: of the chat.
            older: the plan that stands in it; empty for none.
            plan: the new one.
            last: what is said after all else in the newest message.
        """
        place = len(messages) - 1
        tail = self._tails.setdefault(place, Tail(messages[place]["content"]))
        first = place
        for number, message in enumerate(messages):
            if older and message["role"] == "user" and older in message["content"]:
                messages[number] = {**message, "content": message["content"].replace(f"\n\n{older}", "", 1)}
                if (known := self._tails.get(number)) is not None:
                    known.plan, known.body = "", known.body.replace(f"\n\n{older}", "", 1)
                first = min(first, number)
        tail.plan = plan
        messages[place] = {**messages[place], "content": tail.text(last)}
        return first
