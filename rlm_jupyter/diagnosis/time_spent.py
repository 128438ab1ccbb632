"""Findings on time: what most of it went to, and what had to be asked again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from rlm_jupyter.diagnosis.finding import Finding
from rlm_jupyter.text import units as fmt

if TYPE_CHECKING:
    from rlm_jupyter.diagnosis.run_facts import RunFacts

_LEAST_SECONDS: Final = 10.0
_LARGE_PART: Final = 0.7
_WAITED_PART: Final = 0.2
_FEW: Final = 3

_REASONS: Final = {
    "rate_limit": ("the provider's rate limit", "lower `Limits(concurrency=...)`, or ask for a higher tier"),
    "server_error": (
        "errors of the provider's server",
        "ask again later, or another provider for this model",
    ),
    "connection": ("lost connections", "see `%rlm doctor`; a time-out of a proxy may be too short"),
    "bad_reply": ("replies that could not be used", "take another model or server"),
    "concurrency": ("a place among the requests in flight", "raise `Limits(concurrency=...)`"),
    "budget": ("what other requests had reserved", "raise the limits, or lower `completion_tokens`"),
    "kernel": ("kernels that started", "hand over less data, or start fewer sub-agents at once"),
    "reading": ("the server to read prompts", "let code print less; a local server reads each prompt anew"),
    "question": ("the user's answers", "answer sooner, or set `ask_user` to 0"),
    "reply": ("a person's replies", "nothing: a person answered in the place of a model"),
    "step": ("the user's Next", "nothing: the run was stepped through"),
}


def largest_part(facts: RunFacts) -> Iterator[Finding]:
    """Yields whether most of a run's time passed at the provider, or in cells."""
    tree = facts.tree
    if tree.elapsed < _LEAST_SECONDS:
        return
    waited = [(call.started, call.started + (call.seconds or 0.0)) for _, call in facts.calls()]
    worked = [(cell.started, cell.started + (cell.seconds or 0.0)) for _, _, cell in facts.cells()]
    asked = _union(waited)
    ran = _union([*worked, *waited]) - asked  # while a cell waits for a completion, it does not work
    if asked >= _LARGE_PART * tree.elapsed:
        longest = max((call.seconds or 0.0, agent.id) for agent, call in facts.calls())
        yield Finding(
            "provider_time",
            "time",
            f"during {asked / tree.elapsed:.0%} of {fmt.duration(tree.elapsed)} the run waited for completions; the "
            f"longest took {fmt.duration(longest[0])}, of agent {longest[1]}.",
            "Ask at once what does not depend on each other (`rlm_query_batched`), or take a faster `sub_model`.",
        )
    elif ran >= _LARGE_PART * tree.elapsed:
        slow = max(facts.cells(), key=lambda one: one[2].seconds or 0.0)
        yield Finding(
            "cell_time",
            "time",
            f"during {ran / tree.elapsed:.0%} of {fmt.duration(tree.elapsed)} cells ran; the longest took "
            f"{fmt.duration(slow[2].seconds)}.",
            "Hand over less data, or in a form that is read faster (Parquet, a database).",
            slow[0].id,
            slow[1].turn,
        )


def waits(facts: RunFacts) -> Iterator[Finding]:
    """Yields what else was waited for, and requests that had to be sent again."""
    for reason, seconds in facts.waits.items():
        what, advice = _REASONS.get(reason, (f"`{reason}`", "see the tree"))
        total = sum(seconds)
        retried = reason in ("rate_limit", "server_error", "connection", "bad_reply") and len(seconds) >= _FEW
        if retried or (total >= _LEAST_SECONDS and total >= _WAITED_PART * facts.tree.elapsed):
            times = fmt.amount(len(seconds), "time")
            yield Finding(
                f"waited_{reason}",
                "time",
                f"requests and agents waited {times} for {what}, {fmt.duration(total)} in all.",
                f"{advice[0].upper()}{advice[1:]}.",
            )


def sent_again(facts: RunFacts) -> Iterator[Finding]:
    """Yields that many requests needed more than one attempt."""
    calls = [call for _, call in facts.calls() if not call.cached]
    again = sum(max(0, call.attempts - 1) for call in calls)
    failed = sum(call.status == "failed" and call.error != "stopped" for call in calls)
    if again >= _FEW or failed >= _FEW:
        yield Finding(
            "requests_sent_again",
            "time",
            f"of {fmt.amount(len(calls), 'completion')} {failed:,} failed for good, and {again:,} further attempts "
            "were sent.",
            "`%rlm show AGENT` has the errors; failed attempts may be billed.",
        )


def _union(spans: Iterable[tuple[float, float]]) -> float:
    """Returns the seconds that are in at least one of the spans."""
    total, end = 0.0, float("-inf")
    for begin, until in sorted(spans):
        total += max(0.0, until - max(begin, end))
        end = max(end, until)
    return total
