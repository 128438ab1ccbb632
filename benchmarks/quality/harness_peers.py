"""The harnesses `rlms` and `dspy`: other implementations, in an environment and a process of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.harness import Conditions, HarnessError, Outcome
from benchmarks.quality.task import Task

ROOT = Path(__file__).resolve().parents[2]
RUNNER = Path(__file__).with_name("peer_runner.py")
_START_SECONDS = 180.0
"""For the imports of a peer, on a busy machine."""
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT")
"""What a peer gets of the environment: it runs a model's code with the user's rights, so no keys."""
_TICK = 0.1


@dataclass(frozen=True)
class Peer:
    """Another implementation.

    Attributes:
        name: of the harness.
        requirements: what pip installs for it.
        package: the one whose version is told.
    """

    name: str
    requirements: tuple[str, ...]
    package: str

    @property
    def environment(self) -> Path:
        """The folder of its environment."""
        return ROOT / ".venvs" / f"quality-{self.name}"

    @property
    def python(self) -> Path:
        """The Python of its environment."""
        return self.environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def prepare(self) -> None:
        """Make its environment, unless it is there.

        Raises:
            HarnessError: pip cannot install it.
        """
        done = self.environment / ".installed"
        wanted = "\n".join(self.requirements)
        if done.exists() and done.read_text("utf-8") == wanted:
            return
        install = [
            str(self.python),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            *self.requirements,
        ]
        for command in ([sys.executable, "-m", "venv", str(self.environment)], install):
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            if ended.returncode:
                reason = ended.stderr.strip()[-1000:]
                raise HarnessError(f"The harness `{self.name}` cannot be installed:\n{reason}")
        done.write_text(wanted, "utf-8")

    def versions(self) -> dict[str, str]:
        """Returns the versions of its package and of Python."""
        code = "import importlib.metadata as m, platform, sys; print(m.version(sys.argv[1]), platform.python_version())"
        told = subprocess.run(
            [self.python, "-c", code, self.package], capture_output=True, text=True, check=True
        ).stdout.split()
        return {self.package: told[0], "python": told[1]}

    def run(self, task: Task, base_url: str, conditions: Conditions, folder: Path) -> Outcome:  # noqa: ARG002 - the protocol's
        """Ask the question of a task, in a process group that is ended when the time is over."""
        with tempfile.TemporaryDirectory(prefix="quality-", ignore_cleanup_errors=True) as name:
            scratch = Path(name)
            (scratch / "tasks.json").write_text(json.dumps([request(task, base_url, conditions)]), "utf-8")
            events = scratch / "events.jsonl"
            with (scratch / "printed").open("wb") as printed:
                process = subprocess.Popen(
                    command(self, scratch),
                    cwd=scratch,
                    env=environment(scratch),
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                try:
                    timed_out = _wait(process, events, conditions.seconds)
                finally:
                    end_processes(process, scratch)
            tail = (scratch / "printed").read_bytes()[-500:].decode("utf-8", "replace")
            return outcome(read_events(events), timed_out, conditions, tail)


PEERS = {
    "rlms": Peer("rlms", ("rlms==0.1.3",), "rlms"),
    "dspy": Peer("dspy", ("dspy>=3,<4",), "dspy"),
}


def request(task: Task, base_url: str, conditions: Conditions) -> dict[str, Any]:
    """Returns what the runner is told of a task."""
    return {
        "name": task.name,
        "question": task.question,
        "text": task.text(),
        "base_url": base_url,
        "model": conditions.model,
        "turns": conditions.turns,
        "reply_tokens": conditions.reply_tokens,
    }


def command(peer: Peer, scratch: Path) -> list[str]:
    """Returns the command that runs the tasks of a folder."""
    return [
        str(peer.python),
        str(RUNNER),
        peer.name,
        str(scratch / "tasks.json"),
        str(scratch / "events.jsonl"),
    ]


def environment(scratch: Path) -> dict[str, str]:
    """Returns the variables of a peer's process: no keys, and a home of its own."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "HOME": str(scratch), "TMPDIR": str(scratch), "PYTHONIOENCODING": "utf-8"}


def read_events(path: Path) -> list[dict[str, Any]]:
    """Returns the events that a runner told; a line that was cut short is left out."""
    found = []
    with suppress(FileNotFoundError):
        for line in path.read_text("utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found


def outcome(
    events: list[dict[str, Any]], timed_out: bool, conditions: Conditions, printed: str = ""
) -> Outcome:
    """Returns what came of a run, by its events.

    Args:
        events: in their order.
        timed_out: whether the process was ended because its time was over.
        conditions: of the run.
        printed: the end of what the process printed.
    """
    turns = sum(event["event"] == "turn" for event in events)
    # rlms tells the answer that it asks for when the turns are used up as one turn more.
    forced, turns = turns > conditions.turns, min(turns, conditions.turns)
    last = events[-1] if events else {}
    if last.get("event") == "answer":
        reached = turns >= conditions.turns
        return Outcome(
            last["answer"], last["error"], limited=forced or (reached and last["answer"] is None), turns=turns
        )
    if timed_out:
        return Outcome(error=f"It was not done after {conditions.seconds:g} s.", limited=True, turns=turns)
    return Outcome(error=f"Its process ended without an answer: {printed.strip()}", turns=turns)


def _wait(process: subprocess.Popen[bytes], events: Path, seconds: float) -> bool:
    """Wait for the end of a process; returns whether the time was over first. It runs from `began` on."""
    end = time.monotonic() + _START_SECONDS
    began = False
    while process.poll() is None:
        if not began and read_events(events):
            began, end = True, time.monotonic() + seconds
        if time.monotonic() > end:
            return True
        time.sleep(_TICK)
    return False


def end_processes(process: subprocess.Popen[bytes], scratch: Path) -> None:
    """End a process, its group, and what it started in groups of their own, which have the same scratch as `HOME`."""
    import psutil

    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    # dspy's interpreter begins a session of its own, and goes on if a model's code loops.
    for other in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if other.environ().get("HOME") == str(scratch):
                other.kill()
