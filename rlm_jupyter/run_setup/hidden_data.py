"""What of a question's data is hidden from providers: found when it is asked, before anything is sent."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from rlm_jupyter.engine.agent.fixed_text import fixed_prompt_text
from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.events.events import PASSING, PromptSent
from rlm_jupyter.events.redact_events import event_with_tokens
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.security.hidden.hidden_columns import ColumnFinder, Hidden, described_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.events.events import AnyEvent
    from rlm_jupyter.records.past_run import PastRun
    from rlm_jupyter.run_setup.start import Data
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues
    from rlm_jupyter.settings import Settings


class Hiding:
    """Finds what is hidden in the data of one question.

    Args:
        hide: names, patterns and `Hidden(...)`.
        continues: the run that it goes on with, whose hidden values stay hidden.
    """

    def __init__(self, hide: Sequence[str | Hidden], continues: Run | None = None) -> None:
        root = continues.root if continues is not None else None
        self._earlier = root.services.hidden if root is not None else None
        self._hide = tuple(hide)
        self._finder = ColumnFinder(self._hide)
        if self._earlier is not None:
            found = dict(self._finder.columns)
            self._finder.columns = {label: copy.deepcopy(one) for label, one in self._earlier.columns.items()}
            for label, column in found.items():
                if label in self._finder.columns:
                    own = [column.value(place) for place in range(len(column))]
                    self._finder.columns[label].add(own)
                else:
                    self._finder.columns[label] = column

    def unwrap(self, data: Any) -> Any:
        """Returns data without `Hidden(...)` around parts of it, whose values are taken."""
        return self._finder.unwrap(data)

    def values(self, context: Any, data: Data, names: Sequence[str]) -> HiddenValues | None:
        """Returns the hidden values of data; None if nothing is hidden.

        Args:
            context: the data.
            data: the same as it was encoded; its description is changed to show tokens.
            names: of the variables that it is bound to.

        Raises:
            ConfigError: a column is to be hidden whose values are not in this process.
        """
        finder = self._finder
        if not self._hide and self._earlier is None and not finder.columns:
            return None
        description = data.buffer.description if data.buffer is not None else {}
        if context is None and data.buffer is not None and finder.patterns:
            context = _loaded(data)
        if len(names) == 1 and finder.hides(names[0]):
            context = Hidden(context, names[0])
            finder.unwrap(context)
        else:
            finder.search(context)
        shown = described_columns(description)
        _check_found(finder, shown, in_files=bool(data.grants.read or data.databases))
        from rlm_jupyter.security.hidden.hidden_values import HiddenValues

        def hides(name: object) -> bool:
            return finder.hides(name) or (isinstance(name, str) and name in finder.columns)

        notices = [
            f"`hide`: nothing in the data is called `{pattern}`, so nothing is hidden by that name."
            for pattern in finder.patterns
            if pattern not in finder.matched
        ]
        columns = list(finder.columns.values())
        known = [*names, *shown, *(str(column.label) for column in columns)]
        found = HiddenValues(columns, fixed_prompt_text(), known, hides=hides, notices=notices)
        if data.buffer is not None:
            data.buffer.description = found.described(description)
        return found


def _loaded(data: Data) -> Any:
    """Returns data that was kept of an earlier run.

    Raises:
        ConfigError: it cannot be read here, so that what is in it is not known.
    """
    assert data.buffer is not None
    try:
        return data.buffer.load()
    except RLMError as error:
        raise ConfigError(
            f"`hide` cannot be kept for this data, which is not plain: hand it over again. {error.message}"
        ) from None


def _check_found(finder: ColumnFinder, shown: set[str], *, in_files: bool) -> None:
    """Refuse to hide columns of files and databases, whose values only the agents' kernels will read."""
    unknown = [pattern for pattern in finder.patterns if pattern not in finder.matched]
    if in_files and not shown and unknown:
        raise ConfigError(
            f"`hide` cannot tell whether `{unknown[0]}` is in the files or databases that were handed over: only "
            "agents' kernels read them. Load the data into a DataFrame first, or leave out `hide`."
        )
    missing = [
        name
        for name in sorted(shown)
        if any(finder.matches(name, pattern) for pattern in finder.patterns) and name not in finder.found
    ]
    if missing:
        raise ConfigError(
            f"`hide` cannot hide the column `{missing[0]}`: its values are in a file or a database and not in this "
            "process. Load it into a DataFrame first, or leave the column out of what you hand over."
        )


def exported(run: Run | PastRun) -> tuple[TreeState, Sequence[AnyEvent]] | None:
    """Returns a run's tree and events as a file may have them that others read: with tokens.

    Args:
        run: hold its lock while it is live.

    Returns:
        None if nothing is hidden in it, or if it was read from a log, which has tokens already.
    """
    root = getattr(run, "root", None)
    hidden = root.services.hidden if root is not None else None
    if hidden is None:
        return None
    events = [event_with_tokens(event, hidden.hide) for event in run.events]
    return TreeState.of(events), events


def outside(listener: Callable[[AnyEvent], None], hide: Callable[[str], str]) -> Callable[[AnyEvent], None]:
    """Returns a listener that is told tokens in the place of hidden values, since it sends on what it is told."""

    def listen(event: AnyEvent) -> None:
        if not isinstance(event, (*PASSING, PromptSent)):  # a prompt has tokens already
            event = event_with_tokens(event, hide)
        listener(event)

    return listen


def settings_with_hidden(settings: Settings) -> Settings:
    """Returns the settings of a run in which something is hidden.

    No picture is sent unless that was asked for, since no value can be found in one, and no values are kept on disk.
    """
    changes: dict[str, object] = {"keep_values": False}
    if settings.see is None:
        changes["see"] = False
    return settings.model_copy(update=changes)
