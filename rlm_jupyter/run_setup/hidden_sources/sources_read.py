"""The files and databases of a question's data: their hidden columns are read, and files are watched from then on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rlm_jupyter.databases.handed_over import is_database
from rlm_jupyter.run_setup.hidden_sources.confined_reader import HiddenFile
from rlm_jupyter.run_setup.hidden_sources.database_values import DatabaseValues, names_of
from rlm_jupyter.run_setup.hidden_sources.watched_files import WatchedFiles
from rlm_jupyter.run_setup.lazy_data import files_of_plan
from rlm_jupyter.security.hidden.arrow_texts import texts_of_arrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rlm_jupyter.databases.database import Database
    from rlm_jupyter.run_setup.hidden_sources.confined_reader import ConfinedReader
    from rlm_jupyter.run_setup.start import Data
    from rlm_jupyter.security.hidden.hidden_columns import ColumnFinder

_SHOWN: Final = 3


def is_elsewhere(value: Any) -> bool:
    """Returns whether the values of data are not in this process: of paths, databases and plans over files."""
    return bool(list(_paths_of(value))) or is_database(value) or files_of_plan(value) is not None


def _paths_of(value: Any) -> Iterator[Path]:
    """Yields the paths that a value is, or is a list of."""
    listed = value if isinstance(value, (list, tuple)) else [value]
    if all(isinstance(one, Path) for one in listed):
        yield from listed


class HiddenSources:
    """Reads the hidden columns of the files and databases of one question.

    Args:
        finder: says which are hidden, and takes their values.
        reader: reads files.

    Attributes:
        names: of columns of databases and files whose values are known, hidden or not.
        plain: files that have no columns.
        notices: what the user is told.
        checks: each raises an error if a file changed.
    """

    def __init__(self, finder: ColumnFinder, reader: ConfinedReader) -> None:
        self._finder, self._reader = finder, reader
        self.names: set[str] = set()
        self.plain: list[str] = []
        self.notices: list[str] = []
        self.checks: list[Callable[[], None]] = []

    def read(self, context: Any, data: Data, names: Sequence[str]) -> None:
        """Read what is hidden. Blocking.

        Args:
            context: the data, as it was handed over.
            data: the same as it was encoded, with what agents may read of it.
            names: of the variables that it is bound to.

        Raises:
            ConfigError: the values of a hidden column cannot be known, and why.
        """
        finder = self._finder
        if not (finder.patterns or finder.elsewhere):
            return
        hidden = [part for _, part in finder.elsewhere]
        if data.databases:
            watched = WatchedFiles(file for one in data.databases.values() for file in one.files)
            self.checks += [watched.check] if watched else []
            whole = [part for part in hidden if is_database(part)]
            values = DatabaseValues(
                finder, self._reader.settings.hide_most, lambda database: _is_of(database, whole)
            )
            values.read(data.databases.values())
            self.names.update(name for one in data.databases.values() for name in names_of(one))
        if data.grants.read:
            called = _called({names[0]: context} if len(names) == 1 else context)
            self._read_files(data, called, _whole_paths(hidden))

    def _read_files(self, data: Data, called: dict[str, str], whole: set[str]) -> None:
        paths = data.grants.read
        watched = WatchedFiles(paths, self._reader.settings.log_dir)  # before they are read
        self.checks.append(watched.check)
        files = [
            HiddenFile(path, (f"{called[path]}.",) if path in called else (), path in whole) for path in paths
        ]
        found = self._reader.read(files, self._finder.expressions, data.grants.names)
        for name, values in found.columns:
            self._take(name, values)
        self._finder.matched.update(self._finder.patterns[number] for number in found.matched)
        self.names |= found.names
        self.plain = found.plain
        if found.plain:
            shown = ", ".join(f"`{name}`" for name in found.plain[:_SHOWN])
            self.notices.append(
                f"`hide`: of files without columns ({shown}{', …' if len(found.plain) > _SHOWN else ''}) only those "
                "values are hidden that stand in hidden columns of the other data too."
            )

    def _take(self, name: str, values: Any) -> None:
        if isinstance(values, list):
            self._finder.take_values(name, values)
            return
        texts = texts_of_arrow(values)
        if texts is not None:
            self._finder.take_values(name, texts, are_texts=True)
        else:
            self._finder.take_values(name, values.to_pylist())


def _called(context: Any) -> dict[str, str]:
    """Returns what paths are called in data: the keys of a dict."""
    if not isinstance(context, dict):
        return {}
    return {_resolved(path): str(key) for key, value in context.items() for path in _paths_of(value)}


def _whole_paths(hidden: Iterable[Any]) -> set[str]:
    """Returns the files of what is hidden as a whole."""
    found = set()
    for part in hidden:
        found |= {_resolved(path) for path in _paths_of(part)}
        if not list(_paths_of(part)):
            found |= {_resolved(path) for path in files_of_plan(part) or ()}
    return found


def _is_of(database: Database, whole: Iterable[Any]) -> bool:
    source = database.source
    return any(
        part is source
        or (isinstance(part, Path) and isinstance(source, Path) and _resolved(part) == str(source))
        for part in whole
    )


def _resolved(path: Path) -> str:
    return str(path.expanduser().resolve())
