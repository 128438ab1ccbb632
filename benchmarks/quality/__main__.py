"""`python -m benchmarks.quality`: run tasks through harnesses, report results, replay a log. See `docs/quality.md`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality.harness import Conditions, Harness, HarnessError
from benchmarks.quality.harness_ours import Ours
from benchmarks.quality.harness_peers import PEERS
from benchmarks.quality.harness_plain import Plain
from benchmarks.quality.replay import replay
from benchmarks.quality.report import report
from benchmarks.quality.results import Result, read
from benchmarks.quality.suite import RESULTS, Suite
from benchmarks.quality.task_sets import LARGEST, SMALLEST, UnknownTaskError, names, select
from rlm_jupyter.text.units import amount

HARNESSES: dict[str, Harness] = {"ours": Ours(), "plain": Plain(), **PEERS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if given[:1] == ["report"]:
            return _report(given[1:])
        return _run(_parser().parse_args(given))
    except (HarnessError, UnknownTaskError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on where it stopped.", file=sys.stderr)
        return 130


def _report(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("benchmarks.quality report", description="Make tables of results.")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="a results.jsonl")
    print(report(read(parser.parse_args(given).files)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benchmarks.quality",
        description="Measure how often answers are right. `report FILE ...` makes tables of results.",
    )
    add = parser.add_argument
    add("--model", metavar="NAME", help="as the server knows it")
    add("--base-url", metavar="URL", help="of a server with OpenAI's chat completions")
    add("--api-key", metavar="KEY", help="default: the variable RLM_MODEL_API_KEY")
    add("--harness", nargs="+", default=["ours"], metavar="NAME", help=", ".join(HARNESSES))
    add("--tasks", default="all", metavar="NAMES", help="all, twelve, families or names, separated by commas")
    add("--repeat", type=_count, default=1, metavar="N", help="how often each task is run")
    add(
        "--seed",
        type=_seeds,
        default=[0],
        metavar="N,...",
        help="0 is the standard set; others have other data",
    )
    add(
        "--size",
        type=_size,
        metavar="2^N",
        help="characters of the data, 2^13 to 2^22; default: of each task",
    )
    add("--turns", type=_count, default=8, metavar="N")
    add("--reply-tokens", type=_count, default=700, metavar="N")
    add(
        "--reply-field",
        default="max_tokens",
        choices=("max_tokens", "max_completion_tokens"),
        help="the server's",
    )
    add("--seconds", type=float, default=400.0, metavar="S", help="of a run")
    add("--window", type=_count, metavar="TOKENS", help="what `plain` may send and receive")
    add("--set", action="append", default=[], type=_setting, metavar="NAME=JSON", help="a setting of `ours`")
    add("--samples", type=_count, default=1, metavar="N", help="agents of `ours` that answer each question")
    add("--verify", action="store_true", help="let one more agent of `ours` decide where samples differ")
    add("--label", default="", metavar="TEXT", help="tells variants of `ours` apart in the report")
    add("--out", type=Path, default=Path("rlm_runs/quality"), metavar="DIR", help="for results and logs")
    add("--anew", action="store_true", help="run again what is in DIR already")
    add("--list", action="store_true", help="print the names of the tasks")
    add("--replay", type=Path, metavar="LOG", help="show a log as text")
    return parser


def _run(given: argparse.Namespace) -> int:
    if given.list:
        print("\n".join(names()))
        return 0
    if given.replay is not None:
        print(replay(given.replay))
        return 0
    if not given.model or not given.base_url:
        raise ValueError("Name a model and a server: `--model NAME --base-url http://127.0.0.1:8080/v1`.")
    conditions = Conditions(
        given.model,
        given.turns,
        given.reply_tokens,
        given.seconds,
        given.window,
        dict(given.set),
        given.samples,
        given.verify,
    )
    suite = Suite(
        _harnesses(given.harness),
        conditions,
        given.out,
        given.repeat,
        given.label,
        given.reply_field,
        given.anew,
    )
    tasks = select(given.tasks.split(","), seeds=given.seed, size=given.size)
    key = given.api_key or os.environ.get("RLM_MODEL_API_KEY") or "none"
    suite.run(tasks, given.base_url, key, _tell)
    print(f"\n{report(read([given.out / RESULTS]))}")
    return 0


def _tell(result: Result) -> None:
    name = f"{result.harness} {result.task}" + (f" seed {result.seed}" if result.seed else "")
    why = f" ({', '.join(result.failures)})" if result.failures else ""
    print(
        f"{name:<40} {result.verdict:<10} {result.seconds:7.1f} s  {amount(result.requests, 'request')}{why}",
        flush=True,
    )


def _harnesses(wanted: Sequence[str]) -> list[Harness]:
    found = list(dict.fromkeys(name for given in wanted for name in given.split(",")))
    for name in found:
        if name not in HARNESSES:
            raise HarnessError(f"There is no harness `{name}`. There are: {', '.join(HARNESSES)}.")
    return [HARNESSES[name] for name in found]


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not 1 or more")
    return number


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _size(text: str) -> int:
    base, power, exponent = text.partition("^")
    size = int(base) ** int(exponent) if power and int(exponent) <= 30 else int(base)
    if not SMALLEST <= size <= LARGEST:
        raise argparse.ArgumentTypeError(f"`{text}` is not between 2^13 and 2^22")
    return size


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    sys.exit(main())
