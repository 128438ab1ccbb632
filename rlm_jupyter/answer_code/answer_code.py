"""`AnswerCode`: the code behind an answer, as text that runs, and whether it was proved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from rlm_jupyter.answer_code.answer_parts import AnswerPart, Key, answer_parts, steps_of_part
from rlm_jupyter.answer_code.history import RunHistory
from rlm_jupyter.answer_code.look_recipes import written_looks
from rlm_jupyter.answer_code.slicing import NoCodeError
from rlm_jupyter.answer_code.source import Writer, Written
from rlm_jupyter.answer_code.steps import Step
from rlm_jupyter.errors import ConfigError, NoAnswerCodeError
from rlm_jupyter.events import events as ev

__all__ = ["AnswerCode", "Step", "answer_code"]

_MOST_NAMED = 10


class AnswerCode(str):
    """The code behind an answer: a `str` that runs as a cell, with nothing of rlm_jupyter in it.

    Attributes:
        source: the same text.
        parameters: of its function `answer`: the names of the data.
        steps: where each of its statements came from: agent, turn, cell, lines; and its rows in and out.
        parts: keys of the answer's parts, if its code writes them down one by one; `part(key)` has the steps of one.
        statements: how many statements of the agents it keeps; those that several agents ran alike count once.
        recorded: how many answers of plain completions it holds.
        share: its characters, without recorded answers and functions of a first look, by those of all code that ran.
        verdict: `reproduced`, `differs`, `failed` or `not tried`.
        detail: what differs, or why it failed or was not tried, in one line.
    """

    __slots__ = ("_known_parts", "_written", "detail", "of_characters", "verdict", "whole")

    def __new__(cls, written: Written, of_characters: int, *, whole: bool = False) -> Self:
        """Make one of what was written."""
        made = super().__new__(cls, written.cell.source)
        made._written, made.of_characters, made.whole = written, of_characters, whole
        made.verdict, made.detail, made._known_parts = "not tried", "", None
        return made

    _written: Written
    _known_parts: dict[Key, AnswerPart] | None
    verdict: ev.ProofVerdict
    detail: str
    of_characters: int
    whole: bool
    """Whether it keeps all code that ran, because less did not give the value."""

    @property
    def source(self) -> str:
        """The text."""
        return str(self)

    def cell(self, taken: Iterable[str] = ()) -> str:
        """Returns it as a cell that does not bind any of these names: with a function around it if need be.

        Args:
            taken: such as the names of a notebook's variables.
        """
        return self._written.as_function.source if self._written.cell.binds & {*taken} else self.source

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the data."""
        return self._written.parameters

    @property
    def steps(self) -> list[Step]:
        """Where each statement came from."""
        return self._written.steps

    @property
    def parts(self) -> tuple[Key, ...]:
        """Keys of the parts that the answer's code writes down one by one; empty if it does not tell them apart."""
        return tuple(self._parts)

    @property
    def _parts(self) -> dict[Key, AnswerPart]:
        if self._known_parts is None:
            root = self._written.root
            self._known_parts = {} if root is None or self.whole else answer_parts(root)
        return self._known_parts

    def part(self, key: Key) -> list[Step]:
        """Returns the steps on which a part of the answer rests; all of them if the code does not tell.

        Args:
            key: of a dict; of a list or tuple the place, counted from 0.

        Raises:
            ConfigError: the answer has no such part.
        """
        parts = self._parts
        if not parts:
            return self.steps
        if key not in parts:
            known = ", ".join(f"`{one!r}`" for one in list(parts)[:_MOST_NAMED])
            raise ConfigError(f"The answer has no part `{key!r}`. It has: {known}.")
        return steps_of_part(self.steps, parts[key], self.root)

    @property
    def root(self) -> str:
        """The id of the agent whose answer it gives."""
        return self._written.root.history.id if self._written.root is not None else "0"

    @property
    def statements(self) -> int:
        """Statements of the agents that it keeps."""
        return self._written.statements

    @property
    def recorded(self) -> int:
        """Answers of plain completions that it holds."""
        return self._written.recorded

    @property
    def characters(self) -> int:
        """Of its code, without recorded answers and functions of a first look."""
        return self._written.characters

    @property
    def share(self) -> float:
        """How much of the code that ran it is, by characters."""
        return self.characters / max(1, self.of_characters)

    @property
    def reproduced(self) -> bool | None:
        """Whether it gave the run's value when it was run again; None if that was not tried."""
        return None if self.verdict == "not tried" else self.verdict == "reproduced"

    @property
    def written(self) -> Written:
        """Its parts."""
        return self._written

    def __str__(self) -> str:
        return str.__str__(self)

    @property
    def told(self) -> str:
        """Returns its verdict and how much of the code that ran it is, in a sentence."""
        said = {
            "reproduced": "Reproduced: run again, the code gives the run's value",
            "differs": "It differs: run again, the code gives another value",
            "failed": "It failed when it was run again",
            "not tried": "It was not run again",
        }[self.verdict]
        why = f" ({self.detail})" if self.detail else ""
        return f"{said}{why}. {self.share:.0%} of the code that ran."

    def __repr__(self) -> str:
        told = self.told.replace("\n", " ")
        return f"# {told}\n{str.__str__(self)}"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Shows it as text with line breaks, where a `str` would be shown with escapes."""
        printer.text(repr(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str.__str__(self),)


def answer_code(
    events: Iterable[ev.AnyEvent],
    tools: Mapping[str, str] | None = None,
    *,
    whole: bool = False,
    root: str | None = None,
    looks: object = None,
) -> AnswerCode:
    """Returns the code behind the answer of a run, from its events.

    Args:
        events: of the run, in their order.
        tools: name of a tool → its source, or a comment (`# ...`) with the reason why there is none.
        whole: keep all code that ran.
        root: the id of the agent whose answer it is; None: of the run's.
        looks: what functions of a first look found out about the data; None: as the last proof has it.

    Raises:
        NoAnswerCodeError: there is none; the message says why.
    """
    events = list(events)
    history = RunHistory.of(events)
    if root is not None:
        history.root, history.own = root, False
    if history.own:
        raise NoAnswerCodeError(
            f"There is no code behind this answer alone: agent `{history.root}`, which reconciled the samples, gave "
            "one of its own. Its cells are in the tree."
        )
    if looks is None:
        looks = next((event.looks for event in reversed(events) if isinstance(event, ev.CodeProved)), None)
    known = dict(tools or {})
    answering = history.agents.get(history.root)
    for name in answering.tools if answering is not None else ():
        known.setdefault(name, "# it is not in the log; only the run itself has it.")
    try:
        written = Writer(history, known, whole=whole, short=written_looks(looks)).write()
    except NoCodeError as error:
        raise NoAnswerCodeError(f"There is no code behind this answer. {error}") from None
    except (RecursionError, ValueError, SyntaxError, MemoryError) as error:
        raise NoAnswerCodeError(
            f"The code behind this answer cannot be written: {type(error).__name__}: {error}."
        ) from None
    made = AnswerCode(written, history.all_characters, whole=whole)
    if history.continues is not None and written.unbound:
        made.detail = (
            f"it reads {_listed(written.unbound)}, of the run `{history.continues}` that this one continues"
        )
    elif written.unbound:
        made.detail = f"it reads {_listed(written.unbound)}, which no cell of the run has defined"
    return made


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names[:5])
