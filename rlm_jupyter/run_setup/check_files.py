"""Checks of a command line, `--check FILE.py:NAME`: functions of files that the user wrote.

The file is run in the command's process, as `python FILE.py` would; the function itself runs in the agent's kernel.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from rlm_jupyter.errors import ConfigError

_MODULE = "rlm_check_file_"


def checks_of_files(words: Sequence[str]) -> list[Callable[[Any], Any]]:
    """Returns the functions that words such as `checks.py:is_positive` name; each file is run once.

    Raises:
        ConfigError: a word of another form, a file that does not exist or fails, or a name that it does not define.
    """
    modules: dict[Path, ModuleType] = {}
    return [_check(word, modules) for word in words]


def _check(word: str, modules: dict[Path, ModuleType]) -> Callable[[Any], Any]:
    path, _, name = word.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise ConfigError(
            f"`--check {word}` names no function: write `FILE.py:NAME`, such as `checks.py:is_positive`."
        )
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise ConfigError(f"There is no file `{path}` with the check `{name}`: check the path.")
    if file not in modules:
        modules[file] = _run(file, len(modules), path)
    found: Callable[[Any], Any] | None = getattr(modules[file], name, None)
    if not callable(found):
        has = [
            key for key, value in vars(modules[file]).items() if callable(value) and not key.startswith("_")
        ]
        known = ", ".join(f"`{key}`" for key in has[:10]) or "none"
        raise ConfigError(f"`{path}` has no function `{name}`. Its functions: {known}.")
    return found


def _run(file: Path, number: int, shown: str) -> ModuleType:
    """Run a file as a module of its own; it may import what lies beside it."""
    name = f"{_MODULE}{number}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"`{shown}` cannot be run: check that it is a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # by it, what the function uses is known as the user's own and travels with it
    with _beside(file):
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise ConfigError(
                f"The file of checks `{shown}` failed: {type(error).__name__}: {error}"
            ) from error
    return module


@contextmanager
def _beside(file: Path) -> Iterator[None]:
    directory = str(file.parent)
    sys.path.insert(0, directory)
    try:
        yield
    finally:
        if directory in sys.path:
            sys.path.remove(directory)
