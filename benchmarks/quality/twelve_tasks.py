"""The set `twelve`: tasks whose data has been the same, bit for bit, since the first measurements."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from random import Random

from benchmarks.quality.filler_text import filler
from benchmarks.quality.graders import Day, Grader, Number, tokens, words
from benchmarks.quality.task import Task

_EMAIL = r"[\w.]+@[\w.]*\w"


@cache
def twelve() -> tuple[Task, ...]:
    """Returns the twelve tasks."""
    makers = (_niah, _labels, _payments, _error_codes, _contract, _items, _sections, _reviews, _visits)
    return tuple(task for make in makers for task in make())


def _task(name: str, question: str, text: str, grader: Grader) -> Task:
    return Task(name, "twelve", question, text, grader)


def _niah() -> Iterator[Task]:
    lines = filler(Random(1), 20000).split("\n")
    lines[13777] = "The secret vault code is 48213977."
    yield _task("niah", "What is the secret vault code?", "\n".join(lines), tokens("48213977", r"\d{6,}"))


def _labels() -> Iterator[Task]:
    r = Random(2)
    labels = ["billing", "delivery", "quality", "praise"]
    rows = [
        (
            f"2026-{r.randint(1, 6):02d}-{r.randint(1, 28):02d}",
            r.randint(100, 160),
            r.choices(labels, [5, 3, 2, 1])[0],
        )
        for _ in range(3000)
    ]
    text = "\n".join(f"Date: {day} || User: {user} || Label: {label}" for day, user, label in rows)
    count = sum(label == "quality" for *_, label in rows)
    yield _task(
        "count_label",
        "How many entries have the label 'quality'?",
        text,
        Number(count, beside=frozenset({3000})),
    )
    top = Counter(user for _, user, _ in rows).most_common(1)[0][0]
    users = frozenset(map(str, range(100, 161)))
    yield _task(
        "top_user",
        "Which user id appears in the most entries? Give only the user id.",
        text,
        words(str(top), users),
    )
    month = Counter(day[:7] for day, _, label in rows if label == "billing").most_common(1)[0][0]
    yield _task(
        "month_billing",
        "In which month (YYYY-MM) are there the most entries labelled 'billing'?",
        text,
        Day(*map(int, month.split("-"))),
    )
    both = {user for _, user, label in rows if label == "praise"} & {
        user for _, user, label in rows if label == "billing"
    }
    yield _task(
        "pairs",
        "How many different users have at least one entry labelled 'praise' and at least one labelled 'billing'?",
        text,
        Number(len(both)),
    )


def _payments() -> Iterator[Task]:
    r = Random(3)
    rows = [(r.choice(["OK", "FAILED"]), round(r.uniform(5, 500), 2)) for _ in range(2500)]
    text = "\n".join(
        f"[{number:05d}] payment {'completed' if state == 'OK' else 'failed'} amount=${amount:.2f} "
        f"ref=R{r.randint(1000, 9999)}"
        for number, (state, amount) in enumerate(rows)
    )
    total = round(sum(amount for state, amount in rows if state == "OK"), 2)
    question = "What is the total amount in dollars of all completed payments?"
    yield _task("sum_amount", question, text, Number(total, 0.011))


def _error_codes() -> Iterator[Task]:
    r = Random(4)
    codes = ["E1042", "E2210", "E3377", "E4501", "E5093"]
    lines = [f"INFO step {number} fine" for number in range(8000)]
    for number, code in enumerate(codes):
        lines[r.randint(0, 7999)] = f"ERROR code {code} raised by worker {number}"
    question = "List all error codes that occur in this log."
    yield _task("error_codes", question, "\n".join(lines), tokens(codes, r"\b[A-Z]\d{3,}\b"))


def _contract() -> Iterator[Task]:
    r = Random(5)
    documents = [f"## Document {number}\n" + filler(r, 40) for number in range(120)]
    documents[87] += "\nThe contract with Hollis Ltd ends on 14 March 2031.\n"
    question = "When does the contract with Hollis Ltd end?"
    yield _task("contract", question, "\n\n".join(documents), Day(2031, 3, 14))


def _items() -> Iterator[Task]:
    r = Random(6)
    items = [
        {
            "sku": f"S{number}",
            "cat": r.choice(["toys", "books", "tools"]),
            "price": round(r.uniform(1, 99), 2),
        }
        for number in range(1500)
    ]
    prices = [float(str(item["price"])) for item in items if item["cat"] == "books"]
    question = "What is the average price of the items in category 'books'? Round to two decimals."
    mean = round(sum(prices) / len(prices), 2)
    yield _task("json_mean", question, "\n".join(map(json.dumps, items)), Number(mean, 2e-4 * mean))


def _sections() -> Iterator[Task]:
    r = Random(7)
    invited = [f"user{r.randint(1000, 9999)}@mail.test" for _ in range(400)]
    accepted = [address for address in invited if r.random() < 0.985]
    missing = set(invited) - set(accepted)
    text = "INVITED\n" + "\n".join(invited) + "\n\nACCEPTED\n" + "\n".join(accepted)
    question = "Which email addresses are in section INVITED but not in section ACCEPTED?"
    yield _task("set_diff", question, text, tokens(missing, _EMAIL))


def _reviews() -> Iterator[Task]:
    good = [
        "I love it, works great",
        "Fantastic quality, very happy",
        "Excellent, would buy again",
        "Superb, my kids adore it",
    ]
    bad = [
        "Broke after two days, awful",
        "Terrible, waste of money",
        "Very disappointed, it arrived damaged",
        "Horrible smell, sent it back",
    ]
    r = Random(8)
    reviews = [(r.choice(good), 1) if r.random() < 0.6 else (r.choice(bad), 0) for _ in range(30)]
    text = "\n".join(f"{number + 1}. {review}" for number, (review, _) in enumerate(reviews))
    negative = sum(1 - one for _, one in reviews)
    question = "How many of these product reviews are negative?"
    yield _task("sentiment", question, text, Number(negative, beside=frozenset({30})))


def _visits() -> Iterator[Task]:
    r = Random(9)
    days = sorted({dt.date(2025, 1, 1) + dt.timedelta(days=r.randint(0, 700)) for _ in range(260)})
    shuffled = days[:]
    r.shuffle(shuffled)
    gap = max((later - day).days for day, later in pairwise(days))
    text = "\n".join(f"visit on {day.isoformat()} by clerk {r.randint(1, 9)}" for day in shuffled)
    question = (
        "Each line has a date of a visit. What is the longest gap in days between two consecutive visits?"
    )
    yield _task("gap", question, text, Number(gap))
