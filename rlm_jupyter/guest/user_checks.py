"""The user's checks of an answer, before it leaves the kernel.

It travels into an agent's kernel as source: the standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LONGEST = 2000


class AnswerChecks:
    """The checks of one question, in the order in which they run."""

    def __init__(self) -> None:
        self._known: list[tuple[str, Callable[[Any], Any]]] = []

    def clear(self) -> None:
        """Forget those of an earlier question."""
        self._known.clear()

    def add(self, name: str, function: Callable[[Any], Any]) -> None:
        """Add one."""
        self._known.append((name, function))

    def refusals(self, value: Any, settings: Mapping[str, Any]) -> list[str]:
        """Returns what the checks have to say against a value, a text for each that has.

        Args:
            value: that is handed to FINAL.
            settings: of the agent; `checked_part` names the part of the value that is looked at.
        """
        part = settings.get("checked_part")
        if part is not None:
            if not isinstance(value, dict) or part not in value:
                return []
            value = value[part]
        found = (_said(name, function, value) for name, function in self._known)
        return [text[:_LONGEST] for text in found if text]


def _said(name: str, function: Callable[[Any], Any], value: Any) -> str:
    """Returns what one check says against a value; an empty text if it has nothing against it."""
    try:
        said = function(value)
        if said is None or (isinstance(said, str) and not said.strip()):
            return ""
        if isinstance(said, str):
            return f"The check `{name}` says: {said}"
        if type(said).__name__ in ("bool", "bool_"):  # also numpy's
            return "" if said else f"The check `{name}` does not hold."
        told = f"it returned a `{type(said).__name__}`, and not a text, a truth value or None"
        return f"The check `{name}` failed: {told}."
    except AssertionError as error:
        return f"The check `{name}` does not hold{f': {error}' if str(error) else '.'}"
    except Exception as error:  # of the check itself, or because the value is of another kind than it expects
        return f"The check `{name}` failed on this value: {type(error).__name__}: {error}"
