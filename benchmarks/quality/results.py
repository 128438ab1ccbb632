"""Results of runs: a line of JSON each, appended as they come, so that an interrupted suite can go on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

Judgement = Literal["right", "wrong", "no answer"]


@dataclass(frozen=True)
class Result:
    """One run.

    Attributes:
        harness, label: what was run; the label tells variants of a harness apart.
        task, family, seed, repeat: what was asked, and which time.
        characters: of the data.
        model: its name.
        verdict: of the answer.
        failures: kinds of failure (`failures.KINDS`).
        answer, wanted: as text, the answer cut.
        turns: replies with code, as the harness counts them; None if it does not.
        requests: to the model, those of sub-calls among them.
        prompt_tokens, completion_tokens: as the server counted them.
        estimated: whether it did not for some requests, so that these were estimated by characters.
        seconds: of the run.
        error: why there is no answer.
        log: of the exchanges; `run_log`: of the harness's own.
        versions: of what the harness is made of.
        conditions: the limits and settings of the run.
        at: when it ended, in UTC.
    """

    harness: str
    label: str
    task: str
    family: str
    seed: int
    repeat: int
    characters: int
    model: str
    verdict: Judgement
    failures: list[str]
    answer: str
    wanted: str
    turns: int | None
    requests: int
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    seconds: float
    error: str | None
    log: str | None
    run_log: str | None
    versions: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)
    at: str = ""

    @property
    def key(self) -> str:
        """What makes it the same run as another: all that was asked, under the same conditions."""
        return key(
            self.harness,
            self.label,
            self.model,
            self.task,
            self.seed,
            self.repeat,
            self.characters,
            self.conditions,
        )


def key(*parts: Any) -> str:
    """Returns the key of a run of these parts; see `Result.key`."""
    return json.dumps(parts, sort_keys=True, default=str)


def append(path: Path, result: Result) -> None:
    """Append a result, on a line of its own even if the line before was cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if torn else "") + json.dumps(asdict(result), ensure_ascii=False) + "\n")


def read(paths: Iterable[Path]) -> list[Result]:
    """Read results; of runs with the same key, the newest. Lines that are none, such as a torn one, are left out."""
    found: dict[str, Result] = {}
    names = {one.name for one in fields(Result)}
    for path in paths:
        for line in path.read_text("utf-8", errors="replace").splitlines():
            with suppress(ValueError, TypeError, AttributeError):
                told = json.loads(line)
                result = Result(**{name: value for name, value in told.items() if name in names})
                found.pop(result.key, None)
                found[result.key] = result
    return list(found.values())
