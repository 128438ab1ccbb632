"""A plain call over the passages of texts that fit a question best, found by their words, for `plain="passages"`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.engine.agent.chat_size import BYTES_PER_TOKEN
from rlm_jupyter.engine.operators.word_ranking import rank, words_of
from rlm_jupyter.engine.plain.plain_data import window_of
from rlm_jupyter.engine.plain.plain_prompt import PlainData
from rlm_jupyter.errors import ConfigError
from rlm_jupyter.text import units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rlm_jupyter.models.base import ChatModel
    from rlm_jupyter.settings import Settings

PASSAGES: Final = "passages"
MOST_CHARS: Final = 10_000_000
"""Of texts that are searched, which takes a second or three before the run starts."""
_SENT_CHARS: Final = 24_000
"""Of passages in a prompt; fewer where the model's window is small."""
_SHARE: Final = 0.4
"""Of the window."""
_PASSAGE: Final = 1_000
_LONGEST_NAME: Final = 60
_LONG_LINE: Final = re.compile(rf".{{1,{_PASSAGE}}}", re.DOTALL)


def choose_passages(
    context: Any, name: str, question: str, model: ChatModel, settings: Settings
) -> tuple[PlainData, str]:
    """Returns the best passages of texts as the data of a plain call; and what was chosen, in a sentence.

    Args:
        context: a text, or texts in a list or dict.
        name: the variable that it came from.
        question: verbatim.
        model: of the root.
        settings: of the run.

    Raises:
        ConfigError: it is no text, too much of it, or holds no word of the question.
    """
    if model.scripted and model.name == "demo":
        raise ConfigError(
            "The demo model is a script that writes code for agents, and reads no data itself: a plain call needs a "
            "language model. Name one (`-m`, `model=`), or ask without `plain`."
        )
    texts = list(_texts(context, name))
    size = sum(len(text) for _, text in texts)
    if not texts or size > MOST_CHARS:
        what = f"it has {size:,} characters" if texts else f"`{name}` is a `{type(context).__name__}`"
        raise ConfigError(
            f"`plain={PASSAGES}` searches texts, or texts in a list or dict, of at most {MOST_CHARS:,} characters, and "
            f"{what}. Ask without `plain`: agents read the data by code."
        )
    passages = [part for place, text in texts for part in _parts(place, text)]
    ranked = rank([text for _, text in passages], words_of(question))
    if not ranked:
        raise ConfigError(
            f"No passage of `{name}` holds a word of the question, so `plain={PASSAGES}` has nothing to send. Ask "
            "without `plain`: agents read the data by code."
        )
    kept = _kept([place for place, _ in ranked], passages, _room(model, settings))
    told = "\n\n".join(f"# {passages[at][0]}\n{passages[at][1]}" for at in sorted(kept))
    counted = f"{len(kept):,} of {units.amount(len(passages), 'passage')}"
    part = f"{counted} of `{name}`, those that share most words with the question"
    said = (
        f"`plain={PASSAGES}`: one plain call over {counted} ({len(told):,} of {size:,} characters), those that share "
        "most words with the question. What stands elsewhere was not read: it is no way to count or to compare."
    )
    return PlainData(told, name, part), said


def _texts(context: Any, name: str) -> Iterator[tuple[str, str]]:
    """Find the texts of data, each with its name; nothing if it holds anything else."""
    if isinstance(context, str):
        yield name, context
        return
    pairs: list[tuple[Any, Any]]
    if isinstance(context, Mapping):
        pairs = list(context.items())
    elif isinstance(context, (list, tuple)):
        pairs = [(f"{name}[{at}]", item) for at, item in enumerate(context)]
    else:
        return
    if all(isinstance(text, str) for _, text in pairs):
        yield from ((str(key)[:_LONGEST_NAME], text) for key, text in pairs)


def _parts(place: str, text: str) -> Iterator[tuple[str, str]]:
    """Divide a text at the ends of its lines; each part with its place: name and lines."""
    first, length = 1, 0
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        pieces = _LONG_LINE.findall(line) if len(line) > _PASSAGE else [line]
        for piece in pieces:
            if lines and length + len(piece) > _PASSAGE:
                yield _part(place, first, lines)
                first, lines, length = number, [], 0
            lines.append(piece)
            length += len(piece) + 1
    if lines:
        yield _part(place, first, lines)


def _part(place: str, first: int, lines: Sequence[str]) -> tuple[str, str]:
    last = first + len(lines) - 1
    return f"{place}, line {first:,}" if last == first else f"{place}, lines {first:,}-{last:,}", "\n".join(
        lines
    )


def _kept(ranked: Sequence[int], passages: Sequence[tuple[str, str]], room: int) -> list[int]:
    """Returns the best passages that fit together, the best one in any case."""
    kept: list[int] = []
    for at in ranked:
        room -= len((passages[at][0] + passages[at][1]).encode("utf-8", "replace")) + 4
        if room < 0 and kept:
            break
        kept.append(at)
    return kept


def _room(model: ChatModel, settings: Settings) -> int:
    """Returns how many bytes of passages are sent."""
    window = window_of(model, settings)
    return _SENT_CHARS if window is None else min(_SENT_CHARS, round(_SHARE * window * BYTES_PER_TOKEN))
