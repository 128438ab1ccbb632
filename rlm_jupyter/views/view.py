"""What each display of a run can do, be it a widget, HTML or text."""

from __future__ import annotations

from abc import ABC, abstractmethod


class View(ABC):
    """A run on display."""

    @abstractmethod
    def flush(self) -> None:
        """Show what is new; cheap, and for the notebook's main thread only."""

    @abstractmethod
    def finish(self) -> None:
        """Show the end and what stays."""
