"""Runs tasks through harnesses, and keeps what came of each run."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.answer_forms import text_of
from benchmarks.quality.exchange import Exchange, write_log
from benchmarks.quality.failures import failures
from benchmarks.quality.graders import Verdict
from benchmarks.quality.harness import Conditions, Harness, HarnessError, Outcome
from benchmarks.quality.recording_proxy import RecordingProxy
from benchmarks.quality.results import Judgement, Result, append, key, read
from benchmarks.quality.task import Task
from rlm_jupyter.text.sanitize import clean

RESULTS = "results.jsonl"
_SHOWN = 300
_UNREACHABLE = (0, 401, 403, 404, 429)
"""A status of HTTP that says something of the server or the key, and nothing of a harness; 0: there was no reply."""


class ServerUnreachableError(HarnessError):
    """The server answered no request of a run: such a run says nothing of a harness."""


@dataclass(frozen=True)
class Suite:
    """What is run, and where its results go.

    Attributes:
        harnesses: in their order.
        conditions: for all of them.
        folder: for results and logs.
        repeat: how often each task is run.
        label: tells variants of `ours` apart.
        reply_field: of a request, in which the server reads how long a reply may be.
        anew: whether runs that are there already are run again.
    """

    harnesses: Sequence[Harness]
    conditions: Conditions
    folder: Path
    repeat: int = 1
    label: str = ""
    reply_field: str = "max_tokens"
    anew: bool = False

    def run(self, tasks: Iterable[Task], base_url: str, api_key: str, tell: Callable[[Result], None]) -> None:
        """Run all tasks, each by all harnesses before the next, so that an interrupted suite can be compared.

        Raises:
            HarnessError: a harness cannot be installed, or the server cannot be reached.
        """
        for harness in self.harnesses:
            harness.prepare()
        versions = {harness.name: harness.versions() for harness in self.harnesses}
        path = self.folder / RESULTS
        done = {result.key for result in read([path])} if path.exists() and not self.anew else set()
        limit = self.conditions.reply_tokens
        with RecordingProxy(base_url, api_key, limit, self.reply_field) as proxy:
            for task in tasks:
                characters = len(task.text())
                for repeat in range(self.repeat):
                    for harness in self.harnesses:
                        if self._key(harness, task, repeat, characters) not in done:
                            result = self._once(harness, task, repeat, proxy, versions[harness.name])
                            append(path, result)
                            tell(result)

    def _told(self, harness: Harness) -> dict[str, Any]:
        """Returns the conditions, as far as they concern a harness."""
        told = asdict(self.conditions)
        del told["model"]
        if harness.name != "ours":
            del told["settings"]
        if harness.name != "plain":
            del told["window"]
        if harness.name != "ours" or (self.conditions.samples == 1 and not self.conditions.verify):
            del told["samples"], told["verify"]
        return told

    def _label(self, harness: Harness) -> str:
        return self.label if harness.name == "ours" else ""

    def _key(self, harness: Harness, task: Task, repeat: int, characters: int) -> str:
        label, conditions = self._label(harness), self._told(harness)
        return key(
            harness.name,
            label,
            self.conditions.model,
            full_name(task),
            task.seed,
            repeat,
            characters,
            conditions,
        )

    def _once(
        self, harness: Harness, task: Task, repeat: int, proxy: RecordingProxy, versions: dict[str, str]
    ) -> Result:
        recording = proxy.record()
        began = time.monotonic()
        outcome = harness.run(task, proxy.url, self.conditions, self.folder / "logs")
        seconds = time.monotonic() - began
        exchanges = recording.end()
        check_reached(exchanges)
        name = re.sub(
            r"[^\w.-]", "-", f"{harness.name}-{self._label(harness)}-{full_name(task)}-{task.seed}-{repeat}"
        )
        log = self.folder / "logs" / f"{name}.jsonl"
        write_log(log, exchanges)
        return self._result(harness, task, repeat, outcome, exchanges, seconds, versions, log)

    def _result(
        self,
        harness: Harness,
        task: Task,
        repeat: int,
        outcome: Outcome,
        exchanges: list[Exchange],
        seconds: float,
        versions: dict[str, str],
        log: Path,
    ) -> Result:
        verdict = None if outcome.error or outcome.answer is None else task.grader.judge(outcome.answer)
        counted = [exchange.tokens() for exchange in exchanges]
        return Result(
            harness=harness.name,
            label=self._label(harness),
            task=full_name(task),
            family=task.family,
            seed=task.seed,
            repeat=repeat,
            characters=len(task.text()),
            model=self.conditions.model,
            verdict=_judgement(verdict),
            failures=failures(verdict, outcome, exchanges, with_code=harness.name != "plain"),
            answer="" if outcome.answer is None else text_of(outcome.answer)[:_SHOWN],
            wanted=task.grader.wanted[:_SHOWN],
            turns=outcome.turns,
            requests=len(exchanges),
            prompt_tokens=sum(prompt for prompt, _ in counted),
            completion_tokens=sum(completion for _, completion in counted),
            estimated=any(exchange.estimated for exchange in exchanges),
            seconds=round(seconds, 1),
            error=outcome.error,
            log=str(log),
            run_log=None if outcome.run_log is None else str(outcome.run_log),
            versions=versions,
            conditions=self._told(harness),
            at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        )


def full_name(task: Task) -> str:
    """Returns a task's name, with its set if that is not `all`."""
    return f"twelve/{task.name}" if task.family == "twelve" else task.name


def check_reached(exchanges: Sequence[Exchange]) -> None:
    """Refuse a run in which the server answered nothing.

    Raises:
        ServerUnreachableError: it did not, for a reason that has nothing to do with the harness.
    """
    if exchanges and all(exchange.error and exchange.status in _UNREACHABLE for exchange in exchanges):
        raise ServerUnreachableError(
            f"The server answered no request: {clean(exchanges[-1].error, _SHOWN)} Check `--base-url`, `--api-key` and `--model`; the "
            "same command then goes on where it stopped."
        )


def _judgement(verdict: Verdict | None) -> Judgement:
    if verdict is None:
        return "no answer"
    return "right" if verdict == "right" else "wrong"
