"""Runs the tests side by side, and what fails once more, alone; says what was flaky, and counts each test once.

usage: python tests/flaky.py [-n PROCESSES] [--dist HOW] [--failed STEP ...] [--durations-file PATH]
                             [OPTION OR PATH OF PYTEST ...]

Real kernels, servers and a browser share a machine here: a test may fail for want of time beside the others. Such a
test is not a failure of the run, and it is not silent either: it is named at the end. What fails alone fails the run.
The last line is `N passed, N failed` for the run as a whole.

`--durations-file` writes how many seconds each file took, the longest first; `order.py` reads `tests/durations.json`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
MOST = 50
"""So many failures are no matter of chance: they are not tried again, which would take an hour."""
WORST = ["passed", "skipped", "xfailed", "failed"]
"""Outcomes of a test, the worst last: that of a test is the worst of its set-up, its call and its tear-down."""


# ----------------------------------------------------------------------------------- one run, as pytest's plugin


class Recorder:
    """Writes down what became of each test; and runs only some, where it is told which.

    Args:
        path: of the file of outcomes.
        only: names of the tests to run; None is all.
    """

    def __init__(self, path: Path, only: set[str] | None = None) -> None:
        self.path = path
        self.only = only
        self.outcomes: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if self.only is not None:
            others = [item for item in items if item.nodeid not in self.only]
            config.hook.pytest_deselected(items=others)
            items[:] = [item for item in items if item.nodeid in self.only]

    def pytest_ignore_collect(self, collection_path: Path, config: pytest.Config) -> bool | None:
        """Leaves out files of which no test is to run; what they import takes time and may start something."""
        if self.only is None or collection_path.is_dir() or collection_path.name == "conftest.py":
            return None
        files = {config.rootpath / name.partition("::")[0] for name in self.only}
        return True if collection_path not in files else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome: str = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "failed" if outcome == "passed" else "xfailed"  # `xfail_strict` holds here
        file = report.nodeid.partition("::")[0]
        self.seconds[file] = self.seconds.get(file, 0.0) + report.duration
        self._note(report, outcome)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._note(report, "failed")

    def _note(self, report: Any, outcome: str) -> None:
        before = self.outcomes.get(report.nodeid, WORST[0])
        self.outcomes[report.nodeid] = max(before, outcome, key=WORST.index)
        if outcome == "failed":
            crash = getattr(report.longrepr, "reprcrash", None)
            text = crash.message if crash else str(report.longrepr)
            self.reasons.setdefault(report.nodeid, next(iter(text.strip().splitlines()), "")[:200])

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(
            json.dumps({"outcomes": self.outcomes, "reasons": self.reasons, "seconds": self.seconds})
        )


@dataclass
class Run:
    """What came of one run of pytest.

    Attributes:
        code: its exit code.
        outcomes: by name of the test: `passed`, `skipped`, `xfailed` or `failed`.
        reasons: by name of the test that failed: the first line of why.
        seconds: by file: how long its tests took, with what they share.
    """

    code: int
    outcomes: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """The tests that failed, and the files that could not be read."""
        return [name for name, outcome in self.outcomes.items() if outcome == "failed"]


def run(options: list[str], only: list[str] | None = None) -> Run:
    """Runs pytest in a process of its own, whose output is seen as it comes.

    Args:
        options: of pytest.
        only: the tests to run; None is all.
    """
    with tempfile.TemporaryDirectory() as folder:
        task, path = Path(folder) / "only", Path(folder) / "outcomes"
        task.write_text(json.dumps(only))
        code = subprocess.call([sys.executable, __file__, "--record", str(task), str(path), *options])
        said = json.loads(path.read_text()) if path.exists() else {}
    # A test that ends the process of pytest itself may do so with 0.
    return Run(code if said else code or int(pytest.ExitCode.INTERNAL_ERROR), **said)


def record(task: str, path: str, options: list[str]) -> int:
    """Runs pytest in this process, with what `run` asks for."""
    only = json.loads(Path(task).read_text())
    sys.path[0] = str(ROOT)  # as `python -m pytest` has it
    return int(pytest.main(options, plugins=[Recorder(Path(path), None if only is None else set(only))]))


# --------------------------------------------------------------------------------------------------- both runs


def say(*lines: str) -> None:
    """Prints lines after those of pytest, which share the output."""
    print(*lines, sep="\n", flush=True)  # noqa: T201 - the purpose of this program


def again(first: Run, options: list[str]) -> Run:
    """Runs what failed once more, alone."""
    if not first.failed or first.code != pytest.ExitCode.TESTS_FAILED:
        return Run(0)
    if len(first.failed) > MOST:
        say("", f"{len(first.failed)} tests failed, more than {MOST}: they are not tried again.")
        return Run(0)
    say("", f"== what failed ({len(first.failed)}), once more and alone")
    return run([*options, "-p", "no:xdist"], first.failed)


def report(first: Run, second: Run, before: Sequence[str] = ()) -> int:
    """Prints what the run as a whole came to; returns its exit code.

    Args:
        first: the run of all tests.
        second: the run of those that failed.
        before: what failed before the tests, and is counted with them.
    """
    flaky = [name for name in first.failed if second.outcomes.get(name) == "passed"]
    failed = [*before, *(name for name in first.failed if name not in flaky)]
    outcomes = first.outcomes | dict.fromkeys(flaky, "passed") | dict.fromkeys(before, "failed")
    counts = Counter(outcomes.values())
    say("", f"flaky: {len(flaky)}" + " (failed beside the others, passed alone)" * bool(flaky))
    for name in flaky:
        say(f"  {name}: {first.reasons.get(name, '')}")
    if failed:
        say(f"failed: {len(failed)}")
    for name in failed:
        say(f"  {name}: {second.reasons.get(name, first.reasons.get(name, 'failed before the tests'))}")
    others = [f"{counts[outcome]} {outcome}" for outcome in ("skipped", "xfailed") if counts[outcome]]
    if others:
        say(", ".join(others))
    say(f"{counts['passed']} passed, {counts['failed']} failed")
    explained = first.code == pytest.ExitCode.TESTS_FAILED and first.failed
    if first.code and not explained:
        return first.code  # stopped, or nothing was run: whatever the figures say
    return 1 if failed else 0


def write_durations(path: Path, seconds: dict[str, float]) -> None:
    """Writes the seconds of each file, the longest first."""
    longest_first = sorted(seconds.items(), key=lambda item: (-item[1], item[0]))
    rounded = {file: round(taken, 1) for file, taken in longest_first}
    path.write_text(json.dumps(rounded, indent=0) + "\n", "utf-8")


def main(arguments: list[str]) -> int:
    """Runs the tests, and says what was flaky."""
    if arguments[:1] == ["--record"]:
        return record(arguments[1], arguments[2], arguments[3:])
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-n", default="0")
    parser.add_argument("--dist", default="loadfile")
    parser.add_argument("--failed", action="append", default=[])
    parser.add_argument("--durations-file", type=Path)
    ours, options = parser.parse_known_args(arguments)
    beside = ["-n", ours.n, "--dist", ours.dist] if ours.n != "0" else []
    first = run([*beside, *options])
    if ours.durations_file is not None:
        write_durations(ours.durations_file, first.seconds)
    return report(first, again(first, options), ours.failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
