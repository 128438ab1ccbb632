"""That a person writes the reply to a request is shown, as long as it is waited for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from rlm_jupyter.events.journal import Journal
    from rlm_jupyter.models.base import ChatModel


@contextlib.contextmanager
def person_wait(journal: Journal, agent: str, call: int, model: ChatModel) -> Iterator[None]:
    """Tell that a request waits for a person, if its model is one (`InteractiveModel`)."""
    if not getattr(model, "asks_person", False):
        yield
        return
    journal.emit(ev.Waiting, agent, reason="reply", seconds=None, call=call)
    try:
        yield
    finally:
        journal.emit(ev.Waiting, agent, reason="reply", seconds=0, call=call)
