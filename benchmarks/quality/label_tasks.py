"""Tasks over every line of a list, as in OOLONG: labels that are given, labels to be judged, and pairs of users."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from random import Random

from benchmarks.quality.graders import Day, Grader, Number, Pairs, words
from benchmarks.quality.messages import LABELS, message
from benchmarks.quality.task import Content, Recipe

_PER_ROW = {False: 49, True: 97}
"""Characters of a line, about, without and with a message."""
_CLEAR_LEAD = 3
_FEWEST_USERS, _MOST_USERS = 3, 15
_ABOUT = (
    "Each line has a customer's message. It is about one of these: billing, delivery, quality, or praise (it reports "
    "no problem). "
)


@dataclass(frozen=True)
class Entry:
    """One line: when, who, and what it is about."""

    day: dt.date
    user: int
    label: str


def recipes() -> list[Recipe]:
    """Returns the recipes of these tasks."""
    given, judged, pairs = "labels given", "labels judged", "pairs"
    return [
        Recipe("given_count", given, 2**16, _given(_count)),
        Recipe("given_user", given, 2**17, _given(_top_user)),
        Recipe("given_month", given, 2**18, _given(_top_month)),
        Recipe("given_least", given, 2**19, _given(_least)),
        Recipe("given_compare", given, 2**20, _given(_compare)),
        Recipe("given_after", given, 2**22, _given(_after)),
        Recipe("judged_count", judged, 2**13, _judged(_count)),
        Recipe("judged_least", judged, 2**13, _judged(_least)),
        Recipe("judged_compare", judged, 2**14, _judged(_compare)),
        Recipe("judged_user", judged, 2**14, _judged(_top_user_of_label)),
        Recipe("pairs_count", pairs, 2**17, _given(_pair_count)),
        Recipe("pairs_both", pairs, 2**14, _given(_pair_list)),
        Recipe("pairs_apart", pairs, 2**16, _given(_pair_list_apart)),
        Recipe("pairs_judged", pairs, 2**13, _judged(_pair_list)),
    ]


Ask = Callable[[Random, list[Entry]], tuple[str, Grader] | None]
"""Makes a question and its grader of entries; None if the answer would not be clear."""


def _given(ask: Ask) -> Callable[[Random, int], Content | None]:
    return lambda random, size: _content(random, size, ask, judged=False)


def _judged(ask: Ask) -> Callable[[Random, int], Content | None]:
    return lambda random, size: _content(random, size, ask, judged=True)


def _content(random: Random, size: int, ask: Ask, *, judged: bool) -> Content | None:
    entries = _entries(random, size // _PER_ROW[judged])
    asked = ask(random, entries)
    if asked is None:
        return None
    question, grader = asked
    lines = [_line(random, entry, judged=judged) for entry in entries]
    return (_ABOUT if judged else "") + question, "\n".join(lines), grader


def _entries(random: Random, count: int) -> list[Entry]:
    weights = random.sample([5, 3, 2, 1], 4)
    first = dt.date(2026, 1, 1)
    users = range(1000, 1000 + max(8, min(60, count // 8)))
    return [
        Entry(
            first + dt.timedelta(days=random.randrange(360)),
            random.choice(users),
            random.choices(LABELS, weights)[0],
        )
        for _ in range(count)
    ]


def _line(random: Random, entry: Entry, *, judged: bool) -> str:
    said = f"Message: {message(random, entry.label)}" if judged else f"Label: {entry.label}"
    return f"Date: {entry.day.isoformat()} || User: {entry.user} || {said}"


def _users(entries: list[Entry]) -> frozenset[str]:
    return frozenset(str(entry.user) for entry in entries)


def _clear_first(counts: Counter[str]) -> str | None:
    """Returns what is most frequent; None if another is as frequent."""
    best = counts.most_common(2)
    return best[0][0] if len(best) == 1 or best[0][1] > best[1][1] else None


def _count(random: Random, entries: list[Entry]) -> tuple[str, Grader]:
    label = random.choice(LABELS)
    count = sum(entry.label == label for entry in entries)
    question = f"How many lines are about '{label}'?"
    return question, Number(count, beside=frozenset({float(len(entries))}))


def _top_user(_: Random, entries: list[Entry]) -> tuple[str, Grader] | None:
    top = _clear_first(Counter(str(entry.user) for entry in entries))
    question = "Which user id has the most lines? Answer with the user id."
    return None if top is None else (question, words(top, _users(entries)))


def _top_user_of_label(random: Random, entries: list[Entry]) -> tuple[str, Grader] | None:
    label = random.choice(LABELS)
    top = _clear_first(Counter(str(entry.user) for entry in entries if entry.label == label))
    question = f"Which user id has the most lines about '{label}'? Answer with the user id."
    return None if top is None else (question, words(top, _users(entries)))


def _top_month(random: Random, entries: list[Entry]) -> tuple[str, Grader] | None:
    label = random.choice(LABELS)
    top = _clear_first(Counter(f"{entry.day:%Y-%m}" for entry in entries if entry.label == label))
    question = f"In which month (YYYY-MM) are there the most lines about '{label}'?"
    return None if top is None else (question, Day(*map(int, top.split("-"))))


def _least(_: Random, entries: list[Entry]) -> tuple[str, Grader] | None:
    counts = Counter(entry.label for entry in entries)
    lowest = _clear_first(Counter({label: -counts[label] for label in LABELS}))
    question = f"Which of these is the least frequent subject of a line: {', '.join(LABELS)}?"
    return None if lowest is None else (question, words(lowest, LABELS))


def _compare(random: Random, entries: list[Entry]) -> tuple[str, Grader] | None:
    one, other = random.sample(LABELS, 2)
    counts = Counter(entry.label for entry in entries)
    lead = counts[one] - counts[other]
    if abs(lead) < _CLEAR_LEAD:
        return None
    question = f"Are there more lines about '{one}' or about '{other}'? Answer with that word alone."
    return question, words(one if lead > 0 else other, LABELS)


def _after(random: Random, entries: list[Entry]) -> tuple[str, Grader]:
    label = random.choice(LABELS)
    day = dt.date(2026, random.randint(4, 9), random.randint(1, 28))
    count = sum(entry.label == label and entry.day > day for entry in entries)
    return f"How many lines after {day.isoformat()} (not that day itself) are about '{label}'?", Number(count)


def _rare(entries: list[Entry]) -> list[str]:
    """Returns the labels, the rarest first: pairs of their users are few enough to list."""
    counts = Counter(entry.label for entry in entries)
    return sorted(LABELS, key=lambda label: counts[label])


def _pair_count(random: Random, entries: list[Entry]) -> tuple[str, Grader]:
    month = random.randint(1, 12)
    label = random.choice(LABELS)
    users = {entry.user for entry in entries if entry.label == label and entry.day.month == month}
    question = (
        f"Take all users with at least one line about '{label}' in 2026-{month:02d}. How many different pairs of "
        "these users are there? (A pair is two different users, in any order.)"
    )
    return question, Number(len(users) * (len(users) - 1) / 2)


def _pair_list(_: Random, entries: list[Entry]) -> tuple[str, Grader] | None:
    rare, other, *_rest = _rare(entries)
    users = {entry.user for entry in entries if entry.label == other}
    return _pairs(entries, rare, users, f" and at least one about '{other}'")


def _pair_list_apart(_: Random, entries: list[Entry]) -> tuple[str, Grader] | None:
    rare, *_rest, frequent = _rare(entries)
    late = {entry.user for entry in entries if entry.label == frequent and entry.day >= dt.date(2026, 7, 1)}
    return _pairs(entries, rare, late, f" and at least one about '{frequent}' on or after 2026-07-01")


def _pairs(entries: list[Entry], rare: str, among: set[int], further: str) -> tuple[str, Grader] | None:
    """Ask for the pairs of some users who have the most lines about a rare subject: so few that they can be listed."""
    counts = Counter(entry.user for entry in entries if entry.label == rare and entry.user in among)
    least = max((least for least in counts.values() if _above(counts, least) >= _FEWEST_USERS), default=0)
    users = sorted(user for user, count in counts.items() if count >= least)
    if not _FEWEST_USERS <= len(users) <= _MOST_USERS:
        return None
    lines = "one line" if least == 1 else f"{least} lines"
    question = (
        f"List all pairs of different users of whom both have at least {lines} about '{rare}'{further}. List each pair "
        "once, as a list of tuples of two user ids."
    )
    return question, Pairs(frozenset(combinations(users, 2)))


def _above(counts: Counter[int], least: int) -> int:
    return sum(count >= least for count in counts.values())
