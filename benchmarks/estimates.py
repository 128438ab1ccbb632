"""`python -m benchmarks.estimates DIR ...`: how good estimates are, by leave-one-out over the logs below directories.

Each run is estimated from all the others, as if it were asked now, and compared with what it took. The figure that
counts is the ratio of the larger to the smaller of the two: it is at most 2 for estimates within a factor of 2.
`--after` uses, of each run, only those that were asked before it, as on the day when it was asked.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlm_jupyter.estimates.run_figures import RunFigures, read_figures, without
from rlm_jupyter.estimates.similar_runs import Asked, alike

_SECONDS = "seconds"
FIGURES: dict[str, Callable[[RunFigures], float]] = {
    "tokens": lambda run: float(run.tokens),
    "cost at 1.25 / 10 USD": lambda run: (1.25 * run.input_tokens + 10 * run.output_tokens) / 1e6,
    _SECONDS: lambda run: run.seconds,
}
_FACTOR = 2.0


@dataclass(frozen=True)
class Checked:
    """What came of estimating many runs, for one figure.

    Attributes:
        name: of the figure.
        ratios: of each run, the larger to the smaller of the estimate (p50) and what it took, in order.
        below: the share of runs that took at most the p90 of their estimate.
    """

    name: str
    ratios: tuple[float, ...]
    below: float

    @property
    def within(self) -> float:
        """The share of runs whose estimate is within a factor of 2."""
        return sum(ratio <= _FACTOR for ratio in self.ratios) / len(self.ratios)

    def line(self) -> str:
        """Returns it on one line."""
        half, most = (
            self.ratios[min(len(self.ratios) - 1, int(share * len(self.ratios)))] for share in (0.5, 0.9)
        )
        return (
            f"{self.name:<24} {len(self.ratios):4d} runs: within a factor of 2: {self.within:6.1%}; ratio p50 {half:.2f}, "
            f"p90 {most:.2f}; at most the estimate's p90: {self.below:6.1%}"
        )


def runs_below(directories: Sequence[Path], model: str = "") -> list[RunFigures]:
    """Returns the runs of language models whose logs lie below directories, each once.

    Args:
        directories: with logs below them.
        model: how the names of the models begin.
    """
    found: dict[str, RunFigures] = {}
    for directory in directories:
        for path in sorted(directory.rglob("*.jsonl")):
            run = read_figures(path)
            if run is not None and run.whole and not run.scripted and run.model.startswith(model):
                found.setdefault(run.run, run)
    return sorted(found.values(), key=lambda run: run.started)


def check(runs: Sequence[RunFigures], *, after: bool = False, again: bool = False) -> list[Checked]:
    """Estimate each run from the others.

    Args:
        runs: in the order in which they were asked.
        after: whether only those before it count.
        again: whether only runs are estimated whose question is among those that count.
    """
    made = []
    for name, figure in FIGURES.items():
        ratios, below = [], 0
        for number, run in enumerate(runs):
            others = runs[:number] if after else without(runs, run.run)
            if again and all(other.words != run.words for other in others):
                continue
            found = alike(Asked.of(run), others)
            spread = found.seconds() if name == _SECONDS else found.spread(figure)
            if not found.same_model or spread is None or spread.p50 <= 0:
                continue
            took = figure(run)
            ratios.append(max(took, spread.p50) / max(min(took, spread.p50), 1e-9))
            below += took <= spread.p90
        if ratios:
            made.append(Checked(name, tuple(sorted(ratios)), below / len(ratios)))
    return made


def main(words: Sequence[str]) -> int:
    """Print how good estimates are."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.estimates", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("directory", nargs="+", type=Path, metavar="DIR", help="with logs below it")
    parser.add_argument("--after", action="store_true", help="use only the runs before each run")
    parser.add_argument(
        "--again", action="store_true", help="only runs whose question was asked in another run, too"
    )
    parser.add_argument(
        "--model", default="", metavar="NAME", help="only runs of models whose names begin so"
    )
    given = parser.parse_args(words)
    runs = runs_below(given.directory, given.model)
    if len(runs) < 2:
        sys.exit("There are fewer than two logs of runs of a language model there.")
    for one in check(runs, after=given.after, again=given.again):
        print(one.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
