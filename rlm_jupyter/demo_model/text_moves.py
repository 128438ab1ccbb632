"""The next move for a question about texts: search them, put together what was found, answer."""

from __future__ import annotations

import re

from rlm_jupyter.demo_model import text_answers as answers
from rlm_jupyter.demo_model import text_cells as cells
from rlm_jupyter.demo_model import text_checks as checks
from rlm_jupyter.demo_model.check_results import UNCHECKED, checked
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
from rlm_jupyter.demo_model.table_look import Seen

_MANY = 100
"""Documents of a part from which on it is split again."""


def next_move(talk: Talk, plan: Plan, seen: Seen) -> str:  # noqa: PLR0911 - one move for each state of the work
    """Returns the reply that is due for a plan."""
    if plan.document is not None and seen.kind == "documents":
        line = f"{seen.prepare}text = {seen.code}[{plan.document!r}]\n"
        seen = Seen("text", (), "text", line, 1, SEVERAL)
    if plan.kind == "documents":
        return _measured(talk, plan, seen)
    part = cells.part_of_texts(plan, documents=seen.kind == "documents")
    if not talk.wrote("hits"):
        if not talk.wrote("found"):
            return _search(talk, plan, part, seen)
        missing = missing_parts(talk.last)
        if missing is None:
            return failed(talk)
        whole = cells.joined(part, missing)
        return say(
            parts_are_in(missing), f"{whole}\n{_at_once(plan, part, seen)}" if talk.last_turn else whole
        )
    if re.search(r"^\d+ (?:matches|lines)$", "\n".join(talk.outputs), re.MULTILINE) is None:
        return failed(talk)
    check = checked(talk)
    if check is None and not talk.last_turn:
        found = checks.lines(part, seen) if part.kind == "lines" else checks.matches(plan, part, seen)
        return say("Before I answer, I check it.", found)
    drawn = chart_state(talk, draw=plan.draw and part.documents and plan.kind == "matches")
    if drawn is None:
        return say("The numbers are there; now the chart.", cells.chart(plan))
    remark = "There is no chart of one number. " if plan.draw and not part.documents else ""
    chart, why_not = ("drawn", "") if drawn == "drawn" else ("", drawn)
    check = check or UNCHECKED
    answer = answers.found(plan, part, seen, chart, check.remark + remark + why_not)
    return say(check.thought, answer if check.held else f"{_chosen(plan, part)}{answer}")


def _at_once(plan: Plan, part: Part, seen: Seen) -> str:
    """Returns the answer in the cell that searches, where no turn is left to look at what was found."""
    return f"{_chosen(plan, part)}{answers.found(plan, part, seen, '', '')}"


def _chosen(plan: Plan, part: Part) -> str:
    """Returns the line of the document that is named in the answer."""
    return f"{answers.top_document(plan)}\n" if part.documents and part.kind == "matches" else ""


def _search(talk: Talk, plan: Plan, part: Part, seen: Seen) -> str:
    why = ""
    if part.documents and seen.characters > SEVERAL and seen.documents > 1:
        why = (
            f"There are {seen.documents:,} documents with {seen.characters:,} characters, and each stands by itself, "
            "so each sub-agent reads some of them."
        )
    elif not part.documents and seen.characters > LARGE:
        why = f"The text is long ({seen.characters:,} characters), so each sub-agent reads some of its lines."
    if why and not talk.leaf and not talk.last_turn:
        return say(f"{plan.thought} {why}", cells.spread(part, seen))
    thought = (
        f"{plan.thought} I may have no sub-agents, so I do it here." if why and talk.leaf else plan.thought
    )
    whole = cells.alone(part, seen)
    return say(thought, f"{whole}\n{_at_once(plan, part, seen)}" if talk.last_turn else whole)


def _measured(talk: Talk, plan: Plan, seen: Seen) -> str:
    if not talk.wrote("profile"):
        whole = cells.sizes(seen)
        at_once = f"{whole}\n{answers.measured(plan, seen)}"
        return say(plan.thought, at_once if talk.last_turn else whole)
    if re.search(r"^\d+ documents$", "\n".join(talk.outputs), re.MULTILINE) is None:
        return failed(talk)
    check = checked(talk)
    if check is None and not talk.last_turn:
        return say("Before I answer, I check it.", checks.sizes(seen))
    check = check or UNCHECKED
    return say(check.thought, answers.measured(plan, seen, check.remark))


def part_move(talk: Talk, part: Part) -> str:
    """Returns the reply of a sub-agent that has some of the documents, or some lines of a text."""
    documents = described_size(talk) if part.documents else 0
    if talk.turn == 1 and documents > _MANY and not (talk.leaf or talk.last_turn):
        thought = f"My part has {documents:,} documents, which are still many: one sub-agent for each half."
        return say(thought, cells.halves(part))
    if talk.turn > 1 and not talk.wrote("found"):
        return failed(talk)
    if talk.turn > 1 and missing_parts(talk.last) == []:
        return say("Both halves are in.", cells.part_of_halves(part))
    if talk.turn > 2:  # noqa: PLR2004 - the halves failed, and so did the whole
        return failed(talk)
    thought = (
        "A half is missing, so I read all of my part here."
        if talk.turn > 1
        else "My part is small enough to read here."
    )
    return say(thought, checks.part_cell(part, cells.found_in(part)))
