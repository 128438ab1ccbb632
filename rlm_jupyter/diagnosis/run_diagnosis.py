"""`diagnose`: all findings on a run, a pure function of its events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from rlm_jupyter.diagnosis import answer_faults, code_faults, request_waste, time_spent
from rlm_jupyter.diagnosis.finding import Diagnosis, Finding
from rlm_jupyter.diagnosis.run_facts import RunFacts

if TYPE_CHECKING:
    from rlm_jupyter.events.events import AnyEvent

_OF_A_KIND: Final = 5
"""Findings of one kind that are told; a run of hundreds of agents may have as many alike."""

_SEARCHES: Final[tuple[Callable[[RunFacts], Iterator[Finding]], ...]] = (
    answer_faults.ends,
    answer_faults.invented,
    answer_faults.sent_back,
    answer_faults.agents_without_answer,
    code_faults.same_error,
    code_faults.failing_cells,
    code_faults.lost_kernels,
    code_faults.replies_without_code,
    code_faults.cut_replies,
    request_waste.shown_outputs,
    request_waste.same_as_parent,
    request_waste.single_calls,
    request_waste.bought_twice,
    request_waste.concentrated_cost,
    request_waste.long_chats,
    request_waste.unused_prompt_cache,
    time_spent.largest_part,
    time_spent.waits,
    time_spent.sent_again,
)


def diagnose(events: Iterable[AnyEvent]) -> Diagnosis:
    """Returns what stands out in a run.

    Args:
        events: of the run, in their order: `run.events`, or those of a log.
    """
    facts = RunFacts.of(events)
    found: list[Finding] = []
    kinds: Counter[str] = Counter()
    for search in _SEARCHES:
        for finding in search(facts):
            kinds[finding.kind] += 1
            if kinds[finding.kind] <= _OF_A_KIND:
                found.append(finding.cleaned())
    more = {kind: count - _OF_A_KIND for kind, count in kinds.items() if count > _OF_A_KIND}
    return Diagnosis(facts.tree.run, facts.tree.status, found, more)
