"""What a run goes through again: the record of an earlier one, from its log and its values on disk, or from memory."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.run.recorded_run import Branch, RecordedRun
from rlm_jupyter.engine.run.run import Run
from rlm_jupyter.errors import ConfigError, ContextError, RunNotFoundError
from rlm_jupyter.records.reader import load
from rlm_jupyter.run_setup.sources import Grants
from rlm_jupyter.run_setup.start import Data
from rlm_jupyter.values.value_files import ValueFiles, ValueKey, directory_of

if TYPE_CHECKING:
    from rlm_jupyter.engine.agent.cell_history import Past
    from rlm_jupyter.events.tree_state import TreeState
    from rlm_jupyter.models.base import ChatModel
    from rlm_jupyter.records.past_run import PastRun
    from rlm_jupyter.settings import Limits
    from rlm_jupyter.values.buffer import Buffer

_ID = re.compile(r"[\w-]{1,64}")
_LISTED = 10
_SPENT = ("cost", "calls", "tokens", "prompt_tokens", "completion_tokens")


def find_log(run: str | os.PathLike[str], log_dir: Path | None) -> Path:
    """Find the log of a run: by its path, or by the beginning or end of its id among those of a directory.

    Raises:
        RunNotFoundError: there is none, or more than one.
    """
    path = Path(run).expanduser()
    if path.suffix == ".jsonl":
        return path
    logs = sorted(log_dir.expanduser().glob("*.jsonl")) if log_dir is not None else []
    name = str(run)
    found = [log for log in logs if log.stem == name]
    if not found and _ID.fullmatch(name):
        found = [log for log in logs if log.stem.startswith(name) or log.stem.endswith(name)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"`{log.stem}`" for log in logs[-_LISTED:]) or "none"
    what = "no log of a run" if not found else "more than one log of a run"
    raise RunNotFoundError(
        f"There is {what} `{name}` in `{log_dir}`. The newest there: {listed}. Or name a path."
    )


@dataclass
class Recording:
    """An earlier run, as far as it is known.

    Attributes:
        tree: its tree.
        log: its log; None if it has none.
        live: the run itself, if it is in this process and its data is still held.
    """

    tree: TreeState
    log: Path | None
    live: Run | None = None

    @classmethod
    def of(cls, run: Run | PastRun | str | os.PathLike[str], log_dir: Path | None) -> Recording:
        """Read the record of a run.

        Args:
            run: a run, a log's path, or a part of a run's id.
            log_dir: where logs are.

        Raises:
            RunNotFoundError, LogError: there is no log, or it cannot be read.
            ConfigError: the run still goes on in this process.
        """
        if isinstance(run, (str, os.PathLike)):
            path = find_log(run, log_dir)
            return cls(load(path).tree, path)
        if not run.done:
            raise ConfigError(
                f"Run `{run.id}` still runs: wait for it (`run.wait()`), or stop it (`run.stop()`)."
            )
        if isinstance(run, Run):
            with run.lock:
                return cls(run.tree, run.log_path, run)
        return cls(run.tree, run.log_path)

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that its data was called by."""
        return self.tree.context_names

    @property
    def has_data(self) -> bool:
        """Whether the data that it was asked about is still there, or there was none."""
        try:
            data = self.data()
        except ContextError:
            return False
        if data.buffer is not None:
            data.buffer.close()
        return True

    def recorded(self, branch: Branch | None = None) -> RecordedRun:
        """Returns it as a run goes through it.

        Raises:
            ConfigError: the branch leaves it where there is nothing.
        """
        recorded = RecordedRun(self.tree, self.value, branch)
        if branch is not None:
            recorded.use_checkpoints(self._past)
        return recorded

    def _past(self, agent: str, turn: int) -> Past | str:
        """Returns the record of an agent up to a checkpoint of its kernel, or why there is none to be used."""
        if self.live is None:
            return "the kernels of that run ended with their process"
        if self.live.closed:
            return "the kernels of that run have ended"
        history = self.live.agents[agent].history if agent in self.live.agents else None
        if history is None:
            return "no checkpoints of its kernel were kept (`checkpoints=`)"
        found = history.past(turn)
        if found is not None:
            return found
        return history.refused or f"none of the checkpoints that are left is of turn {turn} or before"

    def value(self, key: ValueKey) -> Buffer | None:
        """Returns a value of it, from memory or from the disk; None if it was not kept. It may block."""
        agent = self.live.agents.get(key.agent) if self.live is not None else None
        if agent is not None and key.role == "answer" and (encoded := agent.encoded) is not None:
            return encoded
        return ValueFiles(directory_of(self.log)).read(key) if self.log is not None else None

    def data(self) -> Data:
        """Returns the data that it was asked about.

        Raises:
            ContextError: it was not kept, since it is large, a file, or not plain data.
        """
        if self.tree.context is None:
            return Data()
        if self.live is not None and (root := self.live.root) is not None and not self.live.closed:
            spec, services = root.spec, root.services
            if spec.context is not None and not spec.context.closed:
                read = tuple(services.box_limits.get("read", ()))
                grants = Grants(read, tuple(services.box_limits.get("list", ())), services.links)
                return Data(spec.context.dup(), spec.names, spec.item_names, grants)
        kept = self.value(ValueKey("data", "0"))
        names = self.names
        if kept is None:
            named = " ".join(names) or "NAME"
            raise ContextError(
                f"The data of run `{self.tree.run}` was not kept with it (it is large, a file, or no plain data). Load "
                f"it again and hand it over: `%rlm resume {self.tree.run} {named}`, or `context=`."
            )
        several = len(names) > 1
        return Data(kept, () if several else names, names if several else ())

    def check_models(self, model: ChatModel, sub_model: ChatModel) -> None:
        """Refuse other models than the recorded ones: no address or key is taken from a log.

        Raises:
            ConfigError: which model is to be named.
        """
        for asked, known, option in (
            (model.name, self.tree.model, "model"),
            (sub_model.name, self.tree.sub_model, "sub_model"),
        ):
            if asked != known:
                raise ConfigError(
                    f"Run `{self.tree.run}` was asked of `{known[:80]}`, and this one would be asked of `{asked}`. "
                    f"Name the same {option} (`{'-m' if option == 'model' else '--sub-model'} {known[:80]}`)."
                )

    def limits(self, limits: Limits) -> Limits:
        """Returns limits less what the run had spent, so that both together stay below them.

        Raises:
            ConfigError: nothing is left of one of them.
        """
        tree = self.tree
        if tree.status == "done":
            return limits  # nothing is left to be asked
        spent = {
            "cost": tree.cost or 0.0,
            "calls": tree.requests - tree.cached,
            "tokens": tree.input_tokens + tree.output_tokens,
            "prompt_tokens": tree.input_tokens,
            "completion_tokens": tree.output_tokens,
        }
        left: dict[str, Any] = {}
        for name in _SPENT:
            limit = getattr(limits, name)
            if limit is None:
                continue
            left[name] = limit - spent[name]
            if left[name] <= 0:
                raise ConfigError(
                    f"Run `{tree.run}` has spent {spent[name]:g} of its limit `{name}`, {limit:g}, already: resume it "
                    f"with a higher one (`Limits({name}=...)`)."
                )
        return limits.model_copy(update=left)
