"""`python -m benchmarks peers`: the table of the clock, all contenders measured in turn on the spot."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers.contenders import CONTENDERS
from benchmarks.peers.figures import AGENTS, CALLS, GROUPS, KEPT_RUNS, TURNS, Sizes
from benchmarks.peers.machine import load, machine
from benchmarks.peers.measure import measure, order, play
from benchmarks.peers.session import ContenderError, Session
from benchmarks.peers.table import TITLES, description, inside, table
from benchmarks.peers.verdict import Samples
from benchmarks.quality.harness import HarnessError
from benchmarks.server import Server


@dataclass
class Report:
    """What came of the command.

    Attributes:
        samples: contender → figure → values.
        failures: what could not be measured, and why, each once.
        versions: of the contenders that could be started.
    """

    samples: Samples = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    failures: dict[str, None] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)

    def fail(self, contender: str, what: str, why: object) -> None:
        """Note that something of a contender could not be measured."""
        lines = str(why).strip().splitlines() or [type(why).__name__]
        self.failures[f"{contender}, {what}: {lines[0]} {lines[-1] if lines[1:] else ''}".strip()] = None


def main(arguments: list[str]) -> None:
    """Measure, and print the table."""
    options = _parser().parse_args(arguments)
    sizes = Sizes(options.calls, options.agents, options.turns, options.kept)
    found = machine()
    with Server() as server, tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as name:
        report = run(server, Path(name), sizes, options.contenders, options.figures, options.runs)
    found["load at the end"] = load()
    columns = [name for name in TITLES if name in options.contenders]
    print(table(report.samples, sizes, columns, options.figures), end="\n\n")
    for line in description(found, report.versions, options.runs) + inside(report.samples, columns):
        print(line)
    for failure in report.failures:
        print(f"- Failed: {failure}")
    if options.json is not None:
        told = {"machine": found, "versions": report.versions, "sizes": vars(sizes), "runs": options.runs}
        told |= {"samples": report.samples, "failures": list(report.failures)}
        options.json.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def run(
    server: Server, scratch: Path, sizes: Sizes, contenders: list[str], groups: list[str], runs: int
) -> Report:
    """Measure the figures of these groups, the contenders in turn."""
    report = Report()
    able = [name for name in contenders if _prepare(name, server, scratch, sizes, report)]
    for group in groups:
        for number, name in order(able, runs):
            contender = CONTENDERS[name]
            if group not in contender.groups:
                continue
            print(f"{group}, {number + 1} of {runs}: {name}", file=sys.stderr, flush=True)
            try:
                for figure, value in measure(
                    group, contender, server, sizes, partial(Session, contender, server.url, scratch)
                ):
                    report.samples[name][figure].append(value)
            except ContenderError as error:
                report.fail(name, f"`{group}`", error)
    return report


def _prepare(name: str, server: Server, scratch: Path, sizes: Sizes, report: Report) -> bool:
    """Returns whether a contender can be started; its files are in the machine's memory then, as those of all."""
    contender = CONTENDERS[name]
    try:
        if contender.peer is not None:
            contender.peer.prepare()
        report.versions[name] = contender.versions()
        play(server, contender, sizes)
        with Session(contender, server.url, scratch) as session:
            session.ask("one")
    except (HarnessError, ContenderError, OSError, subprocess.SubprocessError) as error:
        report.fail(name, "all figures", error)
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks peers", description=__doc__)
    add: Any = parser.add_argument
    add("--runs", type=_positive, default=5, help="processes of each contender and group (default: 5)")
    add("--figures", nargs="+", choices=GROUPS, default=list(GROUPS), help="groups of figures (default: all)")
    add("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS), help="default: all")
    add("--json", type=Path, metavar="FILE", help="write all samples there, too")
    sizes = parser.add_argument_group(
        "sizes", "for a quick look: the wanted ratios are meant for the defaults only"
    )
    for name, default in (("calls", CALLS), ("agents", AGENTS), ("turns", TURNS), ("kept", KEPT_RUNS)):
        sizes.add_argument(f"--{name}", type=_positive, default=default)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("It must be at least 1.")
    return number
