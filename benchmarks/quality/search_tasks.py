"""Tasks of finding: one line in a long text (S-NIAH), and facts of two documents that belong together (two hops)."""

from __future__ import annotations

import datetime as dt
from random import Random

from benchmarks.quality.filler_text import filler_of_size
from benchmarks.quality.graders import Day, Number, tokens, words
from benchmarks.quality.task import Content, Recipe

_PLACES = ["vault", "cellar", "tower", "harbour", "archive", "studio", "museum", "depot"]
_PEOPLE = [
    "Adams",
    "Baker",
    "Castillo",
    "Dimitrov",
    "Eriksen",
    "Fournier",
    "Grimaldi",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quintero",
    "Rossi",
    "Schneider",
    "Takahashi",
    "Ueda",
    "Vasquez",
    "Weber",
    "Yilmaz",
    "Zhang",
]
_CITIES = [
    "Lisbon",
    "Oslo",
    "Vienna",
    "Prague",
    "Dublin",
    "Athens",
    "Warsaw",
    "Madrid",
    "Helsinki",
    "Zagreb",
    "Riga",
    "Tallinn",
    "Budapest",
    "Bern",
    "Brussels",
]
_PROJECTS = [
    "Amber",
    "Basalt",
    "Cobalt",
    "Dolomite",
    "Emerald",
    "Flint",
    "Garnet",
    "Hematite",
    "Indigo",
    "Jasper",
    "Kyanite",
    "Lapis",
]
_HEADING = "Memo {number}"
_MEMO_SIZE = 2000


def recipes() -> list[Recipe]:
    """Returns the recipes of these tasks."""
    return [
        Recipe("niah_number", "niah", 2**15, _number),
        Recipe("niah_long", "niah", 2**22, _number),
        Recipe("niah_word", "niah", 2**18, _word),
        Recipe("niah_date", "niah", 2**20, _date),
        Recipe("niah_several", "niah", 2**17, _several),
        Recipe("hops_city", "two hops", 2**16, _city),
        Recipe("hops_budget", "two hops", 2**18, _budget),
        Recipe("hops_colleagues", "two hops", 2**19, _colleagues),
        Recipe("hops_successor", "two hops", 2**20, _successor),
    ]


def _hidden(random: Random, size: int, needles: list[str]) -> str:
    lines = filler_of_size(random, size - sum(map(len, needles)))
    for needle in needles:
        lines.insert(random.randrange(len(lines)), needle)
    return "\n".join(lines)


def _number(random: Random, size: int) -> Content:
    wanted, *others = random.sample(_PLACES, 4)
    codes = random.sample(range(10_000_000, 99_999_999), 4)
    needles = [
        f"The access code of the {place} is {code}."
        for place, code in zip([wanted, *others], codes, strict=True)
    ]
    question = f"What is the access code of the {wanted}?"
    return question, _hidden(random, size, needles), tokens(str(codes[0]), r"\d{6,}")


def _word(random: Random, size: int) -> Content:
    places = random.sample(_PLACES, 3)
    people = random.sample(_PEOPLE, 3)
    needles = [
        f"Since spring the keeper of the {place} has been {who}."
        for place, who in zip(places, people, strict=True)
    ]
    question = f"Who is the keeper of the {places[0]}?"
    return question, _hidden(random, size, needles), words(people[0], _PEOPLE)


def _date(random: Random, size: int) -> Content:
    days = [dt.date(2027, 1, 1) + dt.timedelta(days=n) for n in random.sample(range(1500), 3)]
    names = random.sample(_PEOPLE, 3)
    needles = [
        f"The lease of {name} & Sons ends on {day.day} {day:%B} {day.year}."
        for name, day in zip(names, days, strict=True)
    ]
    question = f"On which date does the lease of {names[0]} & Sons end?"
    return question, _hidden(random, size, needles), Day(days[0].year, days[0].month, days[0].day)


def _several(random: Random, size: int) -> Content:
    codes = [f"{random.choice('ABCD')}-{number}" for number in random.sample(range(100, 1000), 9)]
    needles = [
        f"Alarm {code} was {'confirmed' if n < 5 else 'cleared'} by the night shift."
        for n, code in enumerate(codes)
    ]
    question = "Which alarms (such as `Z-123`) were confirmed by the night shift? List their codes."
    data = _hidden(random, size, random.sample(needles, len(needles)))
    return question, data, tokens(codes[:5], r"\b[A-Z]-\d{3}\b", but=frozenset({"Z-123"}))


def _documents(random: Random, size: int, facts: list[str]) -> dict[str, str]:
    """Hide each fact in a document of its own, among documents without any."""
    count = max(len(facts), size // _MEMO_SIZE)
    places = dict(zip(random.sample(range(count), len(facts)), facts, strict=True))
    documents = {}
    for number in range(count):
        fact = places.get(number)
        documents[_HEADING.format(number=number + 1)] = _hidden(random, size // count, [fact] if fact else [])
    return documents


def _led(random: Random) -> tuple[list[str], list[str], list[str]]:
    """Returns projects, their leads, and the sentences that say so."""
    projects = random.sample(_PROJECTS, 6)
    people = random.sample(_PEOPLE, 6)
    return (
        projects,
        people,
        [f"Project {one} is led by {who}." for one, who in zip(projects, people, strict=True)],
    )


def _city(random: Random, size: int) -> Content:
    projects, people, facts = _led(random)
    cities = random.sample(_CITIES, 6)
    facts += [f"{who} works in the office in {city}." for who, city in zip(people, cities, strict=True)]
    question = f"In which city does the lead of project {projects[0]} work?"
    return question, _documents(random, size, facts), words(cities[0], _CITIES)


def _budget(random: Random, size: int) -> Content:
    projects, people, facts = _led(random)
    budgets = random.sample(range(20_000, 99_999), 6)
    facts += [
        f"{who} may spend {amount} euros this year." for who, amount in zip(people, budgets, strict=True)
    ]
    question = f"How many euros may the lead of project {projects[0]} spend this year?"
    return question, _documents(random, size, facts), Number(budgets[0])


def _colleagues(random: Random, size: int) -> Content:
    projects, people, facts = _led(random)
    near, far = random.sample(_CITIES, 2)
    facts += [f"{who} works in the office in {near if n < 3 else far}." for n, who in enumerate(people)]
    question = f"Which projects are led by people who work in the office in {near}?"
    return question, _documents(random, size, facts), words(projects[:3], _PROJECTS)


def _successor(random: Random, size: int) -> Content:
    projects, people, facts = _led(random)
    new = random.sample(sorted(set(_PEOPLE) - set(people)), 6)
    facts += [f"In June {who} will be succeeded by {heir}." for who, heir in zip(people, new, strict=True)]
    question = f"Who will succeed the lead of project {projects[0]} in June?"
    return question, _documents(random, size, facts), words(new[0], _PEOPLE, but=frozenset({people[0]}))
