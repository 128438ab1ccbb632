"""What a page is told of a replay: the moment that is shown, and what the slider needs; a part of `protocol`."""

from __future__ import annotations

from typing import Literal, TypedDict


class Flow(TypedDict):
    """Where the data of one agent is: what stays in its kernel, what the model reads, what goes up to its parent."""

    agent: str
    parent: str | None
    context: str | None
    """Its data in a line."""
    kernel_bytes: int | None
    """Of its data."""
    variables: int
    prompt_tokens: int
    """Of its prompts so far; of one without a reply an estimate."""
    output_tokens: int
    received: int
    """Values that came up to it from its sub-agents."""
    value: str | None
    """Its own value in a line, once it went up."""


class Replay(TypedDict):
    """Which moment of a run is shown; the rest of the state is that of this moment."""

    position: int
    """How many events have happened."""
    events: int
    """How many there are."""
    seconds: float
    """Since the start of the run."""
    caption: str
    """What happens now, in a sentence."""
    agent: str | None
    """The agent of which the caption tells."""
    place: str
    """Names the moment, as in `agent 0.3, turn 2`, for people to pass on and to go to."""
    live: bool
    """Whether the run goes on meanwhile."""
    only: bool
    """Whether there is nothing else to go back to: a log, or a file."""
    flow: Flow | None


MarkKind = Literal["agent", "error", "value", "limit"]

Mark = tuple[int, MarkKind, str]
"""Something to see on the slider: after how many events, what, and of which agent."""

Point = tuple[int, float, float]
"""After how many events; seconds of the replay, in which long waits are shortened; seconds of the run."""


class Outline(TypedDict):
    """What the slider of a replay needs."""

    events: int
    points: list[Point]
    """Bounded; between two of them time goes evenly."""
    marks: list[Mark]
    """Bounded; one of a kind for each stretch of the slider."""


class OutlineMessage(TypedDict):
    """The answer to `outline`."""

    kind: Literal["outline"]
    request: str
    outline: Outline
