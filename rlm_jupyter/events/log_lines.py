"""Reads the lines of a run's log into events and a tree, also of a log that was cut short at any byte."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from rlm_jupyter.errors import LogError, RunNotFoundError
from rlm_jupyter.events import events as ev
from rlm_jupyter.events.tree_state import TreeState

_MOST = 1e15


@dataclass(frozen=True)
class LogLines:
    """What the lines of a log hold.

    Attributes:
        tree: the run's state after the last event that could be read.
        events: in their order.
        torn: whether the last line was cut short, so that the writer was killed while it wrote.
        unknown: events of kinds that this version does not know; they are skipped.
        damaged: lines that are not events; they are skipped.
        path: the log.
    """

    tree: TreeState = field(repr=False)
    events: list[ev.AnyEvent] = field(repr=False)
    torn: bool = False
    unknown: int = 0
    damaged: int = 0
    path: Path | None = None


def read_log(path: str | os.PathLike[str]) -> LogLines:
    """Read the lines of a run's log.

    Raises:
        RunNotFoundError: there is no file at `path`.
        LogError: it is not a log of a run, or one that only a newer version can read.
    """
    where = Path(path)
    try:
        lines = where.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise RunNotFoundError(f"There is no log at `{where}`. `%rlm runs` lists those there are.") from None
    except OSError as error:
        raise LogError(f"The log `{where}` cannot be read: {error.strerror or error}.") from None
    events: list[ev.AnyEvent] = []
    tree = TreeState()
    bad: list[int] = []
    unknown = 0
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            event = ev.parse_event(line)
            _check_numbers(event)
            _check_messages(event)
            tree.apply(event)
            events.append(event)
        except ValidationError as error:
            if _is_unknown_kind(error):
                unknown += 1
            else:
                bad.append(number)
        except Exception:  # an event that makes no sense, in a log that somebody made or changed
            bad.append(number)
    _check(where, events)
    torn = bool(bad) and bad[-1] == len(lines) - 1  # no end of line behind it
    return LogLines(tree, events, torn, unknown, len(bad) - torn, where)


def _check_numbers(event: ev.AnyEvent) -> None:
    """Refuse times and amounts that no run has, such as NaN: whoever shows them may do sums with them."""
    for value in vars(event).values():
        if isinstance(value, (float, int)) and not abs(value) < _MOST:
            raise ValueError("a number that cannot be")


def _check_messages(event: ev.AnyEvent) -> None:
    """Refuse messages of a chat that no run sends: whoever reads them takes both parts for granted."""
    if isinstance(event, ev.PromptSent) and any(
        not {"role", "content"} <= one.keys() for one in event.messages
    ):
        raise ValueError("a message without a role or a content")


def _is_unknown_kind(error: ValidationError) -> bool:
    """Returns whether a line is an event of a newer version, not a damaged one."""
    return any(
        found["type"] == "union_tag_invalid" and {"run", "seq", "time"} <= set(_mapping(found["input"]))
        for found in error.errors(include_url=False)
    )


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _check(where: Path, events: list[ev.AnyEvent]) -> None:
    if not events:
        raise LogError(f"`{where}` is not a log of a run: no event of rlm_jupyter can be read in it.")
    for event in events:
        if isinstance(event, ev.RunStarted) and event.version > ev.SCHEMA_VERSION:
            raise LogError(
                f"The log `{where}` was written by a newer version (format {event.version}, this one reads "
                f"{ev.SCHEMA_VERSION}): upgrade rlm_jupyter to read it."
            )
