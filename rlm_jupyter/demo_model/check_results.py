"""What the demo checks before it answers: the lines that a check prints, and what it says of them.

A check is a cell with `again = ...`, a figure computed in a second way, that prints a line for each thing it compared:
`second way agrees: True`. What these lines say decides the sentence before the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rlm_jupyter.demo_model.moves import last_line
from rlm_jupyter.demo_model.read_chat import Talk

WHOLE = "parts agree with the whole"
SECOND = "second way agrees"
_LINE = re.compile(rf"^({WHOLE}|{SECOND}): (True|False)$", re.MULTILINE)
_PRINTED = re.compile(rf'^print\("(?:{WHOLE}|{SECOND}):"', re.MULTILINE)
_WRONG = {
    WHOLE: "the parts do not add up to the whole",
    SECOND: "a second way of computing it gives another figure",
}


@dataclass(frozen=True)
class Checked:
    """What came of a check.

    Attributes:
        held: whether all that was compared is equal.
        thought: the sentence before the cell that answers.
        remark: what must be said before the answer; nothing if the check held.
    """

    held: bool
    thought: str
    remark: str = ""


UNCHECKED = Checked(False, "There is no turn left for a check: I answer.")


def checked(talk: Talk) -> Checked | None:
    """Returns what came of the check since the question; None if there was none."""
    at = next(
        (
            at
            for at, reply in enumerate(talk.replies)
            if re.search(r"^(?:whole, )?again = ", reply, re.MULTILINE)
        ),
        None,
    )
    if at is None:
        return None
    output = talk.outputs[at] if at < len(talk.outputs) else ""
    lines = _LINE.findall(output)
    wrong = [_WRONG[label] for label, held in lines if held == "False"]
    if wrong:
        said = " and ".join(wrong)
        return Checked(False, f"The check failed: {said}. I say so.", f"A check failed: {said}. ")
    if len(lines) < len(_PRINTED.findall(talk.replies[at])):
        remark = f"This could not be checked ({last_line(output)}). "
        return Checked(False, "The check could not be done, and I say so.", remark)
    return Checked(True, "The check holds: I answer.")


def agree(label: str, one: str, other: str) -> str:
    """Returns the line that prints whether two numbers agree.

    Args:
        label: `WHOLE` or `SECOND`.
        one: code of a number.
        other: name of a number.
    """
    return f'print("{label}:", {close(one, other)})'


def close(one: str, other: str) -> str:
    """Returns the code for whether a number is that of a name, up to what floats lose in sums."""
    return f"abs({one} - {other}) <= 1e-6 * (1 + abs({other}))"
