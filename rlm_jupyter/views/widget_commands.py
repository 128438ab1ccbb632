"""What a click asks for, done: stop, pull, run a cell, step, limits. Knows a run only by its face.

Nothing here prints: output of a click has no cell to go to. Nothing waits on the notebook's main thread:
what may take long runs on a thread of its own, and only the assignment of a pulled value comes back.
"""

from __future__ import annotations

import builtins
import keyword
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import NoneType
from typing import Any, Protocol

from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.events.events import AnyEvent
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.models.interactive import answer_pending
from rlm_jupyter.text.sanitize import clean, head_tail, one_line
from rlm_jupyter.user_questions.pending import answer_question
from rlm_jupyter.views.find_agent import find_agent
from rlm_jupyter.views.widget_messages import pending_code, summary

Reply = Callable[[dict[str, Any]], None]
OnMain = Callable[[Callable[[], None]], None]

_OUTPUT = 16_000
_MAX_AT_ONCE = 8


class CellLike(Protocol):
    """What running a cell in an agent's kernel gives."""

    @property
    def status(self) -> str:
        """`ok`, or how it failed."""

    @property
    def output(self) -> str:
        """What it printed and showed."""


class AgentFace(Protocol):
    """An agent as commands need it."""

    def pull(self, name: str | None = None, /) -> object:
        """Returns one of its variables, or what it gave to FINAL, safely decoded."""

    def execute(self, code: str, /) -> CellLike:
        """Run a cell in its kernel."""


class RunFace(Protocol):
    """A run as views need it."""

    @property
    def id(self) -> str:
        """Names it."""

    @property
    def tree(self) -> TreeState:
        """The live state."""

    @property
    def events(self) -> Sequence[AnyEvent]:
        """What happened so far, for a replay."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Held while the state changes."""

    @property
    def done(self) -> bool:
        """Whether it has ended."""

    @property
    def agents(self) -> Mapping[str, AgentFace]:
        """By id."""

    def subscribe(self, listener: Callable[[Any], None], /) -> Callable[[], None]:
        """Call a function with each event, on the engine's thread."""

    def stop(self, agent: str | None = None) -> None:
        """End the run or a branch."""

    def next(self, agent: str | None = None, code: str | None = None) -> None:
        """Let a waiting cell run, as it is or edited."""

    def pause(self) -> None:
        """Let each turn wait for `next`."""

    def resume(self) -> None:
        """End the pause."""


def branching(run: RunFace | None) -> Callable[..., Any] | None:
    """Returns what starts a branch of a run; None if it goes on, has been closed, or is none that can be left."""
    start: Callable[..., Any] | None = getattr(getattr(run, "arguments", None), "branch", None)
    if start is None or run is None or not run.done or getattr(run, "closed", True):
        return None
    return None if run.tree.continues is not None or run.tree.plain else start


class NameTakenError(ConfigError):
    """The notebook has a variable of that name, and overwriting it was not asked for."""


def check_name(name: object, namespace: Mapping[str, object], *, overwrite: bool) -> str:
    """Returns `name` if the notebook may be given a variable of that name.

    Raises:
        ConfigError: it is not a name for a variable.
        NameTakenError: it is taken, by a variable or a builtin.
    """
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise ConfigError(
            f"`{one_line(name, 60)}` is not a name for a variable: "
            "use letters, digits and `_`, as in `counts_2`, and no keyword."
        )
    if name.startswith("__"):
        raise ConfigError(f"`{one_line(name, 60)}` is one of Python's own names: choose another.")
    if name in namespace and not overwrite:
        kind = type(namespace[name]).__name__
        raise NameTakenError(
            f"The notebook has `{name}` already (a {kind}): choose another name, or overwrite it."
        )
    if hasattr(builtins, name) and not overwrite:
        raise NameTakenError(f"`{name}` is a builtin of Python: choose another name, or overwrite it.")
    return name


def value_name(name: str | None, agent: str, namespace: Mapping[str, object]) -> str:
    """Offer a name for what an agent gave to FINAL: the one it was asked under, where that makes a variable."""
    known = name is not None and name.isidentifier()
    return free_name(name if known and name else f"value_{agent.replace('.', '_')}", agent, namespace)


def free_name(name: str, agent: str, namespace: Mapping[str, object]) -> str:
    """Offer a name under which the notebook can be given an agent's variable without overwriting another."""
    base = name if name.isidentifier() and not name.startswith("__") else "pulled"
    marked = f"{base}_{agent.replace('.', '_')}"
    names = [base, marked, *(f"{marked}_{number}" for number in range(2, 100))]
    for candidate in names:
        taken = candidate in namespace or hasattr(builtins, candidate) or keyword.iskeyword(candidate)
        if candidate.isidentifier() and not taken:
            return candidate
    return names[-1]


class Commands:
    """Carries out the requests of one run's widget.

    Args:
        run: gives the run; raises `RLMError` where it is gone.
        namespace: the notebook's variables; None if there is none to pull into.
        on_main: runs a function on the notebook's main thread, soon.
    """

    def __init__(self, run: Callable[[], RunFace], namespace: dict[str, Any] | None, on_main: OnMain) -> None:
        self._run = run
        self._namespace = namespace
        self._on_main = on_main
        self._busy = threading.BoundedSemaphore(_MAX_AT_ONCE)
        self._table: dict[str, Callable[[Mapping[str, Any], Reply], None]] = {
            "stop": self._stop,
            "pull": self._pull,
            "exec": self._exec,
            "next": self._next,
            "reply": self._reply,
            "answer": self._answer,
            "limit": self._limit,
            "pause": self._pause,
            "resume": self._resume,
            "retry": self._retry,
            "branch": self._branch,
        }

    def handle(self, message: Mapping[str, Any], reply: Reply) -> None:
        """Do what a message asks for; `reply` is called once, now or later, on any thread."""
        try:
            command = self._table.get(str(message.get("kind")))
            if command is None:
                raise ConfigError(f"There is no command `{one_line(message.get('kind'), 40)}`.")
            command(message, reply)
        except Exception as error:
            reply(failure(message, error))

    def _agent(self, message: Mapping[str, Any]) -> str:
        run = self._run()
        with run.lock:
            return find_agent(run.tree, str(message.get("agent"))).id

    def _stop(self, message: Mapping[str, Any], reply: Reply) -> None:
        agent = None if message.get("agent") is None else self._agent(message)
        self._run().stop(agent)
        reply(success(message, "The run is stopping." if agent is None else f"Agent {agent} is stopping."))

    def _pause(self, message: Mapping[str, Any], reply: Reply) -> None:
        self._run().pause()
        reply(success(message, "Each turn now waits for Next."))

    def _resume(self, message: Mapping[str, Any], reply: Reply) -> None:
        self._run().resume()
        reply(success(message, "The run goes on by itself."))

    def _limit(self, message: Mapping[str, Any], reply: Reply) -> None:
        name, value = str(message.get("name")), message.get("value")
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ConfigError(f"The limit `{one_line(name, 40)}` needs a number, or nothing for no limit.")
        set_limit = self._optional("set_limit", "The limits of this run cannot be changed.")

        def work() -> None:
            set_limit(name, value)
            told = "off" if value is None else value
            reply(success(message, f"The limit `{one_line(name, 40)}` is now {told}."))

        self._in_thread(work, message, reply)

    def _next(self, message: Mapping[str, Any], reply: Reply) -> None:
        run, agent_id, code = self._run(), self._agent(message), message.get("code")
        with run.lock:
            agent = run.tree.agents[agent_id]
            whole, shown, waits = agent.pending_code, pending_code(agent), agent.waits_for == "step"
        if whole is None and not waits:
            raise ConfigError(f"Agent {agent_id} has no cell that waits for `Next`.")
        if code is not None and not isinstance(code, str):
            raise ConfigError("The edited code must be text.")
        if code == shown or whole is None:
            code = None  # not edited: what the model wrote runs, not how it was shown
        elif code is not None and shown is not None and len(whole or "") > len(shown):
            raise ConfigError("This cell is too long to be edited here: run it as it is, or stop the agent.")

        def work() -> None:
            run.next(agent_id, code)
            reply(success(message, "The run goes on." if whole is None else "The cell runs."))

        self._in_thread(work, message, reply)

    def _reply(self, message: Mapping[str, Any], reply: Reply) -> None:
        run, agent, text = self._run(), self._agent(message), message.get("text")
        if not isinstance(text, str):
            raise ConfigError("The reply must be text.")
        place = getattr(run, "place", None)  # of a tree of several runs: whose agent it is
        owner, own = (run, agent) if place is None else place(agent)
        answer_pending(owner.id, own, text)
        reply(success(message, f"Agent {agent} has its reply."))

    def _answer(self, message: Mapping[str, Any], reply: Reply) -> None:
        number, option, text = message.get("number"), message.get("option"), message.get("text")
        if type(number) is not int or not isinstance(text, (str, NoneType)):
            raise ConfigError("An answer names the question by its number, and is an option or a text.")
        answer_question(self._run().id, number, option=option, text=text)
        reply(success(message, "The agent has your answer."))

    def _retry(self, message: Mapping[str, Any], reply: Reply) -> None:
        agent = self._agent(message)
        self._optional("retry", f"Agent {agent} cannot be asked again in this run: ask anew in a cell.")(
            agent
        )
        reply(success(message, f"Agent {agent} is asked again."))

    def _branch(self, message: Mapping[str, Any], reply: Reply) -> None:
        run, agent, turn, text = self._run(), self._agent(message), message.get("turn"), message.get("text")
        change = message.get("change")
        if change not in ("code", "observation") or not isinstance(text, str) or type(turn) is not int:
            raise ConfigError("A branch names a turn by its number, and has a text: code or an observation.")
        start = branching(run)
        if start is None:
            raise ConfigError(
                f"Run `{one_line(run.id, 60)}` cannot be left from here: it goes on, is a follow-up, or its kernels "
                "have ended. `%rlm branch` can leave the log of a run that has ended."
            )

        def work() -> None:
            made = start(run, agent=agent, turn=turn, **{change: text})
            reply(success(message, f"Branch {made.id} has begun: its row is below agent {agent}."))

        self._in_thread(work, message, reply)

    def _optional(self, name: str, refusal: str) -> Callable[..., None]:
        """Returns a command that not every run has (one read from a log has no limits to raise)."""
        method: Callable[..., None] | None = getattr(self._run(), name, None)
        if method is None:
            raise ConfigError(refusal)
        return method

    def _exec(self, message: Mapping[str, Any], reply: Reply) -> None:
        agent, code = self._agent(message), message.get("code")
        if not isinstance(code, str) or not code.strip():
            raise ConfigError("There is no code to run: write a line of Python.")
        handle = self._run().agents[agent]

        def work() -> None:
            result = handle.execute(code)
            answer = success(message, str(result.status), output=head_tail(result.output, _OUTPUT))
            reply({**answer, "status": str(result.status)})

        self._in_thread(work, message, reply)

    def _pull(self, message: Mapping[str, Any], reply: Reply) -> None:
        namespace = self._namespace
        if namespace is None:
            raise ConfigError("There is no notebook here to pull into: use `run.agents[…].pull(name)`.")
        run, agent = self._run(), self._agent(message)
        # Without a name it is the value that the agent gave to FINAL.
        name = str(message["name"]) if message.get("name") else None
        overwrite = message.get("overwrite") is True
        target = check_name(message.get("target") or name, namespace, overwrite=overwrite)
        handle = run.agents[agent]

        def work() -> None:
            value = handle.pull(name)
            self._on_main(lambda: assign(value))

        def assign(value: object) -> None:
            try:
                check_name(target, namespace, overwrite=overwrite)
                namespace[target] = value
                with run.lock:
                    state = run.tree.agents[agent]
                    what = summary(state.value if name is None else state.variables.get(name))
                reply(success(message, f"{target} = {what or type(value).__name__}"))
            except Exception as error:
                reply(failure(message, error))

        self._in_thread(work, message, reply)

    def _in_thread(self, work: Callable[[], None], message: Mapping[str, Any], reply: Reply) -> None:
        if not self._busy.acquire(blocking=False):
            raise ConfigError(f"{_MAX_AT_ONCE} commands are under way: wait for one of them.")

        def run() -> None:
            try:
                work()
            except Exception as error:
                reply(failure(message, error))
            finally:
                self._busy.release()

        # A daemon: a cell that never ends must not keep the notebook's kernel from shutting down.
        threading.Thread(target=run, name="rlm-command", daemon=True).start()


def success(message: Mapping[str, Any], text: str, **more: Any) -> dict[str, Any]:
    """Make the answer that a request was carried out."""
    return {"kind": "ok", "request": message.get("request"), "message": clean(text, 500), **more}


def failure(message: Mapping[str, Any], error: Exception) -> dict[str, Any]:
    """Make the answer that a request was not carried out, in words."""
    said = str(error) if isinstance(error, RLMError) else f"{type(error).__name__}: {error}"
    answer = {"kind": "error", "request": message.get("request"), "message": clean(said, 2000)}
    return {**answer, "reason": "exists"} if isinstance(error, NameTakenError) else answer
