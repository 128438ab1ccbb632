"""The next move for a question about tables: compute, read what came of it, draw, answer."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

from rlm_jupyter.demo_model import table_answers as answers
from rlm_jupyter.demo_model import table_cells as cells
from rlm_jupyter.demo_model import table_checks as checks
from rlm_jupyter.demo_model.check_results import UNCHECKED, checked
from rlm_jupyter.demo_model.literals import in_text
from rlm_jupyter.demo_model.moves import (
    LARGE,
    SEVERAL,
    chart_state,
    described_size,
    failed,
    missing_parts,
    parts_are_in,
    say,
)  # fmt: skip
from rlm_jupyter.demo_model.plan import Part, Plan
from rlm_jupyter.demo_model.read_chat import Talk
from rlm_jupyter.demo_model.table_rows import Rows, rows_of

_DAYS = re.compile(r"^(\d+) dates from (\S+).*? to (\S+)", re.MULTILINE)
_FEWEST = 12
_BEFORE = "Before I answer, I check it."
_ONE_NUMBER = "There is no chart of one number. "


def next_move(talk: Talk, plan: Plan) -> str:
    """Returns the reply that is due for a plan."""
    if plan.kind == "profile":
        return _profile(talk, plan)
    started = any(talk.wrote(name) for name in ("total", "amount", "daily"))
    if not started and not talk.wrote("found"):
        return _compute(talk, plan)
    if talk.wrote("found") and not started:
        missing = missing_parts(talk.last)
        if missing is None:
            return failed(talk)
        whole = cells.joined(plan, missing)
        if talk.last_turn:
            return say("The parts are in; now the whole.", f"{whole}\n{_at_once(plan)}")
        return say(parts_are_in(missing), whole)
    return _breakout(talk, plan) if plan.kind == "breakout" else _groups(talk, plan)


def _deserves_parts(talk: Talk, plan: Plan) -> str:
    """Returns why a table's parts go to sub-agents; nothing if they do not."""
    figures = (plan.group or plan.date) and plan.how in ("sum", "mean")
    if talk.last_turn or (plan.kind != "profile" and not figures):
        return ""
    if plan.others and plan.rows > SEVERAL:
        each = "each is a part by itself: one sub-agent for each"
        return f"There are {1 + len(plan.others)} tables with the same columns, and {each}."
    if plan.rows <= LARGE:
        return ""
    if plan.kind == "profile":
        return (
            f"The {plan.rows:,} rows are many and each column stands by itself, so each sub-agent takes some."
        )
    return (
        f"The {plan.rows:,} rows are many and figures of parts add up, so each of {cells.PARTS} sub-agents takes a "
        "part of the rows."
    )


def _compute(talk: Talk, plan: Plan) -> str:
    why = _deserves_parts(talk, plan)
    if why and not talk.leaf:
        return say(f"{plan.thought} {why}", cells.spread(plan))
    thought = f"{plan.thought} I may have no sub-agents, so I do it here." if why else plan.thought
    whole = cells.figures(plan)
    return say(thought, f"{whole}\n{_at_once(plan)}" if talk.last_turn else whole)


def _at_once(plan: Plan) -> str:
    """Returns the answer in the cell that computes it, where no turn is left to look at the figures."""
    remark = plan.remark + ("There was no turn left to draw a chart. " if plan.draw else "")
    if plan.kind == "breakout":
        return answers.halves_compared(plan, remark)
    return cells.cell(answers.top_group(plan), answers.groups(plan, "", remark))


# ---- figures by group


def _groups(talk: Talk, plan: Plan) -> str:
    printed = "\n".join(talk.outputs)
    found = re.search(r"^(\d+) groups$|^amount .* over \d+ rows$", printed, re.MULTILINE)
    if found is None:
        return failed(talk)
    if found[1] == "0" or re.search(r"^amount (?:nan|None|<NA>|NaT) ", printed, re.MULTILINE):
        said = f"{plan.remark}There is nothing to compute {plan.measure_title} from: no row has a value."
        return say("No row has a value.", answers.plain(in_text(said, braces=False), '"found": False'))
    number = plan.group is not None or (plan.measure.equals is None and _numeric(plan))
    remark = plan.remark if number or not plan.draw else plan.remark + _ONE_NUMBER
    check = checked(talk)
    if check is None and not talk.last_turn:
        return say(_BEFORE, checks.groups(plan, _rows(talk, plan)))
    drawn = chart_state(talk, draw=plan.draw and number)
    if drawn is None:
        return say("The figures are there; now the chart.", cells.chart(plan))
    check = check or UNCHECKED
    answer = answers.groups(plan, *_with_remark(drawn, check.remark + remark))
    return say(check.thought, answer if check.held else cells.cell(answers.top_group(plan), answer))


def _rows(talk: Talk, plan: Plan) -> Rows:
    """Returns the rows of a plan as the cells before have left them: whole, or as the table that was handed on."""
    apart = talk.wrote("found")
    rows = rows_of(plan, apart=apart)
    return replace(rows, code="pd.concat(parts)") if apart and not talk.wrote("rows") else rows


def _numeric(plan: Plan) -> bool:
    return plan.measure.column is not None and plan.measure.column.kind == "number"


def _with_remark(drawn: str, remark: str) -> tuple[str, str]:
    return ("drawn", remark) if drawn == "drawn" else ("", remark + drawn)


# ---- a change over time


def _breakout(talk: Talk, plan: Plan) -> str:  # noqa: PLR0911 - one move for each state of the work
    days = _DAYS.search("\n".join(talk.outputs))
    if days is None:
        return failed(talk)
    dates = int(days[1])
    if dates < _FEWEST:
        said = f"{plan.remark}There are only {dates} dates: too few to tell when something changed."
        return say("These are too few dates.", answers.plain(in_text(said, braces=False), '"found": False'))
    if not talk.wrote("splits"):
        if talk.last_turn:
            return say(
                "With one turn left, I compare the halves.", answers.halves_compared(plan, plan.remark)
            )
        return _split(plan, dates, days[2], days[3])
    found = re.search(r"^(\d+) of \d+ change clearly$", "\n".join(talk.outputs), re.MULTILINE)
    if found is None:
        return failed(talk)
    dates, _, unit = _calendar(plan, dates, days[2], days[3])
    check, clear = checked(talk), found[1] != "0"
    if check is None and not talk.last_turn:
        rows = _rows(talk, plan)
        if clear:
            return say(f"At least one change is clear. {_BEFORE}", checks.breakout(plan, rows))
        return say(f"None of these changes is clear. {_BEFORE}", checks.nothing_clear(plan, rows))
    drawn = chart_state(talk, draw=plan.draw)
    if drawn is None:
        return say("The figures are there; now the chart.", cells.chart(plan))
    check = check or UNCHECKED
    chart, remark = _with_remark(drawn, check.remark + plan.remark)
    if not clear:
        return say(check.thought, answers.nothing_clear(plan, dates, unit, chart, remark))
    answer = answers.breakout(plan, unit, chart, remark)
    return say(check.thought, answer if check.held else cells.cell(answers.top_split(), answer))


def _calendar(plan: Plan, dates: int, first: str, last: str) -> tuple[int, str, str]:
    """Returns how many dates there are, the code that fills in missing days, and what a date is called."""
    try:
        span = (date.fromisoformat(last[:10]) - date.fromisoformat(first[:10])).days + 1
    except ValueError:
        span = dates
    fill = ".ffill().bfill()" if plan.how == "mean" else ""
    if dates <= span / 2:
        return dates, fill, "date"
    if dates == span:
        return dates, fill, "day"
    return span, '.asfreq("D").ffill().bfill()' if fill else '.asfreq("D", fill_value=0)', "day"


def _split(plan: Plan, dates: int, first: str, last: str) -> str:
    dates, fill, unit = _calendar(plan, dates, first, last)
    missing = " Days without rows are filled in." if "asfreq" in fill else ""
    thought = (
        f"For each {unit}, I compare the mean before it with the mean from it on: where they differ most, the series "
        f"is split.{missing}"
    )
    return say(thought, cells.splits(plan, dates, fill))


# ---- profiles


def _profile(talk: Talk, plan: Plan) -> str:  # noqa: PLR0911 - one move for each state of the work
    if talk.wrote("profile"):
        if re.search(r"^\d+ columns$", "\n".join(talk.outputs), re.MULTILINE) is None:
            return failed(talk)
        check = checked(talk)
        if check is None and not talk.last_turn:
            return say(_BEFORE, checks.profile(plan))
        check = check or UNCHECKED
        return say(check.thought, answers.profile(plan, check.remark))
    if talk.wrote("found"):
        missing = missing_parts(talk.last)
        if missing is None:
            return failed(talk)
        whole = cells.joined_profile(plan, missing)
        return say(parts_are_in(missing), f"{whole}\n{answers.profile(plan)}" if talk.last_turn else whole)
    why = _deserves_parts(talk, plan)
    if why and not talk.leaf:
        return say(f"{plan.thought} {why}", cells.spread_profile(plan))
    if plan.others:
        tables = f"pd.concat([{', '.join((plan.table, *plan.others))}], ignore_index=True)"
        whole = f"rows = {tables}\n{cells.profile('rows', ordered=plan.ordered)}"
    else:
        whole = cells.profile(plan.table, ordered=plan.ordered)
    if talk.last_turn:
        return say(plan.thought, f"{whole}\n{answers.profile(plan)}")
    return say(plan.thought, f"{whole}\n{cells.SHOW_PROFILE}")


# ---- sub-agents


def part_move(talk: Talk, part: Part) -> str:
    """Returns the reply of a sub-agent that has a part of a table's rows, or of its columns."""
    if part.kind == "profile" and talk.turn == 1:
        return say(
            "A few columns are little work.",
            f"import pandas as pd\n{cells.profile('context', ordered=part.ordered)}\nFINAL(profile)",
        )
    rows = described_size(talk)
    observed = ", observed=True" if "(category" in talk.given[0].described else ""
    if talk.turn == 1 and rows > LARGE and not (talk.leaf or talk.last_turn):
        thought = f"My part has {rows:,} rows, which is still many: one sub-agent for each half."
        return say(thought, cells.halves(part))
    if talk.turn > 1 and not talk.wrote("found"):
        return failed(talk)
    if talk.turn > 1 and missing_parts(talk.last) == []:
        return say("Both halves are in.", cells.part_of_halves(part, observed))
    if talk.turn > 2:  # noqa: PLR2004 - the halves failed, and so did the whole
        return failed(talk)
    thought = (
        "A half is missing, so I compute all of my part here."
        if talk.turn > 1
        else "My part is small enough to do here."
    )
    table = cells.part_table(part, observed=observed)
    return say(thought, checks.part_cell(part, table))
