"""The wait for a place at a server that serves few requests at once: told in the tree, and over with the run's time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Final, Protocol, cast, runtime_checkable

from rlm_jupyter.events import events as ev

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rlm_jupyter.engine.budget.ledger import Ledger
    from rlm_jupyter.events.journal import Journal
    from rlm_jupyter.models.base import ChatModel

_SHOWN_AFTER: Final = 0.05
_LOOK_SECONDS: Final = 5.0
"""After which a limit that was lowered meanwhile is looked at again."""


@runtime_checkable
class QueueingModel(Protocol):
    """A model whose server may have fewer places than there are requests."""

    def take_place(self) -> bool:
        """Take a place if there is one at once; return whether there was."""

    async def wait_for_place(self) -> None:
        """Wait until there is a place."""

    def free_place(self) -> None:
        """Give the place back."""


@functools.cache
def _queues(kind: type) -> bool:
    return issubclass(kind, QueueingModel)


@contextlib.asynccontextmanager
async def place_at_server(
    journal: Journal, ledger: Ledger, agent: str, model: ChatModel
) -> AsyncIterator[None]:
    """Hold a place at a model's server, having waited for one.

    It comes before the reservation: what waits for a place keeps nothing of the budget from others.

    Raises:
        LimitReachedError: the run's time was up before there was one.
    """
    if not _queues(type(model)):
        yield
        return
    queueing = cast("QueueingModel", model)
    if not queueing.take_place():
        await _enter(journal, ledger, agent, queueing)
    try:
        yield
    finally:
        queueing.free_place()


async def _enter(journal: Journal, ledger: Ledger, agent: str, model: QueueingModel) -> None:
    entering = asyncio.ensure_future(model.wait_for_place())
    shown = False
    try:
        while not (await asyncio.wait({entering}, timeout=_until_next_look(ledger, agent, shown=shown)))[0]:
            ledger.check_seconds()
            if not shown:
                shown = True
                _tell(journal, agent, None, "waiting for a place at the model's server")
        entering.result()
    except BaseException:
        await _give_up(entering, model)
        raise
    finally:
        if shown:
            _tell(journal, agent, 0)


def _until_next_look(ledger: Ledger, agent: str, *, shown: bool) -> float:
    left = ledger.left(agent).seconds
    most = _LOOK_SECONDS if shown else _SHOWN_AFTER
    return most if left is None else min(left, most)


async def _give_up(entering: asyncio.Future[None], model: QueueingModel) -> None:
    """Leave the queue; or the place, if it was given in the same step of the loop."""
    entering.cancel()
    with contextlib.suppress(BaseException):
        await entering
    if not entering.cancelled() and entering.exception() is None:
        model.free_place()


def _tell(journal: Journal, agent: str, seconds: float | None, text: str = "") -> None:
    journal.emit(ev.Waiting, agent, reason="concurrency", seconds=seconds, text=text)
