"""A process that asks about each row of a table, to be killed: `python map_process.py URL ROWS PER CONCURRENCY`; PER 0 is the default.

It prints a line of JSON with the number of answers, errors and wrong rows when it ends.
"""

import json
import sys

from map_parts import QUESTION, SCHEMA, complaints

from rlm_jupyter import RLM, Limits
from rlm_jupyter.models.openai.chat import OpenAIChat

if __name__ == "__main__":
    url, rows, per, concurrency = sys.argv[1], *map(int, sys.argv[2:])
    model = OpenAIChat("test-model", base_url=url, api_key="sk-test-0123456789")
    data = complaints(rows)
    limits = Limits(cost=None, tokens=None, calls=None, concurrency=concurrency)
    out = RLM(model=model, limits=limits, log_dir=None, early_start=False).map(
        data, QUESTION, SCHEMA, columns=["text"], confirm=False, per=per or None
    )
    wrong = int((out["why"] != data["text"]).sum())
    print(json.dumps({"done": len(out), "errors": int(out["error"].notna().sum()), "wrong": wrong}))  # noqa: T201
