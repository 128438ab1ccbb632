"""Tables of results, in Markdown: pure functions from results to text."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from benchmarks.quality.failures import KINDS
from benchmarks.quality.results import Result
from rlm_jupyter.text.sanitize import clean

_Z = 1.959963984540054
"""For 95 %."""


def wilson(right: int, of: int) -> tuple[float, float]:
    """Returns the 95 % confidence interval of a share, after Wilson: it holds for few runs and near 0 and 1."""
    if not of:
        return 0.0, 1.0
    share = right / of
    middle = share + _Z**2 / (2 * of)
    half = _Z * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    scale = 1 + _Z**2 / of
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def report(results: Sequence[Result]) -> str:
    """Returns all tables, for each model its own."""
    if not results:
        return "There are no results."
    parts = []
    for model, of_model in _grouped(results, lambda result: result.model).items():
        groups = _grouped(of_model, _name)
        parts += [
            f"## {_cell(model)}",
            _summary(groups),
            *_notes(groups),
            "### Kinds of failure",
            _failures(groups),
            "### Right, by kind of task",
            _by(groups, lambda result: result.family),
            "### Right, by task",
            _by(groups, lambda result: result.task),
        ]
    return "\n\n".join(parts)


def _summary(groups: dict[str, list[Result]]) -> str:
    head = [
        "harness",
        "right",
        "95 % interval",
        "wrong",
        "no answer",
        "turns",
        "requests",
        "tokens in",
        "tokens out",
        "seconds",
    ]
    return _table(head, [_summary_row(name, group) for name, group in groups.items()])


def _summary_row(name: str, group: list[Result]) -> list[str]:
    verdicts = Counter(result.verdict for result in group)
    low, high = wilson(verdicts["right"], len(group))
    about = "~" if any(result.estimated for result in group) else ""
    turns = [result.turns for result in group if result.turns is not None]
    return [
        name,
        f"{verdicts['right']} of {len(group)} ({verdicts['right'] / len(group):.0%})",
        f"{low:.0%} to {high:.0%}",
        str(verdicts["wrong"]),
        str(verdicts["no answer"]),
        f"{statistics.median(turns):g}" if turns else "-",
        _median(group, lambda result: result.requests),
        about + _median(group, lambda result: result.prompt_tokens),
        about + _median(group, lambda result: result.completion_tokens),
        _median(group, lambda result: result.seconds),
    ]


def _median(group: list[Result], of: Callable[[Result], float]) -> str:
    return f"{statistics.median(map(of, group)):,.0f}"


def _notes(groups: dict[str, list[Result]]) -> list[str]:
    notes = ["Turns, requests, tokens and seconds are medians of a run."]
    every = [result for group in groups.values() for result in group]
    if any(result.estimated for result in every):
        notes.append(
            "~: the server did not count the tokens of some requests; these are estimated by characters."
        )
    for name, group in groups.items():
        versions = sorted(
            {f"{what} {version}" for result in group for what, version in result.versions.items()}
        )
        conditions = {str(sorted(result.conditions.items())) for result in group}
        if versions:
            notes.append(f"{name}: {', '.join(versions)}.")
        if len(conditions) > 1:
            notes.append(
                f"{name}: the runs had {len(conditions)} different conditions; use `--label` to tell them apart."
            )
    asked = {
        name: {(r.task, r.seed, r.repeat, r.characters) for r in group} for name, group in groups.items()
    }
    if len({frozenset(tasks) for tasks in asked.values()}) > 1:
        notes.append("The harnesses did not run the same tasks: their shares cannot be compared.")
    return ["\n".join(f"- {_cell(note)}" for note in notes)]


def _failures(groups: dict[str, list[Result]]) -> str:
    """Counts kinds of failure; a run may have several, and `computed wrongly` is a wrong one that has none."""
    rows = []
    for name, group in groups.items():
        counts = Counter(kind for result in group for kind in result.failures)
        bare = sum(result.verdict == "wrong" and not result.failures for result in group)
        rows.append([name, *(str(counts[kind]) for kind in KINDS), str(bare)])
    return _table(["harness", *KINDS, "computed wrongly"], rows)


def _by(groups: dict[str, list[Result]], of: Callable[[Result], str]) -> str:
    rows = list(dict.fromkeys(of(result) for group in groups.values() for result in group))
    table = []
    for row in rows:
        cells = [[result for result in group if of(result) == row] for group in groups.values()]
        table.append([row, *(_share(cell) for cell in cells)])
    return _table(["", *groups], table)


def _share(results: list[Result]) -> str:
    return f"{sum(result.verdict == 'right' for result in results)} of {len(results)}" if results else "-"


def _name(result: Result) -> str:
    return f"{result.harness} ({result.label})" if result.label else result.harness


def _grouped(results: Iterable[Result], of: Callable[[Result], str]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[of(result)].append(result)
    return dict(groups)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(clean(text).replace("|", "\\|").split())
