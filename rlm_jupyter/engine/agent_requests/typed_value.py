"""Whether a value given to FINAL was only typed by the model: it stands in its code and in nothing it has seen."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.engine.agent_requests.received_values import load_received
from rlm_jupyter.engine.reply.python_syntax import parsed
from rlm_jupyter.errors import RLMError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rlm_jupyter.values.store import Buffer

MOST_BYTES: Final = 20_000
"""Of a value that may have been typed."""
_MOST_PARTS: Final = 200
_ANSWERS: Final = frozenset(("FINAL", "FINAL_VAR", "SUBMIT", "Final", "final"))
_WRITTEN: Final = (
    *(ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp, ast.unaryop, ast.expr_context),
    *(ast.JoinedStr, ast.BinOp, ast.operator),
)
_FIGURE: Final = re.compile(r"(?<![\w.])[-+]?\d[\d,]{0,30}(?:\.\d{1,20})?(?!\w)")
_TYPED: Final = "was typed and stands in no output"
_INVENTED: Final = (
    f"`{{figure}}` {_TYPED}: no code has found or computed it. "
    "Compute the answer from the data, print it, then call FINAL with the variable."
)
_SENT_BACK: Final = "FinalRejected"
"""In a message that quotes what was sent back."""
_LONG: Final = 4
"""Digits of a figure that nobody counts by eye."""


def may_be_typed(codes: Iterable[str]) -> bool:
    """Returns whether a long figure stands in any of these cells at all."""
    return any(True for code in codes for _ in _figures(code))


def typed_value(buffer: Buffer, codes: Sequence[str], seen: Sequence[str], *, small: bool) -> str | None:
    """Returns why a value is sent back: its long figures were typed, and none of them was seen; None if it is not.

    Prose, short figures and whatever code has made are let through.

    Args:
        buffer: the value.
        codes: what the agent ran.
        seen: what it was shown: the question, descriptions, outputs.
        small: whether its model is a small one: then a value that says nothing is sent back too.
    """
    try:
        value = load_received(buffer)
    except RLMError:
        return None
    if small and (
        value is Ellipsis or value is None or (isinstance(value, (str, list, dict, tuple)) and not value)
    ):
        return (
            f"`{value!r}` is no answer: compute it from the data in another way, and look at what is printed."
        )
    if not codes or not answers_with_text(codes):
        return None
    figure = _unseen_figure(list(_parts(value)), codes, seen)
    return None if figure is None else _INVENTED.format(figure=figure)


def _unseen_figure(parts: list[str], codes: Sequence[str], seen: Sequence[str]) -> str | None:
    """Returns a long figure of a value that was typed as a whole, where none of its long figures was seen."""
    if not parts or len(parts) > _MOST_PARTS:
        return None
    typed = {str(constant) for code in codes for constant in _constants(code)}
    if not all(part in typed for part in parts):
        return None
    figures = {figure for part in parts for figure in _figures(part)}
    told = "\n".join(
        line for text in seen if _SENT_BACK not in text for line in text.split("\n") if _TYPED not in line
    )
    return min(figures) if figures and not figures & set(_figures(told)) else None


def answers_with_text(codes: Sequence[str]) -> bool:
    """Returns whether the newest cell hands FINAL what is written out, there or where its variable was assigned."""
    tree = parsed(codes[-1])
    if tree is None:
        return False
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    answers = [call.args[0] for call in calls if call.func.id in _ANSWERS and call.args]  # type: ignore[attr-defined]
    if not answers:
        return False
    answer = answers[-1]
    if isinstance(answer, ast.Name):
        found = _assigned(answer.id, codes)
        return found is not None and _is_written(found)
    return _is_written(answer)


def _assigned(name: str, codes: Sequence[str]) -> ast.expr | None:
    """Returns what was last assigned to a name; None where no plain assignment tells."""
    for code in reversed(codes):
        tree = parsed(code)
        if tree is None:
            continue
        stores = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        ]
        if stores:
            plain = [
                node.value
                for node in tree.body
                if isinstance(node, ast.Assign)
                and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
            ]
            return plain[-1] if len(plain) == len(stores) else None
    return None


def _is_written(value: ast.expr) -> bool:
    return all(isinstance(node, _WRITTEN) for node in ast.walk(value))


def _parts(value: Any) -> Iterator[str]:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _parts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _parts(item)
    else:
        yield f"<{type(value).__name__}>"  # nothing that can be typed


def _constants(code: str) -> Iterable[Any]:
    tree = parsed(code)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float)):
            yield node.value


def _figures(text: str) -> Iterator[str]:
    for found in _FIGURE.finditer(text):
        plain = found[0].replace(",", "").lstrip("+-")
        if sum(char.isdigit() for char in plain) >= _LONG:
            yield plain.rstrip("0").rstrip(".") if "." in plain else plain
