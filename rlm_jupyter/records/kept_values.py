"""The values that a run kept on disk beside its log, without a kernel: answers, small variables, small data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rlm_jupyter.errors import RunNotFoundError, VariableNotFoundError
from rlm_jupyter.values.value_files import ValueFiles, ValueKey, directory_of

_LISTED = 30


class KeptValues:
    """The values of one run, decoded when they are asked for. No code of a file is ever run.

    Args:
        files: of the run.
    """

    def __init__(self, files: ValueFiles) -> None:
        self._files = files
        self._keys = files.keys()

    @property
    def answers(self) -> tuple[str, ...]:
        """The agents whose answers are there."""
        return tuple(key.agent for key in self._keys if key.role == "answer")

    def variables(self, agent: str = "0") -> tuple[str, ...]:
        """Returns the names of an agent's variables that are there."""
        return tuple(key.name for key in self._keys if key.role == "variable" and key.agent == agent)

    @property
    def value(self) -> Any:
        """What the root gave to FINAL.

        Raises:
            VariableNotFoundError: it was not kept.
        """
        return self.pull()

    @property
    def data(self) -> Any:
        """What the root was asked about.

        Raises:
            VariableNotFoundError: it was not kept.
        """
        return self._load(ValueKey("data", "0"), "the data")

    def pull(self, agent: str = "0", name: str | None = None) -> Any:
        """Returns an agent's answer, or one of its variables.

        Args:
            agent: its id.
            name: the variable's; None for what it gave to FINAL.

        Raises:
            VariableNotFoundError: it was not kept; the message lists what was.
            MalformedValueError: the file is damaged.
        """
        if name is None:
            return self._load(ValueKey("answer", agent), f"the answer of agent `{agent}`")
        return self._load(ValueKey("variable", agent, name), f"`{name}` of agent `{agent}`")

    def _load(self, key: ValueKey, what: str) -> Any:
        buffer = self._files.read(key)
        if buffer is None:
            names = [f"`{one.agent}` {one.name or one.role}" for one in self._keys[:_LISTED]]
            raise VariableNotFoundError(
                f"{what[:1].upper()}{what[1:]} was not kept. There is: {', '.join(names) or 'nothing'}. To compute it "
                "again, resume the run (`%rlm resume`)."
            )
        with buffer:
            return buffer.load()

    def __repr__(self) -> str:
        return f"<KeptValues of {self._files.directory.stem} · {len(self._keys)} values>"


def values(log: str | os.PathLike[str]) -> KeptValues:
    """Returns the values that a run kept beside its log.

    Args:
        log: the path of the log.

    Raises:
        RunNotFoundError: there are none.
    """
    directory = directory_of(Path(log))
    if not directory.is_dir():
        raise RunNotFoundError(
            f"There are no values at `{directory}`: they are kept if `keep_values` is set, for the newest 20 runs of a "
            "directory and 30 days at most."
        )
    return KeptValues(ValueFiles(directory))
