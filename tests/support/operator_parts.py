"""A script that answers the requests of `rlm.top`, `join`, `search`, `group` and `reduce` as a good model does."""

import json
import re

import pandas as pd
from map_parts import items_in

from rlm_jupyter.models import ScriptedModel


def tickets(count, seed=7919):
    """A table of which two of three rows are late, with a score that is no other row's."""
    numbers = range(count)
    texts = [f"{'late' if n % 3 else 'broken'} item p{n % 30} of order {n}" for n in numbers]
    return pd.DataFrame(
        {"text": texts, "score": [n * seed % 5003 for n in numbers]}, index=[f"r{n}" for n in numbers]
    )


def answer(text, item):  # noqa: PLR0911 - one case each
    """What a good model answers about one item."""
    if '"best"' in text:
        wanted = int(re.search(r"the (\d+) rows of the group", text)[1])
        ranked = sorted(item, key=lambda number: -item[number]["score"])
        return {"best": [int(number) for number in ranked[:wanted]]}
    if '"matches"' in text:
        right = json.loads(text.split("meant for you):\n")[1].split("\n")[0])
        words = item["text"].split()
        return {"matches": [int(number) for number, row in right.items() if row["name"] in words]}
    if '"words"' in text:
        return {"words": ["tardy", "late"]}
    if '"labels"' in text:
        return {"labels": ["late", "broken"]}
    if '"label"' in text:
        return {"label": item["text"].split()[0]}
    if "rows" in item:
        return {"answer": f"{sum(row['score'] for row in item['rows'])}"}
    if "partial_answers" in item:
        return {"answer": f"{sum(map(int, item['partial_answers']))}"}
    return {"answer": "late" in item["text"]}


def good_reply(messages):
    """The reply of a model that makes no mistakes."""
    text = messages[-1]["content"]
    return json.dumps([{"n": number, **answer(text, item)} for number, item in items_in(messages).items()])


def answering(reply=good_reply, **options):
    """A scripted model that answers the requests of operators."""
    return ScriptedModel(reply, **options)


def mistaken(wrong, kind):
    """A reply in which the first answer is changed by `wrong`, in the first request of a kind, and only there."""
    done = []

    def reply(messages):
        answers = json.loads(good_reply(messages))
        if not done and kind in messages[-1]["content"]:
            done.append(True)
            answers = wrong(answers)
        return json.dumps(answers)

    return reply
