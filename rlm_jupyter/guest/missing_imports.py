"""Imports that a cell forgot: well-known names that it reads and that are bound nowhere are imported before it runs.

It travels into an agent's kernel as source: the standard library only. A module that is used
without an import costs a model a whole turn. Only names of the standard library, pandas, numpy and matplotlib are
known here, so nothing runs that the agent's own `import` would not run; what is not installed stays unbound.
"""

from __future__ import annotations

import dis
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import types
    from collections.abc import Iterable, Iterator, Mapping

    from .caller_kind import Cell

_MODULES = (
    "ast asyncio base64 bisect calendar collections contextlib copy csv dataclasses datetime decimal difflib enum "
    "fractions functools glob gzip hashlib heapq html inspect io itertools json locale logging math operator os "
    "pathlib pickle platform pprint random re shutil sqlite3 statistics string struct subprocess sys tempfile "
    "textwrap threading time timeit traceback typing unicodedata uuid warnings zipfile zlib"
)
_FROM = {
    "ast": "literal_eval",
    "collections": "ChainMap Counter OrderedDict defaultdict deque namedtuple",
    "collections.abc": "Iterable Iterator Mapping Sequence",
    "concurrent.futures": "ProcessPoolExecutor ThreadPoolExecutor as_completed",
    "copy": "deepcopy",
    "dataclasses": "asdict dataclass",
    "datetime": "datetime timedelta",
    "decimal": "Decimal",
    "difflib": "SequenceMatcher get_close_matches",
    "enum": "Enum",
    "fractions": "Fraction",
    "functools": "cmp_to_key lru_cache partial reduce",
    "glob": "glob",
    "io": "BytesIO StringIO",
    "itertools": "accumulate combinations groupby islice permutations zip_longest",
    "math": "ceil floor isclose isnan sqrt",
    "operator": "attrgetter itemgetter",
    "pandas": "DataFrame Series",
    "pathlib": "Path",
    "pprint": "pprint",
    "textwrap": "dedent",
    "typing": "Any Callable Dict List NamedTuple Optional Set Tuple Union",
}
_AS = {
    "pd": "pandas",
    "pandas": "pandas",
    "np": "numpy",
    "numpy": "numpy",
    "plt": "matplotlib.pyplot",
    "ET": "xml.etree.ElementTree",
}
_PACKAGES = {"urllib": "urllib.parse", "concurrent": "concurrent.futures"}

MODULES = {
    **{name: f"import {name}" for name in _MODULES.split()},
    **{name: f"import {module}" for name, module in _PACKAGES.items()},
    **{name: f"import {m}" + ("" if m == name else f" as {name}") for name, m in _AS.items()},
}
"""Names of modules, each with its statement; they are imported where an attribute is read that the module has."""
OBJECTS = {name: f"from {module} import {name}" for module, names in _FROM.items() for name in names.split()}
"""Names out of modules, each with its statement."""
STATEMENTS = {statement: name for table in (MODULES, OBJECTS) for name, statement in table.items()}
"""All that can have been added: statement to name."""

_KNOWN = frozenset(MODULES) | frozenset(OBJECTS)
_LOADS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_MOST_SCOPES = 2_000
_MOST_BYTES = 100_000  # of compiled code that is looked at; a cell that is longer is left as it is


class MissingImports:
    """An AST transformer of IPython that changes nothing: it binds the modules that the cell forgot to import.

    Args:
        namespace: that cells run in.
        cell: a transformer that has compiled the same tree just before.

    Attributes:
        added: the statements that were added since this was last emptied.
    """

    def __init__(self, namespace: dict[str, Any], cell: Cell) -> None:
        self.added: list[str] = []
        self._namespace, self._cell = namespace, cell

    def visit(self, tree: Any) -> Any:
        """Import what the cell that is about to run has not."""
        code, self._cell.code = self._cell.code, None
        try:
            if code is not None:
                self._add(code)
        except KeyboardInterrupt:  # IPython awaits none here: let the cell be what is interrupted
            import ast

            return ast.parse("raise KeyboardInterrupt")
        except Exception:  # noqa: S110 - such as a module that fails; the cell's own error tells of it
            pass
        return tree

    def _add(self, code: types.CodeType) -> None:
        for name, attributes in unbound_names(code, self._namespace).items():
            found = statement_for(name, attributes)
            if found is not None:
                statement, value = found
                self._namespace[name] = value
                self.added.append(statement)


def unbound_names(code: types.CodeType, namespace: Mapping[str, Any]) -> dict[str, set[str]]:
    """Returns the known names that a cell reads and that are bound nowhere: each with the attributes read of it.

    Args:
        code: of the cell, compiled as a module.
        namespace: that it will run in.
    """
    wanted = _KNOWN - namespace.keys()
    scopes: list[types.CodeType] = []
    size = 0
    for scope in _scopes(code):
        if any(type(const) is tuple and const == ("*",) for const in scope.co_consts):
            return {}  # `from m import *` may bind anything
        if not wanted.isdisjoint(scope.co_names):
            scopes.append(scope)
            size += len(scope.co_code)
        if size > _MOST_BYTES or len(scopes) > _MOST_SCOPES:
            return {}
    read: dict[str, set[str]] = {}
    bound: set[str] = set()
    for scope in scopes:
        loads, stores, stores_global = _names(scope, wanted)
        bound |= stores_global
        if scope is code:
            bound |= stores
        for name, attributes in loads.items():
            if scope is code or name not in stores:  # a class body has names of its own
                read.setdefault(name, set()).update(attributes)
    return {name: read[name] for name in read if name not in bound}


def _scopes(code: types.CodeType) -> Iterator[types.CodeType]:
    todo = [code]
    while todo:
        scope = todo.pop()
        yield scope
        todo += [const for const in scope.co_consts if isinstance(const, type(code))]


def _names(scope: types.CodeType, wanted: frozenset[str]) -> tuple[dict[str, set[str]], set[str], set[str]]:
    """Returns what a scope reads beyond its own variables, and what it binds in itself and as a global."""
    loads: dict[str, set[str]] = {}
    stores: set[str] = set()
    stores_global: set[str] = set()
    last = None
    for instruction in dis.get_instructions(scope):
        operation, name = instruction.opname, instruction.argval
        if last is not None and operation in _ATTRIBUTES:
            loads[last].add(name)
        last = None
        if operation in _LOADS and name in wanted:
            loads.setdefault(name, set())
            last = name
        elif operation == "STORE_NAME":
            stores.add(name)
        elif operation == "STORE_GLOBAL":
            stores_global.add(name)
    return loads, stores, stores_global


def statement_for(name: str, attributes: Iterable[str]) -> tuple[str, Any] | None:
    """Returns the statement that binds a name, and the object; None if it is not what the cell means."""
    if name in MODULES and attributes:
        statement = MODULES[name]
        target = _module(statement.split()[1])
        module = target if " as " in statement else _module(name)  # `import a.b` binds `a`
        fits = all if name in OBJECTS else any  # `datetime.now()` is of the class
        if target is not None and fits(hasattr(module, each) for each in attributes):
            return statement, module
    if name not in OBJECTS:
        return None
    value = getattr(_module(OBJECTS[name].split()[1]), name, None)
    if value is None or not all(hasattr(value, each) for each in attributes):
        return None
    return OBJECTS[name], value


def _module(name: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:  # it is not installed
        return None
