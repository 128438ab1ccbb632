"""The earlier questions and answers of a conversation: kept in bounds, for the user and as data for agents' code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ContextError, RLMError
from rlm_jupyter.text.shorten import cut_end
from rlm_jupyter.values.buffer import Buffer
from rlm_jupyter.views.answer_card import answer_card
from rlm_jupyter.views.text_card import part_lines

if TYPE_CHECKING:
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.events.events import RunStatus
    from rlm_jupyter.events.tree_state import TreeState

MOST_EXCHANGES = 200
_ANSWER_BYTES = 1 << 20
_ALL_BYTES = 8 << 20
_QUESTION = 20_000
_SUMMARY = 2_000


@dataclass(frozen=True)
class Exchange:
    """One question of a conversation, and what came of it.

    Attributes:
        question: verbatim; a very long one is cut.
        status: how the run ended.
        answer: the answer, or what there was of one; None if there is none, or if it is large, no plain data, or long
            ago.
        summary: what the answer is, as a person reads it; of a long one the beginning.
        error: why there is no whole answer.
        run: the run's id.
    """

    question: str
    status: RunStatus
    answer: Any
    summary: str
    error: str | None
    run: str
    size: int = field(default=0, repr=False)

    @property
    def data(self) -> dict[str, Any]:
        """The same as agents' code has it, in the list `history`."""
        told: dict[str, Any] = {
            "question": self.question,
            "answer": self.answer,
            "summary": self.summary,
            "status": self.status,
        }
        return told if self.error is None else {**told, "error": self.error}


def exchange_of(run: Run) -> Exchange:
    """Returns what came of a run that has ended."""
    answer, size = _answer(run)
    with run.lock:
        summary = answer_text(run.tree)
    return Exchange(
        question=cut_end(run.question, _QUESTION),
        status=run.status,
        answer=answer,
        summary=cut_end(summary, _SUMMARY),
        error=cut_end(run.error.message, _SUMMARY) if run.error is not None else None,
        run=run.id,
        size=size,
    )


def answer_text(tree: TreeState) -> str:
    """Returns the answer of a run that has ended as a person reads it; nothing if there is none."""
    card = answer_card(tree)
    return "\n".join(part_lines(card["value"])) if card is not None and card["value"] is not None else ""


def _answer(run: Run) -> tuple[Any, int]:
    """Returns the answer as an object that nobody else has, and its bytes; None if it is not to be kept."""
    encoded = run.root.value if run.root is not None else None
    if encoded is None or encoded.closed or encoded.size > _ANSWER_BYTES:
        return None, 0
    try:
        value = encoded.load()
        with Buffer.encode(value, allow_pickle=False) as again:
            return value, again.size
    except (RLMError, ContextError):
        return None, 0


class Exchanges:
    """The newest exchanges of a conversation; of the newest of these also the answers."""

    def __init__(self) -> None:
        self._known: list[Exchange] = []

    def add(self, exchange: Exchange) -> None:
        """Take in the newest exchange, and drop what is too much."""
        self._known = [*self._known, exchange][-MOST_EXCHANGES:]
        room = _ALL_BYTES
        for place in reversed(range(len(self._known))):
            one = self._known[place]
            room -= one.size
            if room < 0 and one.size:
                self._known[place] = replace(one, answer=None, size=0)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def encoded(self) -> Buffer:
        """Returns the list that agents' code has under the name `history`."""
        return Buffer.encode([one.data for one in self._known], name="history")
