"""What a statement of a cell reads, binds and may change in place.

Conservative: a name that is reported wrongly makes a slice longer; one that is missed would make it wrong, which its
proof then shows.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from rlm_jupyter.answer_code import vocabulary as words
from rlm_jupyter.answer_code.facts import Facts
from rlm_jupyter.answer_code.scopes import evaluated, free_names, import_names, names_in

ANSWERS = "<answers>"
"""Stands for the list of values that were given to FINAL."""

_IN_TEXT = re.compile(r"@([A-Za-z_]\w*)")

Roots = frozenset[str]
_NONE: Roots = frozenset()


@dataclass
class Effects:
    """Of one statement.

    Attributes:
        reads: names that it reads before it has bound them itself.
        binds: names that it binds in any case.
        may_bind: names that it binds perhaps.
        changes: names whose objects it may change.
        dynamic: whether its text hides what it does (`exec`, `globals()`).
    """

    reads: set[str] = field(default_factory=set)
    binds: set[str] = field(default_factory=set)
    may_bind: set[str] = field(default_factory=set)
    changes: set[str] = field(default_factory=set)
    dynamic: bool = False


class Scan(ast.NodeVisitor):
    """Reads the effects of one statement at the top level of a cell.

    Args:
        facts: of all cells of the agent.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.effects = Effects()
        self._bound: set[str] = set()
        self._local: dict[str, Roots] = {}

    @classmethod
    def of(cls, statement: ast.stmt, facts: Facts) -> Effects:
        """Returns the effects of a statement."""
        scan = cls(facts)
        scan.visit(statement)
        scan.effects.binds = scan._bound
        scan.effects.may_bind -= scan._bound
        return scan.effects

    # ---- names

    def _read(self, name: str) -> None:
        if name in self._local:
            return
        if name in words.DYNAMIC and name not in self.facts.bound:
            self.effects.dynamic = True
        if name not in self._bound:
            self.effects.reads.add(name)
        carried = self.facts.carried(name)
        self.effects.reads |= carried.reads - self._bound
        self.effects.changes |= carried.changes
        self.effects.may_bind |= carried.binds
        self.effects.dynamic |= carried.dynamic
        if name in self.facts.consumable:
            self.effects.changes.add(name)
        if (state := self.facts.states.get(name)) is not None:
            self._use_state(state)

    def _bind(self, name: str) -> None:
        if name not in self._local:
            self._bound.add(name)
            self.effects.may_bind.add(name)

    def _change(self, roots: Iterable[str]) -> None:
        for root in roots:
            self.effects.changes.add(root)
            self.effects.reads |= {root} - self._bound

    def roots(self, node: ast.AST | None) -> Roots:
        """Returns the names whose objects the value of an expression may share something with."""
        return self.facts.roots(node, self._local)

    def visit_Name(self, node: ast.Name) -> None:
        """Read or bind a name."""
        if isinstance(node.ctx, ast.Load):
            self._read(node.id)
        else:
            self._bind(node.id)

    # ---- simple statements

    def visit_Assign(self, node: ast.Assign) -> None:
        """Evaluate the value, then bind or change the targets."""
        self.visit(node.value)
        for target in node.targets:
            self._target(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Do as for an assignment; an annotation alone binds nothing."""
        if node.value is not None:
            self.visit(node.value)
            self._target(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Read, change and bind the target."""
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._read(node.target.id)
            self._change(self.roots(ast.Name(node.target.id, ast.Load())))
            self._bind(node.target.id)
        else:
            self._target(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """Bind within an expression: it may not be reached."""
        self.visit(node.value)
        self.effects.may_bind.add(node.target.id)

    def _target(self, target: ast.AST) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for element in target.elts:
                self._target(element)
        elif isinstance(target, ast.Starred):
            self._target(target.value)
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            self.visit(target.value)
            if isinstance(target, ast.Subscript):
                self.visit(target.slice)
            self._change(self.roots(target.value) | self.facts.names_in(target.value))
            if isinstance(target, ast.Attribute) and target.attr in words.REDIRECTIONS:
                self.effects.dynamic = True  # what is printed from here on is read
            if any(isinstance(one, ast.Attribute) and one.attr == "options" for one in ast.walk(target)):
                self.effects.changes.add("<settings>")

    def visit_Delete(self, node: ast.Delete) -> None:
        """Unbind names; change what is subscripted."""
        for target in node.targets:
            if not isinstance(target, ast.Name):
                self._target(target)

    def visit_Import(self, node: ast.Import) -> None:
        """Bind modules."""
        for name in import_names(node):
            self._bind(name)

    visit_ImportFrom = visit_Import  # type: ignore[assignment]  # noqa: N815

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Read an attribute; a method that is passed on, such as `found.append`, may be called."""
        self.visit(node.value)
        if node.attr in words.KNOWN_MUTATORS or node.attr in ("write", "writelines", "send", "put"):
            self._change(self.roots(node.value))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Read the parts of a text, which may depend on settings."""
        self.effects.reads.add("<settings>")
        self.generic_visit(node)

    # ---- scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        """Bind a definition; what its body does is done where it is called."""
        for part in evaluated(node):
            self.visit(part)
        if isinstance(node, ast.ClassDef):
            for name in free_names(node):
                self._read(name)
        self._bind(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815
    visit_ClassDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Take a lambda as called where it stands."""
        for name in free_names(node):
            self._read(name)
        before = self._local
        self._local = {**before, **dict.fromkeys(_parameters(node), _NONE)}
        self.visit(node.body)
        self._local = before

    def _comprehension(self, node: ast.AST) -> None:
        before = self._local
        generators: list[ast.comprehension] = getattr(node, "generators", [])
        for generator in generators:
            self.visit(generator.iter)
            self._local = {
                **self._local,
                **dict.fromkeys(names_in(generator.target), self.roots(generator.iter)),
            }
            for condition in generator.ifs:
                self.visit(condition)
        for part in ("key", "value", "elt"):
            if (value := getattr(node, part, None)) is not None:
                self.visit(value)
        self._local = before

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815

    # ---- blocks: what is bound in one that may not run is bound perhaps

    def _block(self, statements: Iterable[ast.stmt], bound: set[str]) -> set[str]:
        """Visit statements that begin with these names bound; return those bound at their end."""
        before, self._bound = self._bound, set(bound)
        for statement in statements:
            self.visit(statement)
        after, self._bound = self._bound, before
        return after

    def visit_If(self, node: ast.If) -> None:
        """Visit both branches: what both bind is bound."""
        self.visit(node.test)
        self._bound = self._block(node.body, self._bound) & self._block(node.orelse, self._bound)

    def visit_While(self, node: ast.While) -> None:
        """Visit a loop whose body may not run."""
        self.visit(node.test)
        self._block(node.body, self._bound)
        self._block(node.orelse, self._bound)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        """Visit a loop whose body may not run; its target is bound in it."""
        self.visit(node.iter)
        before = set(self._bound)
        self._target(node.target)
        inside, self._bound = set(self._bound), before
        self._block(node.body, inside)
        self._block(node.orelse, self._bound)

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        """Visit a block that runs in any case."""
        for item in node.items:
            self.visit(item.context_expr)
            self._change(self.roots(item.context_expr))
            if item.optional_vars is not None:
                self._target(item.optional_vars)
        for statement in node.body:
            self.visit(statement)

    visit_AsyncWith = visit_With  # noqa: N815

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        """Visit a block that may end anywhere."""
        after = [self._block([*node.body, *node.orelse], self._bound)]
        for handler in node.handlers:
            if handler.type is not None:
                self.visit(handler.type)
            named = {handler.name} if handler.name else set()
            self.effects.may_bind |= named
            after.append(self._block(handler.body, self._bound | named))
        self._bound |= set.intersection(*after)
        for statement in node.finalbody:
            self.visit(statement)

    visit_TryStar = visit_Try  # noqa: N815

    def visit_Match(self, node: ast.Match) -> None:
        """Visit the cases, of which none may be taken."""
        self.visit(node.subject)
        for case in node.cases:
            captured = {
                one.name
                for one in ast.walk(case.pattern)
                if isinstance(one, (ast.MatchAs, ast.MatchStar)) and one.name
            }
            self.effects.may_bind |= captured
            before, self._bound = self._bound, self._bound | captured
            if case.guard is not None:
                self.visit(case.guard)
            self._block(case.body, self._bound)
            self._bound = before

    # ---- calls

    def visit_Call(self, node: ast.Call) -> None:
        """Visit what is called and its arguments, and take note of what the call may change."""
        function = node.func
        self.visit(function.value if isinstance(function, ast.Attribute) else function)
        for part in [*node.args, *node.keywords]:
            self.visit(part)
        for keyword in node.keywords:
            if keyword.arg in words.TARGET_KEYWORDS:
                self._change(self.roots(keyword.value))
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        given: Roots = (
            frozenset().union(*(self.roots(argument) for argument in arguments)) if arguments else _NONE
        )
        if isinstance(function, ast.Name):
            self._call_of_name(function.id, given)
        elif isinstance(function, ast.Attribute):
            self._call_of_method(function, node, given)
        else:
            self._change(given | self.roots(function))

    def _call_of_name(self, name: str, given: Roots) -> None:
        facts = self.facts
        held = self.roots(ast.Name(name, ast.Load())) if name not in facts.defined else _NONE
        if name in words.FINALS:
            self.effects.changes.add(ANSWERS)
        elif name in words.ARGUMENT_MUTATORS or (name in facts.functions and facts.carried(name).mutates):
            self._change(given | (held if name in facts.functions else _NONE))
        elif name in facts.functions or name in words.WORDS or name in facts.imported:
            pass
        elif name in facts.bound or name in self._local:  # a variable that holds something to call
            self._change(given | held)
        if name in ("str", "repr", "format"):
            self.effects.reads.add("<settings>")
        if name == "open":
            self._use_state("<files>")

    def _call_of_method(self, function: ast.Attribute, call: ast.Call, given: Roots) -> None:
        name, facts = function.attr, self.facts
        self._states_of_method(name, call)
        if (module := facts.module_of(function.value)) is not None:
            if name in words.ARGUMENT_MUTATORS:
                self._change(given)
            if state := words.STATES.get(module):
                self._use_state(state)
            if name.startswith(("set_", "use", "register", "seed")):
                self._change(self.roots(function.value) | facts.names_in(function.value))
                self.effects.changes.add("<settings>")
            return
        changed = self.roots(function.value)
        in_place = any(
            keyword.arg == "inplace"
            and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value)
            for keyword in call.keywords
        )
        if facts.is_frame(function.value):
            if in_place or name in words.FRAME_MUTATORS:
                self._change(changed)
        elif name in words.KNOWN_MUTATORS:
            self._change(changed)
        elif name not in words.PURE_METHODS or in_place:
            self._change(changed | given)

    def _states_of_method(self, name: str, call: ast.Call) -> None:
        """Take note of what a method uses beside its object and its arguments, by its name."""
        if name in words.FILE_METHODS:
            self._use_state("<files>")
        if name in words.DRAWING_METHODS:
            self._use_state("<figures>")
        if name in words.TEXT_METHODS:
            self.effects.reads.add("<settings>")
        if name in ("query", "eval"):
            self._read_in_texts([*call.args, *(keyword.value for keyword in call.keywords)])

    def _use_state(self, state: str) -> None:
        self.effects.reads.add(state)
        self.effects.changes.add(state)

    def _read_in_texts(self, arguments: list[ast.expr]) -> None:
        """Read the variables that an expression of pandas names, as `refund > @least`."""
        for argument in arguments:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                for name in _IN_TEXT.findall(argument.value):
                    self._read(name)


def _parameters(node: ast.Lambda) -> list[str]:
    return [one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)]
