"""A run's journal: it numbers and dates the events, keeps secrets out, folds the tree, and tells listeners."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from rlm_jupyter.engine import events as ev
from rlm_jupyter.engine.cleaning import Cleaner, Redact
from rlm_jupyter.engine.state import TreeState

logger = logging.getLogger(__name__)

E = TypeVar("E", bound=ev.Event)
Listener = Callable[[ev.AnyEvent], None]


class Journal:
    """Events in, tree and listeners out. Emits on the engine's thread; read from any, under `lock`.

    Attributes:
        run: the run's id.
        lock: held while an event is folded in; hold it to read more than one field of `state`.
        state: the tree so far.
        events: all events but the passing ones (pieces of replies and outputs).
    """

    def __init__(self, run: str, redact: Redact | None = None) -> None:
        self.run = run
        self.lock = threading.RLock()
        self.state = TreeState(run=run)
        self.events: list[ev.AnyEvent] = []
        self._cleaner = Cleaner(redact) if redact is not None else None
        self._listeners: list[Listener] = []
        self._seq = 0

    def redact(self, text: str) -> str:
        """Give a text without the secrets that this journal knows."""
        return text if self._cleaner is None else self._cleaner.redact(text)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event from now on; give the function that ends this."""
        with self.lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self.lock, contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    def close(self) -> None:
        """Let go of all listeners: nothing more is told to them."""
        with self.lock:
            self._listeners.clear()

    def emit(self, kind: type[E], agent: str = "", **fields: Any) -> E:
        """Make an event, fold it in, and tell the listeners; a listener that fails is not heard again."""
        if self._cleaner is not None:
            fields = self._cleaner.fields(kind, agent, fields)
        with self.lock:
            self._seq += 1
            event = kind(run=self.run, agent=agent, seq=self._seq, time=time.time(), **fields)
            self.state.apply(event)  # type: ignore[arg-type]
            if not isinstance(event, ev.PASSING):
                self.events.append(event)  # type: ignore[arg-type]
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(event)  # type: ignore[arg-type]
            except Exception:
                logger.exception("a listener of run `%s` failed and was dropped", self.run)
                with self.lock, contextlib.suppress(ValueError):
                    self._listeners.remove(listener)
        return event
