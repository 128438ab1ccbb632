"""What a model thought in its earlier turns, kept for the requests that follow, as the provider encrypted it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rlm_jupyter import forks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rlm_jupyter.models.base import Message

_MOST_AGENTS: Final = 200
_MOST_TURNS: Final = 100
_MOST_BYTES: Final = 1 << 20
"""Of the items of one turn; what is larger is not kept."""
_LEFT_OUT: Final = ("id", "status")
"""Fields of an item that mean something to the server only if it has stored the response."""


@dataclass(frozen=True)
class _Turn:
    items: list[Mapping[str, object]]
    tokens: int


class ReasoningItems:
    """The items of one model's replies, by run and agent; those of agents that were silent for longest go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._agents: OrderedDict[tuple[str, str], OrderedDict[bytes, _Turn]] = OrderedDict()
        forks.register(self)

    def forked(self) -> None:
        """Free the lock in a forked child, where the thread that held it is not."""
        forks.release(self._lock)

    def keep(
        self, agent: tuple[str, str], text: str, items: Sequence[Mapping[str, object]], tokens: int
    ) -> None:
        """Keep what belongs to a reply, if there is reasoning in it that can be sent again.

        Args:
            agent: its run and its id.
            text: of the reply.
            items: as they came.
            tokens: of the reasoning.
        """
        thought = any(item.get("type") == "reasoning" and item.get("encrypted_content") for item in items)
        if not thought or sum(len(str(item)) for item in items) > _MOST_BYTES:
            return
        self.keep_unchanged(agent, text, [_without_ids(item) for item in items if _can_be_sent(item)], tokens)

    def keep_unchanged(
        self, agent: tuple[str, str], text: str, items: Sequence[Mapping[str, object]], tokens: int
    ) -> None:
        """Keep items that are to be sent again exactly as they are.

        Args:
            agent: its run and its id.
            text: of the reply.
            items: of it.
            tokens: that they add to a prompt at the most.
        """
        if sum(len(str(item)) for item in items) > _MOST_BYTES:
            return
        with self._lock:
            turns = self._agents.setdefault(agent, OrderedDict())
            self._agents.move_to_end(agent)
            turns[_key(text)] = _Turn(list(items), tokens)
            while len(turns) > _MOST_TURNS:
                turns.popitem(last=False)
            while len(self._agents) > _MOST_AGENTS:
                self._agents.popitem(last=False)

    def of(
        self, agent: tuple[str, str], messages: Sequence[Message]
    ) -> dict[int, list[Mapping[str, object]]]:
        """Returns the items of those messages of a chat that are unchanged replies, by their place."""
        return {place: turn.items for place, turn in self._found(agent, messages).items()}

    def tokens(self, agent: tuple[str, str], messages: Sequence[Message]) -> int:
        """Returns the most tokens that these items add to a prompt."""
        return sum(turn.tokens for turn in self._found(agent, messages).values())

    def _found(self, agent: tuple[str, str], messages: Sequence[Message]) -> dict[int, _Turn]:
        with self._lock:
            turns = dict(self._agents.get(agent, {}))
        if not turns:
            return {}
        replies = {
            place: turns.get(_key(message["content"]))
            for place, message in enumerate(messages)
            if message["role"] == "assistant"
        }
        return {place: turn for place, turn in replies.items() if turn is not None}


def _can_be_sent(item: Mapping[str, object]) -> bool:
    """Returns whether an item means something to a server that has stored nothing."""
    return item.get("type") != "reasoning" or bool(item.get("encrypted_content"))


def _without_ids(item: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in item.items() if name not in _LEFT_OUT}


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
