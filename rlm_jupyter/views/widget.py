"""The live tree in a notebook: an anywidget that talks by custom messages only.

It writes no trait after its birth: while a cell awaits, ipywidgets holds back all but the first change of a
trait from the browser, and messages always arrive. What it tells is in `widget_messages` and
`agent_page`, what it does on a click in `widget_commands`.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anywidget

from rlm_jupyter.errors import RLMError, RunNotFoundError
from rlm_jupyter.text import units as fmt
from rlm_jupyter.views import protocol
from rlm_jupyter.views.agent_page import detail, prompt
from rlm_jupyter.views.branch_rows import BranchedView, with_branches
from rlm_jupyter.views.code_requests import CodeRequests
from rlm_jupyter.views.find_agent import find_agent
from rlm_jupyter.views.widget_commands import Commands, RunFace, branching, failure, free_name, value_name
from rlm_jupyter.views.widget_messages import Patcher
from rlm_jupyter.views.widget_replay import Kind, WidgetReplay

if TYPE_CHECKING:
    from rlm_jupyter.events.tree_state import TreeState
    from rlm_jupyter.views.main_thread import MainThread

T = TypeVar("T")

_END = 10**9

_STATIC = Path(__file__).parent / "static"

INTERVAL = 0.1
"""Seconds between two patches: more often no eye can follow, and Jupyter's server drops what is too much."""

_TOGETHER = 0.01
"""Seconds for which a first event waits for those that come with it."""


class RunWidget(anywidget.AnyWidget):
    """Shows one run and takes its commands.

    Args:
        run: the run. It is not held: widgets live as long as the notebook, whatever becomes of their cells.
        namespace: the notebook's variables, for Pull; None if there is none.
        main: the notebook's main thread.
        clicks: whether clicks arrive while the cell runs.
        notices: what this view has to say.
        clock: seconds, for the pace of patches.
        find: finds the run again by its id once nobody holds it any more; what it finds has the tree.
        replay: set if it has the controls of a replay from the start: of a `log`, or of a `run` that has a present too.
    """

    _esm = _STATIC / "widget.js"
    _css = _STATIC / "widget.css"

    def __init__(
        self,
        run: RunFace,
        *,
        namespace: dict[str, Any] | None,
        main: MainThread,
        clicks: bool = True,
        notices: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        find: Callable[[str], RunFace] | None = None,
        replay: Kind | None = None,
    ) -> None:
        self._id = run.id
        self._known = weakref.ref(run, self._gone)
        self._find = find
        self._namespace = namespace
        self._main = main
        self._clock = clock
        # Not the run's lock: this one also orders the messages of two threads (subshells handle clicks on others).
        self._sending = threading.RLock()
        self._branched = BranchedView()
        self._patcher = Patcher(self._branched.of(run.tree), clicks=clicks, notices=notices)
        self._parts: deque[protocol.SnapshotMessage] = deque()
        self._whole = 1
        self._last = float("-inf")
        self._pumping = False
        self._replay = WidgetReplay(
            lambda: self._run.events, lambda: self._run.tree.branch_trees, only=replay == "log"
        )
        if replay is not None:
            self._show_moment({"position": _END})
        self._code = CodeRequests(lambda: self._run, namespace)
        self._commands = Commands(lambda: self._run, namespace, main.soon)
        super().__init__()
        self.on_msg(self._receive)

    @property
    def _run(self) -> RunFace:
        run = self._known()
        if run is not None:
            return run
        if self._find is None:
            raise RunNotFoundError(f"Run `{self._id}` is no longer in memory: its log tells what happened.")
        return self._find(self._id)

    def _gone(self, _known: object) -> None:
        """Let go of the tree too; on any thread."""
        self._patcher.let_go()
        self._branched.let_go()

    def __repr__(self) -> str:
        try:
            run = self._run
        except RLMError:
            return f"RLM run {self._id}"
        with run.lock:
            tree = run.tree
            count, cost, status = len(tree.agents), tree.cost, tree.status
        if status == "running":  # this stays in the notebook as the widget's text, and would soon be wrong
            return f"RLM run {run.id}"
        return f"RLM run · {fmt.amount(count, 'agent')} · {fmt.money(cost)} · {status}"

    def flush(self) -> None:
        """Sends what is new, if it is time: one message."""
        with self._sending:
            now = self._clock()
            if now - self._last < INTERVAL * 0.95:  # a timer may be a little early
                return
            message: protocol.SnapshotMessage | protocol.PatchMessage | None
            message = self._parts.popleft() if self._parts else self._patch()
            if message is not None:
                self._last = now
                self.send(message)

    @property
    def due(self) -> float:
        """Seconds until the next message may go: never at once, as one event seldom comes alone."""
        return max(_TOGETHER, INTERVAL - (self._clock() - self._last))

    def finish(self) -> None:
        """Sends the rest: the run has ended. Clicks arrive from now on."""
        with self._sending:
            self._patcher.clicks = True
            self._patcher.notices = []
            self._last = float("-inf")
            self.flush()
            self.pump()

    def _patch(self) -> protocol.PatchMessage | None:
        run = self._known()
        self._patcher.branches = branching(run) is not None
        if self._replay.active:
            self._count_events(run)
            return self._patcher.patch()
        if run is None:
            return None
        with run.lock:
            tree = self._branched.of(run.tree)
            if (
                tree is not self._patcher.state
            ):  # of a conversation, whose next question has begun, or with branches
                self._patcher.show(tree, None)
            self._patcher.paused = bool(getattr(run, "paused", False))
            return self._patcher.patch()

    def _count_events(self, run: RunFace | None) -> None:
        """Tell a page that shows an earlier moment how far the run has come meanwhile."""
        told = self._patcher.replay
        if run is not None and told is not None and told["live"]:
            self._patcher.replay = {**told, "events": len(run.events), "live": not run.done}

    def _show_moment(self, wanted: Mapping[str, Any]) -> None:
        """Show the run as it was, or as it is now."""
        known = self._known()
        live = known is not None and not known.done
        moment = self._replay.seek(wanted, live=live)
        if moment is not None:
            self._patcher.show(self._replay.tree, moment)
            return
        run = self._run
        with run.lock:
            self._patcher.show(self._branched.of(run.tree), None)

    def pump(self) -> None:
        """Go on telling at the pace of patches until all is told, also when no cell flushes any more."""
        with self._sending:
            if self._pumping or not (self._parts or self._patcher.pending):
                return
            if not self._main.has_loop:
                while self._parts or self._patcher.pending:
                    self._last = float("-inf")
                    self.flush()
                return
            self._pumping = True
        self._main.later(INTERVAL, self._pumped)

    def _pumped(self) -> None:
        with self._sending:
            self._pumping = False
            self.flush()
            self.pump()

    def _receive(self, _widget: object, message: Any, _buffers: object) -> None:
        """Answer a message of the page. Whatever it says, it gets an answer, and nothing is printed."""
        content: Mapping[str, Any] = message if isinstance(message, Mapping) else {}
        try:
            match content.get("kind"):
                case "hello":
                    self._hello()
                case "open":
                    self._open(content)
                case "prompt":
                    self._prompt(content)
                case "seek":
                    self._seek(content)
                case "outline":
                    with self._sending:
                        told = self._replay.outline()
                    self._reply({"kind": "outline", "request": content.get("request"), "outline": told})
                case "code":
                    self._code.ask(content, self._reply)
                case _:
                    self._commands.handle(content, self._reply)
        except Exception as error:
            self._reply(failure(content, error))

    def _reply(self, message: dict[str, Any]) -> None:
        with self._sending:
            self.send(message)

    def _hello(self) -> None:
        """Sends a page everything, in parts at the pace of patches; a page that joins midway has the next turn."""
        with self._sending:
            if len(self._parts) >= self._whole:
                return  # a whole snapshot is still to come
            run = self._known()
            with run.lock if run is not None else contextlib.nullcontext():
                parts = self._patcher.snapshot()
            self._whole = len(parts)
            self._parts.extend(parts)
            self.flush()
            self.pump()

    def _seek(self, content: Mapping[str, Any]) -> None:
        """Sends what differs at another moment, at once; the answer follows it: pages ask for no more before."""
        with self._sending:
            self._show_moment(content)
            self._last = float("-inf")
            if not self._parts:
                self.flush()
            self.pump()
            self._reply({"kind": "ok", "request": content.get("request")})

    def _open(self, content: Mapping[str, Any]) -> None:
        agent, turn = str(content.get("agent")), content.get("turn")
        page = self._read(lambda tree: detail(tree, agent, turn=turn if isinstance(turn, int) else None))
        if self._namespace is not None and not self._replay.active:
            name = self._read(lambda tree: find_agent(with_branches(tree), agent).name)
            for variable in page["variables"]:
                variable["free_name"] = free_name(variable["name"], agent, self._namespace)
            if page["value"] is not None:
                page["value"]["free_name"] = value_name(name, agent, self._namespace)
        request = content.get("request")
        self._reply({"kind": "detail", "request": request, "agent": agent, "detail": page})

    def _prompt(self, content: Mapping[str, Any]) -> None:
        agent = str(content.get("agent"))
        messages = self._read(lambda tree: prompt(tree, agent))
        request = content.get("request")
        self._reply({"kind": "prompt", "request": request, "agent": agent, "messages": messages})

    def _read(self, make: Callable[[TreeState], T]) -> T:
        """Returns what `make` makes of the state that is shown."""
        with self._sending:
            if self._replay.active:
                return make(self._replay.tree)
        run = self._run
        with run.lock:
            return make(run.tree)
