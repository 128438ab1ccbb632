"""Labels of texts by their meaning: a model is asked about each text, each different one once.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_PROMPT = """\
Which of these is the text about: {labels}?

Text: {text}

Answer with one of the words {labels}, and nothing else."""
_MOST_LABELS = 50
_FREE_WORDS = 4
"""Words that the texts of a column have on average, if they are sentences and no names."""
_DISTINCT = 0.2


def label_texts(
    texts: Iterable[Any], labels: Sequence[str], ask: Callable[[list[str]], Sequence[Any]]
) -> list[str | None]:
    """Let a model choose a label for each text by its meaning.

    Args:
        texts: such as a column of a table.
        labels: the labels to choose from.
        ask: sends prompts to a model, all at once, and returns its answers in order.

    Returns:
        A label for each text, in order; None if the model has named none of them, or failed.

    Raises:
        ValueError: there are fewer than two labels, or too many.
        TypeError: one of the arguments is a single text.
    """
    if isinstance(texts, str) or isinstance(labels, str):
        raise TypeError("`classify` takes a list or column of texts, and a list of labels.")
    items = [str(text) for text in texts]
    names = list(dict.fromkeys(str(label) for label in labels))
    if not 1 < len(names) <= _MOST_LABELS:
        raise ValueError(f"`classify` takes 2 to {_MOST_LABELS} labels, not {len(names)}.")
    different = list(dict.fromkeys(items))
    answers = ask([_PROMPT.format(labels=", ".join(names), text=text) for text in different])
    found = {text: _chosen(answer, names) for text, answer in zip(different, answers, strict=True)}
    return [found[text] for text in items]


def _chosen(answer: Any, names: Sequence[str]) -> str | None:
    """Returns the label that stands first in an answer."""
    if not isinstance(answer, str):
        return None
    places = {}
    for name in names:
        place = re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", answer.lower())
        if place is not None:
            places[place.start()] = name
    return places[min(places)] if places else None


def column_of_texts(table: Any) -> str | None:
    """Returns the first column of a table whose values are sentences, most of them different; None for none."""
    for place, name in enumerate(table.columns):
        values = table.iloc[:500, place].tolist()
        texts = [value for value in values if type(value) is str]
        if len(texts) < 2 or len(texts) < len(values) / 2:  # noqa: PLR2004
            continue
        words = sum(len(text.split()) for text in texts) / len(texts)
        if words >= _FREE_WORDS and len(set(texts)) > max(2, _DISTINCT * len(texts)):
            return name if type(name) is str else None
    return None
