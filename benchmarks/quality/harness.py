"""What a harness is: it asks a model a task's question in its own way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.quality.task import Task


@dataclass(frozen=True)
class Conditions:
    """What all harnesses are given alike.

    Attributes:
        model: its name, as the server knows it.
        turns: how many replies with code a run may have.
        reply_tokens: of one reply, at most.
        seconds: of one run, at most.
        window: tokens of prompt and reply that the model takes; None: as the server says, else a guess.
        settings: further settings of `ours`.
        samples: how many agents of `ours` answer, none knowing of the others.
        verify: whether one more decides where they differ.
    """

    model: str
    turns: int = 8
    reply_tokens: int = 700
    seconds: float = 400.0
    window: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    samples: int = 1
    verify: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of one run.

    Attributes:
        answer: of any type; None if there is none.
        error: why there is none.
        limited: whether the time, the turns or another limit ended it.
        turns: replies with code, as the harness counts them; None if it does not.
        run_log: a log of the harness's own.
    """

    answer: Any = None
    error: str | None = None
    limited: bool = False
    turns: int | None = None
    run_log: Path | None = None


class Harness(Protocol):
    """Runs tasks."""

    @property
    def name(self) -> str:
        """By which it is chosen."""

    def prepare(self) -> None:
        """Install what is needed, once before the first run.

        Raises:
            HarnessError: it cannot be installed.
        """

    def versions(self) -> dict[str, str]:
        """Returns the versions of what the harness is made of."""

    def run(self, task: Task, base_url: str, conditions: Conditions, folder: Path) -> Outcome:
        """Ask the question of a task.

        Args:
            task: with its data.
            base_url: of the server; no key is needed.
            conditions: the limits.
            folder: for logs.
        """


class HarnessError(RuntimeError):
    """A harness cannot be used here."""
