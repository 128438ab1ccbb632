"""A guard against agents that run in circles: the same code with the same error, over and over."""

from __future__ import annotations

from collections import Counter

from rlm_jupyter.errors import AgentFailedError


class StuckGuard:
    """Counts an agent's failures.

    Args:
        agent: its id.
        limit: how often the same may happen before the agent is told; None for as often as it likes.
    """

    def __init__(self, agent: str, limit: int | None) -> None:
        self._agent = agent
        self._limit = limit
        self._failures: Counter[tuple[str, str]] = Counter()

    def note(self, code: str, failure: str) -> str | None:
        """Count code that failed; give what the agent must be told, once for the same failure.

        Args:
            code: of the cell.
            failure: the error that ended it, such as ``ValueError: ...``.

        Raises:
            AgentFailedError: it was told, and ran the same into the same error again.
        """
        if self._limit is None:
            return None
        key = (code.strip(), failure)
        self._failures[key] += 1
        times = self._failures[key]
        if times == self._limit:
            return (
                f"You have run exactly this code {times} times, and each time it ended with `{failure[:300]}`. "
                "If you run it again, you will be stopped: do something else, or call FINAL with what "
                "you have."
            )
        if times > self._limit:
            raise AgentFailedError(
                f"Agent `{self._agent}` ran the same code into the same error {times} times, and went on after "
                f"it was told: `{failure[:300]}`. Its variables can still be pulled. Try another model, put the "
                "question more precisely, or raise `stuck_after`."
            )
        return None
