"""What a run will cost and take: from runs alike, with the worst case that its limits allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlm_jupyter.estimates.run_figures import RunFigures, repriced
from rlm_jupyter.estimates.similar_runs import Alike, Asked, Spread, alike
from rlm_jupyter.text import units
from rlm_jupyter.text.sanitize import one_line

if TYPE_CHECKING:
    from rlm_jupyter.estimates.log_index import LoggedRuns
    from rlm_jupyter.models.base import Price
    from rlm_jupyter.settings import Limits

FEW_RUNS = 3
"""Runs alike below which figures are said to rest on little."""


@dataclass(frozen=True)
class WorstCase:
    """The most that the limits allow; None is no limit.

    Attributes:
        cost: USD.
        tokens: sent and received.
        seconds: wall-clock time.
        rests_on: which limit bounds the money, in words.
    """

    cost: float | None
    tokens: int | None
    seconds: float | None
    rests_on: str = ""


@dataclass(frozen=True)
class Estimate:
    """What a run will cost and take, of one model.

    Attributes:
        model: its name.
        runs: how many runs alike the figures rest on.
        cost: USD; None if the price is not known, or there are no runs alike.
        tokens: sent and received; None if there are no runs alike.
        seconds: None if there are no runs alike of this model.
        tiers: cost at the provider's other prices, by name: `flex` and `priority` (the setting `service_tier`), and
            `batch`, which a run cannot use, because its requests depend on each other.
        worst: what the limits allow.
        why: what the figures rest on, in a line.
        note: what the user should know besides; may be empty.
        beside: the same of other models.
    """

    model: str
    runs: int
    cost: Spread | None
    tokens: Spread | None
    seconds: Spread | None
    worst: WorstCase
    why: str
    tiers: Mapping[str, Spread] = field(default_factory=dict)
    note: str = ""
    beside: tuple[Estimate, ...] = ()

    def __str__(self) -> str:
        rows = [self, *self.beside]
        if len(rows) == 1:
            return "\n".join(_lines(self))
        notes = [f"{one_line(row.model, 60)}: {text}" for row in rows for text in (row.why, row.note) if text]
        return "\n".join([*_table(rows), "", *notes])

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Show in IPython what `print` shows."""
        printer.text(str(self))


def estimate(
    asked: Asked,
    logged: LoggedRuns,
    limits: Limits,
    price: Price | None,
    *,
    tiers: Mapping[str, Price] | None = None,
    budget: Sequence[Mapping[str, Any]] = (),
) -> Estimate:
    """Estimate a run of one model.

    Args:
        asked: what is known of the run.
        logged: earlier runs.
        limits: what it may spend.
        price: of the model; None if it is not known.
        tiers: its other prices, by name.
        budget: the limits of a shared budget, as `SharedBudget.report` gives them.
    """
    found = alike(asked, logged.runs)
    worst = _worst_case(limits, price, budget)
    cost = _priced(found, price)
    return Estimate(
        model=asked.model,
        runs=len(found.runs),
        cost=cost,
        tokens=found.spread(lambda run: float(run.tokens)),
        seconds=found.seconds(),
        worst=worst,
        why=_why(found, logged),
        tiers={
            name: spread for name, one in (tiers or {}).items() if (spread := _priced(found, one)) is not None
        },
        note=_note(cost, worst),
    )


def _priced(found: Alike, price: Price | None) -> Spread | None:
    if price is None:
        return None
    return found.spread(lambda run: repriced(run, price.prompt, price.completion).cost)


def _worst_case(limits: Limits, price: Price | None, budget: Sequence[Mapping[str, Any]]) -> WorstCase:
    bounds: list[tuple[float, str]] = []
    if limits.cost is not None:
        bounds.append((limits.cost, "the limit `cost`"))
    tokens = limits.tokens
    for row in budget:
        left = max(0.0, float(row["most"]) - float(row["spent"]))
        if row["name"] == "cost":
            bounds.append((left, f"the shared budget ({row['limit']})"))
        elif row["name"] == "tokens":
            tokens = int(left) if tokens is None else min(tokens, int(left))
    if price is not None and tokens is not None:
        bounds.append((tokens * max(price) / 1e6, "the limit `tokens`"))
    cost, why = min(bounds, default=(None, ""))
    return WorstCase(cost, tokens, limits.seconds, why)


def _why(found: Alike, logged: LoggedRuns) -> str:
    where = one_line(str(logged.directory), 80)
    if not found.runs:
        return f"no run alike in {where}: only the limits say what it may cost"
    whose = (
        "the same model"
        if found.same_model
        else f"{_models(found)}, as there is none of this model: no time is told"
    )
    sizes = [run.bytes for run, _ in found.runs]
    span = (
        units.size(min(sizes))
        if min(sizes) == max(sizes)
        else f"{units.size(min(sizes))} to {units.size(max(sizes))}"
    )
    kinds = ", ".join(dict.fromkeys(one_line(run.kind, 20) for run, _ in found.runs[:50]))
    few = "; few, so take it as a rough guess" if len(found.runs) < FEW_RUNS else ""
    same = f"; {found.same_question} of them of the same question" if found.same_question else ""
    return f"{units.amount(len(found.runs), 'run')} alike in {where}: {whose}, {kinds} of {span}{same}{few}"


def _models(found: Alike) -> str:
    names = list(dict.fromkeys(one_line(run.model, 40) for run, _ in found.runs))
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")  # noqa: PLR2004 - as above


def _note(cost: Spread | None, worst: WorstCase) -> str:
    if cost is None or worst.cost is None or cost.p90 <= worst.cost:
        return ""
    likely = "probably" if cost.p50 > worst.cost else "perhaps"
    return (
        f"{worst.rests_on[:1].upper()}{worst.rests_on[1:]} allows {units.money(worst.cost)}: it will {likely} end the "
        "run before its answer."
    )


# ---- in words


def _told(spread: Spread | None, words: Any) -> str:
    if spread is None:
        return "not known"
    low, high = words(spread.p50), words(spread.p90)
    return f"about {low}" if low == high else f"about {low}, 9 of 10 up to {high}"


def count_told(number: float) -> str:
    """Returns a number by its first two digits: `41,000`."""
    whole = round(number)
    digits = max(0, len(str(whole)) - 2)
    return units.count(round(whole, -digits))


def _lines(one: Estimate) -> list[str]:
    lines = [
        f"Estimate for {one_line(one.model, 80)}; nothing was sent.",
        f"Cost:   {_told(one.cost, units.money)}; at most {_worst_money(one.worst)}",
        f"Tokens: {_told(one.tokens, count_told)}; at most {_or_endless(one.worst.tokens, units.count)}",
        f"Time:   {_told(one.seconds, units.duration)}; at most {_or_endless(one.worst.seconds, units.duration)}",
    ]
    lines += [f"Cost at `{name}` prices: {_told(spread, units.money)}" for name, spread in one.tiers.items()]
    lines.append(f"Why:    {one.why}")
    return [*lines, *([one.note] if one.note else [])]


def _worst_money(worst: WorstCase) -> str:
    if worst.cost is None:
        return "no limit in money"
    return f"{units.money(worst.cost)} ({worst.rests_on})"


def _or_endless(amount: Any, words: Any) -> str:
    return "no limit" if amount is None else str(words(amount))


def _table(rows: Sequence[Estimate]) -> list[str]:
    tiers = list(dict.fromkeys(name for row in rows for name in row.tiers))
    head = ["model", "cost", "9 of 10", "at most", *tiers, "tokens", "time", "runs"]
    cells = [head, *(_cells(row, tiers) for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(head))]
    return [
        "  ".join(
            text.ljust(width) if at == 0 else text.rjust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def _cells(row: Estimate, tiers: Sequence[str]) -> list[str]:
    return [
        one_line(row.model, 40),
        *_pair(row.cost, units.money),
        "no limit" if row.worst.cost is None else units.money(row.worst.cost),
        *(_half(row.tiers.get(name), units.money) for name in tiers),
        _half(row.tokens, count_told),
        _half(row.seconds, units.duration),
        f"{row.runs:,}",
    ]


def _half(spread: Spread | None, words: Any) -> str:
    return units.UNKNOWN if spread is None else str(words(spread.p50))


def _pair(spread: Spread | None, words: Any) -> list[str]:
    return [units.UNKNOWN] * 2 if spread is None else [str(words(spread.p50)), str(words(spread.p90))]


def told_runs(runs: Sequence[RunFigures]) -> list[str]:
    """Returns a table of runs, a line each: when, how it ended, what it took, about what."""
    return [_told_run(run) for run in runs]


def _told_run(run: RunFigures) -> str:
    parts = [
        one_line(run.run, 24).ljust(24),
        one_line(run.status, 8).ljust(8),
        one_line(run.model, 24).ljust(24),
        f"{one_line(run.kind, 12)} {units.size(run.bytes)}".ljust(20),
        f"{units.count(run.tokens)} tokens".rjust(16),
        units.money(run.cost).rjust(9),
        units.duration(run.seconds).rjust(12),
    ]
    return "  ".join(parts).rstrip()
