"""Data by its place: paths and plans among what is handed over, and what agents may read because of them.

To name a file is the consent to read it: that path alone, read-only, by the agents of this run, inside their sandbox.
The notebook's process reads no more of it than its metadata says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import commonpath
from pathlib import Path
from typing import Any, TypeGuard

from rlm_jupyter.errors import ContextError
from rlm_jupyter.sandbox_settings import exposed_path
from rlm_jupyter.values.codec.table_handle import Table
from rlm_jupyter.values.describe import api as describe
from rlm_jupyter.values.files.metadata import describe_path, describe_paths
from rlm_jupyter.values.files.reading import planned_reading

MOST_FILES = 4096
"""Paths that can be granted one by one: each is a rule of the sandbox of every kernel."""
_REMOTE = "gateway:"


@dataclass(frozen=True)
class Grants:
    """What agents may read besides what the sandbox allows.

    Attributes:
        read: files and folders.
        names: folders of which they may list the names: of the files of a plan that names them by a pattern.
        links: first parts of the relative paths of plans, to what they are here: agents work in another directory.
    """

    read: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    def limits(self, sandbox_read: Iterable[object]) -> dict[str, Any]:
        """Returns the limits of a kernel's box that differ for these grants; see `policy.limits_of`."""
        if not self.read:
            return {}
        return {"read": tuple(dict.fromkeys([*map(str, sandbox_read), *self.read])), "list": self.names}


@dataclass
class Located:
    """Data whose paths are absolute, so that they mean the same in an agent's kernel.

    Attributes:
        value: the data.
        paths: the files and folders in it.
        description: of the data; None if it is not by its place, so that `describe` says all.
        items: of a dict of which some items are paths: all of them.
        rows: how many rows of a file descriptions may quote.
    """

    value: Any
    paths: list[Path] = field(default_factory=list)
    description: dict[str, Any] | None = None
    items: Mapping[Any, Located] = field(default_factory=dict)
    rows: int = 0

    def described(self, changed: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
        """Returns the description of a dict with another one of each of its paths; None if it is no such dict.

        Args:
            changed: makes the other description.
        """
        if not self.items:
            return None
        found = {
            key: replace(one, description=changed(one.description)) if one.description is not None else one
            for key, one in self.items.items()
        }
        return _of_items(self.value, found, self.rows)


def locate(value: Any, name: str, *, rows: int) -> Located:
    """Find the paths in data: the data itself, a list or a dict of paths.

    Args:
        value: the data.
        name: what it is called.
        rows: how many rows of a file its description may quote.

    Raises:
        ContextError: a path leads nowhere, or to what agents must not read.
    """
    if type(value) is Table:
        return Located(value, description=value.about)
    if isinstance(value, Path):
        path = resolved(value, name)
        return Located(path, [path], _with_plan(describe_path(path, rows), [path]))
    if _is_list(value):
        paths = [resolved(item, f"{name}[{at}]") for at, item in enumerate(value)]
        return Located(paths, paths, _with_plan(describe_paths(paths, rows), paths))
    if isinstance(value, dict) and any(_is_located(item) for item in value.values()):
        found = {
            key: locate(item, f"{name}[{key!r:.60}]", rows=rows) if _is_located(item) else Located(item)
            for key, item in value.items()
        }
        whole = {key: one.value for key, one in found.items()}
        paths = [path for one in found.values() for path in one.paths]
        return Located(whole, paths, _of_items(whole, found, rows), found, rows)
    return Located(value)  # deeper in the data, a path is a value like any other, and no consent


def _is_located(value: Any) -> bool:
    return type(value) is Table or isinstance(value, Path) or _is_list(value)


def _is_list(value: Any) -> TypeGuard[list[Path] | tuple[Path, ...]]:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, Path) for item in value)


def _of_items(whole: Mapping[Any, Any], found: Mapping[Any, Located], rows: int) -> dict[str, Any]:
    """Describe a dict of which some items are paths: each of these at length, behind what the dict is."""
    about = describe.describe(whole, rows=rows)
    parts = [
        describe.render({**one.description, "notes": ()}, name=f"{key}")
        for key, one in found.items()
        if one.description is not None
    ]
    read = [key for key, one in found.items() if one.description and one.description.get("variable")]
    notes = [f"`loaded[{key!r}]` holds what is in `{key}`." for key in read]
    notes += _of_handles(found)
    about |= {"items": [], "preview": "\n\n".join(parts), "notes": notes}
    return {**about, "variable": "loaded"} if read else about


def _of_handles(found: Mapping[Any, Located]) -> list[str]:
    """Returns the notes of handles, once for all that have the same."""
    notes: dict[tuple[str, ...], list[str]] = {}
    for key, one in found.items():
        if type(one.value) is Table:
            notes.setdefault(tuple((one.description or {}).get("notes", ())), []).append(f"`{key}`")
    return [
        f"{', '.join(keys)}: {note}" if not at else note
        for told, keys in notes.items()
        for at, note in enumerate(told)
    ]


def _with_plan(about: dict[str, Any], paths: list[Path]) -> dict[str, Any]:
    """Add to a description what of the files is read into a variable before the first turn."""
    if about.get("unreadable"):
        return about
    variable, why_not = planned_reading(paths)
    if variable is not None:
        return {**about, "variable": variable, "notes": [f"`{variable}` holds what is in it."]}
    if why_not:
        note = f"It is not loaded, because {why_not}: read what you need of it from the path."
        return {**about, "notes": [note]}
    return about


def resolved(path: Path, name: str) -> Path:
    """Returns a path as it is reached from anywhere, if agents may see it.

    Raises:
        ContextError: it leads nowhere, or to where keys are kept.
    """
    try:
        whole = path.expanduser().resolve(strict=True)
    except (OSError, RuntimeError):
        raise ContextError(
            f"`{name}` is the path `{path}`, and there is no such file or folder here."
        ) from None
    try:
        return exposed_path(whole)
    except ValueError as error:
        raise ContextError(f"`{name}` cannot be handed over: {error}.") from None


def grants_for(paths: Iterable[Path], planned: Sequence[Path]) -> Grants:
    """Returns what agents may read because of what was handed over.

    Args:
        paths: that were named.
        planned: files that plans read.

    Raises:
        ContextError: there are too many, or agents must not read one.
    """
    files = [resolved(path, "the plan") for path in planned]
    folders = sorted({str(file.parent) for file in files})
    read = tuple(dict.fromkeys(map(str, [*paths, *files])))
    if len(read) > MOST_FILES:
        raise ContextError(
            f"The data names {len(read):,} files, and at most {MOST_FILES:,} can be granted one by one: hand over the "
            "folder that they are in."
        )
    links = {path.parts[0]: str(Path(path.parts[0]).resolve()) for path in planned if not path.is_absolute()}
    return Grants(read, (commonpath(folders),) if folders else (), links)


def check_local(grants: Grants, kernel: str | None, *, continues: bool) -> None:
    """Refuse what cannot be granted: to kernels elsewhere, and to one that runs already.

    Raises:
        ContextError: why, and what to do instead.
    """
    if not grants.read:
        return
    if (kernel or "").startswith(_REMOTE):
        raise ContextError(
            f"Agents' kernels run elsewhere (`{kernel}`), where `{grants.read[0]}` of this machine is not: read it "
            "here, and hand over what it holds."
        )
    if continues:
        raise ContextError(
            f"The kernel of the run that is continued cannot be granted `{grants.read[0]}` any more: read it here and "
            "hand over what it holds, or begin a run with it."
        )
