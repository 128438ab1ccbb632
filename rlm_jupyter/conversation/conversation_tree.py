"""The one tree of a conversation: below its root a row for each question, with the agents that worked on it.

Each question is a run with a log of its own, whose root is agent `0`. Here, the events of the runs become those of one
tree: what agent `0` of the third question does is done by agent `0.3`, and its sub-agent `0.1` is `0.3.1`. So all that
is made of events (the tree, its replay, its page) is made of a conversation in the same way.

Once the next question begins, the tree as it was stays what the earlier cell shows: the next one shares its parts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import AgentNotFoundError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_copy import BranchedTree
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.registry import find_run

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.handle import AgentHandle
    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.records.past_run import PastAgent, PastRun

logger = logging.getLogger(__name__)

Listener = Callable[[Any], None]

ROOT = "0"
TITLE = "Conversation"


class ConversationTree:
    """The events of a conversation's runs as those of one tree.

    Args:
        conversation: its id, which stands in the place of a run's.

    Attributes:
        lock: held while an event is folded in.
    """

    def __init__(self, conversation: str) -> None:
        self.id = conversation
        self.lock = threading.RLock()
        self.shown: list[QuestionView] = []
        self._events: list[ev.AnyEvent] = []
        self._seq = self._calls = 0
        self._limits: dict[str, Any] = {}
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call a function with each event of all questions, on the engine's thread; returns what ends this."""
        self._listeners.append(listener)
        return lambda: _drop(self._listeners, listener)

    def call(self, event: ev.AnyEvent, listeners: list[Listener]) -> None:
        """Tell those who listen to one question, and those who listen to all; one that fails is not heard again."""
        for heard in (listeners, self._listeners):
            for listener in list(heard):
                try:
                    listener(event)
                except Exception:
                    logger.exception("a listener of conversation `%s` failed and was dropped", self.id)
                    _drop(heard, listener)

    def begin(self, limits: Mapping[str, float | None]) -> QuestionView:
        """Begin the next question: what is told to the view that this returns belongs to it from now on.

        Args:
            limits: of the conversation as a whole.
        """
        with self.lock:
            self._limits = {"cost": None, "tokens": None, "calls": None, **limits}
            base = self.shown[-1].tree if self.shown else None
            self._calls = max(base.completions, default=0) if base is not None else 0
            view = QuestionView(self, len(self.shown) + 1, self._calls, base)
            self.shown.append(view)
            return view

    def drop(self, view: QuestionView) -> None:
        """Forget a question that could not be asked: nothing of it was told."""
        with self.lock:
            if self.shown and self.shown[-1] is view:
                self.shown.pop()
                del self._events[self.shown[-1].count if self.shown else 0 :]

    def tell(self, view: QuestionView, event: ev.AnyEvent) -> list[ev.AnyEvent]:
        """Fold an event of a question's run into the tree; returns what it has become.

        What comes of a question after the next one has begun is left to its own run's tree.
        """
        with self.lock:
            if self.shown[-1] is not view:
                return []
            made = [self._numbered(one) for one in self._translated(view, event)]
            for one in made:
                view.fold(one)
                if not isinstance(one, ev.PASSING):
                    self._events.append(one)
            view.count = len(self._events)
            return made

    def events_of(self, view: QuestionView) -> list[ev.AnyEvent]:
        """Returns all events up to the end of a question."""
        with self.lock:
            return self._events[: view.count]

    def _numbered(self, event: ev.AnyEvent) -> ev.AnyEvent:
        self._seq += 1
        return event.model_copy(update={"seq": self._seq})

    def _translated(self, view: QuestionView, event: ev.AnyEvent) -> Iterator[ev.AnyEvent]:
        changes: dict[str, Any] = {"run": self.id, "agent": view.agent_id(event.agent)}
        if isinstance(call := getattr(event, "call", None), int):
            changes["call"] = call + view.first_call
        match event:
            case ev.RunStarted():
                yield event.model_copy(update={**changes, "limits": dict(self._limits), "continues": None})
                if view.number == 1:
                    yield self._root(event)
            case ev.AgentStarted():
                parent = ROOT if event.parent is None else view.agent_id(event.parent)
                yield event.model_copy(update={**changes, "parent": parent, "depth": event.depth + 1})
            case ev.RunFinished():
                yield self._root_ended(event)
                yield event.model_copy(update=changes)
            case ev.Command() if event.name == "limit":
                return  # of this question alone
            case ev.Command() if event.name == "retry":
                yield event.model_copy(update={**changes, "detail": view.agent_id(event.detail)})
            case _:
                yield event.model_copy(update=changes)

    def _root(self, started: ev.RunStarted) -> ev.AgentStarted:
        return ev.AgentStarted(
            run=self.id,
            agent=ROOT,
            seq=0,
            time=started.time,
            parent=None,
            depth=0,
            question=TITLE,
            model=started.model,
        )

    def _root_ended(self, finished: ev.RunFinished) -> ev.AgentFinished:
        return ev.AgentFinished(
            run=self.id,
            agent=ROOT,
            seq=0,
            time=finished.time,
            status=finished.status,
            value=finished.value,
            error=finished.error,
        )


class QuestionView:
    """A conversation up to one of its questions, as views show it (`views.widget_commands.RunFace`).

    Attributes:
        number: of the question, from 1.
        first_call: the number of the last completion before it.
        count: of the events up to its end.
    """

    def __init__(self, whole: ConversationTree, number: int, first_call: int, base: TreeState | None) -> None:
        self.number = number
        self.first_call = first_call
        self.count = 0
        self.lock = whole.lock
        self._whole = whole
        self._branch = BranchedTree(base if base is not None else TreeState(run=whole.id))
        self._listeners: list[Listener] = []
        self._run = ""

    def fold(self, event: ev.AnyEvent) -> None:
        """Fold an event into the tree."""
        self._branch.apply(event)

    def hear(self, event: ev.AnyEvent) -> None:
        """Take in an event of the question's run, and tell those who listen; on the engine's thread."""
        self._run = event.run
        for one in self._whole.tell(self, event):
            self._whole.call(one, self._listeners)

    def agent_id(self, agent: str) -> str:
        """Returns what the tree calls an agent of this question's run."""
        return f"{ROOT}.{self.number}{agent[1:]}" if agent else ""

    # ---- what views read

    @property
    def id(self) -> str:
        """Of the conversation."""
        return self._whole.id

    @property
    def tree(self) -> TreeState:
        """The tree up to this question's end."""
        return self._branch.state

    @property
    def events(self) -> Sequence[ev.AnyEvent]:
        """All events up to this question's end."""
        return self._whole.events_of(self)

    @property
    def done(self) -> bool:
        """Whether the question has its answer, or ended without."""
        return self.tree.status != "running"

    @property
    def paused(self) -> bool:
        """Whether each cell of the question's run waits for Next."""
        return bool(self._run) and bool(getattr(find_run(self._run), "paused", False))

    @property
    def agents(self) -> Mapping[str, AgentHandle | PastAgent]:
        """All agents by the ids of the tree."""
        return _Agents(self._whole, self)

    @property
    def run(self) -> Run | PastRun:
        """The run of this question.

        Raises:
            RunNotFoundError: it has not begun.
        """
        return find_run(self._run)

    def subscribe(self, listener: Listener, /) -> Callable[[], None]:
        """Call a function with each event from now on, on the engine's thread; returns what ends this."""
        self._listeners.append(listener)
        return lambda: _drop(self._listeners, listener)

    # ---- what is asked of its run

    def stop(self, agent: str | None = None) -> None:
        """Stop the newest question, or one agent and all below it."""
        run, own = (self.run, None) if agent in (None, ROOT) else self.place(str(agent))
        run.stop(own)

    def next(self, agent: str | None = None, code: str | None = None) -> None:
        """Let a waiting cell run."""
        run, own = (self.run, None) if agent in (None, ROOT) else self.place(str(agent))
        run.next(own, code)

    def pause(self) -> None:
        """Make each cell of this question wait for Next."""
        self.run.pause()

    def resume(self) -> None:
        """End the pause."""
        self.run.resume()

    def retry(self, agent: str) -> str:
        """Ask a sub-agent's question again; returns the id of the new agent."""
        run, own = self.place(agent)
        return self.agent_id(run.retry(own))

    def place(self, agent: str) -> tuple[Run | PastRun, str]:
        """Returns the run of an agent of the tree, and what the agent is called there.

        Raises:
            AgentNotFoundError: there is none in a run.
            RunNotFoundError: the run is gone.
        """
        parts = agent.split(".")
        shown = self._whole.shown
        number = int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() else 0
        if agent == ROOT:
            number = self.number
        if not 0 < number <= min(self.number, len(shown)):
            raise AgentNotFoundError(f"This conversation has no agent `{agent[:40]}`.")
        return shown[number - 1].run, ".".join([ROOT, *parts[2:]])


def _drop(listeners: list[Listener], listener: Listener) -> None:
    if listener in listeners:
        listeners.remove(listener)


class _Agents(Mapping[str, Any]):
    """The agents of a conversation up to one question, by the ids of its tree."""

    def __init__(self, whole: ConversationTree, view: QuestionView) -> None:
        self._whole = whole
        self._view = view

    def __getitem__(self, agent: str) -> Any:
        run, own = self._view.place(agent)
        return run.agents[own]

    def __iter__(self) -> Iterator[str]:
        with self._whole.lock:
            return iter(list(self._view.tree.agents))

    def __len__(self) -> int:
        return len(self._view.tree.agents)
