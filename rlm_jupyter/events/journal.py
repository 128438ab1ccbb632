"""A run's journal: it numbers and dates the events, keeps secrets out, folds the tree, and tells listeners."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from rlm_jupyter import forks
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.redact_events import Cleaner, Redact
from rlm_jupyter.events.tree_state import TreeState

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
        self._untold: deque[tuple[ev.AnyEvent, list[Listener]]] = deque()
        self._telling = False
        self._seq = 0
        forks.register(self)

    def forked(self) -> None:
        """Let what was told so far be read in a forked child, and tell nobody there."""
        forks.release(self.lock)
        self._listeners.clear()
        self._untold.clear()
        self._telling = False

    def redact(self, text: str) -> str:
        """Returns a text without the secrets that this journal knows."""
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
        """Make an event, fold it in, and tell the listeners; a listener that fails is not heard again.

        Every listener hears the events in their order, also where one causes another while it is being told, or a
        thread does: what comes meanwhile is told afterwards, by whoever is telling.
        """
        if self._cleaner is not None:
            fields = self._cleaner.fields(kind, agent, fields)
        with self.lock:
            self._seq += 1
            event = kind(run=self.run, agent=agent, seq=self._seq, time=time.time(), **fields)
            self.state.apply(event)  # type: ignore[arg-type]
            if not isinstance(event, ev.PASSING):
                self.events.append(event)  # type: ignore[arg-type]
            self._untold.append((event, list(self._listeners)))  # type: ignore[arg-type]
            if self._telling:
                return event
            self._telling = True
        self._tell_all()
        return event

    def _tell_all(self) -> None:
        try:
            while True:
                with self.lock:
                    if not self._untold:
                        self._telling = False
                        return
                    event, listeners = self._untold.popleft()
                for listener in listeners:
                    self._tell(listener, event)
        except BaseException:  # an interrupt: whoever emits next tells the rest
            self._telling = False
            raise

    def _tell(self, listener: Listener, event: ev.AnyEvent) -> None:
        try:
            listener(event)
        except Exception:
            logger.exception("a listener of run `%s` failed and was dropped", self.run)
            with self.lock, contextlib.suppress(ValueError):
                self._listeners.remove(listener)
