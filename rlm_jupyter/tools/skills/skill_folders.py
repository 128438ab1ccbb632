"""Skills read from files: folders with a `SKILL.md`, in the open format, and Python modules beside it.

What lies there is read as text alone: no code of a skill runs in the notebook's process.
"""

from __future__ import annotations

import ast
import keyword
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from rlm_jupyter.errors import ConfigError
from rlm_jupyter.tools.skills.front_matter import split_front_matter
from rlm_jupyter.tools.skills.skill import MOST_SKILLS, MOST_TEXT, Skill

_FILE = "SKILL.md"
_MOST_MODULES = 10
_MOST_SOURCE = 200_000
_LONGEST_PATH = 1_000
_MOST_ENTRIES = 1_000
"""Entries of a folder that are looked at."""


def read_skills(given: object) -> dict[str, Skill]:
    """Returns what a user gave as `skills`, by name.

    Args:
        given: `Skill(...)`, the path of a folder with a `SKILL.md`, of such a file, or of a folder of such folders; or
            a list of these.

    Raises:
        ConfigError: it is something else, a file cannot be read, or two have the same name.
    """
    several = [given] if isinstance(given, (str, Path, Skill)) else given
    if given is None:
        return {}
    if not isinstance(several, Iterable) or isinstance(several, Mapping):
        raise ConfigError(f"`skills` takes paths of folders or `Skill(...)`, not a `{type(given).__name__}`.")
    found: dict[str, Skill] = {}
    modules: dict[str, str] = {}
    for one in several:
        if not isinstance(one, (str, Path, Skill)):
            raise ConfigError(
                f"`skills` takes paths of folders or `Skill(...)`, not a `{type(one).__name__}`."
            )
        for skill in [one] if isinstance(one, Skill) else _of_path(one):
            if skill.name in found:
                raise ConfigError(f"Two skills are named `{skill.name}`: rename one.")
            for module in skill.modules:
                if module in modules:
                    raise ConfigError(
                        f"The skills `{modules[module]}` and `{skill.name}` both have a module `{module}`: rename one."
                    )
                modules[module] = skill.name
            found[skill.name] = skill
    if len(found) > MOST_SKILLS:
        raise ConfigError(f"{len(found)} skills are too many; the most is {MOST_SKILLS}.")
    return found


def _of_path(given: str | Path) -> list[Skill]:
    path = Path(given).expanduser()
    if path.is_file():
        return [_read(path.parent, path)]
    if not path.is_dir():
        raise ConfigError(f"There is no skill `{given}`: give the path of a folder with a `{_FILE}`.")
    if (path / _FILE).exists():
        return [_read(path, path / _FILE)]
    below = [entry for entry in _entries(path) if entry.is_dir() and (entry / _FILE).exists()]
    if not below:
        raise ConfigError(f"The folder `{given}` has no `{_FILE}`, and no folder in it has one.")
    return [_read(folder, folder / _FILE) for folder in below]


def _entries(folder: Path) -> list[Path]:
    """Returns what lies in a folder, sorted; of a large one, the first entries."""
    found: list[Path] = []
    for entry in folder.iterdir():
        if len(found) >= _MOST_ENTRIES:
            break
        if not entry.name.startswith("."):
            found.append(entry)
    return sorted(found)


def _read(folder: Path, file: Path) -> Skill:
    try:
        fields, text = split_front_matter(read_inside(folder, file, MOST_TEXT))
    except ValueError as error:
        raise ConfigError(f"The skill `{file}` cannot be read: {error}.") from None
    for name in ("name", "description"):
        if not fields.get(name):
            raise ConfigError(
                f"The front matter of the skill `{file}` has no `{name}`: add a line `{name}: ...`."
            )
    modules = _modules(folder) if file.name == _FILE else {}
    own = folder if file.name == _FILE else None
    return Skill(fields["name"], fields["description"], text, modules=modules, folder=own)


def _modules(folder: Path) -> dict[str, str]:
    """Returns the sources of the Python files beside a skill's file, by the names under which they are imported."""
    found: dict[str, str] = {}
    for file in _entries(folder):
        name = file.stem
        if file.suffix != ".py" or name.startswith(("_", "test_")) or name == "conftest":
            continue
        if not name.isidentifier() or keyword.iskeyword(name) or name in sys.stdlib_module_names:
            raise ConfigError(
                f"The module `{file}` of a skill cannot be imported as `{name[:60]}`: rename it; it must be a Python "
                "name that is not one of the standard library."
            )
        if len(found) >= _MOST_MODULES:
            raise ConfigError(
                f"The skill in `{folder}` has more than {_MOST_MODULES} Python files beside it."
            )
        try:
            found[name] = read_inside(folder, file, _MOST_SOURCE)
            ast.parse(found[name])
        except (ValueError, RecursionError, MemoryError) as error:
            raise ConfigError(f"The module `{file}` of a skill cannot be read: {error}.") from None
        except SyntaxError as error:
            raise ConfigError(f"The module `{file}` of a skill is not Python: {error}.") from None
    return found


def read_file(skill: Skill, name: str) -> str:
    """Returns the text of another file of a skill's folder.

    Args:
        skill: whose folder it lies in.
        name: a relative path.

    Raises:
        ValueError: the skill has no folder, or no such file, or the path leads out of it.
    """
    if skill.folder is None:
        raise ValueError(f"The skill `{skill.name}` has no other files.")
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if (
        not parts
        or len(name) > _LONGEST_PATH
        or "\0" in name
        or any(part.startswith((".", "/")) for part in parts)
    ):
        raise ValueError(f"`{name[:80]}` is not a path in the folder of the skill `{skill.name}`.")
    try:
        return read_inside(skill.folder, skill.folder.joinpath(*parts), MOST_TEXT)
    except ValueError as error:
        raise ValueError(
            f"The file `{name[:80]}` of the skill `{skill.name}` cannot be read: {error}."
        ) from None


def read_inside(folder: Path, file: Path, most: int) -> str:
    """Returns the text of a file that lies in a folder, links followed.

    Args:
        folder: in which it must lie.
        file: its path.
        most: characters.

    Raises:
        ValueError: it does not lie there, is not a file, is too long, or is not a text.
    """
    try:
        real = file.resolve(strict=True)
        if not real.is_relative_to(folder.resolve(strict=True)):
            raise ValueError("it is a link to a file outside of its folder")
        if not stat.S_ISREG(real.stat().st_mode):
            raise ValueError("it is not a file")
        with real.open("rb") as opened:
            content = opened.read(4 * most + 1)
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be opened"
        raise ValueError(f"{why[:1].lower()}{why[1:]}") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        if len(content) <= 4 * most:
            raise ValueError("it is not a text in UTF-8") from None
        text = content.decode("utf-8", "replace")
    if len(text) > most:
        raise ValueError(f"it is longer than {most:,} characters")
    return text
