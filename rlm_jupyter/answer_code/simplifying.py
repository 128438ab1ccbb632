"""Statements of an agent without what does nothing for the value: names used once, stores nobody reads, docstrings."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rlm_jupyter.answer_code import vocabulary as words
from rlm_jupyter.answer_code.effects import Scan
from rlm_jupyter.answer_code.evaluation_order import evaluated_before, put_at, way_to
from rlm_jupyter.answer_code.facts import Facts
from rlm_jupyter.answer_code.scopes import SCOPES, free_names

_LONGEST = 88
"""Characters of a line into which a value is put that had a name."""
_LITERALS = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Lambda, ast.JoinedStr, ast.UnaryOp)
"""What keeps its name, which says what it is for."""
_GUARDS = (ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.ClassDef)
"""Blocks in which a binding that nobody reads matters: its errors are caught, or it is an attribute."""
_IN_TEXT = re.compile(r"@([A-Za-z_]\w*)")


@dataclass
class Simplified:
    """Statements after they were made simpler.

    Attributes:
        body: the statements.
        became: for each statement that was given, the one in which it is now; None if it is gone.
    """

    body: list[ast.stmt]
    became: list[ast.stmt | None]


class Simplifier:
    """Makes the statements of one agent's function simpler; their value stays the same.

    Args:
        facts: of the agent's statements.
        body: its statements, the last one returns its value. They are changed.
    """

    def __init__(self, facts: Facts, body: list[ast.stmt]) -> None:
        self._facts = facts
        self._body = body
        self._became: dict[int, ast.stmt | None] = {id(node): node for node in body}
        self._given = list(body)
        self._names: dict[int, tuple[set[str], set[str]]] = {}

    def simplified(self) -> Simplified:
        """Returns the statements, each where it is now."""
        if not any(isinstance(node, ast.Attribute) and node.attr == "__doc__" for node in _walk(self._body)):
            for node in _walk(self._body):
                _drop_docstring(node)
        self._drop_stores()
        for at, node in enumerate(self._body):
            if (made := _as_choice(node)) is not None:
                self._body[at] = made
                self._became |= {id(node): made, id(made): made}
        self._put_in_place()
        return Simplified(self._body, [self._now(node) for node in self._given])

    def _now(self, node: ast.stmt) -> ast.stmt | None:
        current: ast.stmt | None = node
        while current is not None and self._became[id(current)] is not current:
            current = self._became[id(current)]
        return current

    # ---- stores that nobody reads

    def _drop_stores(self) -> None:
        """Leave out of blocks and functions the assignments to names that no code reads."""
        while True:
            read = _read(self._body)
            dead = [node for node in self._body if self._is_dead(node, read)]
            self._became |= dict.fromkeys(map(id, dead))
            self._body = [node for node in self._body if node not in dead]
            changed = bool(dead)
            guarded = {
                id(one) for node in _walk(self._body) if isinstance(node, _GUARDS) for one in ast.walk(node)
            }
            for node in _walk(self._body):
                if id(node) not in guarded:
                    changed |= self._drop_in(node, read)
            if not changed:
                return

    def _drop_in(self, node: ast.AST, read: set[str]) -> bool:
        dropped = False
        for name in ("body", "orelse"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block:
                kept = [one for one in block if not self._is_dead(one, read)]
                dropped |= len(kept) < len(block)
                setattr(node, name, kept or ([ast.Pass()] if name == "body" else []))
        return dropped

    def _is_dead(self, node: ast.AST, read: set[str]) -> bool:
        name = _named(node)
        return name is not None and name not in read and self._is_still(node.value)  # type: ignore[attr-defined]

    def _is_still(self, node: ast.AST) -> bool:
        """Whether an expression changes nothing when it is evaluated, as far as is known."""
        for one in ast.walk(node):
            if isinstance(one, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)):
                return False
            called = one.func if isinstance(one, ast.Call) else None
            if isinstance(called, ast.Name):
                known = words.FRESH_FUNCTIONS | words.LOOKS | words.BUILTINS | self._facts.imported
                if called.id not in known or called.id in self._facts.functions:
                    return False
        effects = Scan.of(ast.Expr(node), self._facts) if isinstance(node, ast.expr) else None
        return effects is not None and not effects.changes and not effects.may_bind and not effects.dynamic

    # ---- names that are used once, in the statement behind

    def _put_in_place(self) -> None:
        fixed = _used_later(self._body)
        at = len(self._body) - 2
        while at >= 0:
            node, following = self._body[at], self._body[at + 1]
            name = _named(node)
            once = name is not None and name not in fixed and name in self._mentioned(following)[0]
            if name is not None and once and not self._is_live(name, at + 1):
                made = self._merged(name, node.value, following)  # type: ignore[attr-defined]
                if made is not None:
                    self._body[at : at + 2] = [made]
                    self._became |= {id(node): made, id(following): made, id(made): made}
                    at = min(at, len(self._body) - 2) + 1
            at -= 1

    def _is_live(self, name: str, at: int) -> bool:
        """Whether what a name is when the statement at a place begins is read behind that statement."""
        for place in range(at, len(self._body)):
            node = self._body[place]
            read, stored = self._mentioned(node)
            if place > at and name in read:
                return True
            if _binds(node, name):
                return False
            if name in stored:
                return True
        return False

    def _mentioned(self, node: ast.stmt) -> tuple[set[str], set[str]]:
        """Returns the names that a statement reads or deletes, and those that it binds."""
        known = self._names.get(id(node))
        if known is None:
            known = set[str](), set[str]()
            for one in ast.walk(node):
                if isinstance(one, ast.Name):
                    known[isinstance(one.ctx, ast.Store)].add(one.id)
            self._names[id(node)] = known
        return known

    def _merged(self, name: str, value: ast.expr, following: ast.stmt) -> ast.stmt | None:
        """Returns the statement behind an assignment with the value in the place of the name; None if it cannot be."""
        mentions = [one for one in ast.walk(following) if isinstance(one, ast.Name) and one.id == name]
        loads = [one for one in mentions if isinstance(one.ctx, ast.Load)]
        way = way_to(following, loads[0]) if len(loads) == 1 else []
        if not way or (len(mentions) > 1 and not _binds(following, name)):
            return None
        whole = isinstance(following, ast.Return) and following.value is loads[0]
        if not whole and (isinstance(value, (*_LITERALS, ast.Await)) or _tells_parts(following)):
            return None
        if any(isinstance(one, (ast.NamedExpr, ast.Yield, ast.YieldFrom)) for one in ast.walk(value)):
            return None  # not everywhere in an expression is it allowed
        if not self._can_follow(value, evaluated_before(following, way)):
            return None
        made = copy.deepcopy(following)
        put_at(made, way, value)
        header = ast.unparse(made).split("\n", 1)[0]
        return made if whole or len(header) + 4 <= _LONGEST else None

    def _can_follow(self, value: ast.expr, before: list[ast.AST]) -> bool:
        """Whether a value may be computed behind these expressions, in the place of before them."""
        names = {one.id for part in before for one in ast.walk(part) if isinstance(one, ast.Name)}
        plain = all(isinstance(part, (ast.Name, ast.Constant)) for part in before)
        known = words.BUILTINS | set(self._facts.modules)
        if plain and names <= known - self._facts.bound | set(self._facts.modules):
            return True
        return self._is_still(value) and all(self._is_still(part) for part in before)


def renamed_data(body: list[ast.stmt], name: str) -> bool:
    """Let statements call their data by its name instead of `context`; return whether that is possible."""
    both = {"context", name}
    nodes = list(_walk(body))
    for node in nodes:
        bound = {getattr(node, "arg", None), getattr(node, "name", None), getattr(node, "asname", None)}
        stored = isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and node.id in both
        named = isinstance(node, ast.Constant) and isinstance(node.value, str) and "@context" in node.value
        if stored or named or (bound & both and not isinstance(node, ast.keyword)):
            return False
        if isinstance(node, (ast.Global, ast.Nonlocal)) and both & set(node.names):
            return False
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == "context":
            node.id = name
    return True


def _walk(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    return (one for node in body for one in ast.walk(node))


def _named(node: ast.AST) -> str | None:
    """Returns the name that an assignment binds, if it does no more."""
    single = isinstance(node, ast.Assign) and len(node.targets) == 1
    target = node.targets[0] if single else None  # type: ignore[attr-defined]
    return target.id if isinstance(target, ast.Name) else None


def _as_choice(node: ast.stmt) -> ast.stmt | None:
    """Returns a statement that binds one name in either case as one assignment; None if it is none, or too long."""
    if not isinstance(node, ast.If) or len(node.body) != 1 or len(node.orelse) != 1:
        return None
    one, other = node.body[0], node.orelse[0]
    name = _named(one)
    if name is None or name != _named(other):
        return None
    values = one.value, other.value  # type: ignore[attr-defined]
    if any(isinstance(value, ast.IfExp) for value in values):
        return None
    choice = ast.IfExp(node.test, *values)
    made = ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], choice), node)
    return made if len(ast.unparse(ast.fix_missing_locations(made))) + 4 <= _LONGEST else None


def _tells_parts(node: ast.stmt) -> bool:
    """Returns whether a statement returns a display: the statements on which each part of it rests stay apart."""
    value = node.value if isinstance(node, ast.Return) else None
    made = value.func if isinstance(value, ast.Call) else None
    named = isinstance(made, ast.Name) and made.id == "dict"
    return named or isinstance(value, (ast.Dict, ast.List, ast.Tuple))


def _binds(node: ast.stmt, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _read(body: Iterable[ast.AST]) -> set[str]:
    """Returns all names that code reads, deletes, declares or names in a text."""
    found: set[str] = set()
    for node in _walk(body):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            found |= set(node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(_IN_TEXT.findall(node.value))
    return found


def _used_later(body: list[ast.stmt]) -> set[str]:
    """Returns the names that functions, generators and texts use when they are called."""
    found: set[str] = set()
    for node in _walk(body):
        if isinstance(node, (*SCOPES, ast.GeneratorExp)):
            found |= free_names(node)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            found |= set(node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(_IN_TEXT.findall(node.value))
    return found


def _drop_docstring(node: ast.AST) -> None:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1:
            node.body = node.body[1:]
