"""The first cell that the demo writes: what is the data? It prints one line of JSON, bounded in size."""

from __future__ import annotations

from collections.abc import Sequence

from rlm_jupyter.demo_model.read_chat import Given
from rlm_jupyter.demo_model.words import tokens

_CELL = '''\
import json
import numpy as np
import pandas as pd

def as_table(value):
    """Returns a table, a series, an array or records as a DataFrame; None for what is none of these."""
    if hasattr(value, "collect_schema"):                             # a lazy frame
        value = value.collect()
    if hasattr(value, "to_table"):                                   # a dataset
        value = value.to_table()
    if hasattr(value, "to_pandas"):                                  # polars, Arrow
        value = value.to_pandas()
    if isinstance(value, pd.Series):
        value = value.to_frame("value" if value.name is None else value.name)
    elif isinstance(value, np.ndarray) and value.ndim in (1, 2):
        value = pd.DataFrame(value)
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], (dict, list, tuple)):
        value = pd.DataFrame(list(value))
    elif isinstance(value, (list, tuple)) and value and all(isinstance(v, (int, float)) for v in value):
        value = pd.DataFrame({"value": list(value)})
    if not isinstance(value, pd.DataFrame):
        return None
    dated = isinstance(value.index, (pd.DatetimeIndex, pd.PeriodIndex)) or any(value.index.names)
    return value.reset_index(drop=not dated or any(name in value.columns for name in value.index.names))

def facts(table, sample, at):
    """Describe a column: place, name, whether the name is its own, dtype, kind, and values in a sample."""
    name, values = table.columns[at], sample.iloc[:, at].dropna().astype(object)
    kind = pd.api.types.infer_dtype(values)
    kind = {"string": "text", "mixed-integer": "text", "boolean": "flag", "integer": "number", "floating": "number",
            "decimal": "number", "mixed-integer-float": "number", "date": "date", "datetime": "date",
            "period": "date"}.get(kind, "other")
    texts = values.astype(str)
    if kind == "text" and texts.str.match(r"\\d{4}[-/]\\d{2}[-/]\\d{2}").mean() > 0.9:
        kind = "date"
    levels = [str(level) for level in (name if isinstance(name, tuple) else [name])]
    called = next((level for level in reversed(levels) if level), "")
    plain = type(name) is str and len(name) <= 60 and list(table.columns).count(name) == 1
    few = sorted(texts.unique()) if kind == "text" and texts.nunique() <= 12 else []
    return [at, called[:60], plain, str(table.iloc[:, at].dtype)[:40], kind, texts.nunique(),
            [text for text in few if len(text) <= 40], bool(texts.is_unique and len(texts) > 1)]

def look(table, most):
    """Describe at most so many columns, those that the question may mean first."""
    sample = table.sample(min(len(table), 2000), random_state=0)
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in table.dtypes]
    named = [any(word in str(name).lower() for word in asked) for name in table.columns]
    order = sorted(range(table.shape[1]), key=lambda at: (not named[at], numeric[at]))
    return {"rows": len(table), "sampled": len(sample), "columns": [facts(table, sample, at) for at in order[:most]]}

asked = ASKED
given = GIVEN
named = given if isinstance(given, dict) else {"context": given}
lists = [v for v in named.values() if isinstance(v, (list, tuple, np.ndarray))]
if len(lists) == len(named) > 1 and len({len(v) for v in lists}) == 1:
    named = {"context": pd.DataFrame(named)}                         # columns by name
tables = {str(name): table for name, value in named.items() if (table := as_table(value)) is not None}
texts = given if isinstance(given, (list, tuple, set, frozenset)) else named
texts = texts.items() if isinstance(texts, dict) else enumerate(texts, 1)
texts = [(str(name), bytes(text).decode(errors="replace") if isinstance(text, (bytes, bytearray)) else text)
         for name, text in texts if isinstance(text, (str, bytes, bytearray))]

if tables:
    for most in (40, 15, 6, 2):
        line = json.dumps({"tables": {name: look(table, most) for name, table in list(tables.items())[:6]}})
        if len(line) < 6000:
            break
elif texts:
    line = json.dumps({"documents": len(texts), "characters": sum(len(text) for _, text in texts)})
else:
    size = len(given) if hasattr(given, "__len__") else None
    line = json.dumps({"type": type(given).__name__, "length": size})
print("LOOK", line)'''


def look(question: str, given: Sequence[Given] = (Given("context"),)) -> str:
    """Returns the first cell for a question.

    Args:
        question: its longer words tell which of many columns to describe first.
        given: what was handed over; of more than one, that with follow-up questions too.
    """
    asked = sorted({word[:5] for word in tokens(question) if len(word) > 3})[:40]  # noqa: PLR2004 - no articles
    return _CELL.replace("ASKED", repr(asked)).replace("GIVEN", _all_of(given))


def _all_of(given: Sequence[Given]) -> str:
    """Returns the code for all data as one object: the object itself, or a dict of several by name."""
    if len(given) == 1:
        return given[0].variable
    items = []
    for one in given:
        own = one.names[0] if len(one.names) == 1 else one.variable
        items.append(
            f"**({one.variable} if isinstance({one.variable}, dict) else {{{own!r}: {one.variable}}})"
        )
    return f"{{{', '.join(items)}}}"
