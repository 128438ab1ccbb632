"""A follow-up question: what it changes of the question before it (`And the lowest?`, `only in March`, `plot it`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rlm_jupyter.demo_model import words
from rlm_jupyter.demo_model.conditions import merged
from rlm_jupyter.demo_model.plan import How, Measure, Plan
from rlm_jupyter.demo_model.table_questions import Found, Table, choose, find, table_plan, told
from rlm_jupyter.demo_model.text_questions import text_pattern, text_plan

TOGETHER = "The script read this together with the question before it. "
_CHANGEABLE = ("groups", "breakout")


def plan_for_tables(questions: Sequence[str], tables: list[Table]) -> Plan:
    """Returns the plan for the last of some questions about tables.

    Args:
        questions: the first one and its follow-ups, in order.
        tables: what they are about.
    """
    plan = base = table_plan(questions[0], tables)
    for question in questions[1:]:
        changed = _changed(base, question, tables) if base.kind in _CHANGEABLE else None
        plan = table_plan(question, tables) if changed is None else replace(changed, remark=TOGETHER)
        base = plan if plan.kind in _CHANGEABLE else base  # `Why?` between two questions does not part them
    return plan


def _changed(plan: Plan, question: str, tables: list[Table]) -> Plan | None:
    """Returns the plan with what a follow-up question changes; None if the question stands for itself."""
    table = next((one for one in tables if one.code == plan.table), choose(question, tables))
    found = find(question, table, tables)
    goes_on = words.continues(question)
    speaks_of_rows = words.rows(question) or words.position(question, table.name) is not None
    names_measure = found.measure != Measure() or speaks_of_rows
    if words.profile(question) and not (found.group or found.where):
        return None
    if words.draws(question):
        if names_measure or (found.group and not goes_on) or not (goes_on or words.of_that(question)):
            return None
        return _drawn(plan, question, found)
    direction = words.direction(question)
    says_how = words.amount(question) or words.extreme(question)
    if not (found.group or found.where or names_measure or says_how or (direction and goes_on)):
        return None
    if not goes_on and (names_measure or direction or (words.amount(question) and not _short(question))):
        return None
    return _with(plan, question, found, names_measure=names_measure)


def _short(question: str) -> bool:
    return len(words.tokens(question)) <= 3  # noqa: PLR2004 - `the mean?`, `how many?`


def _drawn(plan: Plan, question: str, found: Found) -> Plan:
    plan = replace(plan, group=found.group or plan.group, where=merged(plan.where, found.where), draw=True)
    if words.over_time(question) and found.date is not None:
        plan = replace(plan, kind="breakout", date=found.date, how="mean" if plan.how == "mean" else "sum")
    return told(plan)


def _with(plan: Plan, question: str, found: Found, *, names_measure: bool) -> Plan:
    """Returns the plan with the parts that a question names in the place of its own."""
    group = found.group or plan.group
    where = merged([one for one in plan.where if one.column != found.group], found.where)
    plan = replace(plan, group=group, where=where, draw=False, join=found.join if found.group else plan.join)
    if plan.join is not None:
        plan = replace(plan, others=())
    if names_measure:
        plan = replace(plan, measure=found.measure)
    elif words.tallies(question) and plan.measure.equals is None and not _flag(plan):
        plan = replace(plan, measure=Measure())
    if plan.measure.column is None:
        plan = replace(plan, how="sum")
    elif words.mean(question):
        plan = replace(plan, how="mean")
    elif words.adds_up(question) or (names_measure and plan.how in ("max", "min")):
        plan = replace(plan, how="sum")
    direction = words.direction(question)
    if direction and found.date is not None:
        how: How = "mean" if plan.how == "mean" else "sum"
        return told(replace(plan, kind="breakout", date=found.date, direction=direction, how=how))
    if words.extreme(question) or words.amount(question):
        plan = replace(plan, kind="groups", date=None, least=words.least(question))
        number = plan.measure.column is not None and plan.measure.equals is None
        if plan.group is None and number and words.extreme(question):
            plan = replace(plan, how="min" if plan.least else "max")
    return told(plan)


def _flag(plan: Plan) -> bool:
    return plan.measure.column is not None and plan.measure.column.kind == "flag"


def plan_for_texts(questions: Sequence[str], documents: Sequence[str]) -> Plan:
    """Returns the plan for the last of some questions about texts.

    Args:
        questions: the first one and its follow-ups, in order.
        documents: their names, as far as they are known.
    """
    plan = base = text_plan(questions[0])
    for question in questions[1:]:
        changed = _changed_text(base, question, documents)
        plan = text_plan(question) if changed is None else replace(changed, remark=TOGETHER)
        base = base if plan.kind == "documents" else plan
    return plan


def _changed_text(  # noqa: PLR0911 - one for each kind of follow-up
    plan: Plan, question: str, documents: Sequence[str]
) -> Plan | None:
    """Returns the plan with what a follow-up question changes; None if the question stands for itself."""
    if plan.kind not in ("matches", "lines"):
        return None
    goes_on = words.continues(question)
    pattern = text_pattern(question)
    document = next((name for name in documents if name.casefold() in question.casefold()), None)
    if pattern is not None:
        if not goes_on or words.amount(question):
            return None
        found, said = pattern
        return replace(plan, pattern=found, words=said, thought=f"I do the same for {said}.", draw=False)
    if words.draws(question) and (goes_on or words.of_that(question)):
        return replace(plan, kind="matches", draw=True, thought=f"I count {plan.words} and draw the numbers.")
    if document is not None:
        return replace(
            plan, document=document, draw=False, thought=f"I look at {words.shown(document)} alone."
        )
    if words.extreme(question) and (goes_on or len(words.tokens(question)) <= 5):  # noqa: PLR2004 - `which has the least?`
        least = words.least(question)
        return replace(plan, kind="matches", least=least, draw=False, thought=f"I count {plan.words}.")
    if words.tallies(question) and _short(question):
        return replace(plan, kind="matches", draw=False, thought=f"I count {plan.words}.")
    if words.of_that(question) and words.collects(question):
        return replace(plan, kind="lines", draw=False, thought=f"I collect the lines with {plan.words}.")
    return None
