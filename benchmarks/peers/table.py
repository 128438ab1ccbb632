"""The table, in Markdown."""

from __future__ import annotations

from dataclasses import asdict

from benchmarks.peers.figures import FIGURES, Figure, Sizes
from benchmarks.peers.measure import spread
from benchmarks.peers.verdict import Samples, verdict, wanted

TITLES = {"floor": "floor", "dspy": "DSPy", "dspy-host": "DSPy, no agent", "rlms": "rlms", "ours": "ours"}
_INSIDE = {
    "batch_warm": "the warm batch",
    "batch_fresh": "the first batch",
    "agents_warm": "the warm sub-agents",
    "agents_fresh": "the first sub-agents",
}


def table(samples: Samples, sizes: Sizes, contenders: list[str], groups: list[str]) -> str:
    """Returns the table of the figures of these groups: medians, ranges, ratios, verdicts."""
    head = [
        "figure",
        *(TITLES[name] for name in contenders),
        "ours / floor",
        "ours / DSPy",
        "wanted",
        "verdict",
    ]
    lines = [_row(head), _row(["---"] * len(head))]
    lines += [_line(figure, samples, sizes, contenders) for figure in FIGURES if figure.group in groups]
    return "\n".join(lines)


def inside(samples: Samples, contenders: list[str]) -> list[str]:
    """Returns what the calling code saw, where a root's code called; the table has the time of the whole call."""
    lines = []
    for name, title in _INSIDE.items():
        told = [
            f"{TITLES[contender]} {_cell(found, 's')}"
            for contender in contenders
            if (found := samples.get(contender, {}).get(f"{name}_inside"))
        ]
        if told:
            lines.append(f"- Of it, {title} as the root's code sees it: {', '.join(told)}.")
    return lines


def description(machine: dict[str, str], versions: dict[str, dict[str, str]], runs: int) -> list[str]:
    """Returns on what, and with what, it was measured."""
    about = ", ".join(
        [machine["processor"], f"{machine['cores']} cores", machine["memory"], machine["system"]]
    )
    lines = [
        f"- Machine: {about}; load {machine['load']} at the start, {machine['load at the end']} at the end.",
        f"- Processes of each contender and group: {runs}; median (least to most).",
    ]
    told = [
        f"{TITLES[name]}: {', '.join(f'{package} {number}' for package, number in found.items())}"
        for name, found in versions.items()
    ]
    return [*lines, f"- Versions: {'; '.join(told)}."]


def _line(figure: Figure, samples: Samples, sizes: Sizes, contenders: list[str]) -> str:
    came = verdict(figure, samples)
    cells = [_cell(samples.get(name, {}).get(figure.name, []), figure.unit) for name in contenders]
    ratios = ["—" if ratio is None else f"{ratio:.3g}" for ratio in (came.floor, came.dspy)]
    judged = came.told if sizes.standard or not came.told else "none: other sizes"
    title = figure.title.format(**asdict(sizes))
    return _row([title, *cells, *ratios, wanted(figure) or "—", judged or "—"])


def _cell(samples: list[float], unit: str) -> str:
    if not samples:
        return "—"
    median, least, most = spread(samples)
    told = f"{_number(median)} {unit}".strip()
    if _number(least) == _number(most):
        return told
    return f"{told} ({_number(least)} to {_number(most)})"


def _number(value: float) -> str:
    """Returns three digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
