"""What a page asks of Python; the session adds `request`. A part of `protocol`."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class HelloCommand(TypedDict):
    """Asks for a snapshot."""

    kind: Literal["hello"]


class OpenCommand(TypedDict):
    """Asks for an agent's page."""

    kind: Literal["open"]
    agent: str
    turn: NotRequired[int]
    """The turn that must be whole."""


class PromptCommand(TypedDict):
    """Asks for the messages of an agent's newest prompt."""

    kind: Literal["prompt"]
    agent: str


class CodeCommand(TypedDict):
    """Asks for the code behind the answer, run again if it can be."""

    kind: Literal["code"]


class StopCommand(TypedDict):
    """Stops an agent and all below it; None stops the run."""

    kind: Literal["stop"]
    agent: str | None


class PullCommand(TypedDict):
    """Assigns an agent's variable in the notebook; an empty name is the value given to FINAL."""

    kind: Literal["pull"]
    agent: str
    name: str
    target: str
    """The name in the notebook."""
    overwrite: bool


class ExecCommand(TypedDict):
    """Runs a cell in an agent's kernel."""

    kind: Literal["exec"]
    agent: str
    code: str


class RetryCommand(TypedDict):
    """Starts a sub-agent with the same question beside one that failed."""

    kind: Literal["retry"]
    agent: str


class LimitCommand(TypedDict):
    """Changes a limit of the run."""

    kind: Literal["limit"]
    name: str
    value: float


class NextCommand(TypedDict):
    """Lets a cell run that waits in step mode, edited if `code` is set."""

    kind: Literal["next"]
    agent: str
    code: str | None


class ReplyCommand(TypedDict):
    """Hands over the reply that a person writes in the place of an agent's model."""

    kind: Literal["reply"]
    agent: str
    text: str


class AnswerCommand(TypedDict):
    """Answers what an agent's code asks the user."""

    kind: Literal["answer"]
    agent: str
    number: int
    option: int | None
    """The number of the option that was chosen, from 0."""
    text: str | None
    """What was typed, if there are no options."""


class BranchCommand(TypedDict):
    """Asks from a turn of a run that has ended, with other code or another observation: a run of its own."""

    kind: Literal["branch"]
    agent: str
    turn: int
    change: Literal["code", "observation"]
    text: str
    """The code, or what the model is told after the turn."""


class PauseCommand(TypedDict):
    """Makes each turn wait for `next`."""

    kind: Literal["pause"]


class ResumeCommand(TypedDict):
    """Ends the pause."""

    kind: Literal["resume"]


Step = Literal["event", "turn", "agent"]


class SeekCommand(TypedDict):
    """Shows the run as it was at another moment; without any of these, as it is now."""

    kind: Literal["seek"]
    position: NotRequired[int]
    """After how many events; of a step, where it begins."""
    step: NotRequired[Step]
    """Goes to the next one of these, or the one before."""
    back: NotRequired[bool]
    place: NotRequired[str]
    """Such as `agent 0.3, turn 2`, or `event 120`."""


class OutlineCommand(TypedDict):
    """Asks for what the slider needs."""

    kind: Literal["outline"]


Command = (
    HelloCommand
    | OpenCommand
    | PromptCommand
    | CodeCommand
    | StopCommand
    | PullCommand
    | ExecCommand
    | RetryCommand
    | LimitCommand
    | NextCommand
    | ReplyCommand
    | AnswerCommand
    | BranchCommand
    | PauseCommand
    | ResumeCommand
    | SeekCommand
    | OutlineCommand
)
