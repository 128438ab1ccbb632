"""The examples in prompts: how they are found, data for them, and answers to their calls."""

import json
import re

import pandas as pd

BLOCK = re.compile(r"^```repl\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def labels(prompt):
    """Answer the two kinds of plain calls in the examples."""
    if not prompt.startswith("Label each line"):
        return "2026-01-03, $12, broken"
    lines = prompt.split("Answer with JSON only", maxsplit=1)[0].strip().splitlines()[1:]
    return json.dumps(["complaint"] * len(lines))


def frame():
    return pd.DataFrame(
        {"supplier": ["a", "b", "c"] * 150, "comment": [f"returned it, item {n}" for n in range(450)]}
    )
