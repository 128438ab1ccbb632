"""Scripts that answer about numbered items as a good model does, and tables to ask about."""

import contextlib
import json

import pandas as pd

from rlm_jupyter import RLM
from rlm_jupyter.models import ScriptedModel

SCHEMA = {"delivery": "bool", "why": "string"}
QUESTION = "Is this complaint about delivery?"


def complaints(count):
    """A table whose rows with `late` are about delivery: two of three."""
    texts = [f"it came {'late' if number % 3 else 'broken'}, order {number}" for number in range(count)]
    return pd.DataFrame({"text": texts, "secret": "x"}, index=[f"r{number}" for number in range(count)])


def is_late(row):
    """What a good model answers about a row."""
    return {"delivery": "late" in row["text"], "why": row["text"]}


def items_in(messages):
    """The items of a request, by number; None for a request of another kind."""
    lines = [line for line in messages[-1]["content"].splitlines() if line.startswith('{"n": ')]
    return {one["n"]: one["item"] for one in map(json.loads, lines)} if lines else None


def answers(messages, answer=is_late):
    """A list with an answer for each item, in order."""
    return [{"n": number, **answer(item)} for number, item in items_in(messages).items()]


def good_reply(messages):
    """The reply of a model that makes no mistakes."""
    return json.dumps(answers(messages))


def answering(reply=good_reply, **options):
    """A scripted model that replies to requests about items."""
    return ScriptedModel(reply, **options)


def sizes(model):
    """How many items each request had."""
    return [len(items_in(request.messages)) for request in model.requests if items_in(request.messages)]


@contextlib.contextmanager
def mapping(model, tmp_path, **options):
    """An `RLM` whose runs are closed at the end."""
    runs = []
    rlm = RLM(model=model, log_dir=tmp_path / "logs", cache=False, **options)
    start = rlm.start_map

    def start_map(*args, **kwargs):
        runs.append(start(*args, **kwargs))
        return runs[-1]

    rlm.start_map = start_map
    rlm.started = runs
    try:
        yield rlm
    finally:
        for run in runs:
            run.close()
