"""The figures of one run, read from its log without reading its texts: what it was asked about, and what it took.

A log may be anybody's: lines and files are bounded, and a number that cannot be makes the log one without figures.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

_KIND: Final = re.compile(rb'\s{0,8}\{\s{0,8}"kind"\s{0,8}:\s{0,8}"([a-z_]{1,40})"')
_WANTED: Final = frozenset(
    (b"run_started", b"run_finished", b"reply_finished", b"reply_failed", b"rows_mapped")
)
_AGENT: Final = b"agent_started"
_PROMPT: Final = b"prompt_sent"
_MOST_LINE: Final = 8 << 20
_MOST_FILE: Final = 256 << 20
_MOST: Final = 1e15
_TEXT: Final = 120
_WORDS: Final = 64
_WORD: Final = re.compile(r"[^\W_]{2,40}")
_TABLES: Final = ("DataFrame", "LazyFrame", "Table", "Series", "Dataset", "DataArray", "ndarray")


@dataclass(frozen=True)
class RunFigures:
    """What one run was asked about, and what it took.

    Attributes:
        run: its id.
        model, sub_model: their names.
        kind: of the data: `text`, `table`, `files`, another type by its name, or `none`.
        bytes: of the data.
        words: hashes of the words of the question, which tell runs of like questions.
        mapped: whether it asked one question for each row of a table.
        scripted: whether a script answered.
        status: how it ended.
        input_tokens, output_tokens: of all requests.
        calls: completions, those from the cache among them.
        cached: completions that came from the cache, which cost nothing.
        agents: how many there were.
        cost: USD; None if it is not known.
        seconds: from its start to its end.
        started: seconds since the epoch.
        instructions: a hash of the system message of its first turn, which changes with the version of this package
            and with settings; 0 if it is not known.
    """

    run: str
    model: str
    sub_model: str
    kind: str
    bytes: int
    words: tuple[int, ...]
    mapped: bool
    scripted: bool
    status: str
    input_tokens: int
    output_tokens: int
    calls: int
    cached: int
    agents: int
    cost: float | None
    seconds: float
    started: float
    instructions: int = 0

    @property
    def tokens(self) -> int:
        """Tokens sent and received."""
        return self.input_tokens + self.output_tokens

    @property
    def whole(self) -> bool:
        """Whether it tells what such a run takes: it was not stopped, and the cache has spared it nothing."""
        return self.status in ("done", "limit", "failed") and self.tokens > 0 and not self.cached

    def row(self) -> list[Any]:
        """Returns it as JSON has it."""
        return [list(value) if isinstance(value, tuple) else value for value in astuple(self)]

    @classmethod
    def of_row(cls, row: object) -> RunFigures | None:
        """Read what `row` gave; None if it is something else."""
        if not isinstance(row, list) or len(row) != len(fields(cls)):
            return None
        named = {field.name: value for field, value in zip(fields(cls), row, strict=True)}
        words = named["words"]
        if not isinstance(words, list) or len(words) > _WORDS or not all(type(one) is int for one in words):
            return None
        made = cls(**{**named, "words": tuple(words)})
        return made if made.possible else None

    @property
    def possible(self) -> bool:
        """Whether each field has what it may have."""
        texts = (self.run, self.model, self.sub_model, self.kind, self.status)
        counts = (
            *(self.bytes, self.input_tokens, self.output_tokens, self.calls, self.cached, self.agents),
            self.instructions,
        )
        numbers = (self.seconds, self.started, 0.0 if self.cost is None else self.cost)
        return (
            all(isinstance(one, str) and len(one) <= _TEXT for one in texts)
            and all(type(one) is int and 0 <= one < _MOST for one in counts)
            and all(type(one) in (int, float) and 0 <= one < _MOST for one in numbers)
            and type(self.mapped) is bool
            and type(self.scripted) is bool
        )


def words_of(question: str) -> tuple[int, ...]:
    """Returns hashes of a question's words, by which like questions are found; the words themselves are not kept."""
    found = {word.lower() for word in _WORD.findall(question[:4000])}
    return tuple(sorted(zlib.crc32(word.encode()) for word in found))[:_WORDS]


def kind_of(description: Mapping[str, Any] | None) -> str:
    """Returns what kind of data a description is of: `text`, `table`, `files`, another type, or `none`."""
    if description is None:
        return "none"
    given = description.get("type")
    name = given if isinstance(given, str) else "object"
    if name == "str":
        return "text"
    if name in _TABLES:
        return "table"
    return "files" if "Path" in name else name[:_TEXT]


def figures_of_description(description: Mapping[str, Any] | None) -> tuple[str, int]:
    """Returns the kind of data and its bytes."""
    size = (description or {}).get("bytes")
    known = type(size) is int and 0 <= size < _MOST
    return kind_of(description), size if known and isinstance(size, int) else 0


def read_figures(path: Path) -> RunFigures | None:
    """Read the figures of a run's log; None if it is no log of a run that has ended, or damaged.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if path.stat().st_size > _MOST_FILE:
            return None
        try:
            return _Sums.of(file)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):  # a log that somebody made
            return None


class _Sums:
    """The sums over the events of one log."""

    def __init__(self) -> None:
        self.started: Mapping[str, Any] | None = None
        self.ended: Mapping[str, Any] | None = None
        self.sent = self.received = self.calls = self.cached = self.agents = 0
        self.cost: float | None = 0.0
        self.mapped = False
        self.instructions: int | None = None

    @classmethod
    def of(cls, file: BinaryIO) -> RunFigures | None:
        sums = cls()
        while line := file.readline(_MOST_LINE):
            found = _KIND.match(line[:120])
            if found is None:
                continue
            kind = found[1]
            if kind == _AGENT:
                sums.agents += 1
            elif kind == _PROMPT and sums.instructions is None:
                sums.instructions = _instructions(line)
            elif kind in _WANTED and line.endswith(b"}\n"):
                sums.add(kind, json.loads(line))
        return sums.figures()

    def add(self, kind: bytes, event: Mapping[str, Any]) -> None:
        """Take in one event."""
        match kind:
            case b"run_started":
                self.started = self.started or event
            case b"run_finished":
                self.ended = event
            case b"rows_mapped":
                self.mapped = True
            case _:
                self._reply(event)

    def _reply(self, event: Mapping[str, Any]) -> None:
        self.calls += 1
        self.cached += event.get("cached") is True
        self.sent += int(event.get("gen_ai.usage.input_tokens") or 0)
        self.received += int(event.get("gen_ai.usage.output_tokens") or 0)
        cost = event.get("cost", 0.0)
        self.cost = None if self.cost is None or cost is None else self.cost + float(cost)

    def figures(self) -> RunFigures | None:
        """Returns the sums; None if the run has not ended, or a number cannot be."""
        begun, ended = self.started, self.ended
        if begun is None or ended is None:
            return None
        context = begun.get("context")
        kind, size = figures_of_description(context if isinstance(context, dict) else None)
        made = RunFigures(
            run=str(begun["run"])[:_TEXT],
            model=str(begun["model"])[:_TEXT],
            sub_model=str(begun["sub_model"])[:_TEXT],
            kind=kind,
            bytes=size,
            words=words_of(str(begun["question"])),
            mapped=self.mapped,
            scripted=begun.get("scripted") is True,
            status=str(ended["status"])[:_TEXT],
            input_tokens=self.sent,
            output_tokens=self.received,
            calls=self.calls,
            cached=self.cached,
            agents=self.agents,
            cost=self.cost,
            seconds=float(ended["time"]) - float(begun["time"]),
            started=float(begun["time"]),
            instructions=self.instructions or 0,
        )
        return made if made.possible and math.isfinite(made.seconds) else None


def _instructions(line: bytes) -> int | None:
    """Returns a hash of the system message of a request; 0 if it has none, None if it is no turn of the root."""
    if not line.endswith(b"}\n"):
        return None
    event = json.loads(line)
    messages = event.get("gen_ai.input.messages")
    if event.get("agent") != "0" or event.get("purpose") != "turn" or not isinstance(messages, list):
        return None
    first = messages[0] if messages else None
    if not isinstance(first, dict) or first.get("role") != "system":
        return 0
    return zlib.crc32(str(first.get("content")).encode(errors="replace"))


def without(figures: Sequence[RunFigures], run: str) -> list[RunFigures]:
    """Returns the figures of all runs but one."""
    return [one for one in figures if one.run != run]


def repriced(one: RunFigures, prompt: float, completion: float) -> RunFigures:
    """Returns the figures of a run as if its tokens had cost this, in USD per million."""
    return replace(one, cost=(one.input_tokens * prompt + one.output_tokens * completion) / 1e6)
