"""What is measured, and what this package wants to reach: as ratios, so that a slower machine changes no verdict."""

from __future__ import annotations

from dataclasses import dataclass

CALLS, CALL_SECONDS = 200, 0.2
AGENTS, TURN_SECONDS = 20, 0.05
TURNS = 20
KEPT_RUNS = 10


@dataclass(frozen=True)
class Sizes:
    """How much is asked in a figure.

    Attributes:
        calls: sub-calls in a batch.
        agents: sub-agents at once.
        turns: of the agent whose turns are timed.
        kept: warm runs of sub-agents in one process, all of which are kept.
    """

    calls: int = CALLS
    agents: int = AGENTS
    turns: int = TURNS
    kept: int = KEPT_RUNS

    @property
    def standard(self) -> bool:
        """Whether the wanted ratios are meant for these sizes."""
        return self == Sizes()


@dataclass(frozen=True)
class Goal:
    """What ours may be at most, as a multiple of what others take in the same minutes.

    Attributes:
        floor: of the floor.
        dspy: of DSPy.
        below: less than that multiple of DSPy's, and not the same.
        least: what the floor counts as where it is less, in the figure's unit: the measurement from which the goals
            come told it as 1 ms and no finer, and a multiple of a tenth of that would be another goal.
    """

    floor: float
    dspy: float
    below: bool = False
    least: float = 0.0


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: in `--json` and in samples.
        group: one process measures all figures of its group.
        title: in the table; may contain the names of `Sizes`, in braces.
        unit: `s`, `ms`, `MB` or nothing (a count).
        goal: None: it is told, and nothing is wanted.
    """

    name: str
    group: str
    title: str
    unit: str = ""
    goal: Goal | None = None


# The ratios come of one measurement on a quiet machine with two cores: what was wanted there, by what the floor and
# DSPy 3.4.1 took there.
_WARM_AGENTS = Goal(1.0 / 0.12, 1.0, below=True)

FIGURES = (
    Figure(
        "batch_warm", "batch", "{calls} sub-calls of 200 ms in one batch, warm", "s", Goal(0.65 / 0.38, 0.5)
    ),
    Figure("batch_fresh", "batch", "the same, first call of a process", "s", Goal(1.2 / 0.38, 1.2 / 1.5)),
    Figure("batch_warm_processor", "batch", "processor time of the warm batch, all processes", "s"),
    Figure(
        "agents_warm",
        "agents",
        "{agents} sub-agents of 2 turns at 50 ms, warm (runs 1 to 3)",
        "s",
        _WARM_AGENTS,
    ),
    Figure("agents_4th", "agents", "the same, 4th warm run, all earlier ones kept", "s", _WARM_AGENTS),
    Figure("agents_last", "agents", "the same, warm run {kept}, all earlier ones kept", "s", _WARM_AGENTS),
    Figure("agents_fresh", "agents", "the same, first call of a process", "s", Goal(1.6 / 0.12, 1.6 / 1.5)),
    Figure("agents_warm_processor", "agents", "processor time of the warm sub-agents, all processes", "s"),
    Figure("processes_4th", "agents", "processes after the 4th warm run"),
    Figure("memory_4th", "agents", "memory after the 4th warm run (PSS, whole tree)", "MB"),
    Figure("processes_last", "agents", "processes after warm run {kept}"),
    Figure("memory_last", "agents", "memory after warm run {kept} (PSS, whole tree)", "MB"),
    Figure(
        "between",
        "turns",
        "reply → next request, code run (median of {turns} turns)",
        "ms",
        Goal(6 / 0.6, 1.0, below=True),
    ),
    Figure("before", "turns", "warm call → first request", "ms", Goal(30 / 1, 30 / 82, least=1.0)),
    Figure("after", "turns", "last reply → value returned", "ms", Goal(20 / 1, 20 / 9, least=1.0)),
    Figure(
        "after_closed",
        "turns",
        "last reply → value returned and all closed",
        "ms",
        Goal(20 / 1, 20 / 9, least=1.0),
    ),
    Figure(
        "start",
        "start",
        "fresh process → result of one turn, imports included",
        "s",
        Goal(1.8 / 0.13, 1.8 / 1.6),
    ),
    Figure(
        "memory",
        "memory",
        "memory of {agents} sub-agents in their 2nd turn (PSS, whole tree)",
        "MB",
        Goal(350 / 14, 350 / 231),
    ),
    Figure("processes", "memory", "processes of {agents} sub-agents in their 2nd turn"),
)
GROUPS = tuple(dict.fromkeys(figure.group for figure in FIGURES))
