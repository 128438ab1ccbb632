"""The figures behind estimates: what the runs of a directory of logs took, by model and kind of data."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rlm_jupyter.estimates.run_estimate import count_told, told_runs
from rlm_jupyter.estimates.similar_runs import weighted_quantile
from rlm_jupyter.text import units
from rlm_jupyter.text.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rlm_jupyter.estimates.log_index import LoggedRuns
    from rlm_jupyter.estimates.run_figures import RunFigures

_LISTED = 30


def summary_of(logged: LoggedRuns) -> str:
    """Returns what `rlm-jupyter log DIR` shows."""
    groups: defaultdict[tuple[str, str], list[RunFigures]] = defaultdict(list)
    for run in logged.runs:
        if run.whole and not run.scripted:
            groups[run.model, f"{run.kind}{', rows' if run.mapped else ''}"].append(run)
    where = one_line(str(logged.directory), 100)
    lines = [
        f"{units.amount(len(logged.runs), 'run')} that ended, of {units.amount(logged.logs, 'log')} in {where}"
    ]
    left = [
        f"{units.amount(logged.left_out, 'log')} without figures (a run that goes on or was killed, or no log of a run)"
        if logged.left_out
        else "",
        f"{units.amount(logged.unread, 'older log')} not read" if logged.unread else "",
    ]
    lines += [f"Left out: {', '.join(filter(None, left))}"] if any(left) else []
    if groups:
        lines += ["", "Half of the runs took at most the first figure, 9 of 10 the second one:"]
        lines += [_group(model, kind, runs) for (model, kind), runs in sorted(groups.items())]
    unused = sum(not run.whole or run.scripted for run in logged.runs)
    if unused:
        lines.append(
            f"{units.amount(unused, 'run')} not counted: stopped, answered by a script, or spared by the cache"
        )
    lines += ["", "The newest:", *told_runs(logged.runs[:_LISTED])] if logged.runs else []
    return "\n".join(lines)


def _group(model: str, kind: str, runs: Sequence[RunFigures]) -> str:
    def pair(figure: Callable[[RunFigures], float | None], words: Callable[[float], str]) -> str:
        known = [(value, 1.0) for run in runs if (value := figure(run)) is not None]
        if not known:
            return units.UNKNOWN
        return " / ".join(words(weighted_quantile(known, share)) for share in (0.5, 0.9))

    parts = [
        f"{one_line(model, 40)} · {one_line(kind, 30)}",
        units.amount(len(runs), "run"),
        f"{pair(lambda run: float(run.tokens), count_told)} tokens",
        pair(lambda run: run.cost, units.money),
        pair(lambda run: run.seconds, units.duration),
    ]
    return " · ".join(parts)
