"""Whether a value given to FINAL was only typed by the model: it stands in its code and in nothing it has seen."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.engine.agent_requests.received_values import load_received
from rlm_jupyter.errors import RLMError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rlm_jupyter.values.store import Buffer

MOST_BYTES: Final = 20_000
"""Of a value that may have been typed."""
_MOST_PARTS: Final = 200
_FIGURE: Final = re.compile(r"(?<![\w.])[-+]?\d[\d,]{0,30}(?:\.\d{1,20})?(?!\w)")
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
    parts = list(_parts(value))
    if not parts or len(parts) > _MOST_PARTS:
        return None
    typed = {str(constant) for code in codes for constant in _constants(code)}
    if not all(part in typed for part in parts):
        return None
    figures = {figure for part in parts for figure in _figures(part)}
    if not figures or any(figures & set(_figures(text)) for text in seen):
        return None
    figure = min(figures)
    return (
        f"`{figure}` was typed and stands in no output: no code has found or computed it. "
        "Compute the answer from the data, print it, then call FINAL with the variable."
    )


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
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float)):
            yield node.value


def _figures(text: str) -> Iterator[str]:
    for found in _FIGURE.finditer(text):
        plain = found[0].replace(",", "").lstrip("+-")
        if sum(char.isdigit() for char in plain) >= _LONG:
            yield plain.rstrip("0").rstrip(".") if "." in plain else plain
