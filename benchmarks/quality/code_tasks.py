"""Tasks over source code: the standard library of this Python, judged by what `ast` says of it."""

from __future__ import annotations

import ast
import sysconfig
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

from benchmarks.quality.graders import Number, tokens
from benchmarks.quality.task import Content, Recipe

_NAME = r"[A-Za-z_]\w*"
_FILE = r"[\w/]+\.py"
_MOST = 200_000
"""Characters of a file that is taken; tables of data are longer."""
_SKIP = {
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "site-packages",
    "turtledemo",
    "__pycache__",
    "encodings",
    "ensurepip",
}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def recipes() -> list[Recipe]:
    """Returns the recipes of these tasks."""
    return [
        Recipe("code_functions", "code", 2**16, _functions),
        Recipe("code_methods", "code", 2**18, _methods),
        Recipe("code_where", "code", 2**20, _where),
        Recipe("code_imports", "code", 2**19, _imports),
        Recipe("code_raises", "code", 2**21, _raises),
    ]


@cache
def _files() -> tuple[tuple[str, int], ...]:
    """Returns names (`json/decoder.py`) and sizes of the standard library's own files."""
    root = Path(sysconfig.get_path("stdlib"))
    paths = (path.relative_to(root) for path in root.rglob("*.py"))
    sizes = ((path.as_posix(), (root / path).stat().st_size) for path in paths if not _SKIP & set(path.parts))
    return tuple(sorted((name, size) for name, size in sizes if 500 < size < _MOST))


def _sources(random: Random, size: int) -> dict[str, str]:
    """Returns files of about `size` characters together, by name."""
    root = Path(sysconfig.get_path("stdlib"))
    found: dict[str, str] = {}
    length = 0
    for name, bytes_ in random.sample(_files(), len(_files())):
        # Among small files a large one would overshoot; what is left over is filled by later ones.
        if length + bytes_ <= size * 1.1:
            found[name] = (root / name).read_text("utf-8", errors="replace")
            length += len(found[name])
        if length >= size * 0.9:
            break
    return dict(sorted(found.items()))


def _nodes(source: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(source))


def _functions(random: Random, size: int) -> Content:
    sources = _sources(random, size)
    count = sum(isinstance(node, _FUNCTIONS) for source in sources.values() for node in _nodes(source))
    question = (
        "These are Python source files. How many function definitions (`def` and `async def`, methods and nested "
        "functions included) are there in all of them together?"
    )
    return question, sources, Number(count, beside=frozenset({float(len(sources))}))


def _methods(random: Random, size: int) -> Content | None:
    sources = _sources(random, size)
    counts: Counter[str] = Counter()
    classes = [n for source in sources.values() for n in _nodes(source) if isinstance(n, ast.ClassDef)]
    for node in classes:
        counts[node.name] = max(counts[node.name], sum(isinstance(part, _FUNCTIONS) for part in node.body))
    first, *others = counts.most_common(2) or [("", 0)]
    if not first[1] or (others and others[0][1] == first[1]):
        return None
    question = (
        "These are Python source files. Which class has the most methods (`def` or `async def` directly in the body of "
        "the class)? Answer with the name of the class."
    )
    return question, sources, tokens(first[0], _NAME, domain=frozenset(counts))


def _where(random: Random, size: int) -> Content | None:
    sources = _sources(random, size)
    defined: dict[str, set[str]] = {}
    for name, source in sources.items():
        for node in ast.parse(source).body:
            if isinstance(node, _FUNCTIONS):
                defined.setdefault(node.name, set()).add(name)
    once = sorted(name for name, files in defined.items() if len(files) == 1)
    if not once:
        return None
    wanted = random.choice(once)
    question = (
        f"These are Python source files. In which file is the function `{wanted}` defined at the top level? Answer "
        "with the file's name as it is given."
    )
    return question, sources, tokens(defined[wanted], _FILE)


def _imports(random: Random, size: int) -> Content | None:
    sources = _sources(random, size)
    users: dict[str, set[str]] = {}
    for name, source in sources.items():
        for module in {module for node in _nodes(source) for module in _imported(node)}:
            users.setdefault(module, set()).add(name)
    several = sorted(module for module, files in users.items() if 2 <= len(files) <= 6)
    if not several:
        return None
    module = random.choice(several)
    question = (
        f"These are Python source files. Which of them import the module `{module}` itself (`import {module}` or `from "
        f"{module} import ...`, at any level; neither its submodules nor relative imports)? List the files' names as "
        "they are given."
    )
    return question, sources, tokens(users[module], _FILE)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def _raises(random: Random, size: int) -> Content | None:
    sources = _sources(random, size)
    kinds: Counter[str] = Counter()
    for source in sources.values():
        for node in _nodes(source):
            if (
                isinstance(node, ast.Raise)
                and isinstance(node.exc, ast.Call)
                and isinstance(node.exc.func, ast.Name)
            ):
                kinds[node.exc.func.id] += 1
    if not kinds:
        return None
    kind = random.choice([name for name, _ in kinds.most_common(6)])
    question = (
        f"These are Python source files. How many statements `raise {kind}(...)` (the exception is called by just this "
        "name) do they have in all? Comments, texts and docstrings do not count."
    )
    return question, sources, Number(kinds[kind])
