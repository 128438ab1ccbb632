"""A run that is no longer in memory: what its log tells of it, read when somebody asks."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rlm_jupyter.answer_code.answer_code import AnswerCode
from rlm_jupyter.diagnosis.finding import Diagnosis
from rlm_jupyter.diagnosis.run_diagnosis import diagnose
from rlm_jupyter.errors import (
    AgentNotFoundError,
    ConfigError,
    KernelDiedError,
    NoAnswerCodeError,
    RunNotFoundError,
)
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.agreement import Agreement
from rlm_jupyter.events.tree_state import AgentState, CallState, TreeState, TurnState
from rlm_jupyter.records.reader import load

if TYPE_CHECKING:
    import pandas as pd

_QUESTION_CHARS = 1000


class PastRun:
    """A run of this process of which only the log is left: its kernels have ended, and nobody holds its value.

    Args:
        tree: its state at its end.
        summary: the same in one line.
        log_path: its log; None if there is none, or none that is whole. A part of the tree is kept in memory then.

    Attributes:
        id: the run's id.
        question: verbatim, of a long one the beginning.
        summary: the run in one line.
        log_path: as above.
        lock: as that of a run; nothing changes any more.
        done: True.
    """

    done = True
    paused = False

    def __init__(self, tree: TreeState, summary: str, log_path: Path | None) -> None:
        self.id = tree.run
        self.question = tree.question[:_QUESTION_CHARS]
        self.status = tree.status
        self.summary = summary
        self.log_path = log_path
        self.lock = threading.RLock()
        self._kept = None if log_path is not None else without_texts(tree)
        self._read: weakref.ref[TreeState] | None = None

    @property
    def tree(self) -> TreeState:
        """The tree, read from the log; where there is none, what was kept of it: without prompts and replies.

        Raises:
            RunNotFoundError, LogError: the log is gone, or cannot be read any more.
        """
        if self._kept is not None or self.log_path is None:
            return self._kept or TreeState(run=self.id)
        tree = self._read() if self._read is not None else None
        if tree is None:
            tree = load(self.log_path).tree
            self._read = weakref.ref(tree)
        return tree

    @property
    def identity(self) -> str:
        """A hash over what determines the run; empty in logs that have none.

        Raises:
            RunNotFoundError, LogError: the log is gone, or cannot be read any more.
        """
        return self.tree.identity

    @property
    def agreement(self) -> Agreement | None:
        """The share of the samples that agree with its answer; None without samples.

        Raises:
            RunNotFoundError, LogError: the log is gone, or cannot be read any more.
        """
        told = self.tree.agreement
        return None if told is None else Agreement(told)

    @property
    def events(self) -> Sequence[ev.AnyEvent]:
        """Its events, read from the log; none where there is no log.

        Raises:
            RunNotFoundError, LogError: the log is gone, or cannot be read any more.
        """
        return () if self.log_path is None else load(self.log_path).events

    @property
    def agents(self) -> Mapping[str, PastAgent]:
        """Its agents by id."""
        return _PastAgents(self)

    def messages(self, agent: str = "0") -> list[dict[str, str]]:
        """Return what was sent to the model for an agent, and its replies, as the log has them.

        Raises:
            AgentNotFoundError: there is no such agent.
        """
        return self.agents[agent].messages

    def frame(self, table: str) -> pd.DataFrame:
        """Return a table of the run as a DataFrame, as `Run.frame`; without a log there are no texts in it.

        Args:
            table: `agents`, `turns`, `calls`, `variables`, or `runs` (one row).

        Raises:
            ConfigError: there is no such table, or pandas is not installed.
            RunNotFoundError, LogError: the log is gone, or cannot be read any more.
        """
        from rlm_jupyter.events.table_frames import frame_of

        return frame_of([self.tree], table)

    def code(self, *, prove: bool = True) -> AnswerCode:  # noqa: ARG002 - as of a run that is held
        """Returns the code behind its answer, from its log; it is not run again, since nobody holds its data.

        Args:
            prove: has no effect here.

        Raises:
            NoAnswerCodeError: there is none, or no log, with the reason.
            RunNotFoundError, LogError: the log is gone, or cannot be read any more.
        """
        if self.log_path is None:
            raise NoAnswerCodeError(
                f"Run `{self.id}` is no longer in memory and has no log: its code is gone. Ask anew, with a `log_dir`."
            )
        return load(self.log_path).code()

    def diagnose(self) -> Diagnosis:
        """Returns what stands out in it, by its log: errors, limits, waste of money and time, each with a next step.

        Raises:
            RunNotFoundError, LogError: there is no log, it is gone, or it cannot be read any more.
        """
        if self.log_path is None:
            raise RunNotFoundError(
                f"Run `{self.id}` is no longer in memory and has no log: there is nothing to diagnose. Ask anew, with "
                "a `log_dir`."
            )
        return diagnose(self.events)

    def function(self) -> NoReturn:
        """Refuse: its kernels have ended.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def subscribe(self, _listener: Callable[[Any], None]) -> Callable[[], None]:
        """Do nothing: there are no more events."""
        return lambda: None

    def stop(self, agent: str | None = None) -> None:
        """Do nothing: it has ended."""

    def close(self) -> None:
        """Do nothing: its kernels have ended."""

    def next(self, _agent: str | None = None, _code: str | None = None) -> None:
        """Refuse: nothing waits.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def pause(self) -> None:
        """Refuse: nothing goes on.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def resume(self) -> None:
        """Refuse: nothing waits.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def retry(self, _agent: str) -> str:
        """Refuse: its kernels have ended.

        Raises:
            ConfigError: always.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ConfigError(
            f"Run `{self.id}` ended earlier, and its kernels with it: only its tree is left (`%rlm tree {self.id}`). "
            "Ask anew."
        )

    def __repr__(self) -> str:
        return f"<PastRun {self.id} · {self.status}>"


class PastAgent:
    """An agent of such a run.

    Attributes:
        id: such as ``"0.2"``.
        state: its row of the tree.
    """

    def __init__(self, run: PastRun, state: AgentState) -> None:
        self.id = state.id
        self.state = state
        self._run = run

    @property
    def variables(self) -> dict[str, dict[str, Any]]:
        """What was defined in its kernel: name → description."""
        return self.state.variables

    @property
    def messages(self) -> list[dict[str, str]]:
        """What was sent to the model for it, and the replies."""
        messages: list[dict[str, str]] = []
        for turn in self.state.turns:
            messages[turn.call.start :] = turn.call.messages
            messages.append({"role": "assistant", "content": turn.call.text})
        return messages

    def pull(self, name: str | None = None, **_options: Any) -> NoReturn:
        """Refuse: its kernel has ended, and the value was let go of.

        Raises:
            KernelDiedError: always.
        """
        self._refuse("its value" if name is None else f"`{name}`")

    def execute(self, _code: str) -> NoReturn:
        """Refuse: its kernel has ended.

        Raises:
            KernelDiedError: always.
        """
        self._refuse("its kernel")

    def _refuse(self, what: str) -> NoReturn:
        raise KernelDiedError(
            f"Run `{self._run.id}` is no longer in memory, and {what} of agent `{self.id}` with it: of earlier runs "
            "only small ones stay, and what a variable holds. Ask anew; to keep the next one, hold its run "
            "(`run = %rlm last`), or raise the setting `kernel_memory`."
        )


class _PastAgents(Mapping[str, PastAgent]):
    def __init__(self, run: PastRun) -> None:
        self._run = run
        self._states = run.tree.agents

    def __getitem__(self, agent_id: str) -> PastAgent:
        if agent_id not in self._states:
            known = ", ".join(f"`{known}`" for known in self._states)
            raise AgentNotFoundError(f"Run `{self._run.id}` has no agent `{agent_id}`. It has: {known}.")
        return PastAgent(self._run, self._states[agent_id])

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)


def without_texts(tree: TreeState) -> TreeState:
    """Return a copy of a tree that has no prompts, replies and outputs: all the rest stays."""
    agents = {
        id_: replace(
            agent,
            turns=[_bare_turn(turn) for turn in agent.turns],
            calls=[_bare_call(call) for call in agent.calls],
        )
        for id_, agent in tree.agents.items()
    }
    return replace(tree, agents=agents, completions={})


def _bare_turn(turn: TurnState) -> TurnState:
    cells = [replace(cell, output="", cut=cell.cut + len(cell.output)) for cell in turn.cells]
    return replace(turn, call=_bare_call(turn.call), cells=cells)


def _bare_call(call: CallState) -> CallState:
    return replace(call, messages=(), text="")
