"""`tune`: better instructions for an `RLM`, by reflection over runs that failed, under a limit told beforehand."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.tuning.candidates import Candidate, best_of, choose_parent
from rlm_jupyter.tuning.examples import Example, Score, read_examples, score_of, split
from rlm_jupyter.tuning.reflection import REFLECT, Failed, instructions_in, material, transcript_of
from rlm_jupyter.tuning.spending import Asker, OutOfBudgetError, read_budget, value_of, with_instructions

if TYPE_CHECKING:
    import pandas as pd

    from rlm_jupyter.conversation.conversation_budget import Spending
    from rlm_jupyter.rlm import RLM
    from rlm_jupyter.settings import Limits

_BATCH = 3
"""Failed runs that one reflection is shown, and on which its instructions are tried first."""


@dataclass(frozen=True)
class Tuning:
    """What `tune` found; nothing was changed by it.

    Attributes:
        instructions: the best that were found, for `RLM(instructions=...)`; the present ones if none were better on
            the examples held out.
        before: mean score of the present instructions on the examples held out; None if the budget ended before.
        after: that of the best ones.
        rows: an example held out each: `question`, `before`, `after`.
        candidates: what was tried, the present instructions first.
        cost: USD of all runs.
        runs: how many there were.
        ended: why it ended.
    """

    instructions: str
    before: float | None
    after: float | None
    rows: list[dict[str, Any]]
    candidates: list[Candidate]
    cost: float
    runs: int
    ended: str

    @property
    def improved(self) -> bool:
        """Whether other instructions than the present ones were better on the examples held out."""
        return self.instructions != self.candidates[0].instructions if self.candidates else False

    def frame(self) -> pd.DataFrame:
        """Returns the examples held out, with their scores before and after, as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=["question", "before", "after"])

    def __str__(self) -> str:
        told = [
            f"{self.ended} {self.runs} runs, ${self.cost:.4f}, {len(self.candidates)} instructions tried."
        ]
        if self.before is not None and self.after is not None:
            told.append(
                f"On {len(self.rows)} examples held out: {self.before:.2f} before, {self.after:.2f} after."
            )
        told += [f"  {_mark(row)} {row['question'][:90]}" for row in self.rows]
        kept = (
            "The new instructions:"
            if self.improved
            else "No better ones were found; the present instructions:"
        )
        return "\n".join([*told, kept, self.instructions or "(none)"])


def _mark(row: Mapping[str, Any]) -> str:
    return " → ".join("?" if row[name] is None else f"{row[name]:.2f}" for name in ("before", "after"))


def tune(
    rlm: RLM,
    examples: Iterable[Any],
    *,
    budget: Limits | Mapping[str, object],
    reflector: RLM | None = None,
    rounds: int = 6,
    held_out: float = 0.34,
    score: Score | None = None,
    seed: int = 0,
    tell: Callable[[str], object] | None = print,
) -> Tuning:
    """Look for better `instructions` by examples with known answers, and block until it has ended.

    The present instructions are tried on all examples. In each round a model is shown up to three runs that failed and
    writes new instructions, which are tried on the same examples, and on all others to learn from if they are better
    there. Each round begins with one of those that are the best on some example. At the end the best are tried on the
    examples held out, which nothing was learnt from.

    Usage:
        >>> found = tune(rlm, [("How many refunds in May?", 41, orders), ...], budget=Limits(cost=2.0))
        >>> print(found)
        >>> rlm = RLM(model="openai/gpt-5-mini", instructions=found.instructions)

    Args:
        rlm: whose instructions are to become better; it stays as it is.
        examples: at least four: `(question, answer, context)`, dicts of these, or `Example(...)`.
        budget: what all of it together may spend: `cost`, `calls` or `tokens`. It is never passed.
        reflector: writes the new instructions, by one plain call for each round; None: the same models.
        rounds: reflections at most.
        held_out: the part of the examples that nothing is learnt from.
        score: how good an answer is, from 0 to 1, or whether it is right: `score(value, answer)`; None: 1 if it is the
            right one as an object, else 0.
        seed: of the split and the choices.
        tell: told beforehand what it may take, and of each round; None tells nobody.

    Returns:
        The instructions, with the scores on the examples held out before and after.

    Raises:
        ConfigError: too few examples, no budget, or hidden columns.
        RLMError: a question that cannot be asked at all.
    """
    if rlm.settings.hide:
        raise ConfigError("`tune` shows transcripts and answers to a model: it does not go with `hide`.")
    if rounds < 1:
        raise ConfigError(f"`rounds` must be at least 1, not {rounds!r:.40}.")
    learnt, held = split(read_examples(examples), held_out, seed)
    chance = random.Random(seed)  # noqa: S311 - choices, no secrets
    asker = Asker(read_budget(budget))
    work = _Work(rlm, reflector or rlm, asker, learnt, held, score, chance, tell)
    work.tell_beforehand(rounds)
    return work.run(rounds)


@dataclass
class _Work:
    """A tuning at work."""

    rlm: RLM
    reflector: RLM
    asker: Asker
    learnt: Sequence[Example]
    held: Sequence[Example]
    score: Score | None
    chance: random.Random
    tell: Callable[[str], object] | None
    candidates: list[Candidate] = field(default_factory=list)
    failures: dict[tuple[int, int], Failed] = field(default_factory=dict)
    """By the number of the candidate and the place of the example."""

    def tell_beforehand(self, rounds: int) -> None:
        """Tells how many runs there may be, and what they may spend."""
        most = (rounds + 1) * len(self.learnt) + 2 * len(self.held)
        limits = ", ".join(
            f"{name} {most}" for name, most in self.asker.budget.limits.items() if most is not None
        )
        self.say(
            f"Up to {most} runs and {rounds} reflections, one after the other; the limit for all together: {limits}."
        )

    def say(self, text: str) -> None:
        if self.tell is not None:
            self.tell(text)

    def run(self, rounds: int) -> Tuning:
        """Do it; the budget may end it at any place."""
        before: list[float] = []
        after: list[float] = []
        ended = "It ended after all rounds."
        try:
            first = self.rlm.settings.instructions or ""
            before = self.try_on(first, self.held)
            self.add(first, None, {})
            ended = self.go_on(rounds)
            best = best_of(self.candidates).instructions
            after = before if best == first else self.try_on(best, self.held)
        except OutOfBudgetError:
            ended = "It ended because the budget was spent."
        return self.result(before, after, ended)

    def go_on(self, rounds: int) -> str:
        """Reflect and try; returns why it ended."""
        first = self.asker.spent
        for number in range(1, rounds + 1):
            if not self.failures or best_of(self.candidates).mean == 1.0:
                return "It ended as no example to learn from fails."
            if not self.leaves_room(first):
                return "It ended early, so that the examples held out can be tried within the budget."
            self.say(f"Round {number}: {self.round()}")
        return "It ended after all rounds."

    def leaves_room(self, first: Spending) -> bool:
        """Returns whether a round and the last trial fit, if they take about as much as those at the beginning."""
        each = len(self.learnt) + len(self.held)
        for name, most in self.asker.budget.limits.items():
            if most is not None:
                needed = getattr(first, name) / each * (len(self.held) + min(_BATCH, len(self.learnt)) + 1)
                if most - getattr(self.asker.spent, name) < needed:
                    return False
        return True

    def round(self) -> str:
        """Make new instructions of failed runs, and try them; returns what came of it."""
        parent = choose_parent(self.candidates, self.chance)
        places = [place for number, place in self.failures if number == parent]
        if not places:  # it fails nowhere, but others are better elsewhere
            parent = min(self.failures)[0]
            places = [place for number, place in self.failures if number == parent]
        places = self.chance.sample(places, min(_BATCH, len(places)))
        present = self.candidates[parent]
        text = self.reflect(present.instructions, [self.failures[parent, place] for place in places])
        if not text or any(text == one.instructions for one in self.candidates):
            return "the reflection gave no new instructions."
        number = len(self.candidates)
        scores = {place: self.try_one(text, self.learnt[place], (number, place)) for place in places}
        was, now = sum(present.scores[place] for place in places), sum(scores.values())
        if now <= was:
            self.forget(number)
            return f"new instructions were no better on {len(places)} failed examples ({was:.2f}, now {now:.2f})."
        added = self.add(text, parent, scores)
        return f"new instructions score {added.mean:.2f} on the examples to learn from, {present.mean:.2f} before."

    def add(self, instructions: str, parent: int | None, known: Mapping[int, float]) -> Candidate:
        """Try instructions on all examples to learn from on which they were not tried yet, and keep them."""
        number = len(self.candidates)
        scores = [
            known[place] if place in known else self.try_one(instructions, example, (number, place))
            for place, example in enumerate(self.learnt)
        ]
        self.candidates.append(Candidate(instructions, tuple(scores), parent))
        return self.candidates[-1]

    def forget(self, number: int) -> None:
        """Drop the failures of instructions that are not kept."""
        for key in [key for key in self.failures if key[0] == number]:
            del self.failures[key]

    def try_on(self, instructions: str, examples: Sequence[Example]) -> list[float]:
        return [self.try_one(instructions, example, None) for example in examples]

    def try_one(self, instructions: str, example: Example, key: tuple[int, int] | None) -> float:
        """Ask an example's question with instructions; a run that failed scores 0, and is kept to be learnt from."""
        rlm = with_instructions(self.rlm, instructions)
        run = self.asker.ask(rlm, example.question, example.context, **example.options)
        try:
            value, shown = value_of(run)
            scored = score_of(value, example, self.score) if run.error is None else 0.0
            if key is not None and scored < 1.0:
                with run.lock:
                    told = transcript_of(run.tree, shown)
                self.failures[key] = Failed(example.question, example.answer, scored, told)
        finally:
            run.close()
        return scored

    def reflect(self, instructions: str, failed: Sequence[Failed]) -> str:
        """Returns new instructions; empty if the model gave none."""
        rlm = with_instructions(self.reflector, None)
        try:
            run = self.asker.ask(rlm, REFLECT, material(instructions, failed), plain=True)
        except ConfigError as error:  # such as a window that is too small for it
            self.say(f"There was no reflection: {error.message}")
            return ""
        try:
            return instructions_in(run.value) if run.error is None else ""
        except RLMError:
            return ""
        finally:
            run.close()

    def result(self, before: Sequence[float], after: Sequence[float], ended: str) -> Tuning:
        """Returns what was found; the best instructions only if they are better where nothing was learnt from."""
        present = self.rlm.settings.instructions or ""
        whole = len(after) == len(self.held) == len(before)
        better = whole and bool(self.candidates) and sum(after) > sum(before)
        rows = [
            {
                "question": example.question,
                "before": before[place] if place < len(before) else None,
                "after": after[place] if place < len(after) else None,
            }
            for place, example in enumerate(self.held)
        ]
        return Tuning(
            instructions=best_of(self.candidates).instructions if better else present,
            before=sum(before) / len(before) if before else None,
            after=sum(after) / len(after) if after else None,
            rows=rows,
            candidates=list(self.candidates),
            cost=self.asker.spent.cost,
            runs=self.asker.runs,
            ended=ended,
        )
