"""`Finding` and `Diagnosis`: what stands out in a run, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, overload

from rlm_jupyter.text.sanitize import one_line
from rlm_jupyter.text.units import amount

Concern = Literal["answer", "code", "cost", "time"]
"""What a finding is about."""

_QUOTED: Final = 160
_TEXT: Final = 1000
_ID: Final = 60
_HEADS: Final[dict[Concern, str]] = {"answer": "Answer", "code": "Code", "cost": "Cost", "time": "Time"}


@dataclass(frozen=True)
class Finding:
    """One thing that stands out.

    Attributes:
        kind: such as ``"same_error"``; docs/diagnosis.md lists them all.
        concern: what it is about: the answer, agents' code, cost or time.
        text: what happened, with figures, in a sentence.
        advice: what to do next.
        agent: the id of the agent that it is about; None: the run.
        turn: the turn of that agent; None: several, or none.
    """

    kind: str
    concern: Concern
    text: str
    advice: str
    agent: str | None = None
    turn: int | None = None

    def cleaned(self) -> Finding:
        """Returns the same as text that a terminal shows as it is: ids and quotations of a log may be anything."""
        return replace(
            self,
            text=one_line(self.text, _TEXT),
            advice=one_line(self.advice, _TEXT),
            agent=None if self.agent is None else one_line(self.agent, _ID),
        )

    def __str__(self) -> str:
        who = "" if self.agent is None else f"agent {self.agent}"
        who += "" if self.turn is None else f", turn {self.turn}"
        return f"[{self.kind}] {f'{who}: ' if who else ''}{self.text}\n    → {self.advice}"


class Diagnosis(Sequence[Finding]):
    """What stands out in a run; printed, it reads as a text.

    Attributes:
        run: the run's id.
        status: how the run ended; `running` if it still goes on.
        more: findings of a kind that are left out, because there are many alike: kind → how many.
    """

    def __init__(self, run: str, status: str, findings: Sequence[Finding], more: dict[str, int]) -> None:
        self.run, self.status, self.more = run, status, more
        self._findings = tuple(findings)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, index: int | slice) -> Finding | tuple[Finding, ...]:
        return self._findings[index]

    def __len__(self) -> int:
        return len(self._findings)

    @property
    def kinds(self) -> list[str]:
        """The kinds that were found, each once, in the order of the text."""
        return list(dict.fromkeys(finding.kind for finding in self._findings))

    @property
    def text(self) -> str:
        """The whole diagnosis as text."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        run = one_line(self.run, _ID)
        if not self._findings:
            yield f"Run {run} · {self.status}: nothing stands out."
            return
        yield f"Run {run} · {self.status}: {amount(len(self._findings), 'finding')}."
        for concern, head in _HEADS.items():
            found = [finding for finding in self._findings if finding.concern == concern]
            if not found:
                continue
            yield f"\n{head}"
            kinds = [finding.kind for finding in found]
            for place, finding in enumerate(found):
                yield f"  {finding}"
                last = finding.kind not in kinds[place + 1 :]
                if last and (more := self.more.get(finding.kind)):
                    yield f"    and {more:,} more of this kind"

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def quoted(text: object, limit: int = _QUOTED) -> str:
    """Returns a text of a model, of code or of data on one bounded line, between backticks."""
    return f"`{one_line(text, limit).replace('`', chr(0x2019))}`"
