"""What of a question's data is hidden from providers: found when it is asked, before anything is sent."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.engine.agent.fixed_text import fixed_prompt_text
from rlm_jupyter.errors import ConfigError, RLMError
from rlm_jupyter.events.events import PASSING, PromptSent
from rlm_jupyter.events.redact_events import event_with_tokens
from rlm_jupyter.events.tree_state import TreeState
from rlm_jupyter.run_setup.hidden_sources.sources_read import HiddenSources, is_elsewhere
from rlm_jupyter.security.hidden.hidden_columns import ColumnFinder, Hidden, described_columns
from rlm_jupyter.values.describe.short_text import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rlm_jupyter.engine.run.run import Run
    from rlm_jupyter.events.events import AnyEvent
    from rlm_jupyter.records.past_run import PastRun
    from rlm_jupyter.run_setup.hidden_sources.confined_reader import ConfinedReader
    from rlm_jupyter.run_setup.start import Data
    from rlm_jupyter.security.hidden.hidden_values import HiddenValues
    from rlm_jupyter.settings import Settings


_NAME: Final = 60
"""Characters of a column's name in a description."""


class Hiding:
    """Finds what is hidden in the data of one question.

    Args:
        hide: names, patterns and `Hidden(...)`.
        continues: the run that it goes on with, whose hidden values stay hidden.
        reader: reads the columns of files.
    """

    def __init__(
        self, hide: Sequence[str | Hidden], continues: Run | None = None, *, reader: ConfinedReader
    ) -> None:
        root = continues.root if continues is not None else None
        self._earlier = root.services.hidden if root is not None else None
        self._hide = tuple(hide)
        self._reader = reader
        self._finder = ColumnFinder(self._hide, is_elsewhere)
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
        """Returns the hidden values of data; None if nothing is hidden. Blocking: files and databases are read.

        Args:
            context: the data.
            data: the same as it was encoded; its description is changed to show tokens.
            names: of the variables that it is bound to.

        Raises:
            ConfigError: a column is to be hidden whose values cannot be known.
        """
        finder = self._finder
        if not self._hide and self._earlier is None and not finder.columns and not finder.elsewhere:
            return None
        description = data.buffer.description if data.buffer is not None else {}
        if context is None and data.buffer is not None and finder.patterns:
            context = _loaded(data)
        if len(names) == 1 and finder.hides(names[0]):
            context = Hidden(context, names[0])
            finder.unwrap(context)
        else:
            finder.search(context, f"{names[0]}." if len(names) == 1 else "")
        sources = HiddenSources(finder, self._reader)
        sources.read(context, data, names)
        shown = described_columns(description)
        notices = [*self._check_found(shown, sources), *sources.notices]
        from rlm_jupyter.security.hidden.hidden_values import HiddenValues

        def hides(name: object) -> bool:
            known = isinstance(name, str) and (name in finder.columns or name in finder.found)
            return finder.hides(name) or known

        columns = list(finder.columns.values())
        known = [*names, *shown, *(str(column.label) for column in columns)]
        earlier = [self._earlier.check] if self._earlier is not None and self._earlier.can_change else []
        found = HiddenValues(
            columns,
            fixed_prompt_text(),
            known,
            hides=hides,
            notices=notices,
            checks=[*earlier, *sources.checks],
        )
        if data.buffer is not None:
            data.buffer.description = data.described(found.described)
        return found

    def _check_found(self, shown: set[str], sources: HiddenSources) -> Iterator[str]:
        """Yields what is told of patterns that fit nothing.

        Raises:
            ConfigError: a column is to be hidden whose values are not known.
        """
        finder = self._finder
        known = {cut(name, _NAME) for name in (*finder.found, *sources.names)}
        missing = [
            name
            for name in sorted(shown - known)
            if any(finder.matches(name, pattern) for pattern in finder.patterns)
        ]
        if missing:
            raise ConfigError(
                f"`hide` cannot hide the column `{missing[0]}`: its values are made where agents' code computes them, "
                "and are not known here. Compute it first and hand over the DataFrame, or leave the column out."
            )
        for pattern in finder.patterns:
            if pattern in finder.matched:
                continue
            if sources.plain and not finder.columns:
                raise ConfigError(
                    f"`hide`: nothing in the data is called `{pattern}`, and `{sources.plain[0]}` has no columns, so "
                    "that it is not known what to hide in it. Correct the name, leave such files out, or name the "
                    "values themselves: `hide=[Hidden(values)]`."
                )
            yield f"`hide`: nothing in the data is called `{pattern}`, so nothing is hidden by that name."


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
