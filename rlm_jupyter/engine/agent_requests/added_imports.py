"""What an agent is told of the imports that its kernel added to a cell."""

from __future__ import annotations

from rlm_jupyter.guest.missing_imports import STATEMENTS

_MOST = 20  # of one cell that are named


def told_imports(given: object) -> str | None:
    """Returns the sentence about imports that were added; None if there were none.

    Args:
        given: the statements, as the kernel sent them: what is not one of those that it can have added is ignored.
    """
    items = given[: 10 * _MOST] if isinstance(given, list) else []
    statements = list(dict.fromkeys(item for item in items if isinstance(item, str) and item in STATEMENTS))
    if not statements:
        return None
    names = [f"`{STATEMENTS[statement]}`" for statement in statements[:_MOST]]
    added = "; ".join(statements[:_MOST])
    verb = "was" if len(names) == 1 else "were"
    return f"{_listed(names)} {verb} not imported; `{added}` was added before your code."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
