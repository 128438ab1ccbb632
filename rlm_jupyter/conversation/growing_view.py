"""A conversation as one view that goes on with each question, for places where a single widget shows it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.events.tree_state import TreeState

if TYPE_CHECKING:
    from rlm_jupyter.conversation.conversation_tree import ConversationTree, Listener, QuestionView
    from rlm_jupyter.events import events as ev


class GrowingView:
    """The newest state of a conversation's tree, whichever question it is about (`views.widget_commands.RunFace`)."""

    def __init__(self, whole: ConversationTree) -> None:
        self._whole = whole
        self._empty = TreeState(run=whole.id)

    @property
    def id(self) -> str:
        """Of the conversation."""
        return self._whole.id

    @property
    def lock(self) -> threading.RLock:
        """Held while the tree changes."""
        return self._whole.lock

    @property
    def tree(self) -> TreeState:
        """The tree now; another object after a question has begun."""
        return self._whole.shown[-1].tree if self._whole.shown else self._empty

    @property
    def events(self) -> Sequence[ev.AnyEvent]:
        """All events so far."""
        return self._whole.shown[-1].events if self._whole.shown else ()

    @property
    def done(self) -> bool:
        """Whether no question is being answered."""
        return not self._whole.shown or self._whole.shown[-1].done

    @property
    def paused(self) -> bool:
        """Whether each cell waits for Next."""
        return bool(self._whole.shown) and self._whole.shown[-1].paused

    @property
    def agents(self) -> Mapping[str, Any]:
        """All agents by the ids of the tree."""
        return self._newest.agents if self._whole.shown else {}

    def subscribe(self, listener: Listener, /) -> Callable[[], None]:
        """Call a function with each event of all questions from now on; returns what ends this."""
        return self._whole.subscribe(listener)

    def place(self, agent: str) -> Any:
        """Returns the run of an agent of the tree, and what it is called there; see `QuestionView.place`."""
        return self._newest.place(agent)

    def stop(self, agent: str | None = None) -> None:
        """Stop the newest question, or an agent and all below it."""
        self._newest.stop(agent)

    def next(self, agent: str | None = None, code: str | None = None) -> None:
        """Let a waiting cell run."""
        self._newest.next(agent, code)

    def pause(self) -> None:
        """Make each cell of the newest question wait for Next."""
        self._newest.pause()

    def resume(self) -> None:
        """End the pause."""
        self._newest.resume()

    def retry(self, agent: str) -> str:
        """Ask a sub-agent's question again; returns the id of the new agent."""
        return self._newest.retry(agent)

    @property
    def _newest(self) -> QuestionView:
        if not self._whole.shown:
            raise ConfigError("This conversation has no question yet: ask one first (`chat.run(...)`).")
        return self._whole.shown[-1]
