"""What is true of an agent's names over all of its cells: functions and what they do, modules, aliases, iterators."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rlm_jupyter.answer_code import vocabulary as words
from rlm_jupyter.answer_code.scopes import bound_in, free_names, loads, names_in, own_nodes, parameters
from rlm_jupyter.guest.missing_imports import MODULES

Roots = frozenset[str]
_NONE: Roots = frozenset()
_ROUNDS = 8


@dataclass
class Carried:
    """What happens where a function (or what holds one) is used: the sum of what its definitions do.

    Attributes:
        reads: names that they read from outside of them.
        changes: names whose objects they change.
        binds: names that they bind by `global`.
        mutates: whether they may change their arguments.
        dynamic: whether they hide what they do.
        answers: whether they call FINAL.
    """

    reads: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    binds: set[str] = field(default_factory=set)
    mutates: bool = False
    dynamic: bool = False

    def add(self, other: Carried) -> bool:
        """Take in what another does; return whether that was news."""
        before = (len(self.reads), len(self.changes), len(self.binds), self.mutates, self.dynamic)
        self.reads |= other.reads
        self.changes |= other.changes
        self.binds |= other.binds
        self.mutates |= other.mutates
        self.dynamic |= other.dynamic
        return before != (len(self.reads), len(self.changes), len(self.binds), self.mutates, self.dynamic)


_NOTHING = Carried()


class Facts:
    """Of all statements of an agent.

    Args:
        statements: at the top level of its cells.
        plain: names that never were anything but what cannot change.
        frames: names that never were anything but tables and arrays.
        same: groups of names that stand for the same object from the start, such as `context` and `orders`.

    Attributes:
        functions: names of functions and classes.
        imported: names that imports bind to something out of a module.
        defined: those that only definitions bind, which hold nothing but their code.
        bound: all names that are bound at the top level.
        consumable: names of iterators, which are used up by whoever reads them.
        redirected: whether something may read what is printed.
        states: name of a module → the name of its state.
    """

    def __init__(
        self,
        statements: Iterable[ast.stmt],
        plain: set[str],
        frames: set[str],
        same: Iterable[tuple[str, ...]] = (),
    ) -> None:
        groups = list(same)
        self._plain, self._frames = plain, frames
        self._given_names = {name for group in groups for name in group}
        body = list(statements)
        self.functions: dict[str, Carried] = {}
        self.modules: dict[str, str] = {}
        self.imported: set[str] = set()
        self.states: dict[str, str] = {}
        self.bound = bound_in(body) | {
            name
            for statement in body
            for node in ast.walk(statement)
            if isinstance(node, ast.Global)
            for name in node.names
        }
        self.consumable: set[str] = set()
        self.redirected = any(
            (isinstance(node, ast.Attribute) and node.attr in words.REDIRECTIONS)
            or (isinstance(node, ast.Name) and node.id in words.REDIRECTIONS)
            for statement in body
            for node in ast.walk(statement)
        )
        self._aliases: dict[str, set[str]] = {}
        self._generators: set[str] = set()
        self.defined: set[str] = set()
        self._imports(body)
        self._functions(body)
        for group in groups:
            self._join(group)
        self._assignments(body)

    # ---- what is asked

    def carried(self, name: str) -> Carried:
        """Returns what the use of a name does besides reading it."""
        return self.functions.get(name, _NOTHING)

    def aliases(self, names: Iterable[str]) -> set[str]:
        """Returns all names that may stand for (a part of) the same objects as these."""
        found: set[str] = set()
        for name in names:
            if name not in found:
                found |= self._aliases.get(name, {name})
        return found

    def module_of(self, node: ast.AST) -> str | None:
        """Returns the dotted name of a module that an expression stands for; None if it is none."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.modules:
            return None
        return ".".join([self.modules[node.id], *reversed(parts)])

    def names_in(self, node: ast.AST) -> Roots:
        """Returns the names of modules in an expression."""
        return frozenset(
            one.id for one in ast.walk(node) if isinstance(one, ast.Name) and one.id in self.modules
        )

    def is_frame(self, node: ast.AST) -> bool:
        """Returns whether an expression is a table or an array, as far as is known."""
        return isinstance(node, ast.Name) and node.id in self._frames

    def roots(self, node: ast.AST | None, local: Mapping[str, Roots] = {}) -> Roots:  # noqa: C901, PLR0911, PLR0912
        """Returns the names whose objects the value of an expression may share something with."""

        def union(parts: Iterable[ast.AST | None]) -> Roots:
            return frozenset[str]().union(*(self.roots(part, local) for part in parts))

        match node:
            case ast.Name():
                if node.id in local:
                    return local[node.id]
                fixed = (
                    node.id in self._plain
                    or node.id in self.modules
                    or node.id in words.BUILTINS - self.bound
                )
                return _NONE if fixed else frozenset({node.id})
            case ast.Subscript():
                chosen = isinstance(node.slice, (ast.Compare, ast.List, ast.BinOp, ast.UnaryOp))
                return (
                    _NONE
                    if chosen and not isinstance(node.ctx, ast.Store) and self._is_mask(node)
                    else self.roots(node.value, local)
                )
            case ast.Attribute() | ast.Starred() | ast.Await() | ast.NamedExpr() | ast.FormattedValue():
                return self.roots(node.value, local)
            case ast.Call():
                return self._roots_of_call(node, local)
            case ast.BinOp(op=ast.Add() | ast.BitOr()):
                return union([node.left, node.right])
            case ast.BoolOp():
                return union(node.values)
            case ast.IfExp():
                return union([node.body, node.orelse])
            case ast.List() | ast.Tuple() | ast.Set():
                return union(node.elts)
            case ast.Dict():
                return union(node.values)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                inner = dict(local)
                for generator in node.generators:
                    inner |= dict.fromkeys(names_in(generator.target), self.roots(generator.iter, inner))
                return self.roots(node.value if isinstance(node, ast.DictComp) else node.elt, inner)
            case _:
                return _NONE

    def _is_mask(self, node: ast.Subscript) -> bool:
        """Whether a subscript selects rows or columns of a table: the result is a copy."""
        if isinstance(node.slice, (ast.Compare, ast.List)):
            return True
        return any(isinstance(one, ast.Compare) for one in ast.walk(node.slice))

    def _roots_of_call(self, node: ast.Call, local: Mapping[str, Roots]) -> Roots:  # noqa: PLR0911 - one case each
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        given = frozenset[str]().union(*(self.roots(argument, local) for argument in arguments))
        function = node.func
        if isinstance(function, ast.Name):
            fresh = words.FRESH_FUNCTIONS | words.WORDS | (words.LOOKS - self.bound)
            if function.id in fresh:
                return _NONE
            variable = function.id in self.bound and function.id not in self.imported
            held = {function.id} if variable and function.id not in self.functions else set()
            return given | held
        if not isinstance(function, ast.Attribute):
            return given
        module = self.module_of(function.value)
        if module is not None:
            return (
                _NONE
                if module.partition(".")[0] in words.FRESH_MODULES or function.attr == "deepcopy"
                else given
            )
        of = self.roots(function.value, local)
        if function.attr in words.VIEW_METHODS:
            return of | given
        if function.attr in words.PURE_METHODS:
            return _NONE
        return of | given

    # ---- how it is known

    def _imports(self, body: list[ast.stmt]) -> None:
        for node in (one for statement in body for one in ast.walk(statement)):
            for alias in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
                self._import(alias, node.module if isinstance(node, ast.ImportFrom) else None)
        # What the kernel imports where a cell forgot to.
        for name in (loads(body) & MODULES.keys()) - self.bound - self._given_names:
            self._import(ast.alias(MODULES[name].split()[1], name), None)

    def _import(self, alias: ast.alias, source: str | None) -> None:
        """Take note of one name that an import binds: a module, or something out of one."""
        whole = alias.name if source is None else f"{source}.{alias.name}"
        name = alias.asname or (alias.name.partition(".")[0] if source is None else alias.name)
        if source is not None:
            self.imported.add(name)
        if source is None or whole in words.STATES or source in ("matplotlib", "numpy", "os"):
            self.modules[name] = whole if source is not None or alias.asname else name
        state = words.STATES.get(self.modules.get(name, "")) or words.STATES.get(source or "")
        if state:
            self.states[name] = state

    def _functions(self, body: list[ast.stmt]) -> None:
        definitions = _definitions(body)
        self.defined = {
            name
            for name, nodes in definitions.items()
            if all(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for node in nodes)
        }
        self.functions = {name: Carried() for name in definitions}
        self._generators = {
            name
            for name, nodes in definitions.items()
            if any(isinstance(one, (ast.Yield, ast.YieldFrom)) for node in nodes for one in ast.walk(node))
        }
        for _ in range(_ROUNDS):  # a function does what those do that it calls
            news = False
            for name, nodes in definitions.items():
                for node in nodes:
                    news |= self.functions[name].add(self._done_by(node))
            if not news:
                break

    def _done_by(self, node: ast.AST) -> Carried:
        """Returns what one definition does when it is used."""
        done = Carried(reads=free_names(node))
        wrappers = loads(
            getattr(node, "decorator_list", None) or []
        )  # to call it is to call what they returned
        for name in [*done.reads, *wrappers]:
            done.add(self.carried(name))
            if state := self.states.get(name):
                done.reads.add(state)
                done.changes.add(state)
        inside = list(ast.walk(node))
        shared = self._shared_locals(node, inside)
        done.dynamic |= any(
            isinstance(one, ast.Name) and one.id in words.DYNAMIC - self.bound and one.id in done.reads
            for one in inside
        )
        for one in inside:
            if isinstance(one, ast.Global):
                done.binds |= set(one.names)
            for changed in self._changed_by(one):
                if changed in shared:
                    done.mutates = True
                if changed in done.reads:
                    done.changes.add(changed)
            if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id in words.FINALS:
                done.changes.add("<answers>")
        return done

    def _shared_locals(self, node: ast.AST, inside: list[ast.AST]) -> set[str]:
        """Returns the local names of a function that may stand for (parts of) its arguments."""
        shared: set[str] = set()
        for one in inside:
            if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                shared |= set(parameters(one))
        for _ in range(_ROUNDS):
            before = len(shared)
            for one in inside:
                for target, value in _bindings(one):
                    if self.roots(value) & shared:
                        shared |= names_in(target)
            if len(shared) == before:
                break
        if isinstance(node, ast.ClassDef):
            shared.add("self")
        return shared

    def _changed_by(self, node: ast.AST) -> Roots:  # noqa: PLR0911 - one case each
        """Returns the roots of what one node of a function's body changes in place."""
        match node:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                parts = [part for target in targets for part in ast.walk(target)]
                return frozenset[str]().union(
                    *(self.roots(p.value) for p in parts if isinstance(p, (ast.Subscript, ast.Attribute)))
                )
            case ast.AugAssign():
                target = node.target
                return frozenset({target.id}) if isinstance(target, ast.Name) else self.roots(target.value)
            case ast.Attribute(ctx=ast.Load(), attr=attribute) if attribute in words.KNOWN_MUTATORS:
                return self.roots(node.value)
            case ast.Call(func=ast.Attribute() as function):
                if (
                    self.module_of(function.value) is not None
                    and function.attr not in words.ARGUMENT_MUTATORS
                ):
                    return _NONE
                pure = function.attr in words.PURE_METHODS and not any(
                    k.arg == "inplace" for k in node.keywords
                )
                own = _NONE if pure else self.roots(function.value)
                known = pure or function.attr in words.KNOWN_MUTATORS
                return own if known else own | self._given(node)
            case ast.Call(func=ast.Name(id=name)):
                mutating = name in words.ARGUMENT_MUTATORS or self.carried(name).mutates
                unknown = (
                    name not in words.BUILTINS and name not in self.functions and name not in self.imported
                )
                return self._given(node) if mutating or (unknown and name not in words.WORDS) else _NONE
            case _:
                return _NONE

    def _given(self, call: ast.Call) -> Roots:
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        return frozenset[str]().union(*(self.roots(argument) for argument in arguments))

    def _assignments(self, body: list[ast.stmt]) -> None:
        """Join names that may share objects; let what holds a function carry what that does; find iterators."""
        nodes = [node for statement in body for node in ast.walk(statement)]
        for _ in range(_ROUNDS):
            news = False
            for node in nodes:
                for target, value in _bindings(node):
                    news |= self._assign(target, value)
                    if not isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) and self._is_iterator(
                        value
                    ):
                        self.consumable |= names_in(target)
                news |= self._join(self._put_together(node))
            if not news:
                break

    def _put_together(self, node: ast.AST) -> Roots:
        """Returns the names of an object and of what a call of its method may put into it."""
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            return _NONE
        if node.func.attr in words.PURE_METHODS or self.module_of(node.func.value) is not None:
            return _NONE
        return self.roots(node.func.value) | self._given(node)

    def _assign(self, target: ast.AST, value: ast.AST) -> bool:
        bound = {name for name in names_in(target) if name not in self._plain}
        news = (
            self._join(bound | _root_names(target) | self.roots(value))
            if bound or _root_names(target)
            else False
        )
        used = [self.functions[name] for name in loads([value]) if name in self.functions]
        plain_call = (
            isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in words.WORDS
        )
        for name in names_in(target) | _root_names(target):
            for carried in used if not plain_call and name not in self._plain else ():
                if self._is_kept(value):
                    news |= self.functions.setdefault(name, Carried()).add(carried)
        return news

    def _is_iterator(self, value: ast.AST) -> bool:
        if isinstance(value, ast.GeneratorExp):
            return True
        if not isinstance(value, ast.Call):
            return False
        function = value.func
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        return name in words.CONSUMABLE or name in self._generators

    def _is_kept(self, value: ast.AST) -> bool:
        """Whether a value may hold a function or an instance of a class, rather than be the result of a call."""
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            name = value.func.id
            others = [*value.args, *(keyword.value for keyword in value.keywords)]
            passed = any(
                isinstance(one, (ast.Name, ast.Lambda)) and loads([one]) & set(self.functions)
                for one in others
            )
            return passed or name[:1].isupper() or name not in self.functions
        return True

    def _join(self, names: Iterable[str]) -> bool:
        """Let names stand for the same objects; return whether that was news."""
        groups = {id(group): group for group in (self._aliases.setdefault(name, {name}) for name in names)}
        if len(groups) < 2:  # noqa: PLR2004 - a pair
            return False
        largest, *others = sorted(groups.values(), key=len, reverse=True)
        for group in others:
            largest |= group
            for name in group:
                self._aliases[name] = largest
        return True


def _definitions(body: list[ast.stmt]) -> dict[str, list[ast.AST]]:
    """Returns all definitions of functions, classes and lambdas at the top level, by name."""
    found: dict[str, list[ast.AST]] = {}
    for node in own_nodes(body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign) and any(
            isinstance(one, ast.Lambda) for one in ast.walk(node.value)
        ):
            for name in (name for target in node.targets for name in names_in(target)):
                found.setdefault(name, []).append(node.value)
    return found


def _bindings(node: ast.AST) -> list[tuple[ast.AST, ast.AST]]:
    """Returns the targets that a node binds, each with the value."""
    match node:
        case ast.Assign():
            return [(target, node.value) for target in node.targets]
        case (
            ast.AnnAssign(value=ast.expr() as value) | ast.AugAssign(value=value) | ast.NamedExpr(value=value)
        ):
            return [(node.target, value)]
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            return [(node.target, node.iter)]
        case ast.With() | ast.AsyncWith():
            return [(item.optional_vars, item.context_expr) for item in node.items if item.optional_vars]
        case _:
            return []


def _root_names(target: ast.AST) -> set[str]:
    """Returns the names of the objects that an assignment to `x[...]` or `x.y` changes."""
    found: set[str] = set()
    for part in ast.walk(target):
        node: ast.AST = part
        while isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        if node is not part and isinstance(node, ast.Name):
            found.add(node.id)
    return found
