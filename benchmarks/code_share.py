"""`python -m benchmarks.code_share PATH ...`: how much of the code that ran `run.code()` keeps, over logs of runs.

A path is a log or a directory. With `--prove`, a run whose question is a task of `benchmarks.quality` is asked again on
the task's data with the replies of its log in the place of a model, and its code is proved: run again, and compared.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.task import Task
from benchmarks.quality.task_sets import select
from rlm_jupyter import RLM, NoAnswerCodeError, RLMError
from rlm_jupyter.answer_code.answer_code import AnswerCode
from rlm_jupyter.events import events as ev
from rlm_jupyter.models import ScriptedModel
from rlm_jupyter.records import load

_TARGET = 0.3


@dataclass(frozen=True)
class Measured:
    """The code of one run.

    Attributes:
        name: of its log.
        kept: characters of the code, without recorded answers and helpers.
        ran: characters of all code that the agents ran.
        text: characters of the whole cell, with helpers.
        tried: whether an agent ran more than one statement-bearing cell before the one that answered.
        verdict: of the proof.
    """

    name: str
    kept: int
    ran: int
    text: int
    tried: bool
    verdict: str

    @property
    def share(self) -> float:
        return self.kept / max(1, self.ran)

    def line(self) -> str:
        return f"{self.name:<32} {self.share:6.1%}  {self.kept:6,} of {self.ran:6,}, {self.text:6,} with helpers  {self.verdict}"


def logs_below(paths: Sequence[Path]) -> Iterator[Path]:
    """Yields the logs of runs at or below paths."""
    for path in paths:
        found = sorted(one for one in path.rglob("*.jsonl") if one.is_file()) if path.is_dir() else [path]
        yield from found


def measured(path: Path, tasks: dict[str, Task] | None) -> Measured | None:
    """Returns what the code of a logged run is; None if there is none, or if the file is no log of a run."""
    try:
        past = load(path)
        events = [*past.events]
        code = past.code()
    except (NoAnswerCodeError, RLMError):
        return None
    task = (tasks or {}).get(past.tree.question)
    if task is not None:
        code = proved(task, events) or code
    cells = [event for event in events if isinstance(event, ev.CodeStarted)]
    agents = {event.agent for event in cells}
    # Of each agent a first look, one cell that computes and one that answers are the least there can be.
    tried = len([event for event in cells if event.turn]) > 2 * len(agents)
    return Measured(path.stem, code.characters, code.of_characters, len(code), tried, code.verdict)


def proved(task: Task, events: Sequence[ev.AnyEvent]) -> AnswerCode | None:
    """Ask a task again with the replies of a log, and return the code with its verdict."""
    asked = {event.call: event for event in events if isinstance(event, ev.PromptSent)}
    replies: list[str] = []
    answers: dict[str, str] = {}
    for event in events:
        if isinstance(event, ev.ReplyFinished) and event.call in asked:
            prompt = asked[event.call]
            if prompt.purpose == "turn":
                replies.append(event.text)
            elif prompt.messages:
                answers[prompt.messages[-1]["content"]] = event.text
    left = iter(replies)

    def reply(messages: list[dict[str, str]]) -> str:
        known = answers.get(messages[-1]["content"])
        return known if known is not None else next(left, "")

    rlm = RLM(model=ScriptedModel(reply), prompt="small", cache=False, log_dir=None)
    try:
        with rlm.run(task.question, context=task.data) as run:
            return run.code()
    except RLMError:
        return None


def summary(name: str, runs: Sequence[Measured]) -> str:
    """Returns what holds of several runs, on one line."""
    if not runs:
        return f"{name}: none"
    total = sum(run.kept for run in runs) / sum(run.ran for run in runs)
    short = sum(run.share <= _TARGET for run in runs)
    median = statistics.median(run.share for run in runs)
    return (
        f"{name}: {len(runs)} runs, median {median:.1%}, in all {total:.1%}, at most {_TARGET:.0%}: {short}"
    )


def main() -> None:
    """Measure the logs that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.code_share", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--prove", action="store_true", help="ask the tasks of the quality suite again")
    options = parser.parse_args()
    tasks = {task.question: task for task in select(["all", "twelve"])} if options.prove else None
    runs = []
    for path in logs_below(options.paths):
        found = measured(path, tasks)
        if found is not None:
            print(found.line(), flush=True)
            runs.append(found)
    print(summary("all", runs))
    print(summary("agents that tried more than once", [run for run in runs if run.tried]))
    print(summary("agents that did not", [run for run in runs if not run.tried]))
    verdicts = [run.verdict for run in runs]
    print("; ".join(f"{verdict}: {verdicts.count(verdict)}" for verdict in sorted(set(verdicts))))


if __name__ == "__main__":
    main()
